"""The field that obeys an equation: its slope, its moments, and an error that knows nothing of the rows' noise."""

from dataclasses import replace

import numpy as np
import pytest
from manufactured import ring

import bayespde as bp
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.weak.assembler import Assembler
from bayespde.weak.condition import constrain, moment_slope
from bayespde.weak.config import dense_test_functions
from bayespde.weak.moments import project, weak_problem
from bayespde.weak.smoother import influential_modes
from bayespde.weak.whitening import WhitenedRows

WHITE = bp.WeakForm(floor=0.0, scheme_error=False, noise="white")
SPLINE = SplineConfig(hold_out="pixels")
CASES = {
    "1-D": (("u", "u*u_x", "u_xx", "u**2*u_xxx"), (0.3, -1.0, 0.4, 0.05), (24, 30), {"time": 6, "x": 9}),
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
    terms, pilot, shape, support_radius = CASES[name]
    field = noisy(shape, seed)
    options = replace(WHITE, support_radius=support_radius, prior_rows=25, rows=25)
    smooth = fit_spline(field, config=SPLINE)
    problem = weak_problem(bp.Library.from_strings(terms), field, smooth, options=options)
    return field, smooth, problem, np.array(pilot)


def moments(problem, smooth, pilot, field):
    """b(v) - A(v) beta of a smooth field."""
    over = weak_problem(
        problem.library, field, smooth, options=problem.options, noise=problem.noise, windows=problem.windows
    )
    return -project(smooth.evaluate((0,) * field.ndim), problem.windows, (1,) + (0,) * (field.ndim - 1)) - (
        over.design @ pilot
    )


def all_felt(smooth, problem):
    """Modes that the moments of a problem feel."""
    return influential_modes(smooth, problem.windows, problem.orders)


@pytest.mark.parametrize("name", CASES)
def test_the_slope_is_the_change_of_the_moments_with_each_coefficient(name):
    field, smooth, problem, pilot = case(name)
    free = smooth.variance > 0.3 * smooth.variance.max()
    found = moment_slope(smooth, problem, pilot, free)
    assert found.shape == (len(problem.target), free.sum())
    step = 1e-4 * np.abs(smooth.coefficients).max()
    for column, place in list(zip(found.T, np.argwhere(free), strict=True))[::7]:
        up, down = (smooth.coefficients.copy() for _ in range(2))
        up[tuple(place)] += step
        down[tuple(place)] -= step
        both = [moments(problem, smooth.with_coefficients(c), pilot, field) for c in (up, down)]
        # Integration by parts holds up to the quadrature of bumps a few samples wide.
        assert np.abs((both[0] - both[1]) / (2 * step) - column).max() < 1e-3 * np.abs(found).max()


@pytest.mark.parametrize("name", CASES)
def test_the_moments_of_the_constrained_field_vanish(name):
    field, smooth, problem, pilot = case(name)
    noise, current = problem.noise_covariance(pilot), smooth
    size = [np.sqrt(np.mean(moments(problem, smooth, pilot, field) ** 2))]
    for _ in range(4):
        over = weak_problem(
            problem.library, field, current, options=problem.options, noise=problem.noise, windows=problem.windows
        )
        (current,) = constrain([smooth], [current], over, pilot, noise, [all_felt(smooth, over)])
        size.append(np.sqrt(np.mean(moments(problem, current, pilot, field) ** 2)))
    assert size[-1] < 0.05 * size[0]


def test_its_error_is_uncorrelated_with_the_noise_of_the_rows():
    """For a linear equation everything is linear in the pixels: one column per pixel, no sampling."""
    field = noisy((16, 20))
    options = replace(WHITE, support_radius={"time": 4, "x": 6}, prior_rows=20, rows=20)
    smooth = fit_spline(field, config=SPLINE)
    library, pilot = bp.Library.from_strings(["u", "u_x", "u_xx"]), np.array([0.3, -0.5, 0.2])

    def kernels(values):
        """The smoother at fixed weights, and it constrained: fields at the pixels; and the residual of the rows."""
        raw = field.copy(data=values)
        grids = smooth.grids
        mean = smooth.shrinkage * (grids[0].T @ values @ grids[1])
        plain = smooth.with_coefficients(mean)
        weak = weak_problem(library, raw, plain, options=options)
        (bound,) = constrain([plain], [plain], weak, pilot, weak.noise_covariance(pilot), [all_felt(plain, weak)])
        rows = weak.target - weak.correction @ pilot - weak.design @ pilot
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


def test_more_moments_than_the_smoother_has_freedom_do_not_throw_the_field_about():
    """Where the smoother kept next to no noise, a moment has nothing to remove, and must not be obeyed at any price."""
    field = noisy((40, 60))
    smooth = fit_spline(field, config=SPLINE)
    library, pilot = bp.Library.from_strings(["u", "u*u_x", "u_xx"]), np.array([0.2, -0.3, 0.2])
    free = smooth.variance > 1e-2 * smooth.variance.max()
    moves = []
    for rows, support_radius in ((40, {"time": 8, "x": 12}), (200, {"time": 6, "x": 8})):
        options = replace(WHITE, support_radius=support_radius, prior_rows=rows)
        problem = weak_problem(library, field, smooth, options=options)
        (bound,) = constrain([smooth], [smooth], problem, pilot, problem.noise_covariance(pilot), [free])
        change = (bound.coefficients - smooth.coefficients)[free] / np.sqrt(smooth.variance[free])
        moves.append(np.sqrt(np.mean(change**2)))
    assert len(problem.target) > 2 * free.sum()
    assert moves[1] < 1.5 * moves[0]


def test_the_assembler_goes_on_where_one_step_is_not_enough():
    field = ring("burgers", noise=0.5, seed=0)
    smooth, options = fit_spline(field, config=SPLINE), replace(WHITE, rows=300)
    library, truth = bp.Library.from_strings(["u*u_x", "u_xx"]), np.array([-1.0, 0.1])
    first = weak_problem(library, field, smooth, options=options)
    assembler = Assembler(library, field, smooth, first, first.windows)
    (once,) = constrain([smooth], [smooth], first, truth, first.noise_covariance(truth), [all_felt(smooth, first)])
    size = [np.linalg.norm(moments(first, s, truth, field)) for s in (smooth, once, *assembler._obeying(truth)[0])]
    assert size[2] < 0.5 * size[1] < 0.1 * size[0]


def at_the_truth(field, library, truth, rows):
    """Rows over the field that obeys the true equation, with the windows that default settings choose."""
    smooth, options = fit_spline(field, config=SPLINE), bp.WeakForm(rows=rows)
    first = weak_problem(library, field, smooth, options=options)
    windows = dense_test_functions(first.windows, ("time", "x"), options)
    return WhitenedRows(Assembler(library, field, smooth, first, windows)(truth), truth)


def scores_of(rows, truth):
    """Standard scores of the coefficients."""
    statistics, count = rows.statistics, len(truth)
    factor = statistics.factor[:count, :count]
    error = statistics.least_squares(np.ones(count, bool)) - truth
    return error / np.sqrt(np.diagonal(np.linalg.inv(factor.T @ factor)))


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_rows_with_gaps_are_left_what_their_covariance_says(noise, seed):
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


def test_a_term_that_is_not_there_is_not_seen(seed):
    """A few long waves that decay: what the smoother keeps of the noise looks like a fourth derivative."""
    library, truth, scores = bp.Library.from_strings(["u_xx", "u_xxxx"]), np.array([1.5, 0.0]), []
    for draw in range(16):
        field = ring("heat", noise=0.2, seed=1000 * seed + draw)
        scores.append(scores_of(at_the_truth(field, library, truth, 1500), truth))
    # Modes left out below a hundredth instead of a hundred-thousandth make this 2.
    assert np.abs(np.mean(scores, axis=0)).max() < 0.25 + 4 / np.sqrt(len(scores))


def test_coefficients_at_half_noise_are_not_biased_by_more_than_half_their_sd(seed):
    """Standard scores of both coefficients over noise draws: mean within a half, unit variance."""
    library, truth, scores = bp.Library.from_strings(["u*u_x", "u_xx"]), np.array([-1.0, 0.1]), []
    for draw in range(24):
        rows = at_the_truth(ring("burgers", noise=0.5, seed=1000 * seed + draw), library, truth, 300)
        scores.append(scores_of(rows, truth))
    scores = np.array(scores)
    # What is of second order in the noise is about a third of an sd.
    assert np.abs(scores.mean(axis=0)).max() < 0.4 + 3 / np.sqrt(len(scores))
    assert scores.var() < 1 + 5 * np.sqrt(2 / scores.size)
    assert scores.var() > 1 - 4 * np.sqrt(2 / scores.size)
