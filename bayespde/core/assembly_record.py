"""What was measured while rows were formed: the noise, the linearisation, and how well the rows fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ResidualMap:
    """Squared whitened residuals in boxes of neighbouring test functions, as standard scores.

    Attributes:
        shape: Boxes per dimension.
        score: One per box, flat, time slowest; standard normal at the true equation where all variance is noise.
        overall: The score of all rows together.
    """

    shape: tuple[int, ...]
    score: tuple[float, ...]
    overall: float


@dataclass(frozen=True)
class OtherSupports:
    """Coefficients of the most probable equation with narrower and wider test functions.

    Attributes:
        terms: Its terms, `k` of them.
        factors: Support radii, as factors of the final ones.
        coefficients: For each factor, `k` coefficients in physical units.
        sd: Their standard deviations.
    """

    terms: tuple[str, ...]
    factors: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    sd: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ErrorsInVariables:
    """Coefficients of the most probable equation from the smoothed field alone.

    Attributes:
        terms: Its terms, `k` of them.
        coefficients: In physical units, `k`.
        sd: Their standard deviations.
        is_corrected: Whether the normal equations without the noise are positive definite; if not, the noise is left
            in.
    """

    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    sd: tuple[float, ...]
    is_corrected: bool


@dataclass(frozen=True)
class FitRecord:
    """How well the rows of a weak form fit its most probable equation.

    Attributes:
        residual_map: Where they do not.
        residual_correlation: Correlation of the pixels' residuals at neighbouring samples, by dimension; empty where
            the residuals are not noise.
        errors_in_variables: The estimate from the smoothed field, for white noise of one field.
        other_supports: The estimates by other test functions, where there is room for them.
    """

    residual_map: ResidualMap
    residual_correlation: Mapping[str, float] = field(default_factory=dict)
    errors_in_variables: ErrorsInVariables | None = None
    other_supports: OtherSupports | None = None


@dataclass(frozen=True)
class TrajectoryRecord:
    """How well a trajectory fits, and how well the linearisation along it holds for other equations.

    Attributes:
        converged: Whether its fit converged.
        cycle_skipping: Share of the information from waves of the initial state that are lost in noise.
        excess_noise: Residual noise over that of the noise model.
        whiteness_score: By which the residuals vary more slowly than noise, standard deviations.
        excess_kurtosis: Of the residuals.
        log_odds_change_left: Largest change of the log odds of leading equations along their own trajectories, nats.
    """

    converged: bool
    cycle_skipping: float
    excess_noise: float
    whiteness_score: float
    excess_kurtosis: float
    log_odds_change_left: float


@dataclass(frozen=True)
class AssemblyRecord:
    """How the rows of one video were made; None, or empty, where it was not measured.

    Attributes:
        form: "weak", "strong", "trajectory" (the likelihood of the pixels), or "given": a linear regression.
        noise: Kind of the noise model, as in `core.noise.NOISE_KINDS`; empty for given rows.
        correlation: Correlation of the noise at lags 0, 1, ... by dimension, as modelled; empty if independent.
        expected_residual: Expected squared residual of a whitened row at the true equation; the rest is allowance.
        linearisation_change: Relative change of the linearisation point in the last iteration.
        log_odds_change_left: Largest change of the log odds of leading equations at their own linearisation points,
            nats.
        frames_settled: Whether the displacements of jittering frames converged.
        fit: How well the rows fit.
        along: Terms of the trajectory around which all equations are linearised.
        trajectory: How well that trajectory fits.
    """

    form: Literal["given", "weak", "strong", "trajectory"] = "given"
    noise: str = ""
    correlation: tuple[tuple[float, ...], ...] = ()
    expected_residual: float | None = None
    linearisation_change: float | None = None
    log_odds_change_left: float | None = None
    frames_settled: bool | None = None
    fit: FitRecord | None = None
    along: tuple[str, ...] = ()
    trajectory: TrajectoryRecord | None = None
