import numpy as np
import pytest
from scipy import stats

from bayespde.core.collinear import collinear_groups
from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.errors import ConfigError
from bayespde.results.equations import (
    RankedEquation,
    equations,
    format_equations,
    format_value,
    group_masses,
)


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (0.1, 0.002, "0.100(2)"),
        (1.001, 0.005, "1.001(5)"),
        (0.06543, 0.0153, "0.065(15)"),
        (2.0, 0.0996, "2.00(10)"),
        (2.0, 0.0094, "2.000(9)"),
        (0.01, 3.0, "0(3)"),
        (12345.0, 4.0, "12345(4)"),
        (12345.0, 400.0, "1.23(4)e+04"),
        (1.234e-7, 5e-10, "1.234(5)e-07"),
        (0.5, 0.0, "0.5"),
        (0.5, float("nan"), "0.5"),
    ],
)
def test_the_error_follows_its_digits(value, sd, text):
    assert format_value(value, sd) == text


def test_an_equation_is_written_as_text():
    ranked = RankedEquation(
        names=("u_xx", "u*u_x", "u_x + u"),
        probability=0.9,
        coefficients=(0.1, -1.001, -0.5),
        sd=(0.002, 0.005, 0.03),
        lower=(0.0, 0.0, 0.0),
        upper=(0.0, 0.0, 0.0),
        units=("nm^2 s^-1", "nm s^-1", "s^-1"),
        complexity=3.0,
        log_odds=0.0,
    )
    assert str(ranked) == "u_t = 0.100(2) u_xx - 1.001(5) u*u_x - 0.50(3) (u_x + u)"


def test_ranking_follows_the_exact_table(burgers):
    ranked = equations(burgers, top=3)
    exact = burgers.exact
    assert [e.probability for e in ranked] == exact.probability[:3].tolist()
    assert ranked[0].names == tuple(np.array(burgers.library.names)[exact.spins[0]])
    assert ranked[1].log_odds == pytest.approx(np.log(exact.probability[1] / exact.probability[0]))
    units = {"u": "s^-1", "u_x": {"s^-1", "nm"}, "u_xx": {"s^-1", "nm^2"}, "u*u_x": {"s^-1", "nm"}}
    for name, unit in zip(ranked[0].names, ranked[0].units, strict=True):
        assert set(unit.split()) == set(np.atleast_1d(list(units[name]) if name != "u" else units[name]))
    table = format_equations(ranked)
    assert all(str(e) in table for e in ranked)
    assert "90% intervals" in table


def test_coefficients_of_a_common_configuration_are_those_of_its_particles(sampled):
    best = equations(sampled, top=1, level=0.8)[0]
    on = np.isin(sampled.library.names, best.names)
    holds = (sampled.spins == on).all(axis=-1)
    weight = np.exp(sampled.log_evidence - sampled.log_evidence.max())
    repeats = np.repeat(weight, holds.sum(axis=1))
    draws = sampled.coefficients[holds][:, on]
    assert best.draws > 100
    np.testing.assert_allclose(best.coefficients, np.average(draws, axis=0, weights=repeats), rtol=1e-12)
    inside = (draws > best.lower) & (draws < best.upper)
    np.testing.assert_allclose(np.average(inside, axis=0, weights=repeats), 0.8, atol=2 / len(draws))


def test_closed_form_is_the_textbook_regression_posterior(burgers_rows, burgers):
    design, target, _ = burgers_rows
    on = np.array([True, False, True, True, False])
    statistics = burgers.statistics
    columns = design[:, on]
    covariance = np.linalg.inv(columns.T @ columns)
    fit = covariance @ columns.T @ target
    residual = np.sum((target - columns @ fit) ** 2)
    shape = (statistics.prior_rows + len(target)) / 2
    scale = (statistics.prior_rows * statistics.prior_variance + residual) / 2
    marginal = stats.t(2 * shape, fit, np.sqrt(scale / shape * np.diag(covariance)))
    found = CoefficientPosterior.of(statistics, on)
    mean, sd, (lower, upper) = found.mean, found.sd, found.interval(0.9)
    np.testing.assert_allclose(mean, fit, rtol=1e-9)
    np.testing.assert_allclose(sd, marginal.std(), rtol=1e-9)
    np.testing.assert_allclose([lower, upper], marginal.ppf([[0.05], [0.95]]), rtol=1e-9)
    expected = stats.invgamma(shape, scale=scale).mean()
    np.testing.assert_allclose(sd, np.sqrt(expected * np.diag(covariance)), rtol=1e-9)


def test_particles_and_closed_form_agree_within_monte_carlo_error(sampled):
    best = equations(sampled, top=1)[0]
    found = CoefficientPosterior.of(sampled.statistics, sampled.library.spins(best.names))
    mean, sd = found.mean, found.sd
    assert np.all(np.abs(np.array(best.coefficients) - mean) < 5 * sd / np.sqrt(best.draws))
    assert np.all(np.abs(np.array(best.sd) / sd - 1) < 5 / np.sqrt(2 * best.draws))


def test_a_rare_configuration_gets_the_closed_form(burgers):
    last = equations(burgers, top=32)[-1]
    found = CoefficientPosterior.of(burgers.statistics, burgers.library.spins(last.names))
    mean, sd, (lower, upper) = found.mean, found.sd, found.interval(0.9)
    assert last.draws == 0
    np.testing.assert_array_equal([last.coefficients, last.sd, last.lower, last.upper], [mean, sd, lower, upper])


def test_the_empty_equation_can_be_ranked(build, rng):
    design = rng.standard_normal((60, 2))
    ranked = equations(build(design, 1e-3 * rng.standard_normal(60), ["u", "u_x"], rng=rng), top=4)
    empty = next(e for e in ranked if not e.names)
    assert str(empty) == "u_t = 0"


@pytest.mark.parametrize("setting", [{"top": 0}, {"level": 1.0}, {"level": 0.0}])
def test_settings_out_of_range_are_refused(burgers, setting):
    with pytest.raises(ConfigError):
        equations(burgers, **setting)


def test_interchangeable_descriptions_are_one_group(build, rng):
    u = rng.uniform(0.2, 1.2, 300)
    u_x = 2.0 * u - 1.5 * u**2 + 1e-6 * rng.standard_normal(300)
    u_xx = rng.standard_normal(300)
    design = np.column_stack([u, u**2, u_x, u_xx])
    target = 0.5 * u_x + 0.2 * u_xx + 0.05 * rng.standard_normal(300)
    posterior = build(design, target, ["u", "u**2", "u_x", "u_xx"], rng=rng)
    masses = {group.single: mass for group, mass in group_masses(posterior)}
    spins, probability = posterior.exact.spins, posterior.exact.probability
    either = spins[:, 2] | (spins[:, 0] & spins[:, 1])
    assert masses["u_x"] == pytest.approx(probability[either].sum(), rel=1e-12)
    assert masses["u_x"] > 0.99
    assert "u_xx" not in masses


def test_independent_terms_form_no_group(burgers):
    assert group_masses(burgers) == []


def test_a_group_without_support_is_not_reported(build, rng):
    u = rng.uniform(0.2, 1.2, 300)
    u_x = 2.0 * u - 1.5 * u**2 + 1e-6 * rng.standard_normal(300)
    near = np.column_stack([u, u**2, u_x])
    apart = rng.standard_normal((300, 2))
    apart -= near @ np.linalg.lstsq(near, apart, rcond=None)[0]
    target = 0.2 * apart[:, 0] + 0.05 * apart[:, 1]
    posterior = build(np.column_stack([near, apart[:, 0]]), target, ["u", "u**2", "u_x", "u_xx"], rng=rng)
    assert max(posterior.exact.inclusion_probability[:3]) < 0.05
    assert len(collinear_groups(posterior.statistics)) == 3
    assert group_masses(posterior) == []
