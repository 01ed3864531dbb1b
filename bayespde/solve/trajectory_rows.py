"""The mode of a trajectory + a library -> rows for all terms: what the pixels say of each, along this trajectory.

Around its mode the likelihood of a trajectory is that of a linear problem in the coefficients of *all* terms, those of
absent ones at zero. With the first state and the displacements of frames profiled out, as in a linear model with their
normal prior, what is left are white rows: the spin model takes them as it takes any, and compares 2^K equations at the
price of K more slopes. They hold for equations near the one that was fitted, which are those that contend with it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bayespde.core.equation import Equation, Library
from bayespde.core.statistics import SufficientStatistics
from bayespde.solve.stencils import right_hand_side
from bayespde.solve.trajectory_mode import Mode, check_finite
from bayespde.solve.trajectory_problem import TrajectoryProblem

# Frames by which the size of a term is seen.
LOOKS = 16
SMALLEST = 1e-12
# Share of the right-hand side that a term gets as a unit: of a term that is ill-posed the slope exists, but next to the
# trajectory there is hardly another.
UNIT = 1e-3


def trajectory_rows(mode: Mode, library: Library, *, variance: float = 1.0) -> SufficientStatistics:
    """Compress what pixels say of all terms near the mode of a trajectory.

    Args:
        mode: Of an equation whose terms are all in the library.
        library: The candidate terms.
        variance: Of the residuals, in units of what the recording says: as well known as the pixels are many.

    Returns:
        The statistics, physical units, one row per pixel.

    Raises:
        FitError: If the trajectory runs away with the smallest share of a term.
        IntegrationError: If there is no trajectory beside this one.
    """
    problem, coefficients = _with_all_terms(mode, library)
    terms, modes, others = problem.terms, problem.shared - problem.terms, mode.parameters[mode.problem.terms :]
    with np.errstate(over="ignore", invalid="ignore"):
        of_terms, _ = problem.slopes(np.concatenate([coefficients, mode.quiet[mode.problem.terms :]]), terms)
        of_state, own = mode.problem.slopes(mode.quiet)
        common = np.concatenate([of_terms, of_state[..., mode.problem.terms :]], axis=-1)
        common, own, left = (problem.whiten(s) for s in (common, own, mode.residual[..., None]))
        check_finite(np.einsum("tpk,tpk->k", common, common))
    rows, believed = _at_rest(np.concatenate([common, left], axis=-1), own, others[modes:])
    # What is believed of the first state before anything is seen is a row as well.
    state = np.column_stack([np.zeros((modes, terms)), np.eye(modes), -others[:modes]])
    everything = _free_of(np.vstack([state, believed, rows[problem.seen]]), slice(terms, problem.shared))
    design, residual = everything[:, :terms], everything[:, -1]
    return SufficientStatistics.from_rows(
        design / problem.scale,
        residual + design @ coefficients,
        names=library.names,
        log_jacobian=np.log(problem.weight[problem.seen]).sum() + problem.whiten.log_volume,
        pilot_variance=variance,
        pilot_rows=float(len(design)),
        floor=0.0,
        target_name=library.target,
        provenance={"form": "trajectory", "along": list(mode.problem.equation.names)},
    )


def _with_all_terms(mode: Mode, library: Library) -> tuple[TrajectoryProblem, np.ndarray]:
    """The problem with every term of a library, and its coefficients at the mode in units of their scale, `[K]`."""
    problem, names = mode.problem, library.names
    place = [names.index(n) for n in problem.equation.names]
    physical = np.zeros(len(names))
    physical[place] = mode.parameters[: problem.terms] * problem.scale
    scale = _sizes(mode, library, physical)
    scale[place] = problem.scale
    equation = Equation(library.terms, tuple(physical), problem.equation.target, library.variable)
    return replace(problem, equation=equation, scale=scale), physical / scale


def _sizes(mode: Mode, library: Library, coefficients: np.ndarray) -> np.ndarray:
    """Coefficient at which each term is a small share of the right-hand side, `[K]`, physical units."""
    problem = mode.problem
    frames = problem.states(mode.quiet[None], problem.method)[0]
    frames = frames[:: max(1, len(frames) // LOOKS)]
    everything = Equation(library.terms, (1.0,) * len(library), problem.equation.target, problem.equation.variable)
    one_by_one = right_hand_side(
        everything,
        problem.resolution.grid,
        method=problem.method,
        coefficients=torch.eye(len(library), dtype=torch.float64),
    )
    # The largest that a term can be, in any units: of a frame as large and as rough as the grid allows.
    rough = np.cos(np.indices(frames.shape[1:]).astype(float) ** 2).prod(axis=0) * np.sqrt(np.mean(frames**2))
    terms, roughest = (one_by_one.full(torch.from_numpy(f)[:, None]).numpy() for f in (frames, rough[None]))
    size, largest = _mean_size(terms), _mean_size(roughest)
    right = UNIT * float(np.sqrt(np.mean(np.einsum("k,tk...->t...", coefficients, terms) ** 2)))
    # A term that is zero along the trajectory has a column of zeros, whatever its unit.
    return np.asarray(right / np.where(size > SMALLEST * largest, size, largest))


def _mean_size(values: np.ndarray) -> np.ndarray:
    """Root mean square of every term, `[K]`, of `[time, K, *space]`."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=(0, *range(2, values.ndim)))))


def _at_rest(rows: np.ndarray, own: np.ndarray, displaced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows `[time, pixels, k]` with every frame's own displacements profiled out, and the rows of their prior.

    Displacement d of a frame with slopes O and prior N(0, 1): its best value given all else is (O'O + 1)^-1 (O'y - d),
    and what that leaves of the prior are rows too.
    """
    frames, _, axes = own.shape
    if not axes:
        return rows, np.empty((0, rows.shape[-1]))
    moved = np.zeros((frames, axes, rows.shape[-1]))
    moved[..., -1] = -displaced.reshape(frames, axes)
    inner = np.einsum("tpa,tpb->tab", own, own) + np.eye(axes)
    best = np.linalg.solve(inner, np.einsum("tpa,tpk->tak", own, rows) + moved)
    return rows - np.einsum("tpa,tak->tpk", own, best), (moved - best).reshape(-1, rows.shape[-1])


def _free_of(rows: np.ndarray, nuisance: slice) -> np.ndarray:
    """Rows `[n, k]` with some of their columns profiled out of the others."""
    others = np.delete(rows, nuisance, axis=1)
    return np.asarray(others - rows[:, nuisance] @ np.linalg.lstsq(rows[:, nuisance], others, rcond=None)[0])
