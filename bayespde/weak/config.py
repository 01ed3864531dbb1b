"""Options, a smooth field and its noise -> half-widths and centres of the test functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import spacings
from bayespde.noise.covariance import NOISE_KINDS, NoiseCovariance
from bayespde.weak.smoother import Smoother
from bayespde.weak.test_functions import MINIMUM_HALF_WIDTH, TestFunctions, place

# With a jittering front a window is long enough when the jitter's variance is this share of the walk's over the window.
JITTER_SHARE = 0.03
# Final test functions: distance in half-widths, and smallest half-width as a share of the pilot's.
CLOSE = 0.25
NARROWEST = 0.5


@dataclass(frozen=True)
class WeakForm:
    """How weak rows are formed.

    Attributes:
        support_radius: Half-width of the test functions in samples, by dimension; by data where absent.
        support_factor: Automatic half-width in Taylor lengths sd(v)/rms(v_x).
        space_cap: Largest automatic half-width as a share of the samples of a space axis.
        time_cap: The same for time.
        rows: Most rows; centres are spread evenly.
        coarse_rows: Most rows while the pilot equation is unknown.
        condition_on_equation: Whether the smooth field is made to obey the pilot equation before the final rows are formed, which
            frees their coefficients of the smoother's error; not done for the noise of a front.
        space_power: Exponent of the bump in space; must exceed the orders moved onto it.
        time_power: Exponent of the bump in time.
        floor: Misfit held possible in every row, relative to the rms target row.
        scheme_error: Whether a first-order error in time of the data, (dt/2) u_tt, is held possible with one standard
            deviation: the error of an explicit time step in simulated data, or of an exposure that lags its time
            stamp in recorded data. Its size is recorded; it costs next to nothing where it is absent.
        max_iterations: Most rounds of the pilot.
        relinearised_models: How many leading configurations are judged again with their own covariance; 0 for none. Not done
            where the field is not constrained.
        noise: What the noise is made of: "white", "shot" (a variance that grows with the value), "correlated" (pixels
            that hang together in space), "frame_jitter" (frames that jitter as a whole, over one of these, which is
            looked for), "front" (a front that jitters and wanders), or "auto", which takes what the residuals show.
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
        widths = self.support_radius if isinstance(self.support_radius, Mapping) else {"every axis": None}
        for dim, width in widths.items():
            if isinstance(width, bool) or not isinstance(width, int) or width < 2:
                raise ConfigError(
                    f"The half-width along {dim!r} is not usable.",
                    got=repr(self.support_radius),
                    wanted="a table from dimension to a whole number of samples, at least 2",
                    fix="WeakForm(support_radius={'time': 20, 'x': 20})",
                )
        counts = (
            self.rows,
            self.coarse_rows,
            self.max_iterations,
            self.relinearised_models,
            self.space_power,
            self.time_power,
        )
        if not (
            all(isinstance(c, int) and not isinstance(c, bool) for c in counts)
            and isinstance(self.condition_on_equation, bool)
            and self.support_factor > 0
            and 0 < self.space_cap <= 0.5
            and 0 < self.time_cap <= 0.5
            and min(self.rows, self.coarse_rows) >= 20
            and self.floor >= 0
            and self.max_iterations >= 1
            and self.relinearised_models >= 0
            and min(self.space_power, self.time_power) >= 3
            and self.noise in NOISE_KINDS
        ):
            raise ConfigError(
                "The weak form's settings are out of range.",
                got=self,
                wanted="support_factor > 0, caps in (0, 0.5], rows >= 20, floor >= 0, max_iterations >= 1, relinearised_models >= 0, powers >= 3 "
                f"(counts are whole numbers), condition_on_equation true or false, noise one of {', '.join(NOISE_KINDS)}",
                fix="WeakForm()",
            )


def choose_test_functions(
    field: xr.DataArray, smooths: Sequence[Smoother], options: WeakForm, noise: NoiseCovariance
) -> tuple[tuple[TestFunctions, ...], tuple[str, ...]]:
    """Half-widths from Taylor lengths sd(v)/rms(v_x), capped by the size of the field; centres spread evenly.

    Of several fields that enter the rows the one with the shortest counts.
    """
    dims = tuple(map(str, field.dims))
    unknown = set(options.support_radius) - set(dims)
    if unknown:
        raise ConfigError(
            "Half-widths name an unknown dimension.",
            got=sorted(unknown),
            wanted=", ".join(dims),
            fix="WeakForm(support_radius={'time': 20, 'x': 20})",
        )
    spreads, steps = [float(np.std(s.evaluate((0,) * len(dims)))) for s in smooths], spacings(field)
    support_radius, capped = [], []
    for axis, dim in enumerate(dims):
        first = tuple(int(i == axis) for i in range(len(dims)))
        slopes = [max(float(np.sqrt(np.mean(s.evaluate(first) ** 2))), 1e-300) for s in smooths]
        length = options.support_factor * min(a / b for a, b in zip(spreads, slopes, strict=True)) / steps[axis]
        if dim == "time" and noise.kind == "front_jitter":
            length = noise.jitter[0] ** 2 / max(JITTER_SHARE * noise.walk**2, 1e-300)
        cap = (options.time_cap if dim == "time" else options.space_cap) * field.sizes[dim]
        kind = "time" if dim == "time" else "space"
        lowest = min(MINIMUM_HALF_WIDTH[kind], (field.sizes[dim] - 1) // 2)
        support_radius.append(options.support_radius.get(dim, max(lowest, round(min(length, cap)))))
        if dim not in options.support_radius and length > cap:
            capped.append(dim)
    centres = place(field.shape, tuple(support_radius), options.coarse_rows)
    powers = [options.time_power] + [options.space_power] * (len(dims) - 1)
    axes = zip(centres, support_radius, powers, field.shape, steps, strict=True)
    return tuple(TestFunctions(c, r, p, n, s) for c, r, p, n, s in axes), tuple(capped)


def dense_test_functions(
    windows: tuple[TestFunctions, ...], dims: tuple[str, ...], options: WeakForm
) -> tuple[TestFunctions, ...]:
    """Test functions of the final rows: as narrow as lets them lie close, at least half as wide as the pilot's.

    A bump (1 - s^2)^7 is close to a Gaussian of standard deviation 0.27 half-widths: rows farther apart than that lose
    information. Once the field obeys the pilot equation narrow bumps do no harm, and support_factor nearer to the edges.

    Args:
        windows: Those that the pilot was found with, time first.
        dims: Their dimensions.
        options: Settings; half-widths given there stay as they are.

    Returns:
        One per dimension.
    """
    shape = tuple(w.samples for w in windows)
    for share in np.linspace(NARROWEST, 1.0, 11):
        support_radius = tuple(
            w.half_width
            if dim in options.support_radius
            else min(w.half_width, max(round(share * w.half_width), MINIMUM_HALF_WIDTH["time" if i == 0 else "space"]))
            for i, (dim, w) in enumerate(zip(dims, windows, strict=True))
        )
        room = [1 + (n - 1 - 2 * r) / (CLOSE * r) for n, r in zip(shape, support_radius, strict=True)]
        if np.prod(room) <= options.rows:
            break
    centres = place(shape, support_radius, options.rows, closest=CLOSE)
    return tuple(replace(w, centres=c, half_width=r) for w, c, r in zip(windows, centres, support_radius, strict=True))
