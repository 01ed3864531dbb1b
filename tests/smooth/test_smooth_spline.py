"""The penalised spline against formulas, a dense solution of the same problem, and repeated noise."""

from functools import lru_cache

import numpy as np
import pytest
from scipy.interpolate import BSpline

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.smooth.spline.basis import AxisBasis, SplineConfig
from bayespde.smooth.spline.fit import fit_spline

T, X = np.linspace(0, 2, 41), np.linspace(-1, 3, 61)
ORDERS = [(0, 0), (1, 0), (0, 1), (0, 2)]


def truth(orders, t=T, x=X):
    """Derivatives of sin(1.5 x - t) + 0.5 cos(2 x + t) on the grid."""
    phase, other = np.add.outer(-t, 1.5 * x), np.add.outer(t, 2 * x)
    total = sum(orders)
    first = (-1.0) ** orders[0] * 1.5 ** orders[1] * np.sin(phase + total * np.pi / 2)
    return first + 0.5 * 2.0 ** orders[1] * np.cos(other + total * np.pi / 2)


def field(values, t=T, x=X):
    return bp.make_field(values, t=t, x=x)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 3), (2, 2), (0, 4)])
def test_polynomials_without_penalty_are_reproduced(orders):
    in_time, in_space = np.polynomial.Polynomial([0.3, 1, -0.5, 0.2]), np.polynomial.Polynomial([1, -2, 0.4, 0.6])
    fit = fit_spline(field(np.outer(in_time(T), in_space(X))))
    wanted = np.outer(in_time.deriv(orders[0])(T), in_space.deriv(orders[1])(X))
    scale = np.abs(np.outer(in_time(T), in_space(X))).max()
    found = fit.evaluate(orders) * 2.0 ** orders[0] * 4.0 ** orders[1]
    assert np.allclose(found, wanted * 2.0 ** orders[0] * 4.0 ** orders[1], atol=1e-6 * scale * 10 ** sum(orders))


@pytest.mark.parametrize(
    ("orders", "error"),
    [((0, 0), 1e-7), ((1, 0), 1e-5), ((0, 1), 1e-5), ((0, 2), 1e-4), ((1, 1), 1e-4), ((0, 4), 0.03)],
)
def test_a_clean_analytic_field_has_nearly_exact_derivatives(orders, error):
    assert relative(fit_spline(field(truth((0, 0)))).evaluate(orders), truth(orders)) < error


def test_two_space_dimensions():
    y = np.linspace(0, 2, 25)
    values = np.cos(y)[None, :, None] * truth((0, 0))[:, None, :]
    fit = fit_spline(bp.make_field(values, t=T, y=y, x=X))
    assert relative(fit.evaluate((0, 1, 1)), -np.sin(y)[None, :, None] * truth((0, 1))[:, None, :]) < 1e-3
    assert relative(fit.evaluate((1, 0, 0)), np.cos(y)[None, :, None] * truth((1, 0))[:, None, :]) < 1e-4


def test_any_grid_and_any_points_agree_with_the_grid_of_the_data(rng):
    fit = fit_spline(field(truth((0, 0)) + 0.1 * rng.standard_normal((41, 61))))
    grid = fit.evaluate((1, 2))
    assert np.allclose(fit.evaluate((1, 2), (T, X)), grid, rtol=1e-9, atol=1e-9)
    index = rng.integers(0, 41, 50), rng.integers(0, 61, 50)
    mean, sd = fit.at_points((1, 2), np.column_stack([T[index[0]], X[index[1]]]))
    assert np.allclose(mean, grid[index], rtol=1e-8, atol=1e-8)
    assert np.allclose(sd, fit.standard_deviation((1, 2))[index], rtol=1e-8)
    between = np.linspace(0, 2, 7)[1:-1] + 0.013, np.linspace(-1, 3, 9)[1:-1] + 0.017
    step = 1e-4
    moved = [fit.evaluate((0, 0), (between[0], between[1] + s)) for s in (step, -step)]
    assert np.allclose(fit.evaluate((0, 1), between), (moved[0] - moved[1]) / (2 * step), atol=1e-5)


# Against repeated noise


@lru_cache(maxsize=8)
def repeated(seed, noise, draws=40):
    rng = np.random.default_rng(seed)
    return [fit_spline(field(truth((0, 0)) + noise * rng.standard_normal((41, 61)))) for _ in range(draws)]


@pytest.mark.parametrize("noise", [0.003, 0.05, 0.5])
def test_the_noise_level_is_found(seed, noise):
    found = np.array([f.noise_scale for f in repeated(seed, noise)])
    one = noise / np.sqrt(2 * (41 * 61 - repeated(seed, noise)[0].degrees_of_freedom))
    assert abs(found.mean() - noise) < 5 * one / np.sqrt(len(found)) + 0.01 * noise
    assert np.all(np.abs(found - noise) < 5 * one + 0.02 * noise)


@pytest.mark.parametrize("noise", [0.003, 0.5])
@pytest.mark.parametrize("orders", ORDERS)
def test_intervals_have_their_nominal_coverage(seed, noise, orders):
    """Averaged over the grid, such intervals cover 90 % within a few per cent."""
    wanted, covered = truth(orders), []
    for fit in repeated(seed, noise):
        covered.append(np.mean(np.abs(fit.evaluate(orders) - wanted) < 1.645 * fit.standard_deviation(orders)))
    error = np.std(covered, ddof=1) / np.sqrt(len(covered))
    assert 0.84 - 5 * error < np.mean(covered) < 0.97 + 5 * error


def test_the_field_is_far_better_than_the_noise(seed):
    errors = [np.sqrt(np.mean((f.evaluate((0, 0)) - truth((0, 0))) ** 2)) for f in repeated(seed, 0.5)]
    assert np.mean(errors) < 0.2 * 0.5


@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 2)])
def test_draws_scatter_by_the_posterior_standard_deviation(seed, orders):
    fit, rng = repeated(seed, 0.5)[0], np.random.default_rng(seed)
    draws = np.array([fit.draw(rng).evaluate(orders) for _ in range(400)])
    ratio = draws.std(axis=0, ddof=1) / fit.standard_deviation(orders)
    assert abs(ratio.mean() - 1) < 5 / np.sqrt(2 * 400)
    assert np.abs(ratio - 1).max() < 6 / np.sqrt(2 * 400)
    deviation = (draws.mean(axis=0) - fit.evaluate(orders)) / fit.standard_deviation(orders)
    assert np.abs(deviation).max() < 6 / np.sqrt(400)


# Against a dense solution of the same problem


SMALL_T, SMALL_X = np.linspace(0, 1, 9), np.linspace(0, 3, 12)
NEAR = [(1.3, 1), (1 / 1.3, 1), (1, 1.3), (1, 1 / 1.3)]
FAR = [(3, 1), (1 / 3, 1), (1, 3), (1, 1 / 3), (30, 30), (1e-3, 1e-3), (100, 0.01), (1e-6, 1), (1e-12, 1e-12)]
CONFIG = SplineConfig(degree=4, penalty_order=2, samples_per_knot=2.0, hold_out="pixels")


def raw_basis(count, order=0, positions=None):
    """B-splines of degree 4 on the unit interval with about two samples per knot, by an independent construction."""
    intervals = min(int(np.ceil(count / 2)), count - 4)
    knots = np.concatenate([np.zeros(4), np.linspace(0, 1, intervals + 1), np.ones(4)])
    positions = np.linspace(0, 1, count) if positions is None else positions
    columns = []
    for i in range(len(knots) - 5):
        spline = BSpline(knots, np.eye(len(knots) - 5)[i], 4)
        columns.append(spline(positions) if order == 0 else spline.derivative(order)(positions))
    return np.column_stack(columns)


def roughness(count):
    """Integral of products of second derivatives by a fine midpoint rule."""
    fine = (np.arange(20000) + 0.5) / 20000
    second = raw_basis(count, 2, fine)
    return second.T @ second / 20000


def hat_matrix(weights, observed=None):
    """Smoother matrix of the whole grid from the normal equations of the Kronecker system."""
    one, two = raw_basis(9), raw_basis(12)
    design = np.kron(one, two)
    # The roughness along an axis is summed over the samples of the other one.
    penalty = weights[0] * np.kron(roughness(9), two.T @ two) + weights[1] * np.kron(one.T @ one, roughness(12))
    seen = design if observed is None else design[observed]
    return design @ np.linalg.solve(seen.T @ seen + penalty, seen.T)


@pytest.fixture
def small(rng):
    values = np.sin(np.add.outer(2 * SMALL_T, 1.5 * SMALL_X)) + 0.2 * rng.standard_normal((9, 12))
    return values - values.mean()


def test_the_fit_its_degrees_of_freedom_and_sd_are_those_of_the_dense_system(small):
    fit = fit_spline(field(small, SMALL_T, SMALL_X), config=CONFIG)
    hat = hat_matrix(fit.weights)
    assert np.allclose(fit.evaluate((0, 0)).ravel(), hat @ small.ravel(), atol=1e-6)
    assert fit.degrees_of_freedom == pytest.approx(np.trace(hat), rel=1e-6)
    residual = small.ravel() - hat @ small.ravel()
    variance = residual @ residual / (108 - np.trace(hat))
    assert fit.noise_scale == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert fit.score == pytest.approx(np.sqrt(108 * residual @ residual) / (108 - np.trace(hat)), rel=1e-6)
    assert np.allclose(fit.standard_deviation((0, 0)).ravel(), np.sqrt(variance * np.diagonal(hat)), rtol=1e-5)


def test_the_weights_minimise_the_dense_cross_validation_score(small):
    fit = fit_spline(field(small, SMALL_T, SMALL_X), config=CONFIG)

    def score(weights):
        hat = hat_matrix(weights)
        residual = small.ravel() - hat @ small.ravel()
        return 108 * residual @ residual / (108 - np.trace(hat)) ** 2

    best = score(fit.weights)
    for factors in NEAR:
        assert score(np.array(fit.weights) * factors) > best * (1 - 1e-5)
    for factors in FAR:  # a score of two weights may have two minima that hardly differ
        assert score(np.array(fit.weights) * factors) > best * (1 - 0.02)


def test_missing_pixels_do_not_count_in_the_fit(small, rng):
    gappy = small.copy()
    gappy.flat[rng.choice(108, 15, replace=False)] = np.nan
    gappy[4, 5:8] = np.nan
    fit = fit_spline(field(gappy, SMALL_T, SMALL_X), config=CONFIG)
    observed, offset = ~np.isnan(gappy.ravel()), np.nanmean(gappy)
    hat = hat_matrix(fit.weights, observed)
    wanted = hat @ (gappy.ravel()[observed] - offset) + offset
    assert np.allclose(fit.evaluate((0, 0)).ravel(), wanted, atol=1e-5)


def test_a_hole_in_a_smooth_field_is_filled_with_its_values(rng):
    values = truth((0, 0)) + 0.01 * rng.standard_normal((41, 61))
    values[18:23, 28:34] = np.nan
    found = fit_spline(field(values)).evaluate((0, 0))
    assert np.abs(found - truth((0, 0)))[18:23, 28:34].max() < 0.05


# The basis


def test_the_basis_is_orthonormal_with_a_diagonal_penalty():
    basis = AxisBasis.build(np.linspace(0, 1, 40), SplineConfig())
    size = basis.grid.shape[1]
    assert np.allclose(basis.grid.T @ basis.grid, np.eye(size), atol=1e-8)
    assert np.allclose(basis.evaluate(np.linspace(0, 1, 40), 0), basis.grid, atol=1e-8)
    edges = np.unique(basis.knots)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    points = (edges[:-1, None] + np.diff(edges)[:, None] * (nodes + 1) / 2).ravel()
    mass = (np.diff(edges)[:, None] * weights / 2).ravel()
    fourth = basis.evaluate(points, 4)
    gram = fourth.T @ (fourth * mass[:, None])
    assert np.allclose(gram, np.diag(basis.penalty), atol=1e-7 * basis.penalty.max())
    assert np.all(basis.penalty[:4] == 0)
    assert np.all(basis.penalty[4:] > 0)
    assert np.all(np.diff(basis.penalty) >= 0)


def test_derivatives_above_the_degree_vanish():
    assert np.all(AxisBasis.build(np.linspace(0, 1, 40), SplineConfig(degree=3, penalty_order=2)).evaluate(X, 4) == 0)


@pytest.mark.parametrize("count", [5, 6, 8])
def test_short_axes_still_work(count):
    t = np.linspace(0, 1, count)
    fit = fit_spline(field(np.outer(1 + t, np.sin(X)), t, X))
    assert np.allclose(fit.evaluate((1, 0)), np.sin(X), atol=1e-4)


# What is left out


def per_frame_noise(seed, frames=80):
    rng = np.random.default_rng(seed)
    t, x = np.linspace(0, 4, frames), X
    shift = 0.15 * rng.standard_normal(frames)
    values = np.sin(1.5 * (x - shift[:, None]) - t[:, None])
    return field(values + 0.01 * rng.standard_normal(values.shape), t, x), np.sin(1.5 * x - t[:, None])


def test_frames_are_left_out_where_the_noise_of_a_frame_is_correlated(seed):
    noisy, clean = per_frame_noise(seed)
    fit = fit_spline(noisy)
    assert fit.hold_out == "frames"
    assert fit.correlation[1] > 0.3
    pixels = fit_spline(noisy, config=SplineConfig(hold_out="pixels"))
    assert relative(fit.evaluate((0, 0)), clean) < 0.7 * relative(pixels.evaluate((0, 0)), clean)
    assert fit.weights[0] > 10 * pixels.weights[0]


def test_pixels_are_left_out_where_the_noise_is_white_or_absent(rng):
    assert fit_spline(field(truth((0, 0)) + 0.1 * rng.standard_normal((41, 61)))).hold_out == "pixels"
    assert fit_spline(field(truth((0, 0)))).hold_out == "pixels"
    assert fit_spline(field(truth((0, 0))), config=SplineConfig(hold_out="frames")).hold_out == "frames"


def test_leaving_out_frames_is_the_score_of_one_smoother_per_spatial_mode(small):
    """Every spatial mode is a time series with its own smoother; energy outside the modes is a constant."""
    config = SplineConfig(degree=4, penalty_order=2, samples_per_knot=2.0, hold_out="frames")
    fit = fit_spline(field(small, SMALL_T, SMALL_X), config=config)
    modes = AxisBasis.build(np.linspace(0, 1, 12), config)
    time, rough = raw_basis(9), roughness(9)
    lost = np.sum(small**2) - np.sum((small @ modes.grid) ** 2)

    def score(weights):
        total, freedom = lost, 0.0
        for mode, penalty in enumerate(modes.penalty):
            # Shrinkage 1 / (1 + w p + v q): the penalty of the mode acts on it as a whole.
            normal = time.T @ time * (1 + weights[1] * penalty) + weights[0] * rough
            smoother = time @ np.linalg.solve(normal, time.T)
            series = small @ modes.grid[:, mode]
            total += np.sum((series - smoother @ series) ** 2) / (1 - np.trace(smoother) / 9) ** 2
            freedom += np.trace(smoother)
        return total, freedom

    best, freedom = score(fit.weights)
    assert fit.degrees_of_freedom == pytest.approx(freedom, rel=1e-6)
    for factors in NEAR:
        assert score(np.array(fit.weights) * factors)[0] > best * (1 - 1e-5)
    for factors in FAR:
        assert score(np.array(fit.weights) * factors)[0] > best * (1 - 0.02)


def test_units_and_offsets_do_not_matter(rng):
    values = truth((0, 0)) + 0.1 * rng.standard_normal((41, 61))
    fit = fit_spline(field(values))
    other = fit_spline(field(1e-6 * values + 3e-6, 3600 * T + 1e4, 1e-9 * X))
    assert other.noise_scale == pytest.approx(1e-6 * fit.noise_scale, rel=1e-4)
    assert np.allclose(other.evaluate((0, 2)) * 1e6 * 1e-18, fit.evaluate((0, 2)), atol=1e-3)
    assert np.allclose(other.standard_deviation((1, 0)) * 1e6 * 3600, fit.standard_deviation((1, 0)), rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"degree": 3, "penalty_order": 4},
        {"penalty_order": 0},
        {"samples_per_knot": 0.5},
        {"maximum_knots": 0},
        {"hold_out": "rows"},
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings):
    with pytest.raises(ConfigError, match="setting"):
        SplineConfig(**settings)
