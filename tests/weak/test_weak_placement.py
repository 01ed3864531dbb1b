"""Support radius and centres of the test functions."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import sympy
from manufactured import Formula, t, x
from weak_problems import CLEAN, ONE, SMALL, problem

from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel
from bayespde.weak.placement import choose_test_functions, dense_test_functions, place


@pytest.mark.parametrize(
    ("samples", "radii", "rows"),
    [
        ((100, 200), (15, 20), 200),
        ((60, 64, 64), (10, 21, 21), 200),
        ((20, 500), (3, 100), 50),
        ((50, 50), (10, 3), 20),
    ],
)
def test_centres_fit_are_even_and_at_most_the_rows_asked_for(samples, radii, rows):
    centres = place(samples, radii, rows)
    count = np.prod([len(c) for c in centres])
    assert rows / 3 < count <= rows
    for c, n, r in zip(centres, samples, radii, strict=True):
        assert c.min() >= r
        assert c.max() <= n - 1 - r
        if len(c) > 1:
            assert (c[0], c[-1]) == (r, n - 1 - r)
            assert np.ptp(np.diff(c)) <= 1


def test_one_test_function_that_just_fits_is_in_the_middle():
    assert [list(c) for c in place((21, 33), (10, 16), 100)] == [[10], [16]]


@pytest.mark.parametrize(("samples", "radii"), [((20, 40), (10, 5)), ((20, 40), (5, 20)), ((20, 40), (1, 5))])
def test_a_test_function_that_does_not_fit_is_refused(samples, radii):
    with pytest.raises(ConfigError, match="does not fit"):
        place(samples, radii, 100)


def test_radiuss_are_checked_against_the_field():
    run = partial(problem, ONE, ["u_x"])
    with pytest.raises(ConfigError, match="Unknown keys"):
        run(options=replace(CLEAN, support_radius={"y": 5}))
    with pytest.raises(ConfigError, match="does not fit"):
        run(options=replace(CLEAN, support_radius={"x": 13}))
    weak = run(options=SMALL)
    assert [w.radius for w in weak.test_functions] == [5, 6]


def test_automatic_radiuss_follow_the_field_and_say_where_they_were_capped():
    axes = (np.linspace(0, 10, 401), np.linspace(0, 40 * np.pi, 1201))
    weak = problem(Formula(sympy.sin(x) * sympy.cos(t), axes), ["u_x"])
    # sd(v)/rms(v_x) is one unit of length: 3 units are 28.6 samples; along time the same, 120 samples, is over the cap.
    assert weak.test_functions[1].radius == pytest.approx(3 / (40 * np.pi / 1200), abs=1)
    assert weak.test_functions[0].radius == round(401 / 6)
    assert weak.capped == ("time",)
    assert len(weak.target) <= 200


def test_dense_test_functions_are_closer_and_at_least_half_as_wide():
    axes = (np.linspace(0, 10, 201), np.linspace(0, 40 * np.pi, 601))
    weak = problem(Formula(sympy.sin(x) * sympy.cos(t), axes), ["u_x"])
    dense = dense_test_functions(weak.test_functions, ("time", "x"), CLEAN)
    for one, first in zip(dense, weak.test_functions, strict=True):
        assert first.radius / 2 - 1 <= one.radius <= first.radius
        assert len(one.centres) > len(first.centres)
    assert np.prod([len(f.centres) for f in dense]) <= CLEAN.rows
    given = replace(CLEAN, support_radius={"x": weak.test_functions[1].radius})
    kept = dense_test_functions(weak.test_functions, ("time", "x"), given)
    assert kept[1].radius == weak.test_functions[1].radius


def test_with_front_jitter_a_support_is_as_long_as_its_walk_takes_to_drown_it():
    axes = (np.linspace(0, 10, 401), np.linspace(0, 40 * np.pi, 1201))
    weak = problem(Formula(sympy.sin(x) * sympy.cos(t), axes), ["u_x"])
    jittering = NoiseModel(0.1, jitter=(0.3,), walk=0.25)
    field = weak.fields[0]
    functions, _ = choose_test_functions(field.raw, [field.smooth], CLEAN, jittering)
    # Over r frames the walk has a variance of r walk^2; that of the jitter is a JITTER_SHARE of it.
    assert functions[0].radius == round(0.3**2 / (0.03 * 0.25**2))


def test_dense_test_functions_are_no_narrower_than_samples_allow():
    """Six samples in time and eight in space, and not wider than the first ones."""
    weak = problem(ONE, ["u_x"], options=SMALL)
    first = tuple(replace(f, radius=r, samples=60) for f, r in zip(weak.test_functions, (11, 13), strict=True))
    options = replace(CLEAN, rows=10**6)
    assert [f.radius for f in dense_test_functions(first, ("time", "x"), options)] == [6, 8]
    narrow = tuple(replace(f, radius=5) for f in first)
    assert [f.radius for f in dense_test_functions(narrow, ("time", "x"), options)] == [5, 5]
