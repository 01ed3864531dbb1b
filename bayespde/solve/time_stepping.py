"""Compiled right-hand side + first state -> states at all times, by steps as long as their error allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.errors import ConfigError, IntegrationError, StepLimitError
from bayespde.solve.config import SolverConfig
from bayespde.solve.stencils import RightHandSide
from bayespde.solve.steppers import Stepper, etd_stepper, explicit_stepper, imex_stepper

SMALLEST_STEP = 1e-12
STIFF = 50.0
# Of a time, relative to the latest: what equally spaced times may differ by.
ROUNDING = 4 * np.finfo(np.float64).eps
PATIENCE = 10
_STEPPERS = {"explicit": explicit_stepper, "etd": etd_stepper, "imex": imex_stepper}


class StepSizeState(NamedTuple):
    """What one interval hands to the next: step size, steps to wait before growing it, steps left, last errors."""

    size: float
    wait: int
    left: int
    errors: torch.Tensor


def evolve(
    equation: RightHandSide, start: torch.Tensor, times: np.ndarray, *, method: SolverConfig, progress: bool = False
) -> torch.Tensor:
    """Integrate a compiled right-hand side: the tensor-level `integrate`.

    Steps are the output interval divided by powers of two, so that the coefficients of a step size are used
    again, and every output time is hit exactly.

    Args:
        equation: The compiled equation.
        start: `[..., *points]`, float64; leading axes are draws, which share steps; without them, it is the start
            of every draw of the coefficients. Gradients flow through.
        times: `[time]`, strictly increasing.
        method: Scheme, tolerances, limits.
        progress: Whether to show a bar.

    Returns:
        Frames `[time, ..., *points]`, float64.

    Raises:
        IntegrationError: As in `integrate`.
    """
    frames = list(tqdm(march(equation, start, times, method=method), "integrate", len(times) - 1, disable=not progress))
    return torch.stack([start.expand(frames[-1].shape), *frames])


def march(
    equation: RightHandSide,
    start: torch.Tensor,
    times: np.ndarray,
    *,
    method: SolverConfig,
    drives: np.ndarray | None = None,
) -> Iterator[torch.Tensor]:
    """Frames one by one, `[..., *points]`, from that of the second time on.

    Args:
        equation: As for `evolve`.
        start: As for `evolve`.
        times: As for `evolve`.
        method: As for `evolve`.
        drives: Change per time of the points of held edges in every interval, `[time - 1, *points]`.

    Raises:
        IntegrationError: As in `integrate`.
    """
    scheme = _scheme(equation, times, method)
    if scheme not in _STEPPERS:
        raise ConfigError(
            "This scheme has no gradients and no steps that draws share.",
            got=f"scheme={scheme!r}",
            wanted="one of " + ", ".join(map(repr, _STEPPERS)),
            fix="scheme='auto'",
        )
    stepper = _STEPPERS[scheme](equation)
    pace = StepSizeState(float(times[1] - times[0]), 0, method.maximum_steps, torch.ones(1))
    smallest = SMALLEST_STEP * float(times[-1] - times[0])
    for index, interval in enumerate(_intervals(times)):
        if drives is not None and equation.drive is not None:
            equation.drive.copy_(torch.from_numpy(drives[index]))
            # What steppers remember of this state was without it.
            start = start.clone()
        # Entering modes anew from real values keeps round-off from growing in modes that no real field has.
        state = stepper.enter(start)
        state, pace = _advance(stepper, state, interval, pace, smallest, method)
        start = stepper.leave(state)
        yield start


def _advance(
    stepper: Stepper,
    state: torch.Tensor,
    interval: tuple[float, float],
    pace: StepSizeState,
    smallest: float,
    method: SolverConfig,
) -> tuple[torch.Tensor, StepSizeState]:
    """Step through one output interval, its begin and length; a step is the length over two to the power of `level`."""
    size, wait, left, errors = pace
    begin, length = interval
    least = max(0, math.ceil(math.log2(length / stepper.longest))) if stepper.longest < length else 0
    # An interval that was hardly any says nothing about the next one.
    level = max(least, math.ceil(math.log2(length / max(size, 2 * smallest)) - 1e-9))
    position = 0
    while position < 2**level:
        size = length / 2**level
        if left <= 0 or (level and size < smallest):
            limit = method.maximum_steps if left <= 0 else None
            raise _failure(begin + size * position, size, stepper.leave(state), errors, limit=limit)
        following, estimate = stepper.step(state, size)
        errors = _relative_errors(stepper, following, estimate, method)
        error = float(errors.max())
        left -= 1
        if not error <= 1:
            halvings = _halvings(error, stepper.error_order)
            level, position, wait = level + halvings, position << halvings, PATIENCE
            continue
        state, position, wait = following, position + 1, max(wait - 1, 0)
        if not wait and level > least and position % 2 == 0 and error * 2**stepper.error_order < 0.5:
            level, position = level - 1, position // 2
    return state, StepSizeState(length / 2**level, wait, left, errors)


def _intervals(times: np.ndarray) -> list[tuple[float, float]]:
    """Begin and length of every output interval; lengths that differ by rounding are one, and so are steps."""
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

    Fields of a system are judged each by its own size, and the worst counts.
    """
    both = (stepper.leave(state.detach()) for state in (following, estimate))
    dims = following.dim() - stepper.space_dims
    size, error = (v.abs().reshape(math.prod(v.shape[:dims]), -1).amax(dim=1) for v in both)
    errors = error / (method.atol + method.rtol * size)
    errors = torch.where(torch.isfinite(size) & torch.isfinite(errors), errors, torch.inf)
    return errors.reshape(-1, max(1, stepper.fields)).amax(dim=1)


def _scheme(equation: RightHandSide, times: np.ndarray, method: SolverConfig) -> str:
    if method.scheme != "auto":
        return method.scheme
    fastest = float(equation.rates.detach().abs().max())
    if method.space == "fourier":
        return "etd" if fastest else "explicit"
    return "etd" if fastest * float(np.diff(times).max()) > STIFF else "explicit"


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
    # Where steps ran out, those that asked for nearly as short ones as the worst.
    worst = errors >= (0.5 * errors.max() if limit else errors.max().clamp(max=1.0))
    error.draws = tuple(torch.nonzero(worst).ravel().tolist())
    return error
