"""The covariance of the moments: exactly that of the noise of every pixel, frame by frame and pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from manufactured import SMOOTH, SMOOTH_2D, Formula, t, x
from scipy import linalg
from weak_problems import CASES, CLEAN, SMALL, problem, with_noise

from bayespde.core.noise import NoiseModel
from bayespde.weak.moment_covariance import correlated_bumps


def response(formula, options, point, target, places=None):
    """Change of the rows z = b - D beta0 when one pixel rises by one, for each pixel: `[m, pixels]`."""
    beta = np.array(list(point.values()))
    columns = []
    for pixel in range(np.prod(formula.shape)) if places is None else places:
        noise = np.zeros(formula.shape)
        noise.flat[pixel] = 1.0
        weak = problem(formula, list(point), noise=noise, options=options, target=target)
        columns.append(weak.target - weak.correction @ beta)
    base = problem(formula, list(point), options=options, target=target)
    return np.column_stack(columns) - (base.target - base.correction @ beta)[:, None], base


@pytest.mark.parametrize("case", CASES)
def test_the_covariance_is_that_of_independent_noise_in_every_pixel(case):
    formula, options, point, target = CASES[case]
    matrix, base = response(formula, options, point, target)
    found = base.covariance(np.array(list(point.values())))
    wanted = formula.noise_scale**2 * matrix @ matrix.T
    assert len(found) >= 8
    assert np.allclose(found, wanted, atol=1e-9 * np.abs(wanted).max(), rtol=0)


FINE = Formula(SMOOTH, (np.linspace(0, 1.6, 12), np.linspace(0, 4, 48)), noise_scale=0.03)
FINE_2D = Formula(SMOOTH_2D, (np.linspace(0, 1, 6), np.linspace(0, 2, 15), np.linspace(0, 3, 15)), noise_scale=0.03)
NEIGHBOURS = np.array([1.0, 0.45, 0.1])


@pytest.mark.parametrize(
    ("formula", "widths", "point"),
    [
        (FINE, {"time": 4, "x": 16}, {"u": 0.5, "u*u_x": -1.0}),
        pytest.param(FINE_2D, {"time": 2, "y": 6, "x": 6}, {"u_x": 0.7, "u*u_y": -1.0}, marks=pytest.mark.slow),
    ],
)
def test_correlated_noise_enters_the_covariance(formula, widths, point):
    matrix, base = response(formula, replace(SMALL, support_radius=widths), point, "u_t")
    lags = [np.ones(1)] + [NEIGHBOURS] * (len(formula.shape) - 1)
    of_pixels = np.ones((1, 1))
    for count, known in zip(formula.shape, lags, strict=True):
        of_pixels = np.kron(of_pixels, linalg.toeplitz(np.pad(known, (0, count - len(known)))))
    noise = NoiseModel(np.full(formula.shape, formula.noise_scale), correlation=tuple(lags[1:]))
    found = with_noise(base, noise).covariance(np.array(list(point.values())))
    wanted = formula.noise_scale**2 * matrix @ of_pixels @ matrix.T
    white = base.covariance(np.array(list(point.values())))
    assert np.allclose(found, wanted, atol=0.01 * np.abs(wanted).max(), rtol=0)
    assert np.abs(white - wanted).max() > 0.3 * np.abs(wanted).max()


def test_a_filter_over_test_functions_is_a_filter_over_the_noise():
    lags, samples = np.array([1.0, 0.45, 0.1]), 80
    bumps = np.stack([np.exp(-(((np.arange(samples) - c) / 6.0) ** 2)) for c in (35, 40, 44)])
    filtered = correlated_bumps(bumps, lags)
    assert correlated_bumps(bumps, np.ones(1)) is bumps
    wanted = bumps @ linalg.toeplitz(np.pad(lags, (0, samples - 3))) @ bumps.T
    assert np.allclose(filtered @ filtered.T, wanted, rtol=1e-5)


def test_rows_of_simulated_noise_have_the_covariance(seed):
    formula, options, point, target = CASES["1-D"]
    beta, rng, draws = np.array(list(point.values())), np.random.default_rng(seed), 250
    base = problem(formula, list(point), options=options, target=target)
    samples = []
    for _ in range(draws):
        noise = formula.noise_scale * rng.standard_normal(formula.shape)
        weak = problem(formula, list(point), noise=noise, options=options, target=target)
        samples.append(weak.target - weak.correction @ beta)
    covariance = base.covariance(beta)
    standard = (np.array(samples) - (base.target - base.correction @ beta)) / np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    assert np.abs(standard.mean(axis=0)).max() < 5 / np.sqrt(draws)
    error = np.sqrt((1 + correlation**2) / draws)
    assert np.abs(standard.T @ standard / draws - correlation).max() < 5 * error.max()


def test_values_filled_in_repeat_the_noise_around_them_by_the_fill_gain(rng):
    formula = Formula(SMOOTH, (np.linspace(0, 1.6, 60), np.linspace(0, 4, 70)), noise_scale=0.03)
    options, names = replace(CLEAN, support_radius={"time": 15, "x": 18}, rows=40), ["u", "u*u_x", "u_xx"]
    gaps = np.where(rng.random(formula.shape) < 0.25, np.nan, 0.0)
    gappy, whole = (problem(formula, names, noise=noise, options=options) for noise in (gaps, None))
    # The formula has no error: it fills in the truth.
    assert gappy.transfers[0].fill_gain == 0
    repeating = replace(gappy, transfers=(replace(gappy.transfers[0], fill_gain=1.0),))
    for found, wanted in ((gappy, 0.75), (repeating, 1 / 0.75)):
        ratio = np.diagonal(found.covariance(np.ones(3))) / np.diagonal(whole.covariance(np.ones(3)))
        assert np.all(np.abs(ratio / wanted - 1) < 0.2)
        assert abs(ratio.mean() / wanted - 1) < 0.07


def test_the_floor_and_the_scheme_error_are_added_to_the_noise():
    formula, options, point, _ = CASES["1-D"]
    beta = np.array(list(point.values()))
    plain = problem(formula, list(point), options=options)
    both = problem(formula, list(point), options=replace(options, floor=0.01, scheme_error=True))
    extra = both.covariance(beta) - plain.covariance(beta)
    wanted = np.outer(both.scheme, both.scheme) + 1e-4 * np.mean(both.target**2) * np.eye(len(extra))
    assert np.allclose(extra, wanted, atol=1e-9 * wanted.max(), rtol=0)


FRONT = Formula(1 / (1 + sympy.exp(-(x - 3 + t / 5000) / 0.4)), (np.linspace(0, 8, 81), np.linspace(0, 6, 61)), 0.0)


def with_displacement_noise(jitter, walk):
    base = problem(FRONT, ["u_x", "u"], options=replace(CLEAN, support_radius={"time": 20, "x": 20}, rows=24))
    noise = NoiseModel(np.zeros(FRONT.shape), jitter=(jitter,), walk=walk)
    return with_noise(base, noise, slopes=(FRONT.evaluate((0, 1)),))


def displaced_rows(displacement):
    moved = FRONT.evaluate((0, 0)) - displacement[:, None] * FRONT.evaluate((0, 1))
    options = replace(CLEAN, support_radius={"time": 20, "x": 20}, rows=24)
    return problem(FRONT, ["u_x", "u"], noise=moved - FRONT.evaluate((0, 0)), options=options)


@pytest.mark.parametrize("point", [[0.0, 0.0], [-0.5, 0.3]])
def test_jitter_displaces_the_frames_one_by_one(point):
    weak = with_displacement_noise(0.02, 0.0)
    base = displaced_rows(np.zeros(81))
    rows = []
    for frame in range(81):
        moved = displaced_rows(np.eye(81)[frame])
        rows.append(moved.target - base.target - (moved.correction - base.correction) @ np.array(point))
    wanted = 0.02**2 * np.array(rows).T @ np.array(rows)
    assert np.allclose(weak.covariance(np.array(point)), wanted, atol=1e-9 * wanted.max(), rtol=0)


def test_the_walk_of_a_front_gives_the_rows_the_covariance_of_a_random_walk():
    weak = with_displacement_noise(0.0, 0.02)
    # All rows are linear in the displacement: the covariance of a random walk is min(i, j) steps.
    base = displaced_rows(np.zeros(81)).target
    matrix = np.column_stack([displaced_rows(np.eye(81)[f]).target - base for f in range(81)])
    steps = np.minimum.outer(np.arange(1, 82), np.arange(1, 82))
    wanted, found = 0.02**2 * matrix @ steps @ matrix.T, weak.covariance(np.zeros(2))
    assert np.allclose(found, wanted, atol=0.01 * wanted.max(), rtol=0)


@pytest.mark.parametrize("lags", [np.array([1.0, 0.3]), np.array([1.0, 0.45, 0.1]), np.array([1.0, 0.6, 0.3, 0.1])])
def test_a_filtered_bump_ends_at_the_same_place_for_every_derivative(lags):
    """Three ranges of the correlation beyond the bump, whatever its values there."""
    bumps = np.zeros((2, 60))
    bumps[0, 25:30], bumps[1, 25:30] = [1, 2, 3, 2, 1], [1, 1, 0.5, -1, -1]
    reach = 3 * (len(lags) - 1)
    for filtered in correlated_bumps(bumps, lags):
        assert np.flatnonzero(filtered)[[0, -1]].tolist() == [25 - reach, 29 + reach]
