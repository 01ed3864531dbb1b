"""Settings -> a checked `WeakForm`: how the rows of the weak form are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bayespde.core.errors import ConfigError
from bayespde.noise.variance_functions import noise_kinds


@dataclass(frozen=True)
class WeakForm:
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

    support_radius: Mapping[str, int] = field(default_factory=dict)
    support_factor: float = 3.0
    space_cap: float = 1 / 3
    time_cap: float = 1 / 6
    rows: int = 1600
    coarse_rows: int = 200
    condition_on_equation: bool = True
    space_power: int = 7
    time_power: int = 6
    floor: float = 1e-3
    scheme_error: bool = True
    max_iterations: int = 5
    relinearised_models: int = 20
    noise: str = "auto"

    def __post_init__(self) -> None:
        radii = self.support_radius if isinstance(self.support_radius, Mapping) else {"every axis": None}
        for dim, radius in radii.items():
            if isinstance(radius, bool) or not isinstance(radius, int) or radius < 2:
                raise ConfigError(
                    f"The support radius along {dim!r} is not usable.",
                    got=repr(self.support_radius),
                    wanted="a table from dimension to a whole number of samples, at least 2",
                    fix="WeakForm(support_radius={'time': 20, 'x': 20})",
                )
        if not self._is_in_range():
            raise ConfigError(
                "The weak form's settings are out of range.",
                got=self,
                wanted="support_factor > 0, caps in (0, 0.5], rows >= 20, floor >= 0, max_iterations >= 1, "
                "relinearised_models >= 0, powers >= 3 (counts are whole numbers), condition_on_equation true or "
                f"false, noise one of {', '.join(noise_kinds())}",
                fix="WeakForm()",
            )

    def _is_in_range(self) -> bool:
        powers = (self.space_power, self.time_power)
        counts = (self.rows, self.coarse_rows, self.max_iterations, self.relinearised_models, *powers)
        return (
            all(isinstance(c, int) and not isinstance(c, bool) for c in counts)
            and isinstance(self.condition_on_equation, bool)
            and self.support_factor > 0
            and 0 < self.space_cap <= 0.5
            and 0 < self.time_cap <= 0.5
            and min(self.rows, self.coarse_rows) >= 20
            and self.floor >= 0
            and self.max_iterations >= 1
            and self.relinearised_models >= 0
            and min(powers) >= 3
            and self.noise in noise_kinds()
        )
