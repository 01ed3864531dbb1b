"""Simulation-based calibration: parameters drawn from the prior rank uniformly among posterior draws."""

import numpy as np
import pyro
import pytest
import torch
from statistical import checks

from bayespde.core.random import forked_torch_seed, torch_generator
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import HyperGSlab, SpinModel, generative
from bayespde.smc import SMCConfig, enumerate_exact, run

ROWS, TERMS, DRAWS = 25, 4, 19
SLAB = HyperGSlab(nodes=6, smallest=0.1, largest=10.0)


def model_of(factor):
    """The model with a fixed design and fixed hyperparameters, for a target's column that was simulated."""
    statistics = SufficientStatistics(
        factors=factor[None],
        effective_rows=np.array([float(ROWS)]),
        log_jacobian=np.zeros(1),
        names=tuple("abcd"),
        pilot_rows=6.0,
        pilot_variance=1.2,
    )
    return SpinModel(statistics, slab=SLAB, expected_terms=1.5)


def summaries(model, spins, coefficients, noise_scale):
    """What is ranked: size, first and last spin, first coefficient, noise, fit. `[N, 6]`."""
    residual = [np.sum((model.statistics.factor @ np.append(-c, 1.0)) ** 2) for c in np.atleast_2d(coefficients)]
    fit = np.array(residual) / noise_scale**2
    return np.column_stack([spins.sum(axis=1), spins[:, 0], spins[:, -1], coefficients[:, 0], noise_scale, fit])


def simulate(design, seed):
    """A prior draw of everything, and the model that sees its rows."""
    with forked_torch_seed(seed):
        blind = model_of(design)
        story = pyro.poutine.uncondition(generative(blind))
        trace = pyro.poutine.trace(story).get_trace()
    factor = blind.statistics.factor.copy()
    factor[:, -1] = trace.nodes["observation"]["value"].numpy()
    model = model_of(factor)
    truth = summaries(
        model,
        trace.nodes["spins"]["value"].numpy()[None] > 0,
        trace.nodes["_RETURN"]["value"].numpy()[None],
        np.sqrt(trace.nodes["noise_variance"]["value"].numpy()[None]),
    )
    return model, truth[0]


def fixed_design():
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(ROWS, TERMS)) @ (np.eye(TERMS) + 0.6 * rng.normal(size=(TERMS, TERMS)))
    return np.linalg.qr(np.column_stack([rows, rng.normal(size=ROWS)]), mode="r")


def assert_uniform(ranks, draws):
    """Mean and variance of ranks 0..draws are those of the uniform distribution, within five standard errors."""
    values = np.arange(draws + 1) / draws
    scaled = ranks / draws
    for moment in (scaled - 0.5, (scaled - 0.5) ** 2 - np.mean((values - 0.5) ** 2)):
        error = moment.std(axis=0, ddof=1) / np.sqrt(len(moment))
        assert np.all(np.abs(moment.mean(axis=0)) < 5 * error)


@pytest.mark.slow
def test_exact_draws_are_calibrated(seed):
    design, ranks = fixed_design(), []
    for replicate in checks.statistical_seeds(seed, 500):
        model, truth = simulate(design, replicate)
        generator, rng = torch_generator(replicate), np.random.default_rng(replicate)
        exact = enumerate_exact(model)
        index = rng.choice(len(exact.spins), size=DRAWS, p=exact.probability / exact.probability.sum())
        spins = exact.spins[index]
        coefficients, scale = model.draw(torch.as_tensor(spins), generator=generator)
        drawn = summaries(model, spins, coefficients.numpy(), scale.numpy())
        below, ties = np.sum(drawn < truth, axis=0), np.sum(drawn == truth, axis=0)
        ranks.append(below + rng.integers(0, ties + 1))
    assert_uniform(np.array(ranks), DRAWS)


@pytest.mark.slow
def test_one_particle_of_a_run_is_as_good_as_a_prior_draw(seed):
    design, ranks = fixed_design(), []
    config = SMCConfig(particles=100, final_sweeps=2)
    for replicate in checks.statistical_seeds(seed, 300):
        model, truth = simulate(design, replicate)
        generator, rng = torch_generator(replicate), np.random.default_rng(replicate)
        spins = run(model, config=config, generator=generator).state.spins[rng.integers(100)][None]
        coefficients, scale = model.draw(spins, generator=generator)
        drawn = summaries(model, spins.numpy(), coefficients.numpy(), scale.numpy())[0]
        ranks.append(np.where(drawn == truth, rng.random(len(truth)) < 0.5, drawn < truth))
    scaled = np.array(ranks) - 0.5
    assert np.all(np.abs(scaled.mean(axis=0)) < 5 * 0.5 / np.sqrt(len(scaled)))
