"""Noise families: parameters against simulation, and the choice between them."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit

from bayespde.core.errors import ConfigError
from bayespde.noise.families import NoiseFamily, choose_noise

COUNT = 20_000


def simulated(family, rng, count=COUNT):
    """Observed values and their mean."""
    if family == "poisson":
        mean = rng.uniform(1, 30, count)
        return rng.poisson(mean).astype(float), mean
    if family == "detector":
        mean = rng.uniform(1, 3, count)
        return mean + np.sqrt(0.02 + 0.1 * (mean - 1)) * rng.standard_normal(count), mean
    mean = rng.uniform(0.05, 0.95, count)
    if family == "logit":
        return expit(logit(mean) + 0.5 * rng.standard_normal(count)), mean
    noise = rng.standard_t(3.0, count) if family == "student_t" else rng.standard_normal(count)
    return mean + 0.1 * noise, mean


def test_the_parameters_of_a_family_are_those_of_the_simulation(rng):
    """Within five standard errors, which are those of maximum likelihood: from the Fisher information."""
    error = 5 / math.sqrt(2 * COUNT)
    assert NoiseFamily.fit("gaussian", *simulated("gaussian", rng)).scale == pytest.approx(0.1, rel=error)
    assert NoiseFamily.fit("logit", *simulated("logit", rng)).scale == pytest.approx(0.5, rel=error)
    heavy = NoiseFamily.fit("student_t", *simulated("student_t", rng))
    assert heavy.scale == pytest.approx(0.1, rel=5 * 1.3 / math.sqrt(COUNT))
    assert heavy.freedom == pytest.approx(3.0, rel=5 * 4.0 / math.sqrt(COUNT))
    observed, mean = simulated("detector", rng)
    detector = NoiseFamily.fit("poisson", observed, mean)
    ends = detector.variance(np.array([1.0, 3.0]))
    np.testing.assert_allclose(ends, [0.02, 0.22], rtol=5 * 4 / math.sqrt(COUNT))
    counts = NoiseFamily.fit("poisson", *simulated("poisson", rng))
    assert (counts.counts, counts.offset, counts.slope) == (True, 0.0, 1.0)
    assert counts.variance(np.array([7.0])) == pytest.approx(7.0)


@pytest.mark.parametrize("family", ["gaussian", "student_t", "poisson", "detector", "logit"])
def test_the_simulated_family_is_chosen(family, rng):
    observed, mean = simulated(family, rng, 4000)
    noise, scores = choose_noise(observed, mean, seed=0)
    assert noise.family == ("poisson" if family == "detector" else family)
    assert max(scores, key=scores.get) == noise.family or family == "gaussian"
    assert noise.describe().startswith(noise.family)


def test_grey_values_are_not_counts(rng):
    """Eight bits of a camera with gain: integers whose variance is not their mean."""
    mean = rng.uniform(20, 200, 4000)
    observed = np.round(mean + np.sqrt(4 + 3 * mean) * rng.standard_normal(4000)).clip(0, 255)
    noise, _ = choose_noise(observed, mean, seed=0)
    assert (noise.family, noise.counts) == ("poisson", False)
    assert noise.slope == pytest.approx(3.0, rel=0.2)


def test_few_pixels_are_taken_as_normal(rng):
    noise, scores = choose_noise(rng.standard_t(2, 30), np.zeros(30), seed=0)
    assert (noise.family, scores) == ("gaussian", {})


def test_normal_noise_is_rarely_taken_for_another_family(rng):
    """Three standard errors and 0.01 nats: at most one false alarm in 60 is within chance."""
    means = [rng.uniform(0.2, 0.8, 1000) for _ in range(60)]
    found = [choose_noise(m + 0.05 * rng.standard_normal(1000), m, seed=k)[0].family for k, m in enumerate(means)]
    assert sum(family != "gaussian" for family in found) <= 1


def test_variances_have_a_lower_bound():
    noise = NoiseFamily("poisson", slope=1.0, counts=True).pixel_noise(np.array([0.0, 4.0, 4.0, 4.0, 400.0]), 2.0)
    variances = np.array([0.04, 4, 4, 4, 400])
    assert noise.scale == pytest.approx(np.sqrt(variances.mean()) / 2)
    np.testing.assert_allclose(noise.deviation, np.sqrt(variances / variances.mean()), rtol=1e-6)


@pytest.mark.parametrize(("family", "values"), [("logit", [0.2, 1.0]), ("cauchy", [0.0, 1.0])])
def test_values_outside_the_support_of_a_family_are_refused(family, values):
    with pytest.raises(ConfigError, match="noise"):
        NoiseFamily.fit(family, np.array(values), np.array([0.5, 0.5]))
