"""Rows of one of several coupled equations: noise and error of the other fields, pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError, TermError
from bayespde.core.noise import NoiseModel
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.weak.condition import condition_on_equation, moment_slope
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.placement import choose_test_functions
from bayespde.weak.smoother import influential_modes

OPTIONS = bp.WeakForm(
    floor=0.0, scheme_error=False, noise="white", support_radius={"time": 4, "x": 6}, coarse_rows=20, rows=20
)
SHAPE = (16, 20)
LINEAR = {"u": 0.3, "v": -0.5, "v_xx": 0.2}
PRODUCTS = {"u*v": 0.3, "v*v_x": -0.4, "u*v_x": 0.2, "u_x*v": 0.5, "u**2*v": 0.1}


def noisy_pair(seed=0):
    """Two smooth fields, the second rougher and ten times as large, with white noise."""
    t, x = np.linspace(0, 2, SHAPE[0]), np.linspace(0, 3, SHAPE[1])
    grid_t, grid_x = np.meshgrid(t, x, indexing="ij")
    clean = np.sin(1.3 * grid_x - grid_t), 10 * np.cos(2 * grid_x + 0.4 * grid_t)
    noise = np.random.default_rng(seed).standard_normal((2, *SHAPE))
    return [
        bp.make_field(c + 0.2 * c.std() * n, t=t, x=x, name=name) for c, n, name in zip(clean, noise, "uv", strict=True)
    ]


def library_of(terms):
    return bp.Library.from_strings(list(terms), variable="u", coupled_variables=("v",))


def case(terms, seed=0):
    """Raw fields, splines, the problem of `u_t`, and its linearisation point."""
    fields = noisy_pair(seed)
    splines = [fit_spline(f, config=SplineConfig(hold_out="pixels")) for f in fields]
    return fields, splines, over(library_of(terms), fields, splines), np.array(list(terms.values()))


def over(library, fields, splines, *, like=None):
    """The problem of raw and smoothed fields; with the noise and test functions of another."""
    noises = [t.noise for t in like.transfers] if like else [None, None]
    observed = tuple(ObservedField(f, s, noise=n) for f, s, n in zip(fields, splines, noises, strict=True))
    return weak_problem(library, observed, options=OPTIONS, test_functions=like.test_functions if like else None)


@pytest.mark.parametrize("terms", [LINEAR, PRODUCTS], ids=["linear", "products"])
def test_the_covariance_is_that_of_all_pixels_of_both_fields(terms):
    """The rows are linear in the pixels where the smoothed fields are kept: one column per pixel, no sampling."""
    fields, splines, problem, point = case(terms)

    def rows(raw):
        weak = over(problem.library, raw, splines, like=problem)
        return weak.target - weak.correction @ point

    base, total = rows(fields), 0.0
    for i, spline in enumerate(splines):
        columns = []
        for pixel in range(fields[i].size):
            moved = [f.copy(deep=True) for f in fields]
            moved[i].values.flat[pixel] += 1.0
            columns.append(rows(moved) - base)
        jacobian = np.column_stack(columns)
        # A constant is subtracted from the target before its moment; its derivative is zero.
        total = total + spline.noise_scale**2 * jacobian @ jacobian.T
    found = problem.noise_covariance(point)
    assert np.abs(found - total).max() < 1e-6 * np.abs(total).max()


@pytest.mark.parametrize("terms", [LINEAR, PRODUCTS], ids=["linear", "products"])
def test_the_slope_is_the_change_of_the_moments_with_either_field(terms):
    fields, splines, problem, point = case(terms)
    random = np.random.default_rng(1)

    def moments(smooths):
        weak = over(problem.library, fields, smooths, like=problem)
        time, space = (f.matrix(order) for f, order in zip(weak.test_functions, (1, 0), strict=True))
        left = -np.einsum("at,bx,tx->ab", time, space, smooths[0].evaluate((0, 0))).ravel()
        return left - weak.design @ point

    for i, spline in enumerate(splines):
        free = np.ones(spline.coefficients.shape, dtype=bool)
        step = random.standard_normal(free.shape) * np.sqrt(spline.variance)
        slope = moment_slope(spline, problem, point, free, field=i)
        after, before = (
            moments(
                [
                    s.with_coefficients(s.coefficients + sign * 1e-3 * step) if j == i else s
                    for j, s in enumerate(splines)
                ]
            )
            for sign in (1, -1)
        )
        wanted = (after - before) / 2e-3
        assert np.abs(slope @ step.ravel() - wanted).max() < 2e-3 * np.abs(wanted).max()


def test_errors_of_fields_conditioned_together_are_uncorrelated_with_the_noise_of_the_rows():
    """For a linear equation everything is linear in the pixels of both fields; conditioned alone, one would not be."""
    fields, splines, problem, point = case(LINEAR)

    def kernels(raw):
        """Both smoothers at fixed weights and both conditioned, at the pixels; and the residual of the rows."""
        means = [
            s.with_coefficients(s.shrinkage * (s.grids[0].T @ f.values @ s.grids[1]))
            for s, f in zip(splines, raw, strict=True)
        ]
        weak = over(problem.library, raw, means, like=problem)
        frees = [influential_modes(m, weak.test_functions, weak.orders(i)) for i, m in enumerate(means)]
        bound = condition_on_equation(means, means, weak, point, problem.noise_covariance(point), frees)
        rows = weak.target - weak.correction @ point - weak.design @ point
        return [np.concatenate([s.evaluate((0, 0)).ravel() for s in lot]) for lot in (means, bound)], rows

    (plain, bound), rows = kernels(fields)
    columns = ([], [], [])
    for i, spline in enumerate(splines):
        for pixel in range(fields[i].size):
            moved = [f.copy(deep=True) for f in fields]
            moved[i].values.flat[pixel] += spline.noise_scale
            (new_plain, new_bound), new_rows = kernels(moved)
            for column, change in zip(columns, (new_plain - plain, new_bound - bound, new_rows - rows), strict=True):
                column.append(change)
    plain, bound, rows = (np.column_stack(c) for c in columns)

    def correlation(lot):
        """Largest correlation of a pixel of either field with a row, under white noise."""
        return np.abs(lot @ rows.T / np.outer(np.linalg.norm(plain, axis=1), np.linalg.norm(rows, axis=1))).max()

    assert correlation(plain) > 0.3
    assert correlation(bound) < 5e-3


def test_coupled_fields_that_no_term_names_do_not_change_the_rows():
    fields, splines, _, _ = case(LINEAR)
    terms, point = {"u": 0.3, "u_xx": 0.1}, np.array([0.3, 0.1])
    together, own = over(library_of(terms), fields, splines), (ObservedField(fields[0], splines[0]),)
    alone = weak_problem(
        bp.Library.from_strings(list(terms)), own, options=OPTIONS, test_functions=together.test_functions
    )
    assert np.array_equal(together.design, alone.design)
    assert np.array_equal(together.covariance(point), alone.covariance(point))


def test_test_functions_avoid_holes_of_every_field():
    fields, splines, problem, _ = case(LINEAR)
    hole = fields[1].copy(deep=True)
    hole.values[5:11, 8:13] = np.nan
    fewer = weak_problem(
        problem.library,
        (ObservedField(fields[0], splines[0]), ObservedField(hole, splines[1])),
        options=replace(OPTIONS, support_radius={"time": 3, "x": 4}, coarse_rows=60),
    )
    assert 16 <= fewer.kept.sum() < len(fewer.kept)


def test_the_support_is_as_narrow_as_the_roughest_field_needs():
    t, x = np.linspace(0, 2, 80), np.linspace(0, 12, 160)
    grid_t, grid_x = np.meshgrid(t, x, indexing="ij")
    values = {"u": np.sin(grid_x - grid_t), "v": np.sin(3 * grid_x - grid_t)}
    fields = [bp.make_field(v, t=t, x=x, name=name) for name, v in values.items()]
    splines = [fit_spline(f, config=SplineConfig(hold_out="pixels")) for f in fields]
    options, noise = bp.WeakForm(support_factor=1.0), NoiseModel(0.01)
    smooth, rough, both = (
        choose_test_functions(fields[0], some, options, noise)[0][1].radius
        for some in (splines[:1], splines[1:], splines)
    )
    assert both == rough < smooth


@pytest.mark.parametrize(
    "form", [bp.StrongForm(), bp.WeakForm(noise="front_jitter"), bp.WeakForm(noise="frame_jitter")]
)
def test_forms_for_one_field_only_are_refused(form):
    fields = noisy_pair()
    smooths = [bp.fit_field(f, options=bp.SmoothingConfig(smoother="spline"), seed=0) for f in fields]
    with pytest.raises(ConfigError, match="does not take coupled fields"):
        bp.assemble(library_of(LINEAR), dict(zip(("u", "v"), smooths, strict=True)), form=form)


def test_a_library_of_fields_that_are_not_given_is_refused():
    field = noisy_pair()[0]
    smooth = bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline"), seed=0)
    with pytest.raises(TermError, match="fields that are not given"):
        bp.assemble(library_of(LINEAR), smooth)
