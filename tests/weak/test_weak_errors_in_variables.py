"""The errors-in-variables estimate: without the noise in its normal equations it is unbiased, plain ones are not."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.weak.assembler import Assembler
from bayespde.weak.errors_in_variables import _noise, _sides, _slopes, errors_in_variables
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.test_functions import project
from bayespde.weak.whitening import WhitenedRows

WHITE = bp.WeakForm(floor=0.0, scheme_error=False, noise="white")
TRUTH = {"u": -0.3, "u_xx": 0.4}


def waves(rng, level, numbers=(0.4, 0.9, 1.3)):
    """Waves that drift and decay by a linear equation, with white noise."""
    t, x = np.linspace(0, 4, 61), np.linspace(0, 20, 101)
    clean = sum(np.exp((TRUTH["u"] - TRUTH["u_xx"] * k**2) * t)[:, None] * np.sin(k * x + 5 * k) for k in numbers)
    return bp.make_field(clean + level * clean.std() * rng.standard_normal(clean.shape), t=t, x=x)


def both(field, support_radius):
    """The estimate, and plain least squares on the same moments of the same field."""
    library, point = bp.Library.from_strings(list(TRUTH)), np.array(list(TRUTH.values()))
    smooth = fit_spline(field, config=SplineConfig(hold_out="pixels"))
    options = replace(WHITE, support_radius=support_radius, coarse_rows=150)
    first = weak_problem(library, (ObservedField(field, smooth),), options=options)
    found = errors_in_variables(Assembler(library, first, first.test_functions), point, np.ones(2, dtype=bool))
    rows = WhitenedRows(first, point)
    left = -project(smooth.evaluate((0, 0)), first.test_functions, (1, 0))
    return found, np.linalg.lstsq(rows.whiten(first.design), rows.whiten(left), rcond=None)[0]


def test_the_noise_in_the_normal_equations_is_what_draws_add_to_them(rng):
    """Linear terms: the mean over draws of the field is exact, its error that of the mean."""
    field = waves(rng, 0.5)
    smooth = fit_spline(field, config=SplineConfig(hold_out="pixels"))
    library, point = bp.Library.from_strings(list(TRUTH)), np.array(list(TRUTH.values()))
    options = replace(WHITE, support_radius={"time": 7, "x": 9}, coarse_rows=60)
    first = weak_problem(library, (ObservedField(field, smooth),), options=options)
    rows, variance = WhitenedRows(first, point), smooth.variance
    free = variance > 0
    wanted = _noise(_slopes(smooth, rows, free), variance[free])
    base, found = _sides(smooth, rows), []
    for _ in range(300):
        drawn = smooth.with_coefficients(smooth.coefficients + np.sqrt(variance) * rng.standard_normal(variance.shape))
        fields = (ObservedField(field, drawn, noise=first.noise),)
        over = weak_problem(library, fields, options=options, test_functions=first.test_functions)
        both = _sides(drawn, replace(rows, problem=replace(over, library=library)))
        whitened = rows.whiten(np.column_stack([over.design, rows.root @ both[:, -1]]))
        found.append(whitened.T @ whitened - base.T @ base)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(mean - wanted) < 5 * error + 1e-3 * np.abs(wanted).max())


def test_the_estimate_is_unbiased_where_plain_least_squares_are_not(seed):
    """As much noise as signal, on narrow test functions: scores of both over noise draws, in standard errors."""
    truth, scores = np.array(list(TRUTH.values())), []
    for draw in range(64):
        field = waves(np.random.default_rng([seed, draw]), 1.0, numbers=np.arange(1, 8) * 0.3)
        found, plain = both(field, {"time": 6, "x": 6})
        assert found.is_corrected
        scores.append((np.stack([found.coefficients, plain]) - truth) / np.array(found.sd))
    scores = np.array(scores)
    corrected, plain = np.abs(scores.mean(axis=0)[:, 1])
    assert corrected < 4 / np.sqrt(len(scores)) < plain + 1 / np.sqrt(len(scores))
    assert plain - corrected > 0.25
    assert 0.6 < scores[:, 0].std() < 1.4


def test_without_noise_it_is_plain_least_squares():
    found, plain = both(waves(np.random.default_rng(0), 1e-6), {"time": 10, "x": 14})
    assert found.coefficients == pytest.approx(plain, rel=1e-4)
    assert found.coefficients == pytest.approx(list(TRUTH.values()), rel=2e-3)


def test_noise_that_cannot_be_subtracted_is_left_in_and_recorded():
    """A video of pure noise."""
    field = waves(np.random.default_rng(1), 0.5)
    field = field.copy(data=np.random.default_rng(2).standard_normal(field.shape))
    found, plain = both(field, {"time": 6, "x": 8})
    assert not found.is_corrected
    assert found.coefficients == pytest.approx(plain)


@pytest.mark.slow  # a whole discovery
def test_it_is_reported_and_checked():
    field = waves(np.random.default_rng(3), 0.1)
    library = bp.Library.from_strings(["u", "u_x", "u_xx"])
    found = bp.discover(
        field,
        library=library,
        config=bp.DiscoverConfig(smoothing=bp.SmoothingConfig(smoother="spline"), trajectory_matching="never"),
    )
    second = bp.errors_in_variables_estimate(found.posterior)
    assert second.names == ("u", "u_xx")
    assert np.all(second.scores < 6)
    assert np.all(np.abs(second.coefficients / list(TRUTH.values()) - 1) < 0.1)
    assert str(second) in str(found)
    assert "errors in variables" in {c.name for c in bp.model_checks(found.posterior)}
    # Without one of its terms the equation is another one.
    fewer = bp.SpinModel(found.statistics.select(["u_x", "u_xx"]), bp.Library.from_strings(["u_x", "u_xx"]))
    assert bp.errors_in_variables_estimate(bp.sample(fewer, config=bp.SMCConfig(particles=64, runs=1), seed=0)) is None
    statistics = bp.SufficientStatistics.from_rows(np.eye(5, 2), np.arange(5.0), names=["u", "u_x"])
    model = bp.SpinModel(statistics, bp.Library.from_strings(["u", "u_x"]))
    assert bp.errors_in_variables_estimate(bp.sample(model, config=bp.SMCConfig(particles=64, runs=1), seed=0)) is None
