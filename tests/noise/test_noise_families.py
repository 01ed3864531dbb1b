"""Noise families: parameters against simulation, and the choice between them."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.noise.families import FAMILIES, choose_noise, fit_family
from bayespde.noise.families.choice import family_module
from bayespde.noise.families.poisson import Poisson

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
    assert fit_family("gaussian", *simulated("gaussian", rng)).scale == pytest.approx(0.1, rel=error)
    assert fit_family("logit", *simulated("logit", rng)).scale == pytest.approx(0.5, rel=error)
    heavy = fit_family("student_t", *simulated("student_t", rng))
    assert heavy.scale == pytest.approx(0.1, rel=5 * 1.3 / math.sqrt(COUNT))
    assert heavy.freedom == pytest.approx(3.0, rel=5 * 4.0 / math.sqrt(COUNT))
    observed, mean = simulated("detector", rng)
    detector = fit_family("poisson", observed, mean)
    ends = detector.variance(np.array([1.0, 3.0]))
    np.testing.assert_allclose(ends, [0.02, 0.22], rtol=5 * 4 / math.sqrt(COUNT))
    counts = fit_family("poisson", *simulated("poisson", rng))
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
    noise = Poisson(slope=1.0, counts=True).pixel_noise(np.array([0.0, 4.0, 4.0, 4.0, 400.0]), 2.0)
    variances = np.array([0.04, 4, 4, 4, 400])
    assert noise.scale == pytest.approx(np.sqrt(variances.mean()) / 2)
    np.testing.assert_allclose(noise.deviation, np.sqrt(variances / variances.mean()), rtol=1e-6)


@pytest.mark.parametrize(("family", "values"), [("logit", [0.2, 1.0]), ("cauchy", [0.0, 1.0])])
def test_values_outside_the_support_of_a_family_are_refused(family, values):
    with pytest.raises(ConfigError, match="noise"):
        fit_family(family, np.array(values), np.array([0.5, 0.5]))


# A family as another package would have it: the standard deviation is a share of the value, next to a small constant.
TOY = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from bayespde.noise.families.base import NoiseFamily

SUPPORT = "positive values"

@dataclass(frozen=True)
class Relative(NoiseFamily):
    share: float
    family: ClassVar[str] = "relative"
    def variance(self, mean):
        return np.asarray((self.share * mean) ** 2)
    def describe(self):
        return f"relative: sd {self.share:.3g} of the mean"

def is_possible(observed):
    return bool(observed.min() > 0)

def fit(observed, mean):
    return Relative(float(np.sqrt(np.mean((observed / mean - 1) ** 2))))
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_names_itself_and_gives_pixels_its_variance(family, rng):
    observed, mean = simulated(family, rng)
    noise = fit_family(family, observed, mean)
    assert noise.family == family
    assert noise.describe().startswith(family)
    assert family_module(family).SUPPORT
    assert np.all(noise.variance(mean) > 0)
    assert np.isfinite(noise.log_density(observed, mean)).all()
    pixels = noise.pixel_noise(mean, 2.0)
    spread = pixels.scale if pixels.deviation is None else pixels.scale * pixels.deviation
    assert np.sqrt(np.mean(np.square(spread))) == pytest.approx(np.sqrt(noise.variance(mean).mean()) / 2, rel=1e-3)


def test_a_new_family_is_one_module_and_one_line(tmp_path, monkeypatch, rng):
    (tmp_path / "bayespde_toy_family.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    for name in set(FAMILIES) - {"gaussian", "student_t", "poisson"}:
        monkeypatch.delitem(FAMILIES, name)
    monkeypatch.setitem(FAMILIES, "relative", "bayespde_toy_family")
    mean = rng.uniform(1, 30, 4000)
    noise, scores = choose_noise(mean * (1 + 0.1 * rng.standard_normal(4000)), mean, seed=0)
    assert noise.describe() == f"relative: sd {noise.share:.3g} of the mean"
    assert noise.share == pytest.approx(0.1, rel=0.1)
    assert max(scores, key=scores.get) == "relative"
    assert bp.SmoothingConfig(noise="relative").noise == "relative"
    with pytest.raises(ConfigError, match="cannot have relative noise") as caught:
        fit_family("relative", -mean, mean)
    assert caught.value.wanted == f"positive values; or one of {', '.join(FAMILIES)}"
