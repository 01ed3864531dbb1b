import dataclasses

import numpy as np
import pytest

from bayespde.core.errors import StatisticsError
from bayespde.results.compare import compare


def test_bayes_factors_are_differences_of_exact_evidence(burgers_rows, build, rng):
    design, target, names = burgers_rows
    whole = build(design, target, names, rng=rng)
    part = build(design[:, :3], target, names[:3], rng=rng)
    table = compare({"part": part, "whole": whole})
    assert table["model"].values.tolist() == ["whole", "part"]
    difference = whole.exact.log_evidence - part.exact.log_evidence
    assert float(table["log_bayes_factor"].sel(model="whole", against="part")) == pytest.approx(difference)
    assert float(table["log_bayes_factor"].sel(model="part", against="whole")) == pytest.approx(-difference)
    np.testing.assert_array_equal(table["log_evidence_error"], 0)


def test_monte_carlo_error_of_sampled_evidence(sampled):
    four = dataclasses.replace(sampled, log_evidence=np.log([1.0, 1.0, 1.0, 2.0]) - 1000)
    table = compare({"only": four})
    assert float(table["log_evidence"][0]) == pytest.approx(np.log(1.25) - 1000)
    expected = np.std([1.0, 1.0, 1.0, 2.0], ddof=1) / np.sqrt(4) / 1.25
    assert float(table["log_evidence_error"][0]) == pytest.approx(expected)


@pytest.mark.parametrize("change", ["rows", "power", "unknown"])
def test_other_rows_or_another_power_are_refused(burgers, change):
    changed = {
        "rows": {"target_hash": "another"},
        "power": {"power": 0.5},
        "unknown": {"target_hash": ""},
    }[change]
    other = dataclasses.replace(burgers, statistics=dataclasses.replace(burgers.statistics, **changed))
    with pytest.raises(StatisticsError, match="identical rows"):
        compare({"a": burgers, "b": other})


def test_unhashed_rows_cannot_be_compared_even_with_each_other(burgers):
    other = dataclasses.replace(burgers, statistics=dataclasses.replace(burgers.statistics, target_hash=""))
    with pytest.raises(StatisticsError, match="unknown"):
        compare({"a": other, "b": other})


def test_nothing_to_compare(burgers):
    with pytest.raises(StatisticsError):
        compare({})
