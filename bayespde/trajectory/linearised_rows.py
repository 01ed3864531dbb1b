"""The mode of a trajectory + a library -> rows for all terms: the likelihood of the pixels around this trajectory.

Around its mode the likelihood of a trajectory is that of a linear problem in the coefficients of *all* terms, those of
absent ones at zero. With the initial state and the displacements of frames profiled out, as in a linear model with
their normal prior, white rows remain: the spin model takes them as it takes any, and compares 2^K equations at the
price of K more slopes. They hold for equations near the one that was fitted, which are those that contend with it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bayespde.core.assembly_record import AssemblyRecord
from bayespde.core.equation import Equation, Library
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.trajectory.gauss_newton import check_finite, solved
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.problem import TrajectoryProblem

# Frames from which the size of a term is estimated.
FRAMES = 16
SMALLEST = 1e-12
# Share of the right-hand side that is the unit of a term: with an ill-posed term the slope exists, but hardly a
# trajectory next to this one.
UNIT = 1e-3


def linearised_rows(mode: Mode, library: Library, *, variance: float = 1.0) -> SufficientStatistics:
    """Compress the likelihood of all terms near the mode of a trajectory.

    Args:
        mode: Of an equation whose terms are all in the library.
        library: The candidate terms.
        variance: Of the residuals, in units of the variance in the noise model; its prior weight is one row per pixel.

    Returns:
        The statistics, physical units, one row per pixel.

    Raises:
        FitError: If the trajectory diverges with the smallest share of a term.
        IntegrationError: If there is no trajectory next to this one.
    """
    problem, coefficients = _with_all_terms(mode, library)
    terms, modes, others = problem.terms, problem.shared - problem.terms, mode.parameters[mode.problem.terms :]
    wanted, of_state, own = _white_slopes(mode, problem, coefficients)
    # The priors of displacements and of the initial state are rows as well.
    wanted, of_prior = _without_displacements(wanted, own, others[modes:])
    of_state, state_of_prior = _without_displacements(of_state, own, np.zeros(len(others) - modes))
    before = np.column_stack([np.zeros((modes, terms)), -others[:modes]])
    rows = [before, of_prior, wanted.reshape(-1, terms + 1)]
    left = _profiled(rows, [np.eye(modes), state_of_prior, of_state.reshape(-1, modes)])
    everything = np.vstack([*left[:2], left[2][problem.seen.ravel()]])
    design, residual = everything[:, :terms], everything[:, -1]
    return SufficientStatistics.from_rows(
        design / problem.scale,
        residual + design @ coefficients,
        names=library.names,
        target_name=library.target,
        model=RowModel(
            log_jacobian=np.log(problem.weight[problem.seen]).sum() + problem.whiten.log_volume,
            prior_variance=variance,
            prior_rows=float(len(design)),
            floor=0.0,
            record=AssemblyRecord("trajectory", along=mode.problem.equation.names),
        ),
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


def _white_slopes(
    mode: Mode, problem: TrajectoryProblem, coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """White slopes in all terms with the residual last, in modes of the state, and in displacements of a frame."""
    terms, state = problem.terms, mode.denoised_parameters[mode.problem.terms :]
    with np.errstate(over="ignore", invalid="ignore"):
        of_terms, own = problem.slopes(np.concatenate([coefficients, state]), slice(terms))
        of_state, _ = mode.problem.slopes(mode.denoised_parameters, slice(mode.problem.terms, None))
        wanted = np.concatenate([of_terms, mode.residual[..., None]], axis=-1)
        wanted, of_state, own = (problem.whiten(s) for s in (wanted, of_state, own))
        check_finite(np.concatenate([np.einsum("tpk,tpk->k", s, s) for s in (wanted, of_state)]))
    return wanted, of_state, own


def _sizes(mode: Mode, library: Library, coefficients: np.ndarray) -> np.ndarray:
    """Coefficient at which each term is a small share of the right-hand side, `[K]`, physical units."""
    problem = mode.problem
    frames = problem.states(mode.denoised_parameters[None], problem.method)[0]
    frames = frames[:: max(1, len(frames) // FRAMES)]
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
    right = float(np.sqrt(np.mean(np.einsum("k,tk...->t...", coefficients, terms) ** 2)))
    # Where next to nothing moves, a rate that pixels would just resolve in the end.
    right = UNIT * max(right, problem.noise.rms / float(np.ptp(problem.times)))
    # A term that is zero along the trajectory has a column of zeros, whatever its unit.
    return np.asarray(right / np.where(size > SMALLEST * largest, size, largest))


def _mean_size(values: np.ndarray) -> np.ndarray:
    """Root mean square of every term, `[K]`, of `[time, K, *space]`."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=(0, *range(2, values.ndim)))))


def _without_displacements(
    rows: np.ndarray, own: np.ndarray, displacements: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows `[time, pixels, k]` with every frame's own displacements profiled out, and the rows of their prior.

    Displacement d of a frame with slopes O and prior N(0, 1): its best value given all else is (O'O + 1)^-1 (O'y - d),
    and the residuals of the prior are rows too. The last column is that of the residual.
    """
    frames, _, axes = own.shape
    if not axes:
        return rows, np.empty((0, rows.shape[-1]))
    moved = np.zeros((frames, axes, rows.shape[-1]))
    moved[..., -1] = -displacements.reshape(frames, axes)
    inner = np.einsum("tpa,tpb->tab", own, own) + np.eye(axes)
    best = np.linalg.solve(inner, np.einsum("tpa,tpk->tak", own, rows) + moved)
    return rows - np.einsum("tpa,tak->tpk", own, best), (moved - best).reshape(-1, rows.shape[-1])


def _profiled(rows: list[np.ndarray], nuisance: list[np.ndarray]) -> list[np.ndarray]:
    """Rows `[n, k]` in parts, with nuisance columns, `[n, m]` in the same parts, profiled out of them."""
    curvature = sum(n.T @ n for n in nuisance)
    # The second time removes what rounding left.
    for _ in range(2):
        best = solved(curvature, sum(n.T @ r for n, r in zip(nuisance, rows, strict=True)))
        rows = [r - n @ best for n, r in zip(nuisance, rows, strict=True)]
    return rows
