"""Posteriors built without any sampler: least squares over all 2^K models, then independent draws."""

import itertools

import numpy as np
import pytest

from bayespde.core.equation import Library
from bayespde.core.posterior import ExactTable, Posterior
from bayespde.core.sampling_record import SamplingRecord
from bayespde.core.statistics import SufficientStatistics

UNITS = {"u": "1", "time": "s", "x": "nm"}
PENALTY = 1.0


def enumerate_least_squares(design, target, statistics):
    """Closed-form evidence of every model under a g-prior with g = rows, from the rows themselves."""
    rows, terms = design.shape
    spins = np.array(list(itertools.product([False, True], repeat=terms)))
    scale = np.linalg.norm(design, axis=0)
    pilot = statistics.prior_rows * statistics.prior_variance
    log_likelihood = []
    for on in spins:
        fitted = np.zeros(rows)
        if on.any():
            columns = design[:, on] / scale[on]
            fitted = columns @ np.linalg.lstsq(columns, target, rcond=1e-12)[0]
        unexplained = target @ target - rows / (1 + rows) * (fitted @ target)
        log_likelihood.append(
            -0.5 * on.sum() * np.log1p(rows) - 0.5 * (rows + statistics.prior_rows) * np.log(pilot + unexplained)
        )
    log_likelihood = np.array(log_likelihood)
    log_prior = -PENALTY * spins.sum(axis=1) - terms * np.log1p(np.exp(-PENALTY))
    return spins, log_prior, log_likelihood


def draw_coefficients(design, target, statistics, on, rng):
    answer = np.zeros(design.shape[1])
    columns = design[:, on]
    fit = np.linalg.lstsq(columns, target, rcond=None)[0] if on.any() else np.zeros(0)
    residual = target - columns @ fit
    shape = (statistics.prior_rows + len(target)) / 2
    variance = (statistics.prior_rows * statistics.prior_variance + residual @ residual) / 2 / rng.gamma(shape)
    if on.any():
        answer[on] = rng.multivariate_normal(fit, variance * np.linalg.inv(columns.T @ columns), method="cholesky")
    return answer, np.sqrt(variance)


def make_posterior(
    design, target, names, *, rng, runs=4, particles=200, exact=True, blocks=8, complexities=None, kept=None
):
    library = Library.from_strings(dict(zip(names, complexities or [1.0] * len(names), strict=True)))
    statistics = SufficientStatistics.from_rows(design, target, names=library.names, blocks=blocks, target_name="u_t")
    spins, log_prior, log_likelihood = enumerate_least_squares(design, target, statistics)
    log_joint = log_prior + log_likelihood
    log_evidence = log_joint.max() + np.log(np.exp(log_joint - log_joint.max()).sum())
    probability = np.exp(log_joint - log_evidence)
    order = np.argsort(-probability, kind="stable")
    index = rng.choice(len(spins), size=(runs, particles), p=probability / probability.sum())
    drawn = [draw_coefficients(design, target, statistics, spins[i], rng) for i in index.ravel()]
    inclusion = probability @ spins
    frequency = spins[index].mean(axis=1)
    return Posterior(
        library=library,
        statistics=statistics,
        spins=spins[index],
        coefficients=np.array([c for c, _ in drawn]).reshape(runs, particles, -1),
        noise_scale=np.array([s for _, s in drawn]).reshape(runs, particles),
        log_prior=log_prior[index],
        log_likelihood=log_likelihood[index],
        log_evidence=log_evidence + 0.02 * rng.standard_normal(runs),
        estimates={
            "frequency": frequency,
            "rao_blackwell": 0.5 * (frequency + inclusion),
            "renormalised": np.tile(inclusion, (runs, 1)),
        },
        eve_index=np.sort(rng.integers(0, particles, size=(runs, particles)), axis=1),
        stages={
            "inverse_temperature": np.array([[0.1, 1.0, np.nan]] * (runs - 1) + [[0.01, 0.2, 1.0]]),
            "ess": np.array([[90.0, 110.0, np.nan]] * (runs - 1) + [[80.0, 95.0, 120.0]]),
        },
        exact=ExactTable(log_evidence, inclusion, spins[order][:kept], probability[order][:kept], len(spins))
        if exact
        else None,
        sampling=SamplingRecord(method="smc", settings={"particles": particles}, seed=7, seconds=1.5),
        units=UNITS,
        provenance={"seed": 7, "settings": {"particles": particles}},
    )


@pytest.fixture
def build():
    return make_posterior


NAMES = ["u", "u_x", "u_xx", "u*u_x", "u**3"]


@pytest.fixture
def burgers_rows(rng):
    """u_t = 0.1 u_xx - u u_x + noise, with columns of very different size and one weak extra term."""
    design = rng.standard_normal((400, 5)) * np.array([1.0, 3.0, 40.0, 2.0, 0.5])
    target = 0.1 * design[:, 2] - 1.0 * design[:, 3] + 0.04 * design[:, 0] + 0.3 * rng.standard_normal(400)
    return design, target, NAMES


@pytest.fixture
def burgers(burgers_rows, rng):
    return make_posterior(*burgers_rows, rng=rng)


@pytest.fixture
def sampled(burgers_rows, rng):
    return make_posterior(*burgers_rows, rng=rng, exact=False)
