"""Factorised configuration -> the one with a set of spins flipped, if a Metropolis step accepts it; compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.base import BlockFlips
from bayespde.smc.kernels.block_odds import inactive, likelihood_gain, prior_gain
from bayespde.smc.kernels.factorisation import EXPLICIT_PIVOT, add_column, drop_column
from bayespde.smc.kernels.layout import (
    LOG_LIKELIHOOD,
    OVERFLOW,
    PIVOT,
    SIZE,
    ActiveSet,
    FactorisedRows,
    copy_active_set,
)
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, largest_inflation, recompute_pivot, set_likelihood
from bayespde.smc.kernels.pivot_rule import is_allowed, surely_allowed
from bayespde.smc.kernels.stream import advance, uniform


class Blocks(NamedTuple):
    """Sets of spins for the compiled code: set d is `members[edges[d]:edges[d + 1]]`.

    Attributes:
        members: Columns in canonical order, set by set, int64.
        edges: Where each set begins, and the last one ends, `[D+1]`, int64.
        cumulative: Cumulated weights, `[D]`.
        flips: Proposals for each particle.
    """

    members: np.ndarray
    edges: np.ndarray
    cumulative: np.ndarray
    flips: int


# Nats by which small matrices may err.
MARGIN = 0.01
NO_BLOCKS = Blocks(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0), 0)


def compiled(moves: BlockFlips, order: np.ndarray) -> Blocks:
    """Sets of spins as the compiled code reads them; `order` is the canonical order of the columns."""
    sets = moves.sets.numpy()[:, order]
    edges = np.concatenate([[0], np.cumsum(sets.sum(axis=1))]).astype(np.int64)
    return Blocks(np.nonzero(sets)[1].astype(np.int64), edges, np.cumsum(moves.weights.numpy()), moves.flips)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_block(blocks: Blocks, value: float) -> int:
    """The set that a uniform number chooses."""
    last = blocks.cumulative.shape[0] - 1
    return min(np.searchsorted(blocks.cumulative, blocks.cumulative[last] * value, side="right"), last)


@njit(cache=True, nogil=True, error_model="numpy")
def flip_block(
    state: ActiveSet, trial: ActiveSet, problem: FactorisedRows, target: TemperedTarget, blocks: Blocks, key: int
) -> tuple[int, bool]:
    """Propose to flip a set of spins: the new key, and whether `trial` is accepted.

    What small matrices show to be rejected is not factored. The odds of neighbours are not computed: block flips are
    the last moves of a pass.
    """
    key = advance(key)
    block = draw_block(blocks, uniform(key))
    members = blocks.members[blocks.edges[block] : blocks.edges[block + 1]]
    key = advance(key)
    level = math.log(uniform(key)) - prior_gain(state, target, members)
    if target.beta * likelihood_gain(state, problem, target, members) < level - MARGIN:
        return key, False
    copy_active_set(state, trial)
    if not _flipped(trial, problem, members, target.table.coefficients.shape[0]):
        return key, False
    set_likelihood(trial, problem, target)
    return key, target.beta * (trial.number[LOG_LIKELIHOOD] - state.number[LOG_LIKELIHOOD]) > level


@njit(cache=True, nogil=True, error_model="numpy")
def _flipped(trial: ActiveSet, problem: FactorisedRows, members: np.ndarray, sizes: int) -> bool:
    """Flip some spins if that is possible.

    Columns leave before others enter, so that on the way nothing is nearer to collinear than the end itself.
    """
    entering, possible = inactive(trial, members), True
    for column in members:
        if trial.place[column] >= 0:
            drop_column(trial, problem, column)
    for column in entering:
        possible = possible and _entered(trial, problem, column, sizes)
    return possible


@njit(cache=True, nogil=True, error_model="numpy")
def _entered(trial: ActiveSet, problem: FactorisedRows, column: int, sizes: int) -> bool:
    """Add a column if that is possible."""
    if trial.size[SIZE] + 2 > sizes:
        trial.size[OVERFLOW] = 1
        return False
    if trial.vectors[PIVOT, column] < EXPLICIT_PIVOT:
        recompute_pivot(trial, problem, column)
    if not (
        surely_allowed(trial.vectors[PIVOT, column], largest_inflation(trial), problem.tolerance)
        or is_allowed(trial, problem, -1, column)
    ):
        return False
    add_column(trial, problem, column)
    return True
