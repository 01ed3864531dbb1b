"""Whiteness scores: normal where residuals are noise of any kind, large where an equation does not fit."""

import numpy as np
import pytest
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from bayespde.trajectory.whiteness import FAST, whiteness_score

FRAMES, SHAPE = 64, (32,)
# Of sixty scores, each the largest of some twenty that are correlated: beyond has a probability of less than 1e-4.
MANY = 5.5


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_noise_that_is_correlated_in_space_has_normal_scores(width, rng):
    scores = []
    for _ in range(60):
        noise = gaussian_filter(rng.standard_normal((FRAMES, *SHAPE)), (0, width), mode="wrap")
        scores.append(whiteness_score(3.0 * noise, SHAPE))
    assert max(scores) < MANY
    # The largest of some correlated normal deviates: above zero, but not far.
    assert 0 < np.mean(scores) < 2.5


def test_one_score_is_standard_normal(rng):
    """With a dozen frames and one wave there is one score only."""
    scores = [whiteness_score(rng.standard_normal((12, 1)), (1,)) for _ in range(400)]
    assert kstest(scores, "norm").pvalue > 1e-5


def test_slow_residuals_below_the_noise_have_a_large_score(rng):
    t, x = np.arange(FRAMES)[:, None] / FRAMES, np.arange(32) / 32
    for noise in (1.0, 1e-3):
        missed = 0.6 * np.sin(2 * np.pi * t) * np.cos(2 * np.pi * x)
        assert whiteness_score(noise * (missed + rng.standard_normal((FRAMES, 32))), SHAPE) > 4


def test_two_dimensions_and_gaps(rng):
    noise = rng.standard_normal((FRAMES, 8, 8))
    noise[rng.random(noise.shape) < 0.2] = 0.0
    assert whiteness_score(noise.reshape(FRAMES, -1), (8, 8)) < MANY
    missed = 0.8 * np.linspace(-1, 1, FRAMES)[:, None, None] * np.cos(np.pi * np.arange(8) / 8)
    assert whiteness_score((noise + missed).reshape(FRAMES, -1), (8, 8)) > 4


def test_few_frames_have_score_zero():
    assert whiteness_score(np.ones((5, 8)), (8,)) == 0.0


def test_the_noise_is_that_of_the_fastest_waves(rng):
    """Waves in time between the slow and the fast ones count for nothing; of 65 frames 32 are fast."""
    frames = FRAMES + 1
    waves = dctn(rng.standard_normal((frames, *SHAPE)), norm="ortho")
    score = whiteness_score(idctn(waves, norm="ortho"), SHAPE)
    waves[frames // 8 : -(frames // FAST)] *= 30.0
    assert whiteness_score(idctn(waves, norm="ortho"), SHAPE) == pytest.approx(score, rel=1e-9)
    waves[-(frames // FAST) :] *= 30.0
    assert whiteness_score(idctn(waves, norm="ortho"), SHAPE) < score - 3
