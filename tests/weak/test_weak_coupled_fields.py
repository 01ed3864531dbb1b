"""Rows of one equation of a system: noise and error of the other fields, by pixels moved one at a time."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError, TermError
from bayespde.noise.covariance import NoiseCovariance
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.weak.condition import constrain, moment_slope
from bayespde.weak.config import choose_test_functions
from bayespde.weak.coupled_fields import CoupledField
from bayespde.weak.moments import weak_problem
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
    """Raw fields, splines, the problem of `u_t`, and its pilot."""
    fields = noisy_pair(seed)
    splines = [fit_spline(f, config=SplineConfig(hold_out="pixels")) for f in fields]
    pilot = np.array(list(terms.values()))
    return fields, splines, over(library_of(terms), fields, splines), pilot


def over(library, fields, splines, **known):
    """The problem of raw fields and smooth ones."""
    return weak_problem(
        library,
        fields[0],
        splines[0],
        options=OPTIONS,
        coupled_fields=(CoupledField(*_pair(fields, splines)),),
        **known,
    )


def _pair(fields, splines):
    return fields[1], splines[1]


@pytest.mark.parametrize("terms", [LINEAR, PRODUCTS], ids=["linear", "products"])
def test_the_covariance_is_that_of_all_pixels_of_both_fields(terms):
    """The rows are linear in the pixels where the smooth fields stay: one column per pixel, no sampling."""
    fields, splines, problem, pilot = case(terms)

    def rows(raw):
        weak = over(problem.library, raw, splines, noise=problem.noise, windows=problem.windows)
        return weak.target - weak.correction @ pilot

    base, total = rows(fields), 0.0
    for i, spline in enumerate(splines):
        columns = []
        for pixel in range(fields[i].size):
            moved = [f.copy(deep=True) for f in fields]
            moved[i].values.flat[pixel] += 1.0
            columns.append(rows(moved) - base)
        jacobian = np.column_stack(columns)
        # A constant is taken out of the target before its moment; a bump's derivative does not see one.
        total = total + spline.noise_scale**2 * jacobian @ jacobian.T
    found = problem.noise_covariance(pilot)
    assert np.abs(found - total).max() < 1e-6 * np.abs(total).max()


@pytest.mark.parametrize("terms", [LINEAR, PRODUCTS], ids=["linear", "products"])
def test_the_moments_move_with_either_field_as_their_slope_says(terms):
    fields, splines, problem, pilot = case(terms)
    random = np.random.default_rng(1)

    def moments(smooths):
        weak = over(problem.library, fields, smooths, noise=problem.noise, windows=problem.windows)
        field = smooths[0].evaluate((0, 0))
        return (
            -np.einsum("at,bx,tx->ab", weak.windows[0].matrix(1), weak.windows[1].matrix(0), field).ravel()
            - weak.design @ pilot
        )

    for i, spline in enumerate(splines):
        free = np.ones(spline.coefficients.shape, dtype=bool)
        step = random.standard_normal(free.shape) * np.sqrt(spline.variance)
        slope = moment_slope(spline, problem, pilot, free, field=i)
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


def test_fields_that_obey_together_err_independently_of_the_noise_of_the_rows():
    """For a linear equation everything is linear in the pixels of both fields; constrained alone, one would not."""
    fields, splines, problem, pilot = case(LINEAR)

    def kernels(raw):
        """Both smoothers at fixed weights and both constrained, at the pixels; and the residual of the rows."""
        means = [
            s.with_coefficients(s.shrinkage * (s.grids[0].T @ f.values @ s.grids[1]))
            for s, f in zip(splines, raw, strict=True)
        ]
        weak = over(problem.library, raw, means, windows=problem.windows)
        frees = [
            influential_modes(means[0], weak.windows, weak.orders),
            influential_modes(means[1], weak.windows, weak.coupled_fields[0].orders),
        ]
        bound = constrain(means, means, weak, pilot, problem.noise_covariance(pilot), frees)
        rows = weak.target - weak.correction @ pilot - weak.design @ pilot
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


def test_with_other_fields_that_no_term_names_the_rows_are_those_of_the_field_alone():
    fields, splines, _, _ = case(LINEAR)
    terms, pilot = {"u": 0.3, "u_xx": 0.1}, np.array([0.3, 0.1])
    windows = over(library_of(terms), fields, splines).windows
    together = over(library_of(terms), fields, splines, windows=windows)
    alone = weak_problem(bp.Library.from_strings(list(terms)), fields[0], splines[0], options=OPTIONS, windows=windows)
    assert np.array_equal(together.design, alone.design)
    assert np.array_equal(together.covariance(pilot), alone.covariance(pilot))


def test_rows_stay_away_from_holes_of_every_field():
    fields, splines, problem, _ = case(LINEAR)
    hole = fields[1].copy(deep=True)
    hole.values[5:11, 8:13] = np.nan
    fewer = weak_problem(
        problem.library,
        fields[0],
        splines[0],
        options=replace(OPTIONS, support_radius={"time": 3, "x": 4}, prior_rows=60),
        coupled_fields=(CoupledField(hole, splines[1]),),
    )
    assert 16 <= fewer.kept.sum() < len(fewer.kept)


def test_windows_are_as_narrow_as_the_roughest_field_needs():
    t, x = np.linspace(0, 2, 80), np.linspace(0, 12, 160)
    grid_t, grid_x = np.meshgrid(t, x, indexing="ij")
    values = {"u": np.sin(grid_x - grid_t), "v": np.sin(3 * grid_x - grid_t)}
    fields = [bp.make_field(v, t=t, x=x, name=name) for name, v in values.items()]
    splines = [fit_spline(f, config=SplineConfig(hold_out="pixels")) for f in fields]
    options, noise = bp.WeakForm(support_factor=1.0), NoiseCovariance(np.full(fields[0].shape, 0.01))
    smooth, rough, both = (
        choose_test_functions(fields[0], some, options, noise)[0][1].half_width
        for some in (splines[:1], splines[1:], splines)
    )
    assert both == rough < smooth


@pytest.mark.parametrize(
    "form", [bp.StrongForm(), bp.WeakForm(noise="front_jitter"), bp.WeakForm(noise="frame_jitter")]
)
def test_rows_that_only_one_field_has_are_refused(form):
    fields = noisy_pair()
    smooths = [bp.fit_field(f, options=bp.SmoothingConfig(method="spline"), seed=0) for f in fields]
    with pytest.raises(ConfigError, match="rows of a system"):
        bp.assemble(library_of(LINEAR), fields[0], smooth=smooths[0], coupled_fields=smooths[1:], form=form)


def test_a_library_of_fields_that_are_not_there_is_refused():
    field = noisy_pair()[0]
    smooth = bp.fit_field(field, options=bp.SmoothingConfig(method="spline"), seed=0)
    with pytest.raises(TermError, match="not there"):
        bp.assemble(library_of(LINEAR), field, smooth=smooth)
