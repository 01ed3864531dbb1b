"""The mode of a trajectory + a library -> rows for all terms: the likelihood of the pixels around this trajectory.

Around its mode the likelihood of a trajectory is that of a linear problem in the coefficients of *all* terms, those of
absent ones at zero. With the initial state and the displacements of frames profiled out, as in a linear model with
their normal prior, white rows remain: the spin model takes them as it takes any, and compares 2^K equations at the
price of K more slopes. They hold for equations near the one that was fitted, which are those that contend with it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from scipy.linalg import solve_triangular

from bayespde.core.assembly_record import AssemblyRecord
from bayespde.core.equation import Equation, Library
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.triangular import triangular_factor
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.tangent import TangentModel
from bayespde.trajectory.gauss_newton import check_finite
from bayespde.trajectory.mode import Mode

# Blocks of consecutive frames.
BLOCKS = 16
# Share of the largest that a term can be below which its slopes are rounding errors.
SMALLEST = 1e-7


def linearised_rows(mode: Mode, library: Library, *, variance: float = 1.0) -> SufficientStatistics:
    """Compress the likelihood of all terms near the mode of a trajectory.

    Args:
        mode: Of an equation whose terms are all in the library.
        library: The candidate terms.
        variance: Of the residuals, in units of the variance in the noise model; its prior weight is one row per pixel.

    Returns:
        The statistics, physical units, one row per pixel and per parameter of the initial state and displacements.

    Raises:
        FitError: If slopes overflow.
    """
    problem, terms = mode.problem, len(library)
    states, others = problem.shared - problem.terms, mode.parameters[problem.terms :]
    everything = _all_blocks(mode, library)
    # The priors of the initial state are rows as well.
    prior = np.column_stack([np.eye(states), np.zeros((states, terms)), -others[:states]])
    everything[0] = triangular_factor(np.vstack([prior, everything[0]]))
    joint = triangular_factor(np.vstack(everything))
    best = solve_triangular(joint[:states, :states], joint[:states, states:])
    left = np.concatenate([triangular_factor(f[:, states:] - f[:, :states] @ best) for f in everything])
    design, residual = left[:, :terms], left[:, -1]
    found = SufficientStatistics.from_rows(
        design,
        residual + design @ _coefficients(mode, library),
        names=library.names,
        target_name=library.target,
        blocks=len(everything),
        model=RowModel(
            prior_variance=variance,
            prior_rows=float(problem.seen.sum() + len(others)),
            floor=0.0,
            record=AssemblyRecord("trajectory", along=problem.equation.names),
        ),
    )
    seen = problem.observation.weight[problem.seen]
    jacobian = float(np.log(seen).sum() + problem.observation.whiten.log_volume)
    rows = np.array([float(problem.seen[part].sum()) for part in _frames(len(problem.times))])
    jacobians = jacobian * rows / rows.sum()
    rows[0] += len(others)
    return replace(found, effective_rows=rows, log_jacobian=jacobians)


def _coefficients(mode: Mode, library: Library) -> np.ndarray:
    """Of all terms at the mode, `[K]`, physical units."""
    problem = mode.problem
    physical = dict(zip(problem.equation.names, mode.parameters[: problem.terms] * problem.scale, strict=True))
    return np.array([physical.get(name, 0.0) for name in library.names])


def _frames(count: int) -> list[slice]:
    """Frames of every block."""
    edges = np.linspace(0, count, min(BLOCKS, count) + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


def _all_blocks(mode: Mode, library: Library) -> list[np.ndarray]:
    """Of every block, the factor of its rows of modes of the state, of all terms, and of the residual."""
    # Slopes in terms come first, columns of the modes do.
    problem, parameters, terms = mode.problem, mode.denoised_parameters, len(library)
    with np.errstate(over="ignore", invalid="ignore"):
        tangent = problem.tangent(parameters, library.terms)
        slopes = tangent.slopes(problem.modes(problem.coarse))
        slopes[:, : len(library)][:, _are_nothing(tangent, slopes)] = 0.0
        own, moved = problem.frame_slopes(tangent, parameters), problem.displacements(parameters)
        check_finite(np.array([np.sum(slopes**2)]))
    white, beyond = problem.observation.rotated(problem.observation.whiten(mode.residual), slopes.shape[2:])
    displaced = mode.parameters[problem.shared :].reshape(len(slopes), -1)
    found = []
    for frames in _frames(len(slopes)):
        rows = problem.observation.rows(slopes, moved, frames)
        rows = np.concatenate([rows[:, terms:], rows[:, :terms], white[frames, None]], axis=1)
        left = _without_displacements(rows, own[frames], displaced[frames])
        alone = np.zeros((1, rows.shape[1]))
        alone[0, -1] = np.sqrt(beyond[frames].sum())
        found.append(triangular_factor(np.vstack([*left, alone])))
    return found


def _are_nothing(tangent: TangentModel, slopes: np.ndarray) -> np.ndarray:
    """Which of the forced terms are but rounding errors along the trajectory, `[K]`, bool."""
    terms = tuple(tangent.forced)
    everything = Equation(terms, (1.0,) * len(terms), tangent.equation.target, tangent.equation.variable)
    one_by_one = torch.eye(len(terms), dtype=torch.float64)
    each = right_hand_side(everything, tangent.grid, method=tangent.method, coefficients=one_by_one)
    # The largest that a term can be, in any units: of a frame as large and as rough as the grid allows.
    frame = np.cos(np.indices(tangent.grid.points).astype(float) ** 2).prod(axis=0)
    roughest = each.full(torch.from_numpy(frame * np.sqrt(np.mean(tangent.states() ** 2)))).numpy()
    largest = np.sqrt(np.mean(roughest.reshape(len(terms), -1) ** 2, axis=1)) * float(np.ptp(tangent.times))
    size = np.sqrt(np.mean(slopes[:, : len(terms)] ** 2, axis=(0, *range(2, slopes.ndim))))
    return np.asarray(size < SMALLEST * largest)


def _without_displacements(rows: np.ndarray, own: np.ndarray, displacements: np.ndarray) -> list[np.ndarray]:
    """Rows `[n, k]` of `[time, k, pixels]` with every frame's own displacements profiled out, and those of their prior.

    Displacement d of a frame with slopes O and prior N(0, 1): its best value given all else is (O'O + 1)^-1 (O'y - d),
    and the residuals of the prior are rows too. The last column is that of the residual.
    """
    axes, columns = own.shape[1], rows.shape[1]
    if axes:
        moved = np.zeros((len(own), axes, columns))
        moved[..., -1] = -displacements
        best = np.linalg.solve(own @ np.swapaxes(own, 1, 2) + np.eye(axes), own @ np.swapaxes(rows, 1, 2) + moved)
        rows = rows - np.swapaxes(best, 1, 2) @ own
        return [np.moveaxis(rows, 1, 2).reshape(-1, columns), (moved - best).reshape(-1, columns)]
    return [np.moveaxis(rows, 1, 2).reshape(-1, columns)]
