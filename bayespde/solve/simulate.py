"""A `SimulationSpec` (equation, grid, first frame, window and noise) -> a noisy video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import xarray as xr

from bayespde.core.annotations import MANY, CountOrZero, Finite, NonNegative, Positive, Range
from bayespde.core.checked import Checked, check, validated
from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.field import add_noise, validate_field
from bayespde.core.field_values import MINIMUM_SAMPLES
from bayespde.core.one_order import in_one_order
from bayespde.core.progress import Progress
from bayespde.core.settings import build, check_keys
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import SPACE_DIMS
from bayespde.solve.initial import initial_state
from bayespde.solve.integrate import integrate

MAXIMUM_VALUES = 2**28
Samples = Annotated[int, Range(MINIMUM_SAMPLES, MANY)]


@dataclass(frozen=True)
class SimulationSpec(Checked):
    """What to simulate.

    Attributes:
        equation: Such as `"u_t = -u*u_x + 0.1*u_xx"`; of a system one for each field.
        extent: Length per dimension, physical units: points times step, on a periodic grid the period.
        points: Grid points per dimension, the first one at position 0.
        times: `start`, `stop` (physical units, both reached) and `frames`.
        initial: `kind` and the parameters of that initial state; of a system such a table for each field.
        crop: Per dimension a window `[first, one past the last]` of points that is kept of a larger domain.
        noise: Standard deviation of the added noise, relative to that of the kept field; of a system, of each field.
        seed: Seed of the noise; the fields of a system have consecutive seeds.
        units: Units by name: `u`, `time`, `x`, ...
        method: How to integrate.
    """

    equation: str | Sequence[str]
    extent: Mapping[str, Positive]
    points: Mapping[str, Samples]
    times: Mapping[str, Finite | Annotated[int, Range()]]
    initial: Mapping[str, Any]
    crop: Mapping[str, Sequence[CountOrZero]] = field(default_factory=dict)
    noise: NonNegative = 0.0
    seed: Annotated[int, Range(0)] = 0
    units: Mapping[str, str] = field(default_factory=dict)
    method: SolverConfig = field(default_factory=SolverConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.equation):
            raise _unusable("equation", self.equation, "a text such as 'u_t = u_xx', or one for each field")
        _check_grid(self.extent, self.points, self.crop)
        _check_times(self.times)
        size = math.prod(self.points.values()) * self.times["frames"]
        if size > MAXIMUM_VALUES:
            raise _unusable("points", f"{size} values", f"at most {MAXIMUM_VALUES} over all frames")
        is_nested = len(self.fields) > 1 and isinstance(self.initial, Mapping)
        for name in self.fields:
            _check_initial(self.initial.get(name) if is_nested else self.initial)
        check_keys(self.units, [*self.fields, "time", *self.points], "simulate.units")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the variables, in the order of the equations."""
        texts = [self.equation] if isinstance(self.equation, str) else self.equation
        return tuple(text.partition("_")[0].strip() or "u" for text in texts)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> SimulationSpec:
        """Build a specification from plain nested settings, such as the `[simulate]` table of a TOML file.

        Raises:
            ConfigError: If a key is unknown or missing, or a value is unusable.
        """
        return build(cls, settings, "simulate")


@validated
@in_one_order
def simulate(spec: SimulationSpec, *, progress: bool | Progress = False) -> xr.DataArray | xr.Dataset:
    """Integrate an equation, crop the window, add noise.

    Args:
        spec: What to simulate.
        progress: Whether to show a bar.

    Returns:
        A checked field `(time, [z, [y,]] x)`, float64, with the units of the specification; of a system a Dataset of
        them. The coordinates are those of the whole grid.

    Raises:
        ConfigError: If the initial state is unknown, or equation, grid and method do not fit together.
        TermError: If the equation does not parse.
        IntegrationError: If the solution blows up.
    """
    axes = {d: spec.extent[d] / n * np.arange(n) for d, n in spec.points.items()}
    times = np.linspace(spec.times["start"], spec.times["stop"], int(spec.times["frames"]))
    if isinstance(spec.equation, str):
        equation = Equation.from_string(spec.equation, variable=spec.fields[0])
        start = initial_state(**spec.initial, axes=axes).rename(equation.variable)
        return _observed(integrate(equation, start, times, method=spec.method, progress=progress), spec, spec.seed)
    starts = xr.Dataset({name: initial_state(**spec.initial[name], axes=axes) for name in spec.fields})
    system = CoupledEquations.from_strings(spec.equation)
    whole = integrate(system, starts, times, method=spec.method, progress=progress)
    return xr.Dataset({name: _observed(whole[name], spec, spec.seed + i) for i, name in enumerate(spec.fields)})


def _observed(whole: xr.DataArray, spec: SimulationSpec, seed: int) -> xr.DataArray:
    """The observed field: cropped, with units and noise."""
    kept = whole.isel({d: slice(*window) for d, window in spec.crop.items()})
    for name, unit in spec.units.items():
        if name in (kept.name, *kept.dims):
            (kept if name == kept.name else kept[name]).attrs["units"] = unit
    kept = validate_field(kept)
    return add_noise(kept, spec.noise, seed=seed) if spec.noise else kept


def _check_initial(initial: Any) -> None:
    if not isinstance(initial, Mapping) or not isinstance(initial.get("kind"), str):
        raise _unusable("initial", initial, "a table with 'kind' and its parameters, of a system one for each field")
    if not all(isinstance(name, str) and name != "axes" for name in initial):
        raise _unusable("initial", list(initial), "the kind's own parameters; axes come from the grid")


def _check_grid(extent: Any, points: Any, crop: Any) -> None:
    dims = next((d for d in SPACE_DIMS if isinstance(points, Mapping) and set(points) == set(d)), None)
    if dims is None:
        raise _unusable("points", points, "a table with x, or y and x, or z, y and x")
    check_keys(extent, dims, "simulate.extent", required=dims)
    check_keys(crop, dims, "simulate.crop")
    for dim, window in crop.items():
        wanted = f"[first, one past the last], {MINIMUM_SAMPLES} or more of the {points[dim]} points"
        pair = isinstance(window, list | tuple) and len(window) == 2 and all(type(i) is int for i in window)
        if not pair or not 0 <= window[0] <= window[1] - MINIMUM_SAMPLES <= points[dim] - MINIMUM_SAMPLES:
            raise _unusable(f"crop.{dim}", window, wanted)


def _check_times(times: Any) -> None:
    names = ("start", "stop", "frames")
    check_keys(times, names, "simulate.times", required=names)
    check("times.frames", times["frames"], Samples)
    if not times["stop"] > times["start"]:
        raise _unusable("times.stop", times["stop"], f"a time after the start, {times['start']}")


def _unusable(name: str, got: object, wanted: str) -> ConfigError:
    return ConfigError(
        f"The setting {name!r} of the simulation is not usable.",
        got=repr(got)[:80],
        wanted=wanted,
        fix=f"change {name!r}",
    )
