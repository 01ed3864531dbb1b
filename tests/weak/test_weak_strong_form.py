"""Strong rows are the terms at the grid points, weighted by the number of independent ones."""

import warnings

import numpy as np
import pytest
import torch
from manufactured import BURGERS, Formula
from scipy.signal import lfilter

import bayespde as bp
from bayespde.core.errors import ConfigError, TermError
from bayespde.core.slabs import ProfileLikelihood
from bayespde.core.terms import derivative_orders
from bayespde.model import generative
from bayespde.weak.strong_form import StrongFormWarning, autocorrelation_time, strong_statistics

FORMULA = Formula(BURGERS, (np.linspace(0, 3, 41), np.linspace(0, 2 * np.pi, 61)))


def all_of(evaluate):
    return lambda orders: np.stack([evaluate(o) for o in orders])


def statistics_of(names, formula=FORMULA, evaluate=None, **options):
    with pytest.warns(StrongFormWarning, match="prefer WeakForm"):
        return strong_statistics(
            bp.Library.from_strings(names),
            formula.field(),
            all_of(evaluate or formula.evaluate),
            options=bp.StrongForm(**options),
        )


def test_the_rows_are_the_terms_at_the_inner_points():
    found = statistics_of(["u*u_x", "u_xx", "1"], power=1.0, trim=0.1)
    u, u_x, u_xx, u_t = (FORMULA.evaluate(o)[4:-4, 6:-6].ravel() for o in ((0, 0), (0, 1), (0, 2), (1, 0)))
    rows = np.column_stack([u * u_x, u_xx, np.ones_like(u), u_t])
    assert found.rows == len(rows)
    assert np.allclose(found.factor.T @ found.factor, rows.T @ rows, rtol=1e-10, atol=1e-10)
    assert found.target == "u_t"


def test_every_derivative_is_evaluated_once_and_all_in_one_pass():
    asked = []

    def evaluate_all(orders):
        asked.append(list(orders))
        return all_of(FORMULA.evaluate)(orders)

    library = bp.Library.from_strings(["u", "u**2", "u*u_x", "u_x**2", "u_xx", "1"])
    with pytest.warns(StrongFormWarning):
        strong_statistics(library, FORMULA.field(), evaluate_all, options=bp.StrongForm())
    assert [sorted(orders) for orders in asked] == [[(0, 0), (0, 1), (0, 2), (1, 0)]]


def test_clean_derivatives_give_the_equation():
    found = statistics_of(["u", "u*u_x", "u_xx"])
    assert found.least_squares(np.ones(3, bool)) == pytest.approx([0, -1, 0.1], abs=1e-9)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.8])
def test_the_autocorrelation_time_of_an_autoregression(seed, coefficient):
    rng = np.random.default_rng(seed)
    values = lfilter([1], [1, -coefficient], rng.standard_normal((300, 1000)), axis=1)[:, 200:]
    found = [autocorrelation_time(values[i : i + 30], 1) for i in range(0, 300, 30)]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    # Cutting at the first negative correlation lets a little noise in, and none of it is ever negative.
    assert np.mean(found) == pytest.approx((1 + coefficient) / (1 - coefficient), abs=5 * error + 0.1)


def test_the_time_is_taken_along_the_axis_asked_for(rng):
    values = np.repeat(rng.standard_normal((400, 60)), 5, axis=0)
    # Five copies in a row: correlations 1 - k/5, which sum to a time of 5.
    assert autocorrelation_time(values, 0) == pytest.approx(5, rel=0.1)
    assert autocorrelation_time(values, 1) == pytest.approx(1, abs=0.1)
    assert autocorrelation_time(np.ones((10, 10)), 0) == 1


def test_the_power_is_one_over_the_product_of_the_times(rng):
    noise = np.repeat(np.repeat(rng.standard_normal((40, 60)), 4, axis=0), 3, axis=1)
    formula = Formula(BURGERS, (np.linspace(0, 3, 160), np.linspace(0, 2 * np.pi, 180)))

    def evaluate(orders):
        return formula.evaluate(orders) + (0.1 * noise if orders == (1, 0) else 0)

    found = statistics_of(["u*u_x", "u_xx"], formula, evaluate, trim=0.0)
    assert found.power == pytest.approx(1 / 12, rel=0.15)
    assert found.rows == pytest.approx(found.power * noise.size)
    assert found.provenance["power"] == found.power
    assert statistics_of(["u*u_x"], formula, evaluate, power=0.25).power == 0.25


def test_assemble_takes_the_strong_form_too():
    field = FORMULA.field()
    smooth = bp.fit_field(field, smoother="spline")
    with pytest.warns(StrongFormWarning):
        found = bp.assemble(bp.Library.from_strings(["u*u_x", "u_xx"]), smooth, form=bp.StrongForm())
    assert found.least_squares(np.ones(2, bool)) == pytest.approx([-1, 0.1], rel=0.02)
    assert found.record.form == "strong"


def test_a_term_along_a_missing_axis_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StrongFormWarning)
        with pytest.raises(TermError, match="axis that the field lacks"):
            strong_statistics(
                bp.Library.from_strings(["u_y"]), FORMULA.field(), all_of(FORMULA.evaluate), options=bp.StrongForm()
            )


@pytest.mark.parametrize(
    "settings",
    [
        {"power": 0},
        {"power": 2},
        {"trim": 0.4},
        {"trim": -0.1},
        {"floor": -1},
        {"smoother": "wavelet"},
        {"field_draws": -1},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"out of range|unknown value"):
        bp.StrongForm(**settings)


# The mean likelihood


def test_the_mean_likelihood_is_that_of_the_original_algorithm(rng):
    """Differences of log likelihood equal those of the original, which refits on all rows with no compression."""
    t, x = np.linspace(0, 2, 25), np.linspace(0, 6, 40)
    values = np.exp(-0.3 * t)[:, None] * np.sin(x - 0.5 * t[:, None]) + 0.2 * np.cos(2 * x + t[:, None])
    field = bp.make_field(values + 0.05 * rng.standard_normal(values.shape), t=t, x=x)
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u*u_x"])
    smooth = bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline"))
    with pytest.warns(StrongFormWarning):
        statistics = bp.assemble(library, smooth, form=bp.StrongForm(power="mean", trim=0.0))
    assert statistics.rows == pytest.approx(1.0)
    names = ("u_t", "u", "u_x", "u_xx")
    target, u, u_x, u_xx = (smooth.evaluate(derivative_orders(n, ("time", "x"))).ravel() for n in names)
    columns = np.column_stack([u, u_x, u_xx, u * u_x])

    def mean_log_likelihood(on):
        residual = target - columns[:, on] @ np.linalg.lstsq(columns[:, on], target, rcond=None)[0]
        return -0.5 * (np.log(2 * np.pi * np.mean(residual**2)) + 1)

    spins = np.array([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)], dtype=bool)
    order = [library.index(n) for n in ("u", "u_x", "u_xx", "u*u_x")]
    model = bp.SpinModel(statistics, library, prior=bp.Prior(slab=ProfileLikelihood()))
    ours = model.log_likelihood(torch.as_tensor(spins[:, np.argsort(order)]))
    theirs = np.array([mean_log_likelihood(s) for s in spins])
    assert ours.numpy() - ours.numpy()[0] == pytest.approx(theirs - theirs[0], abs=1e-4)


@pytest.mark.parametrize("power", ["median", 0, 2.0, True, -0.5])
def test_powers_out_of_range_are_refused(power):
    with pytest.raises(ConfigError, match="'power' is out of range"):
        bp.StrongForm(power=power)


def test_the_mean_likelihood_gives_a_pareto_front_and_no_program():
    t, x = np.linspace(0, 2, 25), np.linspace(0, 6, 40)
    field = bp.make_field(np.exp(-0.3 * t)[:, None] * np.sin(x) + 0.1 * np.exp(-t)[:, None] * np.cos(2 * x), t=t, x=x)
    library = bp.Library.from_strings(["u", "u_x", "u_xx"])
    smooth = bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline"))
    with pytest.warns(StrongFormWarning):
        statistics = bp.assemble(library, smooth, form=bp.StrongForm(power="mean"))
    model = bp.SpinModel(statistics, library, prior=bp.Prior(slab=ProfileLikelihood()))
    posterior = bp.sample(model, config=bp.SMCConfig(particles=256, runs=1), seed=0)
    assert posterior.slab_effect[0] == 1.0
    assert len(bp.pareto_front(posterior).complexity) > 1
    with pytest.raises(ConfigError, match="no prior"):
        generative(model)
