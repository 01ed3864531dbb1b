"""Moments of terms and target: exact at the truth, with gaps, and refused where they mean nothing."""

from dataclasses import replace

import numpy as np
import pytest
import sympy
from manufactured import BURGERS, HEAT, SMOOTH, WAVE, Formula, t, x, y
from weak_problems import CASES, CLEAN, ONE, PLACES, SMALL, TIMES, problem

from bayespde.core.errors import ConfigError, FieldError
from bayespde.weak.whitening import WhitenedRows

WIDE = replace(CLEAN, support_radius={"time": 18, "y": 25, "x": 30})
REACTION_2D = sympy.exp(0.3 * t) * (2 + sympy.sin(x - 0.8 * t) * sympy.cos(y))


@pytest.mark.parametrize(
    ("expression", "target", "truth"),
    [
        (HEAT, "u_t", {"u_xx": 0.25}),
        (BURGERS, "u_t", {"u*u_x": -1.0, "u_xx": 0.1}),
        (WAVE, "u_tt", {"u_xx": 4.0}),
        (1 / (1 + sympy.exp(x - 3 - t / 2)), "u_t", {"u": 0.5, "u**2": -0.5}),
        (sympy.sin(x - 2 * t) + x / 3, "u_t", {"u_x": -2.0, "1": 2 / 3}),
        (sympy.sqrt(x + 2 + t), "u_t", {"u*u_x**2": 2.0, "u*u_x*u_xx": 0.0}),
    ],
)
def test_in_one_dimension_both_sides_agree_to_the_accuracy_of_the_quadrature(expression, target, truth):
    weak = problem(Formula(expression, (TIMES, PLACES)), list(truth), target=target)
    right = weak.design @ np.array(list(truth.values()))
    assert np.abs(weak.target - right).max() < 1e-6 * np.abs(weak.target).max()
    assert np.all(weak.correction == 0)  # the raw field is the smooth one


@pytest.mark.parametrize(
    ("expression", "truth"),
    [
        (sympy.exp(-0.5 * t) * sympy.sin(x) * sympy.cos(2 * y), {"u_xx": 0.1, "u_yy": 0.1}),
        (REACTION_2D, {"u": 0.3, "u_x": -0.8}),
        (sympy.sin(x + y - t), {"u_xy": 0.5, "u_x": -1.0, "u": 0.5}),
    ],
)
def test_in_two_dimensions_too(expression, truth):
    axes = (np.linspace(0, 2, 41), np.linspace(0, 3, 61), np.linspace(0, 6, 81))
    weak = problem(Formula(expression, axes), list(truth), options=WIDE)
    right = weak.design @ np.array(list(truth.values()))
    assert np.abs(weak.target - right).max() < 2e-6 * np.abs(weak.target).max()


def test_the_scheme_error_is_half_a_step_of_the_second_time_derivative():
    weak = problem(Formula(SMOOTH, (TIMES, PLACES)), ["u", "u_x"], options=replace(CLEAN, scheme_error=True))
    second = problem(Formula(SMOOTH, (TIMES, PLACES)), ["u"], target="u_tt", options=CLEAN)
    assert np.allclose(weak.scheme, 0.5 * (TIMES[1] - TIMES[0]) * second.target, rtol=1e-10)


def test_missing_pixels_take_the_smoothed_values():
    formula, options, point, target = CASES["1-D"]
    gaps = np.zeros(formula.shape)
    gaps[[2, 5, 6, 8, 8, 13], [15, 10, 11, 3, 8, 6]] = np.nan
    gappy = problem(formula, list(point), noise=gaps, options=options, target=target)
    whole = problem(formula, list(point), options=options, target=target)
    assert np.allclose(gappy.target, whole.target, rtol=1e-12)
    assert np.allclose(gappy.design, whole.design, rtol=1e-12)


def test_test_functions_that_overlap_a_hole_are_dropped():
    formula = Formula(SMOOTH, (np.linspace(0, 3, 61), np.linspace(0, 6, 81)), noise_scale=0.03)
    gaps = np.zeros(formula.shape)
    gaps[20:32, 50:] = np.nan
    options = replace(CLEAN, support_radius={"time": 8, "x": 9}, rows=150)
    whole, gappy = (problem(formula, ["u", "u_x"], noise=n, options=options) for n in (None, gaps))
    dropped = 0
    for row, keeps in enumerate(gappy.kept):
        time, place = (
            w.centres[i]
            for w, i in zip(
                gappy.test_functions,
                np.unravel_index(row, (len(gappy.test_functions[0].centres), len(gappy.test_functions[1].centres))),
                strict=True,
            )
        )
        bump = np.outer(
            np.clip(1 - ((np.arange(61) - time) / 8) ** 2, 0, None) ** 6,
            np.clip(1 - ((np.arange(81) - place) / 9) ** 2, 0, None) ** 7,
        )
        share = bump[np.isnan(gaps)].sum() / bump.sum()
        assert not keeps if share > 0.08 else keeps or share > 0.02
        dropped += not keeps
    assert 5 < dropped < 60
    assert np.allclose(gappy.target, whole.target[gappy.kept])
    beta = np.array([0.3, -1.0])
    gappy = replace(gappy, transfers=(replace(gappy.transfers[0], fill_gain=1.0),))
    found, wanted = gappy.covariance(beta), whole.covariance(beta)[np.ix_(gappy.kept, gappy.kept)]
    assert found.shape == wanted.shape
    # Next to the hole the neighbours count for more.
    ratio = np.diagonal(found) / np.diagonal(wanted)
    assert ratio.min() > 1 - 1e-12
    assert 1.001 < ratio.max() < 1.3
    assert WhitenedRows(gappy, beta).statistics.provenance["dropped_for_gaps"] == dropped


def test_too_few_rows_are_refused():
    with pytest.raises(ConfigError, match="Too few test functions"):
        problem(ONE, ["u"], options=replace(SMALL, support_radius={"time": 7, "x": 8}))


def test_a_term_that_needs_smoother_test_functions_is_refused():
    with pytest.raises(ConfigError, match="not smooth enough"):
        problem(ONE, ["u_xxxx"], options=replace(SMALL, space_power=4))


def test_a_field_that_does_not_change_in_time_is_refused():
    with pytest.raises(FieldError, match="does not change in time"):
        problem(Formula(sympy.sin(x), (TIMES, PLACES)), ["u_x"])
