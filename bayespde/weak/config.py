"""Settings -> a checked `WeakForm`: how the rows of the weak form are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from bayespde.core.annotations import MANY, Count, CountOrZero, NonNegative, OneOf, Positive, Range
from bayespde.core.checked import Checked
from bayespde.noise.variance_functions import noise_kinds

# Of a bump: steeper ones are narrow compared with their support.
MAXIMUM_POWER = 40


@dataclass(frozen=True)
class WeakForm(Checked):
    """How the rows of the weak form are made.

    Attributes:
        support_radius: Of the test functions in samples, by dimension; chosen from the data where absent.
        support_factor: Automatic support radius in Taylor lengths sd(v)/rms(v_x).
        space_cap: Largest automatic support radius as a share of the samples of a space axis.
        time_cap: The same for time.
        rows: Most rows; centres are spread evenly.
        coarse_rows: Most rows in the first iterations, while the linearisation point is not known.
        condition_on_equation: Whether the smoothed field is conditioned on the equation at which rows are linearised
            before the final rows are formed, which frees their coefficients of the smoother's error; not done with
            frame or front jitter.
        space_power: Exponent of the bump in space; must exceed the orders moved onto it.
        time_power: Exponent of the bump in time.
        floor: Misfit allowed in every row, relative to the rms target row.
        scheme_error: Whether a first-order error in time of the data, (dt/2) u_tt, is allowed with one standard
            deviation: the error of an explicit time step in simulated data, or of an exposure that lags its time
            stamp in recorded data. Its size is recorded; it costs next to nothing where it is absent.
        max_iterations: Most iterations to the linearisation point.
        relinearised_models: Number of leading models that are compared once more at linearisation points of their own;
            0 for none. Not done where the field is not conditioned.
        noise: Kind of noise: "white", a name in `bayespde.noise.variance_functions.VARIANCE_FUNCTIONS` such as "shot"
            (a variance that grows with the value), "correlated" (pixels that are correlated in space), "frame_jitter"
            (frames that are displaced as a whole, next to one of these, which is estimated), "front_jitter" (a front
            that jitters and follows a random walk), or "auto", which chooses by the residuals.
    """

    support_radius: Mapping[str, Annotated[int, Range(2, MANY)]] = field(default_factory=dict)
    support_factor: Positive = 3.0
    space_cap: Annotated[float, Range(above=0, highest=0.5)] = 1 / 3
    time_cap: Annotated[float, Range(above=0, highest=0.5)] = 1 / 6
    rows: Annotated[int, Range(20, MANY)] = 1600
    coarse_rows: Annotated[int, Range(20, MANY)] = 200
    condition_on_equation: bool = True
    space_power: Annotated[int, Range(3, MAXIMUM_POWER)] = 7
    time_power: Annotated[int, Range(3, MAXIMUM_POWER)] = 6
    floor: NonNegative = 1e-3
    scheme_error: bool = True
    max_iterations: Count = 5
    relinearised_models: CountOrZero = 20
    noise: Annotated[str, OneOf(noise_kinds)] = "auto"
