"""The prior of waves below their error, where the spectrum decays by a known factor from wave to wave."""

from dataclasses import replace

import numpy as np
import pytest

from bayespde.trajectory.initial_state_basis import spectral_decay_prior, state_basis


@pytest.fixture
def basis():
    """All Fourier modes of 32 points, with a wide prior."""
    found = state_basis(np.random.default_rng(0).normal(size=32), boundary="periodic", error=1e-9, most=32)
    assert found.modes.shape == (32, 32)
    return replace(found, deviation=np.full(32, 10.0))


def test_beyond_the_last_significant_wave_the_prior_falls_as_the_spectrum(basis):
    """Amplitudes exp(-k); errors so large that 4 waves are significant, and that of the next two is not larger."""
    number = np.round(basis.wave * 16)
    amplitudes, error = np.exp(-number), 0.1 * np.exp(-4)
    frame = basis.modes @ (amplitudes * (-1) ** np.arange(32))
    draws = np.array([frame + error * basis.modes @ np.where(number >= k, 1, -1) for k in range(5)])
    found = spectral_decay_prior(basis, frame, draws, error=3.1 * np.exp(-9))
    kept = number <= 8
    np.testing.assert_allclose(found.wave, basis.wave[kept])
    np.testing.assert_allclose(found.modes, basis.modes[:, kept])
    np.testing.assert_allclose(found.deviation, np.where(number <= 4, 10.0, 3 * np.exp(-number))[kept], rtol=1e-9)


def test_a_spectrum_that_does_not_decay_leaves_the_prior_no_wider_than_it_was(basis):
    frame = basis.modes @ np.ones(32)
    found = spectral_decay_prior(basis, frame, np.array([frame + 2 * basis.modes @ np.ones(32)]), error=1e-9)
    assert np.all(found.deviation[1:] == pytest.approx(6.0))
    narrow = replace(basis, deviation=np.full(32, 0.5))
    found = spectral_decay_prior(narrow, frame, np.array([frame + 2 * basis.modes @ np.ones(32)]), error=1e-9)
    assert np.all(found.deviation == 0.5)
