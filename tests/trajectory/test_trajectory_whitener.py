"""Whitened residuals have unit covariance exactly, with and without gaps."""

import numpy as np
import pytest
from scipy.linalg import block_diag, toeplitz

from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel
from bayespde.trajectory.whitener import Whitener

LAGS = (np.array([1.0, 0.3, 0.05]), np.array([1.0, 0.4]))


def covariance(lags, shape):
    """Of all pixels of one frame, written out pair by pair."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, len(shape))
    away = np.abs(places[:, None] - places[None, :])
    padded = [np.pad(c, (0, n)) for c, n in zip(lags, shape, strict=True)]
    return np.prod([c[away[..., axis]] for axis, c in enumerate(padded)], axis=0)


@pytest.mark.parametrize(("lags", "shape"), [(LAGS[:1], (15,)), (LAGS, (6, 7)), ((np.ones(1), LAGS[1]), (4, 9))])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_white_values_have_unit_covariance(rng, lags, shape, has_gaps):
    """W C W' = 1 on the observed pixels, and the volume of W is that of C to the power -1/2."""
    seen = rng.random((3, *shape)) > (0.3 if has_gaps else -1.0)
    seen[2] = True
    whiten = Whitener.of(NoiseModel(1.0, correlation=lags), seen)
    pixels, flat = int(np.prod(shape)), seen.reshape(3, -1)
    unit = np.moveaxis(np.eye(3 * pixels).reshape(-1, 3, pixels), 0, 1) * flat[:, None]
    linear = np.moveaxis(whiten(unit), 1, 2).reshape(3 * pixels, -1)
    transposed = np.moveaxis(whiten(unit, transpose=True), 1, 2).reshape(3 * pixels, -1)
    assert np.allclose(transposed, linear.T, atol=1e-12)
    everything = block_diag(*[covariance(lags, shape) * np.outer(f, f) for f in flat])
    white = linear @ everything @ linear.T
    # A frame with gaps has as many white values as it has pixels.
    kept = flat.ravel()
    assert np.allclose(white, np.diag(kept.astype(float)), atol=1e-9)
    _, volume = np.linalg.slogdet(everything[np.ix_(kept, kept)])
    assert whiten.log_volume == pytest.approx(-volume / 2, abs=1e-9)


def test_vectors_and_matrices_are_whitened_alike(rng):
    seen = rng.random((4, 12)) > 0.2
    whiten = Whitener.of(NoiseModel(1.0, correlation=LAGS[1:]), seen)
    values = rng.standard_normal((4, 3, 12)) * seen[:, None]
    assert np.allclose(whiten(values)[:, 1], whiten(values[:, 1]))
    part = slice(1, 3)
    assert np.allclose(whiten.of_frames(part)(values[part]), whiten(values)[part])


def test_independent_pixels_are_not_changed(rng):
    values = rng.standard_normal((4, 12))
    whiten = Whitener.of(NoiseModel(1.0), np.ones((4, 12), dtype=bool))
    assert whiten(values) is values
    assert whiten.log_volume == 0.0


def test_densities_that_cannot_be_measured_are_raised():
    """Noise through a wide filter has next to none at short waves; the fit must not depend on that."""
    lags = np.exp(-np.square(np.arange(9)) / 8)
    values = np.linalg.eigvalsh(toeplitz(np.pad(lags, (0, 31))))
    assert values[0] < 1e-3 * values[-1]
    whiten = Whitener.of(NoiseModel(1.0, correlation=(lags,)), np.ones((1, 40), dtype=bool))
    gain = np.linalg.norm(whiten(np.eye(40)[None])[0], 2)
    assert gain**2 == pytest.approx(1 / (0.01 * values[-1]), rel=1e-6)


def test_correlations_that_do_not_fit_the_frames_are_refused():
    with pytest.raises(ConfigError, match="per dimension"):
        Whitener.of(NoiseModel(1.0, correlation=LAGS), np.ones((3, 10), dtype=bool))
    seen = np.ones((2, 50, 50), dtype=bool)
    seen[0, 0, 0] = False
    with pytest.raises(ConfigError, match="too large for trajectories"):
        Whitener.of(NoiseModel(1.0, correlation=LAGS), seen)
