"""Draws of a diffusive equation -> their frames, each by steps of its own: Runge-Kutta-Chebyshev, compiled.

A step of s stages is stable for rates of decay up to .65 s^2 over its length, so that diffusion is followed at the pace
of what it does and not of the grid [sommeijer1998].
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import float64, int64, njit, types
from tqdm import tqdm

from bayespde.core.equation import Equation
from bayespde.solve.compiled.compiled_rhs import FRAME, PLACES, ROWS, SIZE, STAGE, CompiledRHS, GhostGrid, compiled_rhs
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid

DAMPING = 2 / 13
MOST_STAGES = 200
SAFETY, SHRINK, GROW = 0.8, 0.1, 5.0
SMALLEST_STEP = 1e-12
# Share of the rates that may carry: the region of stability is narrow around the axis of decay.
SIDEWAYS = 0.3
FOLLOW = float64(
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
def _fill_ghost_cells(frame, to, first, second):  # type: ignore[no-untyped-def] # pragma: no cover
    for k in range(len(to)):
        frame[to[k]] = frame[first[k]] if second[k] < 0 else 2 * frame[first[k]] - frame[second[k]]


@njit(nogil=True, cache=True)
def _recurrence(stages):  # type: ignore[no-untyped-def] # pragma: no cover
    """Factors of every stage: of start, last, one before, slope, first slope; `[stages, 5]`, slopes per step."""
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
    return found


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
def _show(rows, frames, before, after, slope, slope_after, step, share):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the cubic through both ends of a step at a share of it; says the largest `|u|`."""
    s, largest, n, (starts, length, _, _) = share, 0.0, 0, rows
    h00, h10, h01, h11 = (1 + 2 * s) * (1 - s) ** 2, s * (1 - s) ** 2, s**2 * (3 - 2 * s), s**2 * (s - 1)
    for row in starts:
        a, b, c, d, to = before[row:], after[row:], slope[row:], slope_after[row:], frames[n : n + length]
        for k in range(length):
            to[k] = h00 * a[k] + h01 * b[k] + step * (h10 * c[k] + h11 * d[k])
            largest = max(largest, abs(to[k]))
        n += length
    return largest


@njit(FOLLOW, nogil=True, cache=True)
def _follow(stage, radius, rows, edges, weights, start, times, limits, most, frames):  # type: ignore[no-untyped-def] # pragma: no cover
    """Frames at all times after the first; the time at which the draw ended, or infinity."""
    to, first, second, held = edges
    relative, absolute, bound = limits
    u, slope, slope_after, last, before, out = [start.copy() for _ in range(6)]
    only_slope = np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    _fill_ghost_cells(u, to, first, second)
    stage(weights, rows, only_slope, u, u, u, u, slope)
    slope[held] = 0.0
    time, end, shown = times[0], times[-1], 1
    rate = radius(weights, rows, u)
    step = min(end - time, 1 / max(rate, 1 / (end - time)))
    smallest = SMALLEST_STEP * (end - time)
    for _ in range(most):
        left = end - time
        whole = step >= left * (1 - 1e-9)
        if whole:
            step = left
        stages = 1 + int(np.sqrt(1.54 * step * rate + 1))
        if stages > MOST_STAGES:
            stages, whole = MOST_STAGES, False
            step = (MOST_STAGES**2 - 1) / (1.54 * rate)
        stages = max(stages, 2)
        if not step > smallest:
            return time
        factors = _recurrence(stages)
        factors[:, 3:] *= step
        last[:] = u
        for j in range(stages):
            stage(weights, rows, factors[j], u, last, before, slope, out)
            out[held] = u[held]
            _fill_ghost_cells(out, to, first, second)
            before, last, out = last, out, before
        stage(weights, rows, only_slope, last, last, last, last, slope_after)
        slope_after[held] = 0.0
        error = np.inf
        if _is_finite(rows, last) and _is_finite(rows, slope_after):
            off, size = _error(rows, u, last, slope, slope_after, step)
            error = off / (absolute + relative * size)
        if not error <= 1:
            step *= max(SHRINK, SAFETY / error ** (1 / 3)) if error < np.inf else SHRINK
            continue
        following = end if whole else time + step
        while shown < len(times) and times[shown] <= following:
            share = (times[shown] - time) / step
            largest = _show(rows, frames[shown - 1], u, last, slope, slope_after, step, min(share, 1.0))
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


def is_diffusive(
    equation: Equation, grid: Grid, coefficients: np.ndarray, starts: np.ndarray, method: SolverConfig
) -> bool:
    """Whether what decays outweighs what is carried, for every draw at its start.

    Args:
        equation: All terms that any draw has.
        grid: The grid.
        coefficients: `[draws, terms]`.
        starts: `[draws, *points]`.
        method: Order of the differences and boundary.
    """
    compiled, layout = _compiled(equation, grid, method)
    for weights, start in zip(np.ascontiguousarray(coefficients), layout.enter(starts), strict=True):
        _fill_ghost_cells(start, *layout.edges[:3])
        whole, odd = (f(weights, layout.rows, start) for f in (compiled.radius, compiled.sideways))
        if not odd <= SIDEWAYS * whole < np.inf:
            return False
    return True


def _compiled(equation: Equation, grid: Grid, method: SolverConfig) -> tuple[CompiledRHS, GhostGrid]:
    compiled = compiled_rhs(equation.terms, grid.dims, method.order)
    return compiled, GhostGrid.of(grid, method.boundary, compiled)


def follow_draws(
    equation: Equation,
    grid: Grid,
    coefficients: np.ndarray,
    starts: np.ndarray,
    times: np.ndarray,
    *,
    method: SolverConfig,
    bound: float,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate draws one by one, on all processors, by differences; arguments and answer are as of `evolve_draws`."""
    compiled, layout = _compiled(equation, grid, method)
    clock = np.ascontiguousarray(times, dtype=np.float64)
    limits = (method.rtol, method.atol, float(bound))
    frames = np.full((len(starts), len(times), *grid.points), np.nan)
    frames[:, 0] = starts
    weights, padded = np.ascontiguousarray(coefficients, dtype=np.float64), layout.enter(starts)

    def one(draw: int) -> Any:
        shown = frames[draw, 1:].reshape(len(times) - 1, -1)
        ended = _follow(
            compiled.stage,
            compiled.radius,
            layout.rows,
            tuple(layout.edges),
            weights[draw],
            padded[draw],
            clock,
            limits,
            method.maximum_steps,
            shown,
        )
        frames[draw, 1:][clock[1:] >= ended] = np.nan
        return ended

    with ThreadPoolExecutor(_threads()) as pool:
        every = tqdm(pool.map(one, range(len(starts))), "predict", len(starts), unit="draw", disable=not progress)
        return frames, np.array(list(every))


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
