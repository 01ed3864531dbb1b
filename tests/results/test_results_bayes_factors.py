import dataclasses

import numpy as np
import pytest

from bayespde.core.errors import StatisticsError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.results.bayes_factors import inclusion_bayes_factors

PRIOR = np.array([0.1, 0.2, 0.3, 0.4, 0.5])


def with_prior(posterior):
    return dataclasses.replace(posterior, prior=PairwiseSpins(np.log(PRIOR / (1 - PRIOR)), np.zeros((5, 5))))


def test_bayes_factors_are_ratios_of_odds(burgers):
    table = inclusion_bayes_factors(with_prior(burgers))
    p, q = burgers.exact.inclusion_probability, PRIOR
    np.testing.assert_allclose(np.exp(table["log_bayes_factor"])[[0, 1, 4]], (p / (1 - p) / (q / (1 - q)))[[0, 1, 4]])
    np.testing.assert_array_equal(table["lower"], table["log_bayes_factor"])


def test_bayes_factors_of_samples_have_errors(sampled):
    known = with_prior(sampled)
    table = inclusion_bayes_factors(known)
    middle, error = known.inclusion_probability.values[0], known.inclusion_error.values[0]
    ends = [np.log(p / (1 - p)) - np.log(1 / 9) for p in (middle - 2 * error, middle + 2 * error)]
    assert [float(table["lower"][0]), float(table["upper"][0])] == pytest.approx(ends)


def test_certain_terms_are_infinite_and_unknown_priors_refused(sampled):
    runs = sampled.estimates["rao_blackwell"].copy()
    runs[:, 2] = 1.0
    sure = dataclasses.replace(with_prior(sampled), estimates={**sampled.estimates, "rao_blackwell": runs})
    assert float(inclusion_bayes_factors(sure)["log_bayes_factor"][2]) == np.inf
    with pytest.raises(StatisticsError, match="prior of this posterior"):
        inclusion_bayes_factors(sampled)
