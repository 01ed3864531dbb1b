"""How states become white pixels: the map written out as a matrix, its transpose, and its rotated rows."""

from dataclasses import replace

import numpy as np
import pytest

from bayespde.core.noise import NoiseModel
from bayespde.solve.derivatives import Grid
from bayespde.solve.resolution import resampled
from bayespde.trajectory.linearised import normal_gradient, normal_matrix
from bayespde.trajectory.observation import Observation
from bayespde.trajectory.problem import Slopes
from bayespde.trajectory.whitener import Whitener

FRAMES, POINTS, PIXELS = 3, (8, 6), (14, 12)
LAGS = (np.array([1.0, 0.3, 0.05]), np.array([1.0, 0.4]))
KINDS = {
    "white": {},
    "correlated": {"correlation": LAGS},
    "window": {"window": (9, 7)},
    "window of correlated pixels": {"window": (9, 7), "correlation": LAGS},
    "shot": {"varies": True},
    "gaps": {"gaps": True, "correlation": LAGS},
    "jitter": {"jitter": (0.1, 0.2)},
    "jitter of a window": {"jitter": (0.1, 0.2), "window": (9, 7), "correlation": LAGS},
}
SEPARABLE = {"white", "correlated", "window", "window of correlated pixels"}


def observation(rng, boundary, window=PIXELS, correlation=(), jitter=(), varies=False, gaps=False):
    grid = Grid(("y", "x"), PIXELS, (1.0 / PIXELS[0], 2.0 / PIXELS[1]))
    seen = rng.random((FRAMES, *window)) > (0.2 if gaps else -1.0)
    noise = NoiseModel(0.3, correlation=correlation)
    weight = np.where(seen, (rng.uniform(1, 4, seen.shape) if varies else 1 / 0.3), 0.0).reshape(FRAMES, -1)
    return Observation(grid, boundary, window, weight, Whitener.of(noise, seen), jitter)


@pytest.fixture(params=[(b, k) for b in ("periodic", "neumann", "dirichlet") for k in KINDS], ids=" ".join)
def case(request, rng):
    boundary, kind = request.param
    found = observation(rng, boundary, **KINDS[kind])
    return found, rng.normal(size=(FRAMES, len(found.jitter))) * 0.1, kind


def white_pixels(seen, states, moved):
    """Of states `[k, time, *points]`: `[k, time, pixels]`."""
    return np.stack([seen.white(pixels) for pixels in seen.predicted(states, moved)])


def test_the_transposed_map_is_the_transpose(case, rng):
    """Products with white pixels are those of what is carried back with states."""
    seen, moved, _ = case
    states, white = rng.normal(size=(FRAMES, *POINTS)), rng.normal(size=seen.weight.shape)
    forward = np.sum(seen.white(seen.predicted(states, moved)) * white)
    backward = np.sum(states * seen.transposed(white, moved, POINTS))
    assert forward == pytest.approx(backward, rel=1e-10)


def test_rows_have_the_products_of_white_pixels(case, rng):
    """With a residual too: what of it no row can have is a rest."""
    seen, moved, kind = case
    assert seen.is_separable == (kind in SEPARABLE)
    slopes, residual = rng.normal(size=(FRAMES, 4, *POINTS)), rng.normal(size=seen.weight.shape)
    rows = np.concatenate([seen.rows(slopes, moved, slice(t, t + 1)) for t in range(FRAMES)])
    together = seen.rows(slopes, moved, slice(0, FRAMES))
    np.testing.assert_allclose(rows, together, atol=1e-10)
    pixels = white_pixels(seen, np.moveaxis(slopes, 1, 0), moved)
    np.testing.assert_allclose(np.einsum("tkr,tlr->kl", rows, rows), np.einsum("ktp,ltp->kl", pixels, pixels))
    turned, rest = seen.rotated(residual, POINTS)
    np.testing.assert_allclose(np.einsum("tkr,tr->k", rows, turned), np.einsum("ktp,tp->k", pixels, residual))
    np.testing.assert_allclose(np.sum(turned**2, axis=1) + rest, np.sum(residual**2, axis=1))


def test_normal_equations_are_those_of_the_whole_design(case, rng):
    """Displacements have a column for every frame."""
    seen, moved, _ = case
    slopes, residual = rng.normal(size=(FRAMES, 4, *POINTS)), rng.normal(size=seen.weight.shape)
    axes, pixels = len(seen.jitter), seen.weight.shape[1]
    own = rng.normal(size=(FRAMES, axes, pixels))
    common = np.moveaxis(white_pixels(seen, np.moveaxis(slopes, 1, 0), moved), 0, -1)
    spread = np.zeros((FRAMES, pixels, FRAMES, axes))
    for t in range(FRAMES):
        spread[t, :, t] = own[t].T
    design = np.concatenate([common, spread.reshape(FRAMES, pixels, -1)], axis=-1).reshape(FRAMES * pixels, -1)
    found = normal_matrix(seen, slopes, own, moved)
    np.testing.assert_allclose(found, design.T @ design, atol=1e-9)
    carried = seen.transposed(residual, moved, POINTS)
    scores = normal_gradient(Slopes(slopes, own, found, found), residual, carried)
    np.testing.assert_allclose(scores, design.T @ residual.ravel(), rtol=1e-5, atol=1e-4)


def test_states_are_resampled_along_each_axis(case, rng):
    seen, _, _ = case
    if seen.jitter:
        seen = replace(seen, jitter=())
    states = rng.normal(size=(2, FRAMES, *POINTS))
    along_y = np.moveaxis(resampled(np.moveaxis(states, -2, 0), PIXELS[0], seen.boundary), 0, -2)
    wanted = np.moveaxis(resampled(np.moveaxis(along_y, -1, 0), PIXELS[1], seen.boundary), 0, -1)
    wanted = wanted[..., : seen.window[0], : seen.window[1]]
    np.testing.assert_allclose(seen.predicted(states, np.zeros((FRAMES, 0))), wanted.reshape(2, FRAMES, -1), atol=1e-12)
