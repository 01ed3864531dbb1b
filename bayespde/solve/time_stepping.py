"""Compiled right-hand side + first state -> states at all times, by steps as long as their error allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from bayespde.core.errors import ConfigError, IntegrationError, StepLimitError
from bayespde.core.progress import Progress
from bayespde.solve.config import SolverConfig
from bayespde.solve.right_hand_side import RightHandSide
from bayespde.solve.steppers import STEPPERS, State, Stepper, stepper_of

# Smallest step, relative to the whole duration.
SMALLEST_STEP = 1e-12
# Fastest rate times longest interval above which scheme="auto" is exponential.
STIFF = 50.0
# Rounding error of a time, relative to the latest, up to which times count as equally spaced.
ROUNDING = 4 * np.finfo(np.float64).eps
# Steps after a rejected one before the step size grows again.
PATIENCE = 10


class StepSizeState(NamedTuple):
    """What one output interval hands to the next.

    Attributes:
        size: Of the last step, time units.
        wait: Steps to take before the step size may grow.
        left: Steps that may still be tried.
        errors: Of the last step relative to its tolerance, `[draws]` or `[1]`.
        taken: Sizes of all steps through the last output interval.
    """

    size: float
    wait: int
    left: int
    errors: torch.Tensor
    taken: tuple[float, ...] = ()


class StepPlan(NamedTuple):
    """The steps that one trajectory takes, for others that share them.

    Attributes:
        scheme: Name of the scheme.
        sizes: Of the steps through every output interval, time units.
    """

    scheme: str
    sizes: list[tuple[float, ...]]


def evolve(
    equation: RightHandSide,
    start: torch.Tensor,
    times: np.ndarray,
    *,
    method: SolverConfig,
    progress: bool | Progress = False,
) -> torch.Tensor:
    """Integrate a compiled right-hand side: `integrate` for tensors.

    Steps are the output interval divided by powers of two, so that the coefficients of a step size are used again, and
    every output time is hit exactly.

    Args:
        equation: The compiled equation.
        start: `[..., *points]`, float64; leading axes are draws, which share steps; without them, it is the start of
            every draw of the coefficients. Gradients flow through.
        times: `[time]`, strictly increasing.
        method: Scheme, tolerances, limits.
        progress: Whether to show a bar.

    Returns:
        Frames `[time, ..., *points]`, float64.

    Raises:
        IntegrationError: As in `integrate`.
    """
    following = iterate_frames(equation, start, times, method=method)
    frames = list(Progress.of(progress).bar(following, desc="integrate", total=len(times) - 1))
    return torch.stack([start.expand(frames[-1].shape), *frames])


def iterate_frames(
    equation: RightHandSide,
    start: torch.Tensor,
    times: np.ndarray,
    *,
    method: SolverConfig,
    boundary_rates: np.ndarray | None = None,
) -> Iterator[torch.Tensor]:
    """Integrate a compiled right-hand side and yield frames one by one.

    Args:
        equation: As for `evolve`.
        start: As for `evolve`.
        times: As for `evolve`.
        method: As for `evolve`.
        boundary_rates: `du/dt` of the boundary points in every interval, `[time - 1, *points]`; they do not move if
            absent.

    Yields:
        The frame of every time after the first, `[..., *points]`.

    Raises:
        IntegrationError: As in `integrate`.
    """
    for values, _ in _iterate(equation, start, times, method=method, boundary_rates=boundary_rates):
        yield values


def plan_steps(equation: RightHandSide, start: torch.Tensor, times: np.ndarray, *, method: SolverConfig) -> StepPlan:
    """The steps that `evolve` takes with the same arguments, and raises what it raises."""
    taken = [steps.taken for _, steps in _iterate(equation, start, times, method=method)]
    return StepPlan(_checked_scheme(equation, times, method), taken)


def follow_plan(equation: RightHandSide, start: torch.Tensor, plan: StepPlan) -> Iterator[torch.Tensor]:
    """Integrate by given steps, once each, without estimates of their errors.

    Args:
        equation: The compiled equation.
        start: `[..., *points]`.
        plan: The steps.

    Yields:
        The frame of every time after the first, `[..., *points]`.
    """
    stepper = stepper_of(plan.scheme, equation)
    state, values = None, start
    for sizes in plan.sizes:
        state = stepper.start(values) if state is None else stepper.restart(state, values)
        for size in sizes:
            state = stepper.advance(state, size)
        values = stepper.values(state.u)
        yield values


def _iterate(
    equation: RightHandSide,
    start: torch.Tensor,
    times: np.ndarray,
    *,
    method: SolverConfig,
    boundary_rates: np.ndarray | None = None,
) -> Iterator[tuple[torch.Tensor, StepSizeState]]:
    """The frames of `iterate_frames`, each with the steps that led to it."""
    stepper = stepper_of(_checked_scheme(equation, times, method), equation)
    steps = StepSizeState(float(times[1] - times[0]), 0, method.maximum_steps, torch.ones(1))
    smallest = SMALLEST_STEP * float(times[-1] - times[0])
    rates = torch.from_numpy(np.empty(0) if boundary_rates is None else boundary_rates)
    moving = None if boundary_rates is None else equation.boundary_rate
    state, values = None, start
    for index, interval in enumerate(_intervals(times)):
        if moving is not None:
            moving.copy_(rates[index])
        # The slope of a state was computed with the boundary rates of the interval before.
        state = stepper.start(values) if state is None or moving is not None else stepper.restart(state, values)
        state, steps = _advance(stepper, state, interval, steps, smallest, method)
        values = stepper.values(state.u)
        yield values, steps


def _advance(
    stepper: Stepper,
    state: State,
    interval: tuple[float, float],
    steps: StepSizeState,
    smallest: float,
    method: SolverConfig,
) -> tuple[State, StepSizeState]:
    """Step through one output interval, given by its begin and length; a step is the length over 2 ** level."""
    size, wait, left, errors, _ = steps
    taken: list[float] = []
    begin, length = interval
    least = max(0, math.ceil(math.log2(length / stepper.longest))) if stepper.longest < length else 0
    # A vanishing interval gives no step size for the next one.
    level = max(least, math.ceil(math.log2(length / max(size, 2 * smallest)) - 1e-9))
    position = 0
    while position < 2**level:
        size = length / 2**level
        if left <= 0 or (level and size < smallest):
            limit = method.maximum_steps if left <= 0 else None
            raise _failure(begin + size * position, size, stepper.values(state.u), errors, limit=limit)
        following, estimate = stepper.step(state, size)
        errors = _relative_errors(stepper, following.u, estimate, method)
        error = float(errors.max())
        left -= 1
        if not error <= 1:
            halvings = _halvings(error, stepper.error_order)
            level, position, wait = level + halvings, position << halvings, PATIENCE
            continue
        state, position, wait = following, position + 1, max(wait - 1, 0)
        taken.append(size)
        if not wait and level > least and position % 2 == 0 and error * 2**stepper.error_order < 0.5:
            level, position = level - 1, position // 2
    return state, StepSizeState(length / 2**level, wait, left, errors, tuple(taken))


def _intervals(times: np.ndarray) -> list[tuple[float, float]]:
    """Begin and length of every output interval; lengths that differ by rounding are made equal, and so are steps."""
    lengths = np.diff(times)
    usual = float(np.median(lengths))
    same = np.abs(lengths - usual) <= ROUNDING * np.abs(times).max()
    return list(zip(times[:-1].tolist(), np.where(same, usual, lengths).tolist(), strict=True))


def _halvings(error: float, error_order: int) -> int:
    """How many times to halve a step whose error was too large."""
    return min(max(math.ceil(math.log2(error) / error_order), 1), 8) if math.isfinite(error) else 2


def _relative_errors(
    stepper: Stepper, following: torch.Tensor, estimate: torch.Tensor, method: SolverConfig
) -> torch.Tensor:
    """Largest estimated error over its tolerance of every draw, `[draws]`, or `[1]`; infinite if it is not a number.

    Each field of a system is compared with its own size, and the largest relative error of all counts.
    """
    equation = stepper.equation
    size, error = (stepper.largest(u.detach()) for u in (following, estimate))
    errors = error / (method.atol + method.rtol * size)
    errors = torch.where(torch.isfinite(size) & torch.isfinite(errors), errors, torch.inf)
    return errors.reshape(-1, max(1, equation.fields)).amax(dim=1)


def _checked_scheme(equation: RightHandSide, times: np.ndarray, method: SolverConfig) -> str:
    """The scheme of a method, for "auto" the one that suits the equation."""
    scheme = method.scheme
    if scheme == "auto":
        fastest = float(equation.rates.detach().abs().max())
        is_stiff = fastest != 0 if method.space == "fourier" else fastest * float(np.diff(times).max()) > STIFF
        # Compiled steps are so much faster that their number does not matter.
        scheme = "etd" if is_stiff or equation.line is not None else "explicit"
    if scheme not in STEPPERS:
        raise ConfigError(
            "This scheme has no gradients, and draws cannot share its steps.",
            got=f"scheme={scheme!r}",
            wanted="one of " + ", ".join(map(repr, STEPPERS)),
            fix="scheme='auto'",
        )
    return scheme


def _failure(
    time: float, size: float, values: torch.Tensor, errors: torch.Tensor, limit: int | None
) -> IntegrationError:
    kind = StepLimitError if limit else IntegrationError
    error = kind(
        f"The integration stopped at time {time:.6g}.",
        got=f"step {size:.3g}, largest |u| {float(values.abs().max()):.3g}"
        + (f", after {limit} steps" if limit else ", step vanishing"),
        wanted="a bounded solution" + (f" within {limit} steps" if limit else ""),
        fix="end earlier, check the signs of the coefficients, or use a coarser grid or looser rtol"
        + (", or raise maximum_steps" if limit else ""),
    )
    error.time = time
    # Where steps ran out: the draws that asked for nearly as short steps as the worst.
    worst = errors >= (0.5 * errors.max() if limit else errors.max().clamp(max=1.0))
    error.draws = tuple(torch.nonzero(worst).ravel().tolist())
    return error
