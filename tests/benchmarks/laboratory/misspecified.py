"""Seed -> the same experiment spoiled in five ways, each of which a check of fit ought to object to.

A discovery objects if a check of fit fails, or if it keeps the rows because no trajectory leaves noise.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter1d

import bayespde as bp
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.right_hand_side import right_hand_side
from laboratory.experiments import LIBRARY, Experiment, clean, draw, moved_by, observed, white
from laboratory.measure import SAMPLER, SPLINE, best_of, failed
from laboratory.store import Store

# Of the noise of frames that hang together, in frames; of pixels struck, their share and size in noise; of a drift, in
# wavelengths.
MEMORY, STRUCK, FORCE, DRIFT = 3.0, 0.02, 8.0, 0.5


def as_it_is(experiment: Experiment) -> tuple[xr.DataArray, bp.Library]:
    """Nothing is wrong: objections are false alarms."""
    return observed(experiment), LIBRARY


def a_missing_term(experiment: Experiment) -> tuple[xr.DataArray, bp.Library]:
    """The library lacks the true term that moves the field most."""
    field, terms = clean(experiment.seed), LIBRARY.chosen(experiment.true).terms
    one_by_one = torch.diag(torch.tensor([experiment.truth[t.name] for t in terms], dtype=torch.float64))
    equation = bp.Equation(terms, (1.0,) * len(terms), LIBRARY.target, "u")
    grid = Grid.of(field.isel(time=0, drop=True))
    full = right_hand_side(equation, grid, method=SolverConfig(), coefficients=one_by_one).full
    parts = full(torch.from_numpy(field.values)[:, None])
    lost = terms[int((parts**2).mean(dim=(0, 2)).argmax())].name
    return observed(experiment), LIBRARY.chosen(~LIBRARY.spins([lost]))


def noise_with_memory(experiment: Experiment) -> tuple[xr.DataArray, bp.Library]:
    """Noise that hangs together over frames, of white noise's size."""
    field, rng = clean(experiment.seed), np.random.default_rng([8, experiment.seed])
    noise = gaussian_filter1d(rng.standard_normal(field.shape), MEMORY, axis=0)
    return field + experiment.level * float(field.std()) * noise / noise.std(), LIBRARY


def struck_pixels(experiment: Experiment) -> tuple[xr.DataArray, bp.Library]:
    """White noise, and some pixels that are far off."""
    field, rng = clean(experiment.seed), np.random.default_rng([9, experiment.seed])
    values = white(field, experiment.level, rng)
    hit = rng.random(field.shape) < STRUCK
    values[hit] += FORCE * experiment.level * float(field.std()) * rng.choice([-1, 1], size=hit.sum())
    return field.copy(data=values), LIBRARY


def a_bent_drift(experiment: Experiment) -> tuple[xr.DataArray, bp.Library]:
    """The stage drifts ever faster; a steady drift would be a true `u_x`."""
    field, rng = clean(experiment.seed), np.random.default_rng([10, experiment.seed])
    moved = moved_by(field, DRIFT * experiment.period / experiment.modes * np.linspace(0, 1, len(field)) ** 2)
    return field.copy(data=white(field.copy(data=moved), experiment.level, rng)), LIBRARY


def a_wrong_boundary(experiment: Experiment) -> tuple[xr.DataArray, bp.Library]:
    """Two thirds of the field, taken for a whole period."""
    return observed(experiment).isel(x=slice(0, 2 * experiment.points // 3)), LIBRARY


WAYS = {
    f.__name__: f for f in (as_it_is, a_missing_term, noise_with_memory, struck_pixels, a_bent_drift, a_wrong_boundary)
}


def misspecified(seed: int, store: Store) -> dict[str, Any]:
    """What failed in every way, by rows and by pixels."""
    return {name: objections(*spoiled(draw(seed))) for name, spoiled in WAYS.items()}


def objections(field: xr.DataArray, library: bp.Library) -> dict[str, Any]:
    """What `discover` objects to: checks that failed, of the rows and of what it settles for; and why it keeps rows."""
    start = time.process_time()
    found = bp.discover(field, library=library, config=bp.DiscoverConfig(smoothing=SPLINE, sampler=SAMPLER))
    return {
        "rows": failed(found.weak_posterior),
        "discovery": failed(found.posterior),
        "best": best_of(found.posterior),
        "likelihood": found.posterior.likelihood.record(),
        "seconds": time.process_time() - start,
    }
