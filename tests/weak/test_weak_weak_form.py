"""Weak rows on fields known as formulas: exact at the truth, and with exactly the covariance that they claim."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import sympy
from manufactured import BURGERS, HEAT, SMOOTH, SMOOTH_2D, WAVE, Formula, t, x, y
from scipy import linalg

import bayespde as bp
from bayespde.core.errors import ConfigError, FieldError
from bayespde.noise.covariance import NoiseCovariance
from bayespde.weak.linearisation import iterate
from bayespde.weak.moments import weak_problem
from bayespde.weak.whitening import WhitenedRows

CLEAN = bp.WeakForm(floor=0.0, scheme_error=False, noise="white")
WIDE = replace(CLEAN, support_radius={"time": 18, "y": 25, "x": 30})
TIMES, PLACES = np.linspace(0, 3, 121), np.linspace(0, 2 * np.pi, 181)


def problem(formula, names, *, noise=None, options=CLEAN, target="u_t"):
    library = bp.Library.from_strings(names, target=target)
    return weak_problem(library, formula.field(noise), formula, options=options)


# The rows at the truth


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


# The covariance, pixel by pixel


ONE = Formula(SMOOTH, (np.linspace(0, 1.6, 16), np.linspace(0, 4, 18)), noise_scale=0.03)
TWO = Formula(SMOOTH_2D, (np.linspace(0, 1, 7), np.linspace(0, 2, 6), np.linspace(0, 3, 7)), noise_scale=0.03)
SMALL = replace(CLEAN, support_radius={"time": 5, "x": 6}, rows=30)
SMALL_2D = replace(CLEAN, support_radius={"time": 2, "y": 2, "x": 2}, rows=30)
CASES = {
    "1-D": (ONE, SMALL, {"u": 0.5, "u*u_x": -1.0, "u_xx": 0.3, "u_x**2": 0.2}, "u_t"),
    "1-D, second time derivative": (ONE, SMALL, {"u": 0.5, "u**2*u_xx": -0.4}, "u_tt"),
    "1-D, constant pilot": (ONE, SMALL, {"1": 2.0}, "u_t"),
    "2-D": (TWO, SMALL_2D, {"u_x": 0.7, "u*u_xy": -1.0, "u_yy": 0.4, "sin(u)*u_x": 1.0}, "u_t"),
}


def response(formula, options, pilot, target, places=None):
    """Change of the rows z = b - D beta0 when one pixel rises by one, for each pixel: `[m, pixels]`."""
    beta = np.array(list(pilot.values()))
    columns = []
    for pixel in range(np.prod(formula.shape)) if places is None else places:
        noise = np.zeros(formula.shape)
        noise.flat[pixel] = 1.0
        weak = problem(formula, list(pilot), noise=noise, options=options, target=target)
        columns.append(weak.target - weak.correction @ beta)
    base = problem(formula, list(pilot), options=options, target=target)
    return np.column_stack(columns) - (base.target - base.correction @ beta)[:, None], base


@pytest.mark.parametrize("case", CASES)
def test_the_covariance_is_that_of_independent_noise_in_every_pixel(case):
    formula, options, pilot, target = CASES[case]
    matrix, base = response(formula, options, pilot, target)
    found = base.covariance(np.array(list(pilot.values())))
    wanted = formula.noise_scale**2 * matrix @ matrix.T
    assert len(found) >= 8
    assert np.allclose(found, wanted, atol=1e-9 * np.abs(wanted).max(), rtol=0)


FINE = Formula(SMOOTH, (np.linspace(0, 1.6, 12), np.linspace(0, 4, 48)), noise_scale=0.03)
FINE_2D = Formula(SMOOTH_2D, (np.linspace(0, 1, 6), np.linspace(0, 2, 15), np.linspace(0, 3, 15)), noise_scale=0.03)
NEIGHBOURS = np.array([1.0, 0.45, 0.1])


@pytest.mark.parametrize(
    ("formula", "widths", "pilot"),
    [
        (FINE, {"time": 4, "x": 16}, {"u": 0.5, "u*u_x": -1.0}),
        (FINE_2D, {"time": 2, "y": 6, "x": 6}, {"u_x": 0.7, "u*u_y": -1.0}),
    ],
)
def test_noise_that_hangs_together_in_space_enters_the_covariance(formula, widths, pilot):
    matrix, base = response(formula, replace(SMALL, support_radius=widths), pilot, "u_t")
    lags = [np.ones(1)] + [NEIGHBOURS] * (len(formula.shape) - 1)
    of_pixels = np.ones((1, 1))
    for count, known in zip(formula.shape, lags, strict=True):
        of_pixels = np.kron(of_pixels, linalg.toeplitz(np.pad(known, (0, count - len(known)))))
    noise = NoiseCovariance(np.full(formula.shape, formula.noise_scale), correlation=tuple(lags))
    found = replace(base, noise=noise).covariance(np.array(list(pilot.values())))
    wanted = formula.noise_scale**2 * matrix @ of_pixels @ matrix.T
    white = base.covariance(np.array(list(pilot.values())))
    assert np.allclose(found, wanted, atol=0.01 * np.abs(wanted).max(), rtol=0)
    assert np.abs(white - wanted).max() > 0.3 * np.abs(wanted).max()


def test_the_rows_do_move_like_the_noise_that_was_simulated(seed):
    formula, options, pilot, target = CASES["1-D"]
    beta, rng, draws = np.array(list(pilot.values())), np.random.default_rng(seed), 250
    base = problem(formula, list(pilot), options=options, target=target)
    samples = []
    for _ in range(draws):
        noise = formula.noise_scale * rng.standard_normal(formula.shape)
        weak = problem(formula, list(pilot), noise=noise, options=options, target=target)
        samples.append(weak.target - weak.correction @ beta)
    covariance = base.covariance(beta)
    standard = (np.array(samples) - (base.target - base.correction @ beta)) / np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    assert np.abs(standard.mean(axis=0)).max() < 5 / np.sqrt(draws)
    error = np.sqrt((1 + correlation**2) / draws)
    assert np.abs(standard.T @ standard / draws - correlation).max() < 5 * error.max()


def test_missing_pixels_have_no_value_of_their_own():
    formula, options, pilot, target = CASES["1-D"]
    gaps = np.zeros(formula.shape)
    gaps[[2, 5, 6, 8, 8, 13], [15, 10, 11, 3, 8, 6]] = np.nan
    gappy = problem(formula, list(pilot), noise=gaps, options=options, target=target)
    whole = problem(formula, list(pilot), options=options, target=target)
    assert np.allclose(gappy.target, whole.target, rtol=1e-12)
    assert np.allclose(gappy.design, whole.design, rtol=1e-12)


def test_pixels_filled_with_the_truth_have_no_noise_and_those_filled_from_their_neighbours_repeat_theirs(rng):
    formula = Formula(SMOOTH, (np.linspace(0, 1.6, 60), np.linspace(0, 4, 70)), noise_scale=0.03)
    options, names = replace(CLEAN, support_radius={"time": 15, "x": 18}, rows=40), ["u", "u*u_x", "u_xx"]
    gaps = np.where(rng.random(formula.shape) < 0.25, np.nan, 0.0)
    gappy, whole = (problem(formula, names, noise=noise, options=options) for noise in (gaps, None))
    # The formula is no smoother: what it fills in is the truth.
    assert gappy.noise.kept == 0
    repeating = replace(gappy, noise=replace(gappy.noise, kept=1.0))
    for found, wanted in ((gappy, 0.75), (repeating, 1 / 0.75)):
        ratio = np.diagonal(found.covariance(np.ones(3))) / np.diagonal(whole.covariance(np.ones(3)))
        assert np.all(np.abs(ratio / wanted - 1) < 0.2)
        assert abs(ratio.mean() / wanted - 1) < 0.07


def test_test_functions_that_look_into_a_hole_are_dropped():
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
                gappy.windows,
                np.unravel_index(row, (len(gappy.windows[0].centres), len(gappy.windows[1].centres))),
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
    gappy = replace(gappy, noise=replace(gappy.noise, kept=1.0))
    found, wanted = gappy.covariance(beta), whole.covariance(beta)[np.ix_(gappy.kept, gappy.kept)]
    assert found.shape == wanted.shape
    # CoupledField the hole the neighbours count for more.
    ratio = np.diagonal(found) / np.diagonal(wanted)
    assert ratio.min() > 1 - 1e-12
    assert 1.001 < ratio.max() < 1.3
    assert WhitenedRows(gappy, beta).statistics.provenance["dropped_for_gaps"] == dropped


def test_too_few_rows_are_refused():
    with pytest.raises(ConfigError, match="Too few test functions"):
        problem(ONE, ["u"], options=replace(SMALL, support_radius={"time": 7, "x": 8}))


def test_the_floor_and_the_scheme_error_are_added_to_the_noise():
    formula, options, pilot, _ = CASES["1-D"]
    beta = np.array(list(pilot.values()))
    plain = problem(formula, list(pilot), options=options)
    both = problem(formula, list(pilot), options=replace(options, floor=0.01, scheme_error=True))
    extra = both.covariance(beta) - plain.covariance(beta)
    wanted = np.outer(both.scheme, both.scheme) + 1e-4 * np.mean(both.target**2) * np.eye(len(extra))
    assert np.allclose(extra, wanted, atol=1e-9 * wanted.max(), rtol=0)


# A front that jitters and wanders


FRONT = Formula(1 / (1 + sympy.exp(-(x - 3 + t / 5000) / 0.4)), (np.linspace(0, 8, 81), np.linspace(0, 6, 61)), 0.0)


def with_displacement_noise(jitter, walk):
    base = problem(FRONT, ["u_x", "u"], options=replace(CLEAN, support_radius={"time": 20, "x": 20}, rows=24))
    pattern = FRONT.evaluate((0, 1))
    return replace(base, noise=NoiseCovariance(np.zeros(FRONT.shape), (pattern,), (jitter,), walk))


def displaced_rows(displacement):
    moved = FRONT.evaluate((0, 0)) - displacement[:, None] * FRONT.evaluate((0, 1))
    options = replace(CLEAN, support_radius={"time": 20, "x": 20}, rows=24)
    return problem(FRONT, ["u_x", "u"], noise=moved - FRONT.evaluate((0, 0)), options=options)


@pytest.mark.parametrize("pilot", [[0.0, 0.0], [-0.5, 0.3]])
def test_jitter_moves_the_frames_one_by_one(pilot):
    weak = with_displacement_noise(0.02, 0.0)
    base = displaced_rows(np.zeros(81))
    rows = []
    for frame in range(81):
        moved = displaced_rows(np.eye(81)[frame])
        rows.append(moved.target - base.target - (moved.correction - base.correction) @ np.array(pilot))
    wanted = 0.02**2 * np.array(rows).T @ np.array(rows)
    assert np.allclose(weak.covariance(np.array(pilot)), wanted, atol=1e-9 * wanted.max(), rtol=0)


def test_a_wandering_front_gives_the_rows_the_covariance_of_its_random_walk():
    weak = with_displacement_noise(0.0, 0.02)
    # All rows are linear in the displacement: the covariance of a random walk is min(i, j) steps.
    base = displaced_rows(np.zeros(81)).target
    matrix = np.column_stack([displaced_rows(np.eye(81)[f]).target - base for f in range(81)])
    steps = np.minimum.outer(np.arange(1, 82), np.arange(1, 82))
    wanted, found = 0.02**2 * matrix @ steps @ matrix.T, weak.covariance(np.zeros(2))
    assert np.allclose(found, wanted, atol=0.01 * wanted.max(), rtol=0)


# Whitened statistics


def test_whitened_residuals_at_the_truth_have_unit_variance(seed):
    formula = Formula(HEAT, (np.linspace(0, 3, 61), np.linspace(0, 2 * np.pi, 81)), noise_scale=0.02)
    rng, beta, found = np.random.default_rng(seed), np.array([0.25, 0.0]), []
    for _ in range(40):
        weak = problem(formula, ["u_xx", "u*u_x"], noise=0.02 * rng.standard_normal(formula.shape), options=CLEAN)
        statistics = WhitenedRows(weak, beta).statistics
        found.append(statistics.block_residuals(beta).sum() / statistics.rows)
    # So many overlapping rows are not independent to the last digit: what is below the rounding guard is not there.
    covariance = weak.covariance(beta)
    guarded = covariance + 1e-9 * np.diag(np.diagonal(covariance))
    expected = np.trace(np.linalg.solve(guarded, covariance)) / len(covariance)
    assert 0.9 < expected <= 1
    assert statistics.prior_variance == pytest.approx(2 - expected, abs=1e-4)
    assert abs(np.mean(found) - expected) < 5 * np.sqrt(2 / statistics.rows / len(found))


def test_the_expected_residual_is_the_share_of_noise_in_the_rows():
    formula, options, pilot, _ = CASES["1-D"]
    beta = np.array(list(pilot.values()))
    weak = problem(formula, list(pilot), options=replace(options, floor=0.02, scheme_error=True))
    plain = problem(formula, list(pilot), options=options)
    wanted = np.trace(np.linalg.solve(weak.covariance(beta), plain.covariance(beta))) / len(weak.target)
    statistics = WhitenedRows(weak, beta).statistics
    assert 0.1 < wanted < 0.99
    assert statistics.provenance["expected_residual"] == pytest.approx(wanted, rel=1e-4)
    assert statistics.prior_variance == pytest.approx(2 - wanted, rel=1e-4)
    assert statistics.prior_rows == len(weak.target)


def test_compressed_rows_are_the_generalised_least_squares_problem():
    formula, options, pilot, _ = CASES["1-D"]
    beta = np.array(list(pilot.values()))
    noise = 0.03 * np.random.default_rng(3).standard_normal(formula.shape)
    weak = problem(formula, list(pilot), noise=noise, options=replace(options, floor=1e-3))
    inverse = np.linalg.inv(weak.covariance(beta))
    z = weak.target - weak.correction @ beta
    statistics = WhitenedRows(weak, beta).statistics
    gram = statistics.factor[:, :-1].T @ statistics.factor[:, :-1]
    assert np.allclose(gram, weak.design.T @ inverse @ weak.design, rtol=1e-5)
    assert statistics.energy == pytest.approx(z @ inverse @ z, rel=1e-5)
    log_determinant = np.linalg.slogdet(weak.covariance(beta))[1]
    assert statistics.log_jacobian.sum() == pytest.approx(-0.5 * log_determinant, abs=1e-5 * len(z))
    direct = np.linalg.solve(weak.design.T @ inverse @ weak.design, weak.design.T @ inverse @ z)
    assert statistics.least_squares(np.ones(4, bool)) == pytest.approx(direct, rel=1e-4)


def test_instrumental_fits_solve_their_normal_equations():
    formula, options, pilot, _ = CASES["1-D"]
    beta = np.array(list(pilot.values()))
    noise = 0.03 * np.random.default_rng(4).standard_normal(formula.shape)
    weak = problem(formula, list(pilot), noise=noise, options=replace(options, floor=1e-3))
    inverse = np.linalg.inv(weak.covariance(beta))
    spins = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    fits = WhitenedRows(weak, beta).instrumental_fits(spins)
    for on, fit in zip(spins, fits, strict=True):
        a, d = weak.design[:, on], weak.correction[:, on]
        wanted = np.linalg.solve(a.T @ inverse @ (a + d), a.T @ inverse @ weak.target)
        assert fit[on] == pytest.approx(wanted, rel=1e-6)
        assert np.all(fit[~on] == 0)


def test_the_pilot_settles_where_another_round_changes_nothing():
    formula = Formula(BURGERS, (TIMES, PLACES), noise_scale=0.002)
    noise = 0.002 * np.random.default_rng(1).standard_normal(formula.shape)
    weak = problem(formula, ["u", "u*u_x", "u_xx"], noise=noise, options=CLEAN)
    only = np.array([[False, True, True]])
    found = iterate(lambda _: weak, lambda _: (only, np.ones(1)), np.zeros(3), rounds=20)
    pilot = found.coefficients
    again = WhitenedRows(weak, pilot).instrumental_fits(only)[0]
    assert np.linalg.norm(weak.design @ (again - pilot)) < 5e-3 * np.linalg.norm(weak.design @ pilot)
    assert pilot == pytest.approx([0, -1, 0.1], rel=0.05)
    assert found.converged
    assert 1 < found.rounds < 20


# Whole assembly: units and order


def noisy_burgers(seed):
    formula = Formula(BURGERS, (np.linspace(0, 4, 81), np.linspace(0, 2 * np.pi, 121)))
    return bp.add_noise(formula.field(), 0.01, seed=seed)


NAMES = ["u", "u**2", "u_x", "u_xx", "u*u_x", "u*u_xx"]


def assembled(field, names=NAMES):
    library = bp.Library.from_strings(names)
    smooth = bp.fit_field(field, method="spline")
    statistics = bp.assemble(library, field, smooth=smooth)
    return library, statistics, bp.enumerate_models(bp.SpinModel(statistics, library))


@pytest.mark.parametrize(
    ("length", "time", "size"), [(1e-3, 1.0, 1.0), (1.0, 3600.0, 1.0), (1.0, 1.0, 1e-6), (1e9, 1e-3, 25.0)]
)
def test_other_units_change_coefficients_by_the_right_power_and_spins_not_at_all(length, time, size):
    field = noisy_burgers(0)
    _, base, exact = assembled(field)
    scaled = bp.make_field(field.values * size, t=field.time.values * time + 5, x=field.x.values * length - 3 * length)
    _, other, found = assembled(scaled)
    powers = {"u": (1, 0), "u**2": (2, 0), "u_x": (1, 1), "u_xx": (1, 2), "u*u_x": (2, 1), "u*u_xx": (2, 2)}
    factor = np.array([size / time / size**p * length**d for p, d in powers.values()])
    on = np.ones(6, dtype=bool)
    assert other.least_squares(on) == pytest.approx(base.least_squares(on) * factor, rel=1e-4)
    assert np.allclose(found.inclusion_probability, exact.inclusion_probability, atol=1e-6)
    assert np.array_equal(found.spins[0], exact.spins[0])
    assert np.log(found.probability[:5]) == pytest.approx(np.log(exact.probability[:5]), abs=1e-4)


def test_the_order_of_terms_changes_nothing():
    field = noisy_burgers(1)
    library, base, exact = assembled(field)
    other_library, other, found = assembled(field, NAMES[::-1])
    on = np.ones(6, dtype=bool)
    assert other.least_squares(on)[::-1] == pytest.approx(base.least_squares(on), rel=1e-6)
    assert np.allclose(found.inclusion_probability[::-1], exact.inclusion_probability, atol=1e-9)
    assert found.log_evidence == pytest.approx(exact.log_evidence, abs=1e-6)
    names = {library.names[i] for i in np.flatnonzero(exact.spins[0])}
    assert names == {other_library.names[i] for i in np.flatnonzero(found.spins[0])} == {"u*u_x", "u_xx"}


# Options


@pytest.mark.parametrize(
    "settings",
    [
        {"reach": 0}, {"space_cap": 0.6}, {"time_cap": 0}, {"rows": 10}, {"floor": -1}, {"pilots": 0},
        {"space_power": 2}, {"noise": "pink"}, {"floor": float("nan")},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="out of range"):
        bp.WeakForm(**settings)


def test_half_widths_are_checked_against_the_field():
    run = partial(problem, ONE, ["u_x"])
    with pytest.raises(ConfigError, match="unknown dimension"):
        run(options=replace(CLEAN, support_radius={"y": 5}))
    with pytest.raises(ConfigError, match="does not fit"):
        run(options=replace(CLEAN, support_radius={"x": 13}))
    weak = run(options=SMALL)
    assert [w.half_width for w in weak.windows] == [5, 6]


def test_a_term_that_needs_smoother_test_functions_is_refused():
    with pytest.raises(ConfigError, match="not smooth enough"):
        problem(ONE, ["u_xxxx"], options=replace(SMALL, space_power=4))


def test_a_field_that_does_not_change_in_time_is_refused():
    with pytest.raises(FieldError, match="does not change in time"):
        problem(Formula(sympy.sin(x), (TIMES, PLACES)), ["u_x"])


def test_automatic_half_widths_follow_the_field_and_say_where_they_were_capped():
    axes = (np.linspace(0, 10, 401), np.linspace(0, 40 * np.pi, 1201))
    weak = problem(Formula(sympy.sin(x) * sympy.cos(t), axes), ["u_x"])
    # sd(v)/rms(v_x) is one unit of length: 3 units are 28.6 samples; along time the same, 120 samples, is over the cap.
    assert weak.windows[1].half_width == pytest.approx(3 / (40 * np.pi / 1200), abs=1)
    assert weak.windows[0].half_width == round(401 / 6)
    assert weak.capped == ("time",)
    assert len(weak.target) <= 200
