"""Seed -> an experiment: an equation from the prior, integrated from a random state, with noise of one of four kinds.

Every one of the 19 default terms is in with probability 3/19, as the default prior has it; an equation without terms is
no experiment. Signs are even, sizes log-uniform in [0.05, 2]. Period, duration, grid, initial state, noise level and
kind are drawn too.

Most random equations blow up: what can be recorded is a choice. A draw is taken or left *as a whole*, and whether it is
taken can be seen in its field: the field exists, stays below 20, and is resolved by the grid. Then

    p(equation | data, taken) = p(equation | data),

for p(taken | data, equation) is 1 whatever the equation: nothing needs to be corrected for the choice, and the prior of
the posterior is the one before it. (Drawing coefficients again for the same terms until they are stable would need a
correction.) No draw is left out because it is hard.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from random_equations import LIBRARY, text_of
from scipy.ndimage import gaussian_filter1d

import bayespde as bp
from bayespde.core.errors import BayespdeError
from bayespde.solve.config import SolverConfig

EXPECTED_TERMS = 3
SIZES = (0.05, 2.0)
LEVELS = (0.02, 0.5)
FINE, COARSE, QUICK = 256, 128, 64
LARGEST, UNRESOLVED = 20.0, 1e-4
# Detector and readout noise under the displacements of frames, and the darkest pixel, in shares of sd and range.
READOUT, DARKEST = 0.02, 0.05


@dataclass(frozen=True)
class Experiment:
    """One draw.

    Attributes:
        seed: Fixes everything.
        truth: Coefficient by term.
        period: Length of the periodic field, units of x.
        duration: Units of time.
        points: Pixels of the data.
        frames: Of the data.
        modes: Waves of the initial state.
        offset: Mean of the initial state; its standard deviation is 1.
        kind: Of the noise.
        level: Root mean square of the noise over the standard deviation of the field.
    """

    seed: int
    truth: dict[str, float]
    period: float
    duration: float
    points: int
    frames: int
    modes: int
    offset: float
    kind: str
    level: float

    @property
    def true(self) -> np.ndarray:
        """The true spins, `[19]`, bool."""
        return LIBRARY.spins(list(self.truth))

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def draw(seed: int) -> Experiment:
    """An experiment of the prior, whether or not it can be recorded."""
    rng = np.random.default_rng([6, seed])
    on = np.zeros(len(LIBRARY), dtype=bool)
    while not on.any():
        on = rng.random(len(LIBRARY)) < EXPECTED_TERMS / len(LIBRARY)
    sizes = rng.choice([-1, 1], size=on.sum()) * np.exp(rng.uniform(*np.log(SIZES), size=on.sum()))
    names = [name for name, chosen in zip(LIBRARY.names, on, strict=True) if chosen]
    return Experiment(
        seed=seed,
        truth={n: float(f"{v:.3g}") for n, v in zip(names, sizes, strict=True)},
        period=round(float(np.exp(rng.uniform(*np.log([10, 40])))), 1),
        duration=round(float(rng.uniform(3, 12)), 1),
        points=int(rng.choice([128, 256])),
        frames=int(rng.choice([61, 121, 201])),
        modes=int(rng.integers(3, 7)),
        offset=round(float(rng.uniform(-1, 1)), 2) * bool(rng.random() < 0.5),
        kind=str(rng.choice(list(NOISE))),
        level=float(f"{np.exp(rng.uniform(*np.log(LEVELS))):.3g}"),
    )


def spec(experiment: Experiment, points: int = FINE, **changes: Any) -> bp.SimulationSpec:
    """What to simulate; `changes` are those of the method."""
    start = {"modes": experiment.modes, "seed": experiment.seed, "offset": experiment.offset}
    return bp.SimulationSpec(
        equation=text_of(experiment.truth),
        extent={"x": experiment.period},
        points={"x": points},
        times={"start": 0.0, "stop": experiment.duration, "frames": experiment.frames},
        initial={"kind": "random_waves", **start},
        method=SolverConfig(**{"rtol": 1e-7, "maximum_steps": 12_000} | changes),
    )


@lru_cache(maxsize=4)
def clean(seed: int) -> xr.DataArray:
    """The field without noise, on the grid of the data."""
    experiment = draw(seed)
    return bp.simulate(spec(experiment))[:, :: FINE // experiment.points]


def taken(seed: int, store: object = None) -> str | None:
    """Why a draw is left out; None if it is taken.

    Most are found on a quarter of the points, in few and crude steps.
    """
    experiment = draw(seed)
    looks = (
        spec(experiment, QUICK, rtol=1e-3, atol=1e-6, maximum_steps=400),
        spec(experiment, COARSE, maximum_steps=3_000),
        spec(experiment),
    )
    try:
        with np.errstate(all="ignore"):
            fields = []
            for look in looks:
                fields.append(bp.simulate(look).values)
                if np.abs(fields[-1]).max() > LARGEST:
                    return "grows"
    except BayespdeError:
        return "blows up"
    _, coarse, fine = fields
    difference = np.sqrt(np.mean((coarse - fine[:, :: FINE // COARSE]) ** 2))
    return "not resolved" if difference > UNRESOLVED * fine.std() else None


def observed(experiment: Experiment) -> xr.DataArray:
    """The field with its noise."""
    field = clean(experiment.seed)
    rng = np.random.default_rng([7, experiment.seed])
    return field.copy(data=NOISE[experiment.kind](field, experiment.level, rng))


def white(field: xr.DataArray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Independent Gaussian noise in every pixel."""
    return field.values + level * float(field.std()) * rng.standard_normal(field.shape)


def correlated(field: xr.DataArray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Noise that a detector has spread over neighbours: through a Gaussian filter of half to one and a half pixels."""
    noise = gaussian_filter1d(rng.standard_normal(field.shape), rng.uniform(0.5, 1.5), axis=1, mode="wrap")
    return field.values + level * float(field.std()) * noise / noise.std()


def jitter(field: xr.DataArray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Frames displaced as a whole, each on its own, under white readout noise of 2 %."""
    slope = np.fft.irfft(_waves(field) * np.fft.rfft(field.values, axis=1), field.sizes["x"], axis=1)
    shift = (
        level * float(field.std()) / max(float(np.sqrt(np.mean(slope**2))), 1e-300) * rng.standard_normal(len(field))
    )
    return moved_by(field, shift) + READOUT * float(field.std()) * rng.standard_normal(field.shape)


def moved_by(field: xr.DataArray, shift: np.ndarray) -> np.ndarray:
    """Every frame of a periodic field displaced by a length of its own, `[time]`."""
    spectrum = np.fft.rfft(field.values, axis=1)
    return np.fft.irfft(spectrum * np.exp(_waves(field) * shift[:, None]), field.sizes["x"], axis=1)


def _waves(field: xr.DataArray) -> np.ndarray:
    """What a derivative along x multiplies the waves of a frame with, `[waves]`."""
    return 2j * np.pi * np.fft.rfftfreq(field.sizes["x"], d=float(field.x[1] - field.x[0]))


def poisson(field: xr.DataArray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Counted electrons: a Poisson number in every pixel, in the units of the field."""
    bright = field.values - field.values.min() + DARKEST * np.ptp(field.values)
    dose = float(bright.mean()) / (level * float(field.std())) ** 2
    return field.values - bright + rng.poisson(dose * bright) / dose


NOISE = {f.__name__: f for f in (white, correlated, jitter, poisson)}
