"""Branch -> summed mass of all its configurations: depth-first branch and bound, compiled.

A node of the tree decides the first columns of the factor: each is included or excluded. The first child includes the
next column, the second one excludes it. A subtree is pruned when its bound shows that every configuration in it is
negligible and none can be among the top models. The bound is the residual sum of squares with all undecided columns
included: no configuration of the subtree has a smaller one [furnivalwilson1974].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.enumeration.top_models import TopModels
from bayespde.smc.enumeration.triangles import exclude_column, last_three_columns
from bayespde.smc.kernels.evidence_table import EvidenceTable, read_table

# slack of the bound in nats, above the rounding of the table: what is summed must not depend on the thresholds
SLACK = 0.01
# of a node: the layer of its triangle, its size, its decisions as bits, whether its exclusion branch has been entered
LAYER, SIZE, CODE, EXCLUDED = 0, 1, 2, 3
# limits on residuals: impossible configurations have residuals of inf, which exceed even the first
NO_LIMIT, NOTHING_ALLOWED = float(np.finfo(np.float64).max), -np.inf


class BranchProblem(NamedTuple):
    """A linear target as the compiled branch and bound reads it.

    Attributes:
        triangle: Squared pivots and unit rows of the factor, ridge included, `[K+1, K+1]`, float64.
        table: The log evidence.
        log_odds: Prior log odds of the columns if all others are excluded, `[K]`.
        couplings: What two included columns add to the log prior, `[K, K]`; `[0, 0]` without any.
        max_gain: Upper bound on what m undecided columns can add to log prior and log determinant, `[L+1]`.
        log_empty: Log prior of the empty configuration.
        tolerance: Least pivot of an included column.
        reference: Log mass that counts as 1.
        negligible: Log mass up to which a configuration is left out of the sum.
    """

    triangle: np.ndarray
    table: EvidenceTable
    log_odds: np.ndarray
    couplings: np.ndarray
    max_gain: np.ndarray
    log_empty: float
    tolerance: float
    reference: float
    negligible: float


class _Search(NamedTuple):
    """The path from the root to the present node, one entry per depth.

    Attributes:
        triangles: Triangles of the undecided columns, `[K+1, K+1, K+1]`; a layer serves all nodes until an exclusion.
        nodes: Integers of each node, by the names above, `[K+1, 4]`, int64.
        log_weight: Log prior and log determinant of the decisions so far, `[K+1]`.
        rss_limit: Largest residual (plus offset) of a subtree that is not pruned, by size and depth, `[K+2, K+1]`.
        leaf_rss: Residuals of the eight leaves below a node that leaves three columns undecided, `[8]`.
        leaf_det: Products of the pivots of those columns, `[8]`.
    """

    triangles: np.ndarray
    nodes: np.ndarray
    log_weight: np.ndarray
    rss_limit: np.ndarray
    leaf_rss: np.ndarray
    leaf_det: np.ndarray


class Sums(NamedTuple):
    """What `sum_branch` adds up, in addition to the total mass.

    Attributes:
        inclusion: Mass with each undecided column included, `[K]`.
        leaf: Mass of every configuration of the branch, `[2^(K-length)]`; `[0]` if they are not wanted.
    """

    inclusion: np.ndarray
    leaf: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def sum_branch(problem: BranchProblem, top: TopModels, prefix: int, length: int, sums: Sums) -> float:
    """Sum the masses of all configurations whose first `length` columns are the bits of `prefix`.

    Args:
        problem: What to sum; at least three columns, `length` of at most K - 3.
        top: Gets every configuration that reaches the threshold of its size.
        prefix: Decisions, the first column in the highest bit.
        length: Number of decided columns.
        sums: Gains the sums by column, and the single masses.

    Returns:
        The sum, relative to `exp(reference)`.
    """
    last = len(problem.log_odds) - 3
    alive, search = _descend(problem, top.threshold, prefix, length)
    triangles, nodes = search.triangles, search.nodes
    mass, row = np.zeros(last + 4), np.empty(last + 4)
    depth, done = length, 0.0
    while alive:
        while depth < last and _enter(problem, search, depth, True):
            depth += 1
            mass[depth], nodes[depth, EXCLUDED] = 0.0, 0
        if depth == last:
            layer = nodes[depth, LAYER]
            last_three_columns(triangles, layer, depth, problem.tolerance, search.leaf_rss, search.leaf_det)
            done = _sum_leaves(problem, top, search, depth, sums)
        else:
            depth, done = depth + 1, 0.0
        # back up to the nearest node whose exclusion branch is open and not pruned
        while True:
            if depth == length:
                return done
            depth -= 1
            mass[depth] += done
            done = mass[depth]
            if nodes[depth, EXCLUDED] == 0:
                sums.inclusion[depth] += done
                nodes[depth, EXCLUDED] = 1
                exclude_column(triangles, nodes[depth, LAYER], depth + 1, depth, row)
                if _enter(problem, search, depth, False):
                    depth += 1
                    mass[depth], nodes[depth, EXCLUDED] = 0.0, 0
                    break
    return 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _descend(problem: BranchProblem, threshold: np.ndarray, prefix: int, length: int) -> tuple[bool, _Search]:
    """Go from the root to the node of a prefix; whether anything below it has to be summed."""
    n = len(problem.triangle)
    nodes, rss_limit = np.zeros((n, 4), np.int64), np.empty((n + 1, n))
    search = _Search(np.empty((n, n, n)), nodes, np.empty(n), rss_limit, np.empty(8), np.empty(8))
    triangles, row, alive = search.triangles, np.empty(n), True
    search.log_weight[0] = problem.log_empty
    for i in range(n):
        for k in range(n):
            triangles[0, i, k], rss_limit[i, k] = problem.triangle[i, k], NO_LIMIT
    for depth in range(length):
        include = (prefix >> (length - 1 - depth)) & 1 == 1
        if not include:
            exclude_column(triangles, nodes[depth, LAYER], depth + 1, depth, row)
        alive = alive and _enter(problem, search, depth, include)
    if alive:
        _set_rss_limits(problem, threshold, search, length)
        s = triangles[nodes[length, LAYER], n - 1, n - 1] + problem.table.offset
        alive = s <= rss_limit[nodes[length, SIZE], length]
    return alive, search


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _enter(problem: BranchProblem, search: _Search, depth: int, include: bool) -> bool:
    """Write the child of the node at `depth`, whose triangle is there; whether its subtree is not pruned."""
    triangles, nodes, log_weight = search.triangles, search.nodes, search.log_weight
    last, above = triangles.shape[2] - 1, nodes[depth, LAYER]
    layer = above if include else depth + 1
    size, gain = nodes[depth, SIZE], 0.0
    if include:
        size, gain = size + 1, _prior_gain(problem, nodes[depth, CODE], depth, depth)
        if problem.table.determinant != 0:
            gain += problem.table.determinant * np.log(triangles[above, depth, depth])
    nodes[depth + 1, LAYER], nodes[depth + 1, SIZE] = layer, size
    nodes[depth + 1, CODE] = 2 * nodes[depth, CODE] + include
    log_weight[depth + 1] = log_weight[depth] + gain
    allowed = not include or triangles[above, depth, depth] >= problem.tolerance
    return allowed and triangles[layer, last, last] + problem.table.offset <= search.rss_limit[size, depth + 1]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _prior_gain(problem: BranchProblem, code: int, depth: int, column: int) -> float:
    """What including a column adds to the log prior, where the first `depth` columns are the bits of `code`."""
    gain = problem.log_odds[column]
    if len(problem.couplings) > 0:
        for i in range(depth):
            if (code >> (depth - 1 - i)) & 1:
                gain += problem.couplings[i, column]
    return float(gain)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _sum_leaves(problem: BranchProblem, top: TopModels, search: _Search, depth: int, sums: Sums) -> float:
    """Sum of the masses of the eight leaves below a node that leaves three columns undecided."""
    couplings, rss, det, total = problem.couplings, search.leaf_rss, search.leaf_det, 0.0
    above = search.nodes[depth, CODE]
    first, second = _prior_gain(problem, above, depth, depth), _prior_gain(problem, above, depth, depth + 1)
    third = _prior_gain(problem, above, depth, depth + 2)
    for choice in range(8):
        a, b, c = choice >> 2, (choice >> 1) & 1, choice & 1
        size, s = search.nodes[depth, SIZE] + a + b + c, rss[choice] + problem.table.offset
        if s > search.rss_limit[size, depth + 3]:
            continue
        log_mass = search.log_weight[depth] + a * first + b * second + c * third
        if len(couplings) > 0:
            log_mass += a * b * couplings[depth, depth + 1] + a * c * couplings[depth, depth + 2]
            log_mass += b * c * couplings[depth + 1, depth + 2]
        log_mass += read_table(problem.table, size, s)
        if problem.table.determinant != 0:
            log_mass += problem.table.determinant * np.log(det[choice])
        code = 8 * above + choice
        if log_mass >= top.threshold[size]:
            at = top.used[0]
            top.code[at], top.log_mass[at], top.size[at] = code, log_mass, size
            top.used[0] = at + 1
        if log_mass > problem.negligible:
            mass = np.exp(log_mass - problem.reference)
            sums.inclusion[depth] += a * mass
            sums.inclusion[depth + 1] += b * mass
            sums.inclusion[depth + 2] += c * mass
            total += mass
            if len(sums.leaf) > 0:
                sums.leaf[code & (len(sums.leaf) - 1)] = mass
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _set_rss_limits(problem: BranchProblem, threshold: np.ndarray, search: _Search, depth: int) -> None:
    """Turn the bound on the mass into limits on the residual, for every size and depth below the node at `depth`.

    A subtree may reach several sizes: its limit is the largest of theirs. In the last column nothing is undecided.
    """
    table, terms, rss_limit = problem.table, len(problem.log_odds), search.rss_limit
    size, log_weight = search.nodes[depth, SIZE], search.log_weight[depth]
    for k in range(terms + 2):
        for column in range(terms + 1):
            rss_limit[k, column] = NOTHING_ALLOWED
    for more in range(terms - depth + 1):
        needed = min(threshold[size + more], problem.negligible) - log_weight - problem.max_gain[more] - SLACK
        rss_limit[size + more, terms] = _largest_rss(table, size + more, needed)
    for column in range(terms - 1, depth - 1, -1):
        for k in range(terms + 1):
            rss_limit[k, column] = max(rss_limit[k, terms], rss_limit[k + 1, column + 1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _largest_rss(table: EvidenceTable, size: int, needed: float) -> float:
    """Largest s at which the log evidence, which falls with s, is at least `needed`; `NO_LIMIT`, `NOTHING_ALLOWED`."""
    if read_table(table, size, table.largest) >= needed:
        return NO_LIMIT
    if not read_table(table, size, table.smallest) >= needed:
        return NOTHING_ALLOWED
    low, high = np.float64(table.smallest).view(np.int64), np.float64(table.largest).view(np.int64)
    # positive numbers are in the order of their bits
    while high - low > 1:
        middle = low + (high - low) // 2
        if read_table(table, size, np.int64(middle).view(np.float64)) >= needed:
            low = middle
        else:
            high = middle
    return np.int64(high).view(np.float64)
