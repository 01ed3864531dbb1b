"""Seed of an experiment -> what a method says of it, and what is true, as plain values."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

import bayespde as bp
from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.errors import BayespdeError
from bayespde.results.diagnostics import squared_residual_per_row
from laboratory.experiments import LIBRARY, draw, observed
from laboratory.store import Store

SPLINE = bp.SmoothingConfig(smoother="spline")
SAMPLER = bp.SMCConfig(particles=256, runs=1)


def rows(seed: int, store: Store) -> dict[str, Any]:
    """`discover` with default settings: probabilities by enumeration, coefficients of the true terms, checks of fit.

    The rows are made from the spline whichever smoother is chosen for the derivatives, so that no network is trained.
    """
    experiment, start = draw(seed), time.process_time()
    _, posterior = sampled(observed(experiment))
    seconds, statistics = time.process_time() - start, posterior.statistics
    exact, true = posterior.exact, experiment.true
    found, expected = squared_residual_per_row(posterior)
    return {
        "inclusion": posterior.inclusion_probability.values.tolist(),
        "probability": float(exact.probability[(exact.spins == true).all(axis=1)].sum()),
        "best": best_of(posterior),
        "chi2": found / expected,
        "failed": failed(posterior),
        "noise": statistics.record.noise,
        "seconds": seconds,
    } | given_true_terms(statistics, true)


def sampled(field: xr.DataArray, library: bp.Library = LIBRARY) -> tuple[bp.SmoothField, bp.Posterior]:
    """The spline of a field, and the posterior over its rows."""
    smooth = bp.fit_field(field, options=SPLINE)
    statistics = bp.assemble(library, smooth)
    model = bp.SpinModel(statistics, library)
    return smooth, bp.sample(model, config=SAMPLER, enumerate_up_to=len(library), seed=0)


def best_of(posterior: bp.Posterior) -> list[str]:
    """Terms of the most probable equation."""
    spins, probability = posterior.configurations()
    return [n for n, on in zip(posterior.library.names, spins[np.argmax(probability)], strict=True) if on]


def failed(posterior: bp.Posterior) -> list[str]:
    """Names of the checks of fit that failed."""
    return [c.name for c in bp.model_checks(posterior) if not c.passed]


def given_true_terms(statistics: bp.SufficientStatistics, true: np.ndarray) -> dict[str, Any]:
    """Coefficients of the true terms, their 90 % intervals, and errors by the scatter between blocks over theirs."""
    found = CoefficientPosterior.of(statistics, true)
    mean, sd, (lower, upper) = found.mean, found.sd, found.interval(0.9)
    return {
        "coefficients": mean.tolist(),
        "sd": sd.tolist(),
        "lower": lower.tolist(),
        "upper": upper.tolist(),
        "sandwich": (sandwich(statistics, true) / sd).tolist(),
    }


def sandwich(statistics: bp.SufficientStatistics, true: np.ndarray) -> np.ndarray:
    """Standard deviations of the true coefficients from the scores of the blocks [huber1967], `[k]`."""
    design, target = statistics.factors[:, :, :-1][:, :, true], statistics.factors[:, :, -1]
    inverse = np.linalg.inv(np.einsum("brk,brl->kl", design, design))
    coefficients = inverse @ np.einsum("brk,br->k", design, target)
    scores = np.einsum("brk,br->bk", design, target - design @ coefficients)
    count = len(scores)
    return np.sqrt(np.diag(inverse @ scores.T @ scores @ inverse) * count / max(count - true.sum(), 1))


def bagging(seed: int, store: Store) -> dict[str, Any]:
    """Ensemble-SINDy: share of 100 bags of rows whose regression keeps a term."""
    from weak_sindy import bagged

    start = time.process_time()
    names, share = bagged(observed(draw(seed)), seed=seed)
    by_name = dict(zip(names, map(float, share), strict=True))
    return {"inclusion": [by_name[n] for n in LIBRARY.names], "seconds": time.process_time() - start}


def refined(seed: int, store: Store) -> dict[str, Any]:
    """`bp.fit_trajectories`: the observation likelihood, or the weak form where that cannot be trusted."""
    field, start = observed(draw(seed)), time.process_time()
    smooth, posterior = sampled(field)
    earlier = {name: store.read("rows", seed)[name] for name in ("inclusion", "best", "failed")}
    try:
        found = bp.fit_trajectories(posterior, smooth, search=bp.TrajectorySearchConfig(sampler=SAMPLER))
    except BayespdeError as error:
        return earlier | {"kept": str(error).splitlines()[0], "seconds": time.process_time() - start}
    true, record = draw(seed).true, found.posterior.statistics.record
    of_pixels = {
        "inclusion": found.inclusion_probability.values.tolist(),
        "best": best_of(found.posterior),
        "failed": failed(found.posterior),
    }
    about = {
        "trajectory": asdict(record.trajectory) | {"along": record.along},
        "trajectories": len(found.trajectories),
        "without": len(found.failed),
        "pixels": of_pixels,
        "seconds": time.process_time() - start,
    }
    if not found.is_trusted:
        return earlier | about | {"kept": ", ".join(of_pixels["failed"])}
    return of_pixels | about | given_true_terms(found.posterior.statistics, true)


METHODS = {f.__name__: f for f in (rows, bagging, refined)}
