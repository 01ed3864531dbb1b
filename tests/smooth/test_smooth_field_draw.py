"""Draws of a smooth field on its grid, compared with those at scattered points and with the posterior."""

import math

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError, FieldError
from bayespde.smooth.network.config import NetworkConfig
from bayespde.weak.strong_form import StrongFormWarning

T, X = np.linspace(0, 2, 31), np.linspace(-2, 2, 45)
ORDERS = [(0, 0), (1, 0), (0, 1), (0, 3), (1, 1)]
TINY = NetworkConfig(width=10, depth=2, batch=512, collocation=64, learning_rate=1e-2, check_every=25)


@pytest.fixture(scope="module")
def field():
    values = np.exp(-0.3 * T[:, None]) * np.sin(1.5 * X - T[:, None])
    return bp.add_noise(bp.make_field(values, t=T, x=X, units={"u": "K", "x": "nm"}), 0.1, seed=0)


@pytest.fixture(scope="module", params=["spline", "network"])
def smooth(request, field):
    return bp.fit_field(field, options=bp.SmoothingConfig(networks=(TINY,), steps=100), smoother=request.param, seed=1)


def test_draws_have_the_mean_and_the_deviations_of_the_posterior(smooth, seed):
    count, index = 60, (np.array([3, 15, 27]), np.array([5, 20, 41]))
    drawn = np.array([smooth.draw(seed * count + k).evaluate_all(ORDERS)[:, *index] for k in range(count)])
    points = np.column_stack([T[index[0]], X[index[1]]])
    for column, orders in enumerate(ORDERS):
        mean, sd = smooth.at_points(orders, points)
        score = (drawn[:, column].mean(axis=0) - mean) / sd * math.sqrt(count)
        assert np.abs(score).max() < 5
        assert np.abs(drawn[:, column].var(axis=0, ddof=1) / sd**2 - 1).max() < 5.5 * math.sqrt(2 / count)


def test_a_draw_is_one_field(smooth):
    """Its derivatives are those of its values, and the same seed gives the same field."""
    draw = smooth.draw(3)
    values, slope = draw.evaluate_all([(0, 0), (0, 1)])
    assert values.shape == smooth.field.shape
    assert np.array_equal(draw.evaluate((0, 1)), slope)
    assert np.array_equal(smooth.draw(3).evaluate((0, 0)), values)
    assert not np.array_equal(smooth.draw(4).evaluate((0, 0)), values)
    numerical = np.gradient(values, X, axis=1, edge_order=2)[:, 2:-2]
    assert np.linalg.norm(numerical - slope[:, 2:-2]) < 0.02 * np.linalg.norm(slope)
    with pytest.raises(ConfigError, match="seed"):
        smooth.draw(-1)


def test_a_draw_of_networks_is_that_of_the_linear_model(field):
    """The slope along a change of the weights against gradients in all of them."""
    smooth = bp.fit_field(field, options=bp.SmoothingConfig(networks=(TINY,), steps=100), smoother="network", seed=1)
    index = np.arange(31).repeat(2), np.arange(62) % 45
    unit = np.column_stack([2 * T[index[0]] / 2 - 1, X[index[1]] / 2])
    mean = smooth.network.ensemble.evaluate(unit, ORDERS)
    wanted = smooth.network_posterior.draws(unit, ORDERS, count=1, seed=7)[0] - mean
    found = smooth.draw(7).evaluate_all(ORDERS)[:, *index] - smooth.evaluate_all(ORDERS)[:, *index]
    for column, orders in enumerate(ORDERS):
        factor = smooth.spline.scales.amplitude / (1.0 ** orders[0] * 2.0 ** orders[1])
        np.testing.assert_allclose(
            found[column] / factor, wanted[:, column], atol=1e-4 * np.abs(wanted[:, column]).max()
        )


@pytest.mark.filterwarnings(f"ignore::{StrongFormWarning.__module__}.StrongFormWarning")
def test_draws_can_be_assembled_one_by_one(smooth, field):
    """The spread of inclusion probabilities over draws, a dimension of its own: uncertainty from smoothing."""
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u*u_x"], target="u_t")
    found = []
    for seed in range(3):
        statistics = bp.assemble(library, smooth.draw(seed), form=bp.StrongForm())
        found.append(bp.sample(bp.SpinModel(statistics, library), method="exact", seed=0).inclusion_probability)
    together = xr.concat(found, "field_draw")
    assert together.sizes == {"field_draw": 3, "term": 4}
    # u_t = -0.3 u - u_x / 1.5.
    assert together.mean("field_draw").idxmax("term").item() == "u_x"
    assert float(together.std("field_draw").max()) > 0
    with pytest.raises(ConfigError, match="weak form does not take one draw"):
        bp.assemble(library, smooth.draw(0))


@pytest.mark.parametrize(("place", "is_inside"), [([2.0, -2.0], True), ([2.03, 2.04], True), ([2.1, 0], False)])
def test_points_beyond_the_video_by_more_than_half_a_pixel_are_refused(smooth, place, is_inside):
    """Extrapolated, the spline grows without bound."""
    if is_inside:
        assert np.isfinite(smooth.at_points((0, 0), np.array([place]))[0]).all()
    else:
        with pytest.raises(FieldError, match="outside of the video"):
            smooth.at_points((0, 0), np.array([place]))


def test_a_derivative_takes_one_order_for_each_dimension(smooth):
    for orders in ((0,), (0, 0, 0), ()):
        with pytest.raises(ConfigError, match=r"one order for each dimension[\s\S]*\(0, 1\)"):
            smooth.evaluate(orders)
    with pytest.raises(ConfigError, match="no such frame"):
        smooth.evaluate_frames([(0, 1)], [31])
