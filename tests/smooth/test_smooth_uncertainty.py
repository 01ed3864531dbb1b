"""Standard deviations and draws of networks: found when these are fitted, and never by a property."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.fit import fit_field, with_uncertainty
from bayespde.smooth.frame_draws import draw_frames
from bayespde.smooth.network.config import NetworkConfig

T, X = np.linspace(0, 2, 31), np.linspace(-2, 2, 45)
TINY = NetworkConfig(width=10, depth=2, batch=512, collocation=64, learning_rate=1e-2, check_every=25)
QUICK = bp.SmoothingConfig(smoother="network", networks=(TINY,), steps=75, weight=1e-3)
POINTS = np.array([[0.3, -1.0], [1.7, 0.4]])


@pytest.fixture(scope="module")
def noisy():
    values = np.sin(1.5 * X - T[:, None]) + 0.1 * np.random.default_rng(0).standard_normal((31, 45))
    return bp.make_field(values, t=T, x=X)


@pytest.fixture(scope="module")
def calibrated(noisy):
    return fit_field(noisy, options=QUICK)


@pytest.fixture(scope="module")
def plain(noisy):
    return fit_field(noisy, options=replace(QUICK, uncertainty=False))


REQUESTS = {
    "standard deviation at points": lambda s: s.at_points((0, 1), POINTS),
    "standard deviation on the grid": lambda s: s.standard_deviation([(0, 1)]),
    "derivatives with deviations": lambda s: bp.differentiate(s, deviations=True),
    "a draw": lambda s: s.draw(3).evaluate((0, 1)),
    "draws of a frame": lambda s: draw_frames(s, 4, 2, np.random.default_rng(0)),
    "the posterior": lambda s: s.network_posterior.shrinkage,
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
def test_networks_without_uncertainty_refuse_it(plain, request_of):
    with pytest.raises(ConfigError, match="not calibrated") as error:
        request_of(plain)
    assert "with_uncertainty(smooth)" in str(error.value)
    assert "smoother='network'" in str(error.value)


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
def test_nothing_is_trained_after_the_fit(calibrated, request_of, monkeypatch):
    for module in ("calibrate", "selection"):
        monkeypatch.setattr(f"bayespde.smooth.network.{module}.train", lambda *_, **__: pytest.fail("training began"))
    request_of(calibrated)
    request_of(from_dataset(to_dataset(calibrated)))


def test_both_remedies_give_the_same_standard_deviations(noisy, calibrated, plain):
    wanted = calibrated.at_points((0, 1), POINTS)
    again = fit_field(noisy, smoother="network", options=QUICK)
    for smooth in (with_uncertainty(plain), again):
        for found, value in zip(smooth.at_points((0, 1), POINTS), wanted, strict=True):
            assert np.array_equal(found, value)
    assert np.array_equal(plain.evaluate((0, 2)), calibrated.evaluate((0, 2)))


def test_a_spline_has_its_uncertainty_anyway(noisy):
    smooth = fit_field(noisy, options=replace(QUICK, uncertainty=False), smoother="spline")
    assert np.all(smooth.at_points((0, 1), POINTS)[1] > 0)
    assert with_uncertainty(smooth) is smooth
