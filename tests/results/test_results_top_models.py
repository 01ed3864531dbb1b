import dataclasses

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError, StatisticsError


def test_the_table_counts_particles_and_ancestors(sampled):
    table = bp.top_models(sampled, top=3)
    flat = [tuple(s) for s in sampled.spins.reshape(-1, 5)]
    for k in range(3):
        spins = tuple(table["spin"].values[k].astype(bool))
        by_run = [sum(tuple(s) == spins for s in run) / len(run) for run in sampled.spins]
        np.testing.assert_allclose(table["share"].values[:, k], by_run)
        descend = {
            (r, a)
            for r, run in enumerate(sampled.spins)
            for s, a in zip(run, sampled.eve_index[r], strict=True)
            if tuple(s) == spins
        }
        assert int(table["distinct_ancestors"][k]) == len(descend)
    assert table["probability"].values[0] == pytest.approx(sampled.run_weights @ table["share"].values[:, 0])
    assert table.attrs["captured"] == pytest.approx(float(table["probability"].sum()))
    assert len(set(flat)) >= 3


def test_the_error_is_that_between_runs(sampled):
    equal = dataclasses.replace(sampled, log_evidence=np.zeros(4))
    table = bp.top_models(equal, top=2)
    expected = table["share"].values.std(axis=0, ddof=1) / 2
    np.testing.assert_allclose(table["standard_error"], expected)
    # One run that has all the weight is a single run.
    led = dataclasses.replace(sampled, log_evidence=np.array([0.0, -50.0, -50.0, -50.0]))
    np.testing.assert_allclose(
        bp.top_models(led, top=2)["standard_error"],
        bp.top_models(led, top=2)["share"].values.std(axis=0, ddof=1),
    )
    one = dataclasses.replace(
        sampled,
        **{n: getattr(sampled, n)[:1] for n in ("spins", "coefficients", "noise_scale", "log_prior", "log_likelihood")},
        log_evidence=sampled.log_evidence[:1],
        eve_index=sampled.eve_index[:1],
    )
    assert np.isnan(bp.top_models(one)["standard_error"]).all()


def test_exact_probabilities_are_preferred(burgers):
    table = bp.top_models(burgers, top=4)
    np.testing.assert_array_equal(table["probability"], burgers.exact.probability[:4])


def test_joint_inclusion_by_hand(sampled):
    table = bp.joint_inclusion(sampled)
    weights = np.repeat(sampled.run_weights / sampled.spins.shape[1], sampled.spins.shape[1])
    flat = sampled.spins.reshape(-1, 5).astype(float)
    both = np.array([[np.sum(weights * flat[:, i] * flat[:, j]) for j in range(5)] for i in range(5)])
    np.testing.assert_allclose(table["probability"], both, atol=1e-12)
    varying = np.flatnonzero(flat.std(axis=0) > 0)
    i, j = varying[:2]
    cov = np.cov(flat[:, i], flat[:, j], aweights=weights, ddof=0)
    expected = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    assert float(table["correlation"][i, j]) == pytest.approx(expected, abs=1e-9)
    constant = np.flatnonzero(flat.std(axis=0) == 0)
    assert np.isnan(table["correlation"].values[constant]).all()


def test_terms_that_replace_each_other_are_anticorrelated(rng, build):
    x = rng.standard_normal((300, 3))
    x[:, 1] = x[:, 0] + 0.01 * rng.standard_normal(300)
    posterior = build(x, x[:, 0] + 0.3 * rng.standard_normal(300), ["u", "u**2", "u_x"], rng=rng)
    assert float(bp.joint_inclusion(posterior)["correlation"].sel(term="u", other="u**2")) < -0.5


def test_settings_out_of_range(burgers):
    with pytest.raises(ConfigError, match="'top' is out of range"):
        bp.top_models(burgers, top=0)


def test_the_tempering_history_is_that_of_the_stages(burgers):
    history = bp.tempering_history(burgers)
    np.testing.assert_array_equal(history["inverse_temperature"], burgers.stages["inverse_temperature"])
    assert history["stages"].values.tolist() == [2, 2, 2, 3]
    assert history.attrs["particles"] == 200
    with pytest.raises(StatisticsError, match="no history"):
        bp.tempering_history(dataclasses.replace(burgers, stages={}))


def test_families_by_hand(burgers):
    ancestors = np.zeros_like(burgers.eve_index)
    ancestors[1] = np.arange(200)
    ancestors[2, 100:] = 7
    ancestors[3, 50:] = 3
    tree = bp.genealogy(dataclasses.replace(burgers, eve_index=ancestors))
    assert tree["distinct_ancestors"].values.tolist() == [1, 200, 2, 2]
    np.testing.assert_allclose(tree["least_draws"], [1, 200, 2, 1 / (0.75**2 + 0.25**2)])
    np.testing.assert_allclose(tree["share"].values[3, :3], [0.75, 0.25, 0])
    np.testing.assert_allclose(tree["share"].sum("family"), 1)
