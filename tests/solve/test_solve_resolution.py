"""Resampling onto coarse grids against closed forms."""

import numpy as np
import pytest

from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import Resolution, resampled, sampling

SERIES = {
    "periodic": (lambda n: np.arange(n) / n, lambda x: 1 + np.sin(2 * np.pi * 3 * x + 1)),
    "neumann": (lambda n: (np.arange(n) + 0.5) / n, lambda x: 1 + np.cos(np.pi * 5 * x)),
    "dirichlet": (lambda n: np.linspace(0, 1, n), lambda x: 2 - 3 * x + np.sin(np.pi * 4 * x)),
}


@pytest.mark.parametrize("boundary", SERIES)
@pytest.mark.parametrize(("given", "wanted"), [(24, 100), (25, 101), (100, 25), (31, 31)])
def test_waves_that_both_grids_resolve_are_unchanged(boundary, given, wanted):
    places, wave = SERIES[boundary]
    np.testing.assert_allclose(resampled(wave(places(given)), wanted, boundary), wave(places(wanted)), atol=1e-13)


@pytest.mark.parametrize("boundary", SERIES)
def test_waves_that_the_grid_does_not_resolve_are_dropped(boundary):
    places, _ = SERIES[boundary]
    short = np.sin(np.pi * 60 * places(100)) if boundary == "dirichlet" else np.cos(np.pi * 60 * places(100))
    assert np.abs(resampled(short, 25, boundary)).max() < 1e-13


@pytest.mark.parametrize("boundary", SERIES)
@pytest.mark.parametrize(("given", "wanted"), [(24, 100), (100, 25), (48, 32), (97, 24), (31, 31)])
def test_values_at_fewer_points_are_those_of_all_waves(boundary, given, wanted):
    """Short waves are not dropped there, but appear as longer ones."""
    places, wave = SERIES[boundary]
    short = np.cos if boundary == "neumann" else np.sin

    def values(x):
        return wave(x) + short(np.pi * 20 * x)

    np.testing.assert_allclose(
        sampling(given, wanted, boundary) @ values(places(given)), values(places(wanted)), atol=1e-12
    )


@pytest.mark.parametrize("boundary", SERIES)
def test_more_points_than_pixels_have_the_same_ends(boundary):
    resolution = Resolution.of(Grid(("x",), (60,), (0.5,)), boundary, (60,))
    finer = resolution.beyond_pixels()
    assert finer.grid.points == (90,)
    assert finer.grid.steps[0] == pytest.approx(0.5 * (59 / 89 if boundary == "dirichlet" else 60 / 90))
    assert finer.finer() is None
    places, wave = SERIES[boundary]
    np.testing.assert_allclose(finer.at_pixels(wave(places(90))[None])[0], wave(places(60)), atol=1e-12)


@pytest.mark.parametrize("boundary", SERIES)
def test_resampling_along_both_axes(boundary, rng):
    pixels = Grid(("y", "x"), (60, 100), (0.5, 0.2))
    resolution = Resolution.of(pixels, boundary, (30, 100))
    assert resolution.grid.points == (30, 100)
    cells = 29 / 59 if boundary == "dirichlet" else 0.5
    np.testing.assert_allclose(resolution.grid.steps, (0.5 / cells, 0.2))
    (along_y, wave), (along_x, _) = SERIES[boundary], SERIES[boundary]
    frames = rng.standard_normal((3, 1, 1)) * wave(along_y(60))[:, None] * wave(along_x(100))
    points = resolution.at_points(frames)
    assert points.shape == (3, 30, 100)
    np.testing.assert_allclose(resolution.at_pixels(points), frames, atol=1e-12)


def test_finer_grids_end_at_the_pixels():
    resolution, sizes = Resolution.for_waves(Grid(("x",), (200,), (1.0,)), "periodic", 0.1), []
    while resolution is not None:
        sizes.append(resolution.grid.points[0])
        resolution = resolution.finer()
    assert sizes[0] == 40
    assert sizes == sorted(sizes)
    assert sizes[-1] == 200
