"""Draws of the smoothed field as a dimension of the posterior: a mixture with equal weights, exactly."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import small_problem

import bayespde as bp
from bayespde.core.distinct import distinct
from bayespde.core.errors import ConfigError
from bayespde.core.random import spawn_seeds
from bayespde.results.checks.sampler import sampler_checks
from bayespde.results.inference_data import load, save
from bayespde.weak.strong_form import StrongFormWarning

DRAWS, RUNS = 3, 2
CONFIG = {
    "form": bp.StrongForm(smoother="spline", field_draws=DRAWS),
    "sampler": bp.SMCConfig(particles=64, runs=RUNS, final_passes=2),
}


@pytest.fixture(scope="module")
def field():
    return small_problem.video()


@pytest.fixture(scope="module")
def found(field):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StrongFormWarning)
        return small_problem.discover(field, **CONFIG)


def parts_of(found):
    """The posterior of each draw by itself, by enumeration."""
    posterior, smooth = found.posterior, found.smooth
    _, seed, *_ = spawn_seeds(0, 4)
    draw_seed, _ = spawn_seeds(seed, 2)
    for one in spawn_seeds(draw_seed, DRAWS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StrongFormWarning)
            statistics = bp.assemble(posterior.library, smooth.draw(one), form=bp.StrongForm())
        yield bp.enumerate_models(bp.SpinModel(statistics, posterior.library))


def test_runs_are_labelled_by_their_draw(found):
    posterior = found.posterior
    assert posterior.field_draw.tolist() == np.repeat(np.arange(DRAWS), RUNS).tolist()
    assert posterior.spins.shape[0] == DRAWS * RUNS
    assert [len(part.spins) for part in posterior.by_field_draw()] == [RUNS] * DRAWS
    assert posterior.likelihood.kind == "strong_form"


def test_the_exact_posterior_is_the_mixture_of_those_of_the_draws(found):
    tables = list(parts_of(found))
    wanted = np.mean([t.inclusion_probability for t in tables], axis=0)
    np.testing.assert_allclose(found.posterior.inclusion_probability, wanted, rtol=0, atol=1e-12)
    spins, probability = found.posterior.configurations()
    assert len(distinct(spins).first) == len(spins)
    assert probability.sum() == pytest.approx(np.mean([t.probability.sum() for t in tables]))
    best = spins[0]
    each = [t.probability[(t.spins == best).all(axis=1)].sum() for t in tables]
    assert probability[0] == pytest.approx(np.mean(each))


def test_draws_have_equal_weight_and_runs_of_a_draw_share_it_by_evidence(found):
    weights = found.posterior.run_weights.reshape(DRAWS, RUNS)
    np.testing.assert_allclose(weights.sum(axis=1), 1 / DRAWS)
    evidence = found.posterior.log_evidence.reshape(DRAWS, RUNS)
    wanted = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    np.testing.assert_allclose(weights, wanted / wanted.sum(axis=1, keepdims=True) / DRAWS)


def test_evidence_is_not_defined(found):
    assert np.isnan(found.posterior.log_evidence_pooled)
    assert np.isnan(replace(found.posterior, exact=None).log_evidence_pooled)


def test_assembly_of_one_field_refuses_a_smoother_and_draws(found):
    library, smooth = found.posterior.library, found.smooth
    for form in (bp.StrongForm(field_draws=2), bp.StrongForm(smoother="spline")):
        with pytest.raises(ConfigError, match="one smoother"):
            bp.assemble(library, smooth, form=form)


def test_it_is_read_back_from_a_file(found, tmp_path):
    save(found.posterior, tmp_path / "posterior.nc")
    again = load(tmp_path / "posterior.nc")
    assert np.array_equal(again.field_draw, found.posterior.field_draw)
    assert np.array_equal(again.inclusion_probability, found.posterior.inclusion_probability)
    assert bp.equations(again) == bp.equations(found.posterior)


def test_runs_are_compared_within_a_draw(found):
    """A term that is in for one draw and out for another is uncertain, not badly sampled."""
    posterior = found.posterior
    spins = posterior.spins.copy()
    spins[posterior.field_draw == 0, :, 0], spins[posterior.field_draw == 1, :, 0] = True, False
    frequency = spins.mean(axis=1)
    apart = replace(posterior, spins=spins, estimates=dict.fromkeys(posterior.estimates, frequency), exact=None)
    agreement = {c.name: c for c in sampler_checks(apart)}["agreement"]
    other = {c.name: c for c in sampler_checks(replace(apart, field_draw=None))}["agreement"]
    assert agreement.value < other.value
    assert not other.passed


def test_without_draws_there_is_no_such_dimension(field):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StrongFormWarning)
        found = small_problem.discover(field, form=bp.StrongForm(), sampler=CONFIG["sampler"])
    assert found.posterior.field_draw is None
    assert found.posterior.by_field_draw() == (found.posterior,)
