"""Displaced frames against their Fourier series."""

import numpy as np

from bayespde.trajectory.frame_shift import displaced

X = 5.0 * np.arange(40) / 40
WAVE = 2 * np.pi / 5.0


def test_periodic_frames_are_displaced_exactly(rng):
    moved = rng.standard_normal((6, 1))
    frames = np.tile(1 + np.sin(WAVE * X) + 0.3 * np.cos(3 * WAVE * X), (2, 6, 1))
    there = X + moved
    found = displaced(frames, moved, (X[1],), "periodic")
    assert np.allclose(found, 1 + np.sin(WAVE * there) + 0.3 * np.cos(3 * WAVE * there))
    slope = displaced(frames, moved, (X[1],), "periodic", 0)
    assert np.allclose(slope, WAVE * np.cos(WAVE * there) - 0.9 * WAVE * np.sin(3 * WAVE * there))


def test_frames_with_neumann_boundaries_are_mirrored(rng):
    """Walls half a pixel outside: cosines stay cosines."""
    x, moved = (np.arange(30) + 0.5) / 30, 0.1 * rng.standard_normal((4, 1))
    found = displaced(np.tile(np.cos(2 * np.pi * x), (1, 4, 1)), moved, (1 / 30,), "neumann")
    assert np.allclose(found[0], np.cos(2 * np.pi * (x + moved)))


def test_planes_are_displaced_along_both_axes(rng):
    y, moved = 3.0 * np.arange(24) / 24, 0.3 * rng.standard_normal((5, 2))
    along = np.sin(2 * np.pi * y / 3)[:, None] * np.cos(WAVE * X)
    frames = np.tile(along, (1, 5, 1, 1))
    spacing = (y[1], X[1])

    def exact(extra):
        place = moved + extra
        one = np.sin(2 * np.pi * (y[None, :] + place[:, :1]) / 3)
        return one[:, :, None] * np.cos(WAVE * (X[None, :] + place[:, 1:]))[:, None, :]

    assert np.allclose(displaced(frames, moved, spacing, "periodic")[0], exact([0, 0]))
    for axis in range(2):
        step = 1e-6 * np.eye(2)[axis]
        wanted = (exact(step) - exact(-step)) / 2e-6
        assert np.allclose(displaced(frames, moved, spacing, "periodic", axis)[0], wanted, atol=1e-7)
