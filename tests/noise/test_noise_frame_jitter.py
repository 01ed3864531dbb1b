"""Shifts of whole frames: their share of the noise and their size, from simulated frames."""

import math

import numpy as np
import pytest

from bayespde.noise.frame_jitter import frame_shift


@pytest.mark.parametrize("axes", [1, 2])
def test_shifts_of_frames_are_distinguished_from_white_noise(axes, rng):
    coordinates = np.meshgrid(*[np.linspace(-1, 1, 40)] * axes, indexing="ij")
    shifts = 0.02 * rng.standard_normal((300, axes))

    def frame(shift):
        return np.tanh(sum((1 + k) * (c - s) for k, (c, s) in enumerate(zip(coordinates, shift, strict=True))) / 0.5)

    mean = np.stack([frame(np.zeros(axes))] * 300)
    slopes = [(1 - mean**2) * (1 + k) / 0.5 for k in range(axes)]
    shaken = np.stack([frame(s) for s in shifts])
    found = frame_shift(shaken, [mean, *slopes])
    assert found.share > 0.97
    white = 0.02 * rng.standard_normal(mean.shape)
    assert frame_shift(mean + white, [mean, *slopes]).share < 0.01
    assert 0.2 < frame_shift(shaken + white, [mean, *slopes]).share < 0.9
    if axes == 1:
        error = 5 / math.sqrt(2 * 300)
        assert found.scale[0] == pytest.approx(0.02, rel=error + 0.02)
        # Missing pixels are left out.
        gappy = np.where(rng.random(shaken.shape) < 0.3, np.nan, shaken)
        assert frame_shift(gappy, [mean, *slopes]).share > 0.97
