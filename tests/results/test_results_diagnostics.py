import dataclasses

import numpy as np

from bayespde.results.diagnostics import between_run_diagnostics


def test_independent_draws_agree(burgers):
    table = between_run_diagnostics(burgers)
    assert not table["disagreement"].any()
    runs = burgers.estimates["rao_blackwell"]
    np.testing.assert_allclose(table["spread"], runs.max(axis=0) - runs.min(axis=0))
    weight = np.exp(burgers.log_evidence - burgers.log_evidence.max())
    share = np.sqrt(np.sum(weight**2)) / np.sum(weight)
    np.testing.assert_allclose(table["standard_error"], runs.std(axis=0, ddof=1) * share)
    expected = np.average(runs, axis=0, weights=weight) - burgers.exact.inclusion_probability
    np.testing.assert_allclose(table["deviation"], expected, atol=1e-14)
    np.testing.assert_allclose(table["log_evidence_deviation"], burgers.log_evidence - burgers.exact.log_evidence)


def test_runs_stuck_on_opposite_sides_are_detected(sampled):
    runs = np.array([[1, 0, 1, 1, 0], [1, 0, 1, 1, 0], [1, 0, 0, 1, 0], [1, 0, 0, 1, 0]], dtype=float)
    frozen = dataclasses.replace(
        sampled,
        estimates={**sampled.estimates, "rao_blackwell": runs},
        eve_index=np.zeros_like(sampled.eve_index),
    )
    table = between_run_diagnostics(frozen)
    assert table["disagreement"].values.tolist() == [False, False, True, False, False]
    assert np.isnan(table["deviation"]).all()


def test_a_spread_beyond_five_errors_of_a_difference_is_detected(sampled):
    ancestors = np.tile(np.arange(sampled.eve_index.shape[1]), (4, 1))
    tolerance = 5 * np.sqrt(2 * 0.25 / ancestors.shape[1])
    for factor, is_detected in ((0.99, False), (1.01, True)):
        half = factor * tolerance / 2
        runs = 0.5 + np.array([-half, half, 0, 0])[:, None] * np.ones(5)
        changed = dataclasses.replace(sampled, estimates={"rao_blackwell": runs}, eve_index=ancestors)
        assert (between_run_diagnostics(changed)["disagreement"].values == is_detected).all()
