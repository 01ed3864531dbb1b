"""The field conditioned on an equation: its slope, its moments, and an error uncorrelated with the rows' noise."""

from dataclasses import replace

import numpy as np
import pytest
from manufactured import ring

import bayespde as bp
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.weak.assembler import Assembler
from bayespde.weak.condition import condition_on_equation, moment_slope
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.placement import dense_test_functions
from bayespde.weak.smoother import influential_modes
from bayespde.weak.test_functions import project
from bayespde.weak.whitening import WhitenedRows

WHITE = bp.WeakForm(floor=0.0, scheme_error=False, noise="white")
SPLINE = SplineConfig(hold_out="pixels")
CASES = {
    "1-D": (("u", "u*u_x", "u_xx", "u**2*u_xxx"), (0.3, -1.0, 0.4, 0.05), (24, 30), {"time": 6, "x": 9}),
    "1-D, u_tt": (("u", "u*u_x", "u_xx"), (0.3, -1.0, 0.4), (24, 30), {"time": 6, "x": 9}),
    "2-D": (("u_x", "u*u_xy", "u_yy"), (0.5, -0.7, 0.3), (10, 9, 12), {"time": 3, "y": 4, "x": 4}),
}


def noisy(shape, seed=0, level=0.2):
    """A smooth field with white noise; `(time, (y,) x)`."""
    axes = [np.linspace(0, 2 + i, n) for i, n in enumerate(shape)]
    grid = np.meshgrid(*axes, indexing="ij")
    clean = np.sin(1.3 * grid[-1] - grid[0]) + 0.5 * np.cos(0.8 * grid[-1] + 0.6 * grid[1] + 0.3 * grid[0])
    values = clean + level * clean.std() * np.random.default_rng(seed).standard_normal(shape)
    names = ("t", "y", "x") if len(shape) == 3 else ("t", "x")
    return bp.make_field(values, **dict(zip(names, axes, strict=True)))


def case(name, seed=0):
    terms, point, shape, support_radius = CASES[name]
    field = noisy(shape, seed)
    options = replace(WHITE, support_radius=support_radius, coarse_rows=25, rows=25)
    smooth = fit_spline(field, config=SPLINE)
    library = bp.Library.from_strings(terms, target="u_tt" if name.endswith("u_tt") else "u_t")
    return smooth, weak_problem(library, (ObservedField(field, smooth),), options=options), np.array(point)


def over(problem, smooth):
    """The same moments over another smoothed field."""
    fields = (replace(problem.fields[0], smooth=smooth, noise=problem.noise),)
    return weak_problem(problem.library, fields, options=problem.options, test_functions=problem.test_functions)


def moments(problem, smooth, point):
    """b(v) - A(v) beta of a smoothed field."""
    dims, order = len(problem.shape), problem.target_order
    left = (-1) ** order * project(smooth.evaluate((0,) * dims), problem.test_functions, (order, *(0,) * (dims - 1)))
    return left - over(problem, smooth).design @ point


def influential(smooth, problem):
    """Modes that the moments of a problem depend on."""
    return influential_modes(smooth, problem.test_functions, problem.orders())


@pytest.mark.parametrize("name", CASES)
def test_the_slope_is_the_change_of_the_moments_with_each_coefficient(name):
    smooth, problem, point = case(name)
    free = smooth.variance > 0.3 * smooth.variance.max()
    found = moment_slope(smooth, problem, point, free)
    assert found.shape == (len(problem.target), free.sum())
    step = 1e-4 * np.abs(smooth.coefficients).max()
    for column, place in list(zip(found.T, np.argwhere(free), strict=True))[::7]:
        up, down = (smooth.coefficients.copy() for _ in range(2))
        up[tuple(place)] += step
        down[tuple(place)] -= step
        both = [moments(problem, smooth.with_coefficients(c), point) for c in (up, down)]
        # Integration by parts holds up to the quadrature of bumps a few samples wide.
        assert np.abs((both[0] - both[1]) / (2 * step) - column).max() < 1e-3 * np.abs(found).max()


@pytest.mark.parametrize("name", CASES)
def test_the_moments_of_the_conditioned_field_vanish(name):
    smooth, problem, point = case(name)
    noise, current = problem.noise_covariance(point), smooth
    size = [np.sqrt(np.mean(moments(problem, smooth, point) ** 2))]
    for _ in range(4):
        here = over(problem, current)
        (current,) = condition_on_equation([smooth], [current], here, point, noise, [influential(smooth, here)])
        size.append(np.sqrt(np.mean(moments(problem, current, point) ** 2)))
    assert size[-1] < 0.05 * size[0]


def test_its_error_is_uncorrelated_with_the_noise_of_the_rows():
    """For a linear equation everything is linear in the pixels: one column per pixel, no sampling."""
    field = noisy((16, 20))
    options = replace(WHITE, support_radius={"time": 4, "x": 6}, coarse_rows=20, rows=20)
    smooth = fit_spline(field, config=SPLINE)
    library, point = bp.Library.from_strings(["u", "u_x", "u_xx"]), np.array([0.3, -0.5, 0.2])

    def kernels(values):
        """The smoother at fixed weights, and conditioned: fields at the pixels; and the residual of the rows."""
        raw = field.copy(data=values)
        grids = smooth.grids
        mean = smooth.shrinkage * (grids[0].T @ values @ grids[1])
        plain = smooth.with_coefficients(mean)
        weak = weak_problem(library, (ObservedField(raw, plain),), options=options)
        free = [influential(plain, weak)]
        (bound,) = condition_on_equation([plain], [plain], weak, point, weak.noise_covariance(point), free)
        rows = weak.target - weak.correction @ point - weak.design @ point
        return plain.evaluate((0, 0)).ravel(), bound.evaluate((0, 0)).ravel(), rows

    base = kernels(field.values)
    responses = [[], [], []]
    for pixel in range(field.size):
        moved = field.values.copy()
        moved.flat[pixel] += 1.0
        for response, new, old in zip(responses, kernels(moved), base, strict=True):
            response.append(new - old)
    plain, bound, rows = (np.column_stack(r) for r in responses)

    def correlation(fields):
        """Largest correlation of a pixel of the field with a row, under white noise."""
        cross = fields @ rows.T
        return np.abs(cross / np.outer(np.linalg.norm(plain, axis=1), np.linalg.norm(rows, axis=1))).max()

    assert correlation(plain) > 0.3
    assert correlation(bound) < 2e-3


def test_more_moments_than_modes_hardly_move_the_field_further():
    """Where the smoother passed on next to no noise, there is nothing to remove, and the condition is not exact."""
    field = noisy((40, 60))
    smooth = fit_spline(field, config=SPLINE)
    library, point = bp.Library.from_strings(["u", "u*u_x", "u_xx"]), np.array([0.2, -0.3, 0.2])
    free = smooth.variance > 1e-2 * smooth.variance.max()
    moves = []
    for rows, support_radius in ((40, {"time": 8, "x": 12}), (200, {"time": 6, "x": 8})):
        options = replace(WHITE, support_radius=support_radius, coarse_rows=rows)
        problem = weak_problem(library, (ObservedField(field, smooth),), options=options)
        noise = problem.noise_covariance(point)
        (bound,) = condition_on_equation([smooth], [smooth], problem, point, noise, [free])
        change = (bound.coefficients - smooth.coefficients)[free] / np.sqrt(smooth.variance[free])
        moves.append(np.sqrt(np.mean(change**2)))
    assert len(problem.target) > 2 * free.sum()
    assert moves[1] < 1.5 * moves[0]


def test_the_assembler_takes_a_second_step_where_one_is_not_enough():
    field = ring("burgers", noise=0.5, seed=0)
    smooth, options = fit_spline(field, config=SPLINE), replace(WHITE, rows=300)
    library, truth = bp.Library.from_strings(["u*u_x", "u_xx"]), np.array([-1.0, 0.1])
    first = weak_problem(library, (ObservedField(field, smooth),), options=options)
    assembler, noise = Assembler(library, first, first.test_functions), first.noise_covariance(truth)
    (once,) = condition_on_equation([smooth], [smooth], first, truth, noise, [influential(smooth, first)])
    size = [np.linalg.norm(moments(first, s, truth)) for s in (smooth, once, *assembler.condition(truth)[0])]
    assert size[2] < 0.5 * size[1] < 0.1 * size[0]


def at_the_truth(field, library, truth, rows):
    """Rows over the field conditioned on the true equation, with the test functions of default settings."""
    smooth, options = fit_spline(field, config=SPLINE), bp.WeakForm(rows=rows)
    first = weak_problem(library, (ObservedField(field, smooth),), options=options)
    dense = dense_test_functions(first.test_functions, ("time", "x"), options)
    return WhitenedRows(Assembler(library, first, dense)(truth), truth)


def scores_of(rows, truth):
    """Standard scores of the coefficients."""
    statistics, count = rows.statistics, len(truth)
    factor = statistics.factor[:count, :count]
    error = statistics.least_squares(np.ones(count, bool)) - truth
    return error / np.sqrt(np.diagonal(np.linalg.inv(factor.T @ factor)))


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_residuals_of_rows_with_gaps_have_their_covariance(noise, seed):
    """A quarter of the pixels missing: squared residuals at the truth against their expectation, over draws."""
    library, truth, ratios = bp.Library.from_strings(["u*u_x", "u_xx"]), np.array([-1.0, 0.1]), []
    for draw in range(8):
        field = ring("burgers", noise=noise, seed=100 * seed + draw)
        field = field.where(np.random.default_rng([seed, draw]).random(field.shape) > 0.25)
        rows = at_the_truth(field, library, truth, 200)
        problem = rows.problem
        left = problem.target - problem.correction @ truth - problem.design @ truth
        ratios.append(np.sum(rows.whiten(left) ** 2) / np.trace(rows.noise_share()))
    assert abs(np.mean(ratios) - 1) < 0.1 + 4 * np.std(ratios) / np.sqrt(len(ratios))


def test_an_absent_term_has_coefficient_zero_within_its_error(seed):
    """A few long waves that decay: noise that the smoother passes on looks like a fourth derivative."""
    library, truth, scores = bp.Library.from_strings(["u_xx", "u_xxxx"]), np.array([1.5, 0.0]), []
    for draw in range(16):
        field = ring("heat", noise=0.2, seed=1000 * seed + draw)
        scores.append(scores_of(at_the_truth(field, library, truth, 1500), truth))
    # Modes left out below a hundredth instead of a hundred-thousandth make this 2.
    assert np.abs(np.mean(scores, axis=0)).max() < 0.25 + 4 / np.sqrt(len(scores))


def test_the_bias_at_50_percent_noise_is_below_half_a_standard_deviation(seed):
    """Standard scores of both coefficients over noise draws: mean within 0.5, unit variance."""
    library, truth, scores = bp.Library.from_strings(["u*u_x", "u_xx"]), np.array([-1.0, 0.1]), []
    for draw in range(24):
        rows = at_the_truth(ring("burgers", noise=0.5, seed=1000 * seed + draw), library, truth, 300)
        scores.append(scores_of(rows, truth))
    scores = np.array(scores)
    # What is of second order in the noise is about a third of an sd.
    assert np.abs(scores.mean(axis=0)).max() < 0.4 + 3 / np.sqrt(len(scores))
    assert scores.var() < 1 + 5 * np.sqrt(2 / scores.size)
    assert scores.var() > 1 - 4 * np.sqrt(2 / scores.size)
