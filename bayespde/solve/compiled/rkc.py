"""Draws of a diffusive equation -> their frames, each by steps of its own: Runge-Kutta-Chebyshev, compiled.

A step of s stages is stable for rates of decay up to .65 s^2 over its length, so that the accuracy of the solution and
not the grid limits the steps of diffusion [sommeijer1998].
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import float64, int64, njit, types

from bayespde.core.coupled import CoupledEquations
from bayespde.core.progress import Progress
from bayespde.solve.compiled.compiled_rhs import FRAME, PLACES, ROWS, SIZE, STAGE, CompiledRHS, compiled_rhs
from bayespde.solve.compiled.ghost_grid import GhostGrid, fill_ghost_cells
from bayespde.solve.config import SolverConfig
from bayespde.solve.ensemble_problem import EnsembleProblem, EnsembleSolution

DAMPING = 2 / 13
MAXIMUM_STAGES = 200
SAFETY, SHRINK, GROW = 0.8, 0.1, 5.0
SMALLEST_STEP = 1e-12
# Largest share of advection in the rates: the region of stability is narrow around the axis of decay.
MAXIMUM_ADVECTION = 0.3
INTEGRATE = float64(
    types.FunctionType(STAGE),
    types.FunctionType(SIZE),
    ROWS,
    types.UniTuple(PLACES, 4),
    FRAME,
    FRAME,
    FRAME,
    types.UniTuple(float64, 3),
    int64,
    float64[:, ::1],
)


@njit(nogil=True, cache=True)
def _stage_factors(stages, step):  # type: ignore[no-untyped-def] # pragma: no cover
    """Factors of every stage: of start, last, the one before, slope, first slope; `[stages, 5]`."""
    w0 = 1 + DAMPING / stages**2
    t, dt, ddt = np.zeros(stages + 1), np.zeros(stages + 1), np.zeros(stages + 1)
    t[0], t[1], dt[1] = 1.0, w0, 1.0
    for j in range(2, stages + 1):
        t[j] = 2 * w0 * t[j - 1] - t[j - 2]
        dt[j] = 2 * w0 * dt[j - 1] - dt[j - 2] + 2 * t[j - 1]
        ddt[j] = 2 * w0 * ddt[j - 1] - ddt[j - 2] + 4 * dt[j - 1]
    w1 = dt[stages] / ddt[stages]
    b = np.empty(stages + 1)
    for j in range(2, stages + 1):
        b[j] = ddt[j] / dt[j] ** 2
    b[0] = b[1] = b[2]
    found = np.zeros((stages, 5))
    found[0, 0], found[0, 4] = 1.0, b[1] * w1
    for j in range(2, stages + 1):
        mu, nu, of_slope = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
        found[j - 1, 0], found[j - 1, 1], found[j - 1, 2] = 1 - mu - nu, mu, nu
        found[j - 1, 3], found[j - 1, 4] = of_slope, -(1 - b[j - 1] * t[j - 1]) * of_slope
    found[:, 3:] *= step
    return found


@njit(nogil=True, cache=True)
def _stable_step(step, left, rate):  # type: ignore[no-untyped-def] # pragma: no cover
    """Step and number of stages that are stable for a rate, and whether the step reaches the end, `left` from here."""
    is_last = step >= left * (1 - 1e-9)
    if is_last:
        step = left
    stages = 1 + int(np.sqrt(1.54 * step * rate + 1))
    if stages > MAXIMUM_STAGES:
        stages, is_last = MAXIMUM_STAGES, False
        step = (MAXIMUM_STAGES**2 - 1) / (1.54 * rate)
    return step, max(stages, 2), is_last


@njit(nogil=True, cache=True)
def _write_slope(stage, rows, fixed, weights, frame, slope):  # type: ignore[no-untyped-def] # pragma: no cover
    only_slope = np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    stage(weights, rows, only_slope, frame, frame, frame, frame, slope)
    slope[fixed] = 0.0


@njit(nogil=True, cache=True)
def _run_stages(stage, rows, ghosts, weights, factors, u, slope, buffers):  # type: ignore[no-untyped-def] # pragma: no cover
    """All stages of a step from `u`, in three buffers; returns the buffers, that of the last stage first."""
    to, first, second, fixed = ghosts
    last, before, out = buffers
    last[:] = u
    for j in range(len(factors)):
        stage(weights, rows, factors[j], u, last, before, slope, out)
        out[fixed] = u[fixed]
        fill_ghost_cells(out, to, first, second)
        before, last, out = last, out, before
    return last, before, out


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _is_finite(rows, frame):  # type: ignore[no-untyped-def] # pragma: no cover
    total, (starts, length, _, _) = 0.0, rows
    for row in starts:
        values = frame[row : row + length]
        for k in range(length):
            total += values[k]
    return np.isfinite(total)


@njit(nogil=True, cache=True, fastmath=True)
def _error(rows, before, after, slope, slope_after, step):  # type: ignore[no-untyped-def] # pragma: no cover
    """Largest estimated error of a step, and largest `|u|` after it, of finite frames."""
    error, size, (starts, length, _, _) = 0.0, 0.0, rows
    for row in starts:
        a, b, c, d = before[row:], after[row:], slope[row:], slope_after[row:]
        for k in range(length):
            error = max(error, abs(0.8 * (a[k] - b[k]) + 0.4 * step * (c[k] + d[k])))
            size = max(size, abs(b[k]))
    return error, size


@njit(nogil=True, cache=True, fastmath=True)
def _interpolate(rows, frame, before, after, slope, slope_after, step, share):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the cubic through both ends of a step at a share of it; returns the largest `|u|`."""
    s, largest, n, (starts, length, _, _) = share, 0.0, 0, rows
    h00, h10, h01, h11 = (1 + 2 * s) * (1 - s) ** 2, s * (1 - s) ** 2, s**2 * (3 - 2 * s), s**2 * (s - 1)
    for row in starts:
        a, b, c, d, to = before[row:], after[row:], slope[row:], slope_after[row:], frame[n : n + length]
        for k in range(length):
            to[k] = h00 * a[k] + h01 * b[k] + step * (h10 * c[k] + h11 * d[k])
            largest = max(largest, abs(to[k]))
        n += length
    return largest


@njit(INTEGRATE, nogil=True, cache=True)
def _integrate_draw(stage, radius, rows, ghosts, weights, start, times, limits, most, frames):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the frames at all times after the first; returns when the draw ended, or infinity."""
    relative, absolute, bound = limits
    u, slope, slope_after, last, before, out = [start.copy() for _ in range(6)]
    fill_ghost_cells(u, ghosts[0], ghosts[1], ghosts[2])
    _write_slope(stage, rows, ghosts[3], weights, u, slope)
    time, end, shown = times[0], times[-1], 1
    rate = radius(weights, rows, u)
    step = min(end - time, 1 / max(rate, 1 / (end - time)))
    smallest = SMALLEST_STEP * (end - time)
    for _ in range(most):
        step, stages, is_last = _stable_step(step, end - time, rate)
        if not step > smallest:
            return time
        factors = _stage_factors(stages, step)
        last, before, out = _run_stages(stage, rows, ghosts, weights, factors, u, slope, (last, before, out))
        _write_slope(stage, rows, ghosts[3], weights, last, slope_after)
        error = np.inf
        if _is_finite(rows, last) and _is_finite(rows, slope_after):
            off, size = _error(rows, u, last, slope, slope_after, step)
            error = off / (absolute + relative * size)
        if not error <= 1:
            step *= max(SHRINK, SAFETY / error ** (1 / 3)) if error < np.inf else SHRINK
            continue
        following = end if is_last else time + step
        while shown < len(times) and times[shown] <= following:
            share = min((times[shown] - time) / step, 1.0)
            largest = _interpolate(rows, frames[shown - 1], u, last, slope, slope_after, step, share)
            if not largest <= bound:
                return times[shown]
            shown += 1
        if shown == len(times):
            return np.inf
        u, last = last, u
        slope, slope_after = slope_after, slope
        time = following
        rate = radius(weights, rows, u)
        step *= min(GROW, SAFETY / max(error, 1e-12) ** (1 / 3))
    return time


def is_diffusive(problem: EnsembleProblem, method: SolverConfig) -> bool:
    """Whether diffusion dominates advection, for every draw of one equation at its start.

    Args:
        problem: The draws.
        method: Order of the differences and boundary.
    """
    compiled, layout = _compiled(problem, method)
    weights = np.ascontiguousarray(problem.coefficients)
    for of_draw, start in zip(weights, layout.enter(problem.starts), strict=True):
        fill_ghost_cells(start, *layout.ghosts[:3])
        whole, advection = (f(of_draw, layout.rows, start) for f in (compiled.radius, compiled.advection))
        if not advection <= MAXIMUM_ADVECTION * whole < np.inf:
            return False
    return True


def _compiled(problem: EnsembleProblem, method: SolverConfig) -> tuple[CompiledRHS, GhostGrid]:
    equation, grid = problem.equation, problem.grid
    assert not isinstance(equation, CoupledEquations)
    compiled = compiled_rhs(equation.terms, grid.dims, method.order)
    return compiled, GhostGrid.of(grid, method.boundary, compiled.width, compiled.derivatives)


def integrate_draws(
    problem: EnsembleProblem,
    times: np.ndarray,
    *,
    method: SolverConfig,
    bound: float,
    progress: bool | Progress = False,
) -> EnsembleSolution:
    """Integrate the draws of one equation one by one, on all processors; arguments as for `evolve_draws`."""
    compiled, layout = _compiled(problem, method)
    output_times = np.ascontiguousarray(times, dtype=np.float64)
    limits = (method.rtol, method.atol, float(bound))
    draws = len(problem.starts)
    frames = np.full((draws, len(times), *problem.grid.points), np.nan)
    frames[:, 0] = problem.starts
    weights = np.ascontiguousarray(problem.coefficients, dtype=np.float64)
    padded = layout.enter(problem.starts)

    def one(draw: int) -> Any:
        ended = _integrate_draw(
            compiled.stage,
            compiled.radius,
            layout.rows,
            tuple(layout.ghosts),
            weights[draw],
            padded[draw],
            output_times,
            limits,
            method.maximum_steps,
            frames[draw, 1:].reshape(len(times) - 1, -1),
        )
        frames[draw, 1:][output_times[1:] >= ended] = np.nan
        return ended

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        every = Progress.of(progress).bar(pool.map(one, range(draws)), desc="forecast", total=draws, unit="draw")
        return EnsembleSolution(frames, np.array(list(every)))
