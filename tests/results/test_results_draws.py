"""Equations drawn from a posterior: by their probability, with the coefficients that they have."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.results.draws import draw_equations


@pytest.fixture(scope="module")
def posterior(request):
    """Two of three columns matter, the second by so little that both answers have mass."""
    random = np.random.default_rng(request.config.getoption("--seed"))
    design = random.standard_normal((300, 3)) @ [[1, 0.6, 0], [0, 1, 0], [0, 0, 1]]
    target = design @ [0.5, 0.15, 0] + random.standard_normal(300)
    names = ("u", "u_x", "u_xx")
    statistics = bp.SufficientStatistics.from_rows(design, target, names=names, target_name="u_t")
    return bp.sample(bp.SpinModel(statistics, bp.Library.from_strings(names)), method="exact", particles=4000, seed=1)


def shares(drawn):
    """Of every configuration, by its spins."""
    spins, counts = np.unique(drawn != 0, axis=0, return_counts=True)
    return {tuple(s): c / len(drawn) for s, c in zip(spins.tolist(), counts, strict=True)}


@pytest.mark.parametrize("kept", ["all particles", "particles of one equation only", "no exact table"])
def test_equations_are_drawn_by_their_probability(posterior, kept, seed):
    wanted = {tuple(s): p for s, p in zip(posterior.exact.spins.tolist(), posterior.exact.probability, strict=True)}
    if kept == "particles of one equation only":
        # As if the sampler had been stuck where the posterior has hardly any mass.
        posterior = replace(
            posterior,
            spins=np.zeros_like(posterior.spins),
            coefficients=np.zeros_like(posterior.coefficients),
        )
    if kept == "no exact table":
        posterior = replace(posterior, exact=None)
    drawn, draws = draw_equations(posterior, 20000, np.random.default_rng(seed)), 20000
    found = shares(drawn)
    for on, probability in wanted.items():
        # Particles are draws too.
        error = np.sqrt(probability * (1 - probability) * (1 / draws + (kept == "no exact table") / 4000)) + 1e-4
        assert abs(found.get(on, 0.0) - probability) < 5 * error


def test_coefficients_without_a_particle_are_those_of_least_squares(posterior, seed):
    """Of the equation with most mass: mean and covariance against those of its particles."""
    on = posterior.exact.spins[0]
    same = (posterior.spins == on).all(axis=-1)
    particles = posterior.coefficients[same][:, on]
    stuck = replace(posterior, spins=np.zeros_like(posterior.spins), coefficients=np.zeros_like(posterior.coefficients))
    drawn = draw_equations(stuck, 20000, np.random.default_rng(seed))
    drawn = drawn[((drawn != 0) == on).all(axis=1)][:, on]
    sd = particles.std(axis=0)
    # A vague slab draws towards zero by a fraction of the smallest t value; Monte Carlo besides.
    assert np.abs(drawn.mean(axis=0) - particles.mean(axis=0)).max() < 0.3 * sd.max()
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.15)


def test_an_empty_equation_is_drawn_too(posterior):
    none = replace(posterior.exact, spins=np.zeros((1, 3), dtype=bool), probability=np.ones(1))
    assert not draw_equations(replace(posterior, exact=none), 5, np.random.default_rng(0)).any()


def test_runs_without_weight_are_not_drawn(posterior):
    evidence = np.full(len(posterior.log_evidence), -1e4)
    evidence[1] = 0.0
    one = replace(posterior, log_evidence=evidence, exact=None)
    drawn = draw_equations(one, one.spins.shape[1] + 50, np.random.default_rng(0))
    known = {c.tobytes() for c in one.coefficients[1]}
    assert all(c.tobytes() in known for c in drawn)
