"""An equation + a field -> how far it is from being right: the size of the noise that its states need."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from bayespde.core.annotations import CountOrZero, Finite, NonNegative, Positive
from bayespde.core.checked import Checked, validated
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field
from bayespde.core.one_line import one_line
from bayespde.core.one_order import in_one_order
from bayespde.core.progress import Progress
from bayespde.smooth.fit import fit_field
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.fit_trajectories import trajectory_data
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.problem import TrajectoryProblem
from bayespde.trajectory.state_space import kalman_filter
from bayespde.trajectory.weak_constraint import LARGEST, SMALLEST, Path, WeakConstraint, WeakConstraintFit

# Waves of the states whose prior deviation is below this multiple of the noise of a pixel are left out: noise fits them
# at any speed. And most waves.
NEGLIGIBLE, MOST_MODES = 10.0, 400
# Fall of the log likelihood at the ends of an interval of 95 % [wilks1938].
FALL = 1.92


@dataclass(frozen=True, eq=False)
class ProcessNoise(Checked):
    """An equation that holds up to noise, and the size of that noise.

    From frame to frame the state follows the equation, plus a normal departure that is independent from frame to frame
    and as smooth in space as the field. What the equation lacks is no such noise; its size says how much there is.

    Attributes:
        equation: With its most probable coefficients.
        covariance: Of the coefficients, `[k, k]`, physical units, the states integrated over.
        size: Standard deviation of the noise, units of the field per root of a time unit.
        interval: Of the size, 95 % by the likelihood ratio; from 0 where the equation holds without noise.
        share: Size over the root mean square change of the field: of the change from frame to frame what the equation
            does not explain.
        log_evidence_gain: By how much noise of this size explains the pixels better than next to none, nats.
        states: The most probable states at the pixels, dims as the field.
        converged: Whether the fit had stopped changing.
        steps: That it took.
    """

    equation: Equation
    covariance: np.ndarray
    size: Positive
    interval: tuple[NonNegative, NonNegative]
    share: Positive
    log_evidence_gain: Finite
    states: xr.DataArray
    converged: bool
    steps: CountOrZero

    def __repr__(self) -> str:
        return one_line(self, equation=str(self.equation), size=self.size, share=self.share, converged=self.converged)

    def __str__(self) -> str:
        errors = ", ".join(f"{n} {s:.2g}" for n, s in zip(self.equation.names, self.sd, strict=True))
        low, high = self.interval
        per_size = self.share / self.size
        span = f"at most {high * per_size:.2g}" if self.is_exact else f"{low * per_size:.2g} to {high * per_size:.2g}"
        verdict = "holds within the noise of the pixels" if self.is_exact else "is only nearly right"
        lines = [
            f"{self.equation} (sd {errors}) {verdict}",
            f"process noise {self.size:.3g} (95 %: {low:.3g} to {high:.3g}) per root of a time unit;"
            f" of the change of the field: {span}",
        ]
        return "\n".join(lines if self.converged else [*lines, "NOT CONVERGED: more iterations are needed"])

    @property
    def sd(self) -> np.ndarray:
        """Standard deviations of the coefficients, `[k]`, physical units."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def is_exact(self) -> bool:
        """Whether the equation holds without noise, as far as the pixels show."""
        return self.interval[0] == 0.0


@validated
@in_one_order
def fit_process_noise(
    equation: Equation,
    data: SmoothField | xr.DataArray,
    *,
    config: TrajectoryConfig | None = None,
    progress: bool | Progress = False,
) -> ProcessNoise:
    """Fit an equation that may be only nearly right: coefficients, states at all frames, and how far these depart.

    Where no equation has a trajectory through the whole field, because terms are missing, because it is chaotic, or
    because waves turn many times, states that depart from the equation at every frame still give coefficients, with
    standard deviations that count the departures (weak-constraint data assimilation [tremolet2006]). The size of the
    departures is that of largest evidence.

    Args:
        equation: Its terms, and coefficients to begin with.
        data: The smoothed field, which gives the first guess of all states and the noise of the pixels; or the raw
            field, which is then smoothed by the spline.
        config: Boundary, tolerances, and the most steps (`iterations`).
        progress: `Progress(...).within(seconds)` limits the CPU time.

    Returns:
        The fit.

    Raises:
        BudgetError: If the CPU time was spent first.
        ConfigError: If the field is a window of a larger one, frames jitter, or states have more than 400 waves.
        IntegrationError: If the equation diverges from one frame to the next.
    """
    smooth = data if isinstance(data, SmoothField) else fit_field(validate_field(data))
    config = config or TrajectoryConfig()
    problem, frames = _problem(equation, smooth, config)
    change = float(np.sqrt(np.mean(np.diff(frames, axis=0) ** 2) / np.diff(problem.times).mean()))
    weak = WeakConstraint(problem, change)
    states = frames.reshape(len(frames), -1) @ problem.basis.modes
    start = Path(np.array(equation.coefficients), states)
    found = weak.fit(start, steps=config.iterations, progress=Progress.of(progress))
    coefficients = tuple(map(float, found.path.coefficients))
    field = smooth.field
    pixels = weak.at_pixels(found.path.states).reshape(field.shape)
    low, high, gain = _interval(found, change)
    return ProcessNoise(
        equation=Equation(equation.terms, coefficients, equation.target, equation.variable),
        covariance=found.covariance,
        size=math.exp(found.log_size),
        interval=(low, high),
        share=math.exp(found.log_size) / change,
        log_evidence_gain=gain,
        states=field.copy(data=pixels),
        converged=found.converged,
        steps=found.steps,
    )


def _problem(equation: Equation, smooth: SmoothField, config: TrajectoryConfig) -> tuple[TrajectoryProblem, np.ndarray]:
    """The problem whose basis holds the waves of all frames, and the smoothed frames, `[T, *space]`."""
    data, none = trajectory_data(smooth), (0,) * smooth.field.ndim
    if config.padding:
        raise ConfigError(
            "States beyond a window would pass for process noise.",
            got=f"padding={config.padding}",
            wanted="a field that is observed as a whole, with its boundary condition",
            fix="TrajectoryConfig(method=SolverConfig().with_boundary('neumann')), or fit_trajectories",
        )
    if data.noise.jitter:
        raise ConfigError(
            "States of frames that jitter are not fitted.",
            got=f"jitter {data.noise.jitter}",
            wanted="frames that are not displaced",
            fix="field of the registered frames, or fit_trajectories",
        )
    frames = smooth.spline.evaluate(none)
    boundary = config.method.boundary
    every = state_basis(frames[0], boundary=boundary, error=np.finfo(float).tiny, most=frames[0].size).modes
    # A frame in which every wave is as large as it ever is.
    largest = every @ np.abs(frames.reshape(len(frames), -1) @ every).max(axis=0)
    envelope = largest.reshape(frames.shape[1:])
    basis = state_basis(envelope, boundary=boundary, error=NEGLIGIBLE * data.noise.rms, most=frames[0].size)
    if len(basis.deviation) > MOST_MODES:
        raise ConfigError(
            "The states have too many waves for process noise.",
            got=f"{len(basis.deviation)} waves above the noise",
            wanted=f"at most {MOST_MODES}",
            fix="a coarser field, field.coarsen(x=2, y=2).mean()",
        )
    return TrajectoryProblem.of(equation, data, basis, config.method), frames


def _interval(found: WeakConstraintFit, change: float) -> tuple[float, float, float]:
    """Ends of the interval of the size, the lower one 0 where none is needed, and the evidence over next to none."""

    def log_density(log_size: float) -> float:
        return kalman_filter(found.model, math.exp(2 * log_size)).log_density

    best, (least, most) = log_density(found.log_size), (math.log(s * change) for s in (SMALLEST, LARGEST))
    gain = best - log_density(least)

    def above(log_size: float) -> float:
        return log_density(log_size) - best + FALL

    low = 0.0 if gain < FALL else math.exp(brentq(above, least, found.log_size, xtol=0.01))
    high = math.exp(brentq(above, found.log_size, most, xtol=0.01))
    return low, high, gain
