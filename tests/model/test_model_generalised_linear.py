"""Logistic, probit and Poisson regression: Laplace one model at a time, integrals, invariance, separable classes."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, optimize, special, stats

import bayespde as bp
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.model.families import FAMILIES

LOG_DENSITY = {
    "binomial": lambda eta, y: stats.bernoulli.logpmf(y, special.expit(eta)),
    "probit": lambda eta, y: stats.bernoulli.logpmf(y, stats.norm.cdf(eta)),
    "poisson": lambda eta, y: stats.poisson.logpmf(y, np.exp(eta)),
}


def table_of(family, rng, rows=60, terms=4):
    design = rng.normal(size=(rows, terms)) @ (np.eye(terms) + 0.3 * rng.normal(size=(terms, terms))) + 1.0
    eta = 0.4 + design @ np.array([0.9, 0.0, -0.6, 0.0])[:terms] - 0.4
    target = rng.poisson(np.exp(eta)) if family == "poisson" else (rng.random(rows) < special.expit(eta))
    return pd.DataFrame(design, columns=list("abcd")[:terms]).assign(y=target.astype(float))


def score(family, eta, target):
    if family == "probit":
        sign = 2 * target - 1
        return sign * np.exp(stats.norm.logpdf(eta) - stats.norm.logcdf(sign * eta))
    return target - (np.exp(eta) if family == "poisson" else special.expit(eta))


def null_information(family, target, offset):
    """Expected information under the intercept alone."""
    intercept = optimize.brentq(lambda a: score(family, a + offset, target).sum(), -10, 10, xtol=1e-14, rtol=1e-14)
    eta = intercept + offset
    mean = special.expit(eta)
    return {
        "binomial": mean * (1 - mean),
        "poisson": np.exp(eta),
        "probit": stats.norm.pdf(eta) ** 2 / (stats.norm.cdf(eta) * stats.norm.sf(eta)),
    }[family]


def prior_precision(design, weight, *, g=None, ridge=None):
    centred = design - np.average(design, axis=0, weights=weight)
    gram = centred.T @ (weight[:, None] * centred)
    return gram / g if g else ridge * np.diag(np.diagonal(gram))


def log_joint(theta, family, design, target, offset, precision):
    beta = theta[1:]
    density = LOG_DENSITY[family](offset + theta[0] + design @ beta, target).sum()
    prior = stats.multivariate_normal(np.zeros(len(beta)), np.linalg.inv(precision)).logpdf(beta) if len(beta) else 0.0
    return density + prior


def laplace(*problem):
    """One model by scipy: the mode by a quasi-Newton method and a root of the gradient."""
    family, design, target, offset, precision = problem
    size = design.shape[1] + 1
    columns = np.column_stack([np.ones(len(target)), design])
    whole = np.zeros((size, size))
    whole[1:, 1:] = precision

    def gradient(theta):
        return columns.T @ score(family, offset + columns @ theta, target) - whole @ theta

    def weight(eta):
        if family == "probit":
            z = (2 * target - 1) * eta
            ratio = np.exp(stats.norm.logpdf(z) - stats.norm.logcdf(z))
            return ratio * (ratio + z)
        return np.exp(eta) if family == "poisson" else special.expit(eta) * special.expit(-eta)

    start = optimize.minimize(lambda t: -log_joint(t, *problem), np.zeros(size), method="BFGS").x
    mode = optimize.root(gradient, start, tol=1e-13).x
    hessian = columns.T @ (weight(offset + columns @ mode)[:, None] * columns) + whole
    return log_joint(mode, *problem) + size / 2 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(hessian)[1]


SLABS = {"g = n": (bp.GPriorSlab(), {"g": 60}), "g = 3": (bp.GPriorSlab(g=3.0), {"g": 3.0})}
SLABS["isotropic"] = (bp.IsotropicSlab(scale=2.0), {"ridge": 1 / (4.0 * 60)})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("slab", SLABS)
@pytest.mark.parametrize("with_offset", [False, True])
def test_evidence_is_that_of_laplace_one_model_at_a_time(family, slab, with_offset, rng):
    data = table_of(family, rng)
    offset = rng.normal(size=60) * 0.3 if with_offset else np.zeros(60)
    chosen, shape = SLABS[slab]
    program = bp.generalised_linear(
        data, "y", family=family, prior=bp.Prior(slab=chosen), offset=offset if with_offset else None
    )
    spins = np.array(list(itertools.product([False, True], repeat=4)))
    got = program.log_evidence(torch.as_tensor(spins)).numpy()
    design, target = data[list("abcd")].to_numpy(), data["y"].to_numpy()
    weight = null_information(family, target, offset)
    for on, value in zip(spins, got, strict=True):
        precision = prior_precision(design[:, on], weight, **shape)
        wanted = laplace(family, design[:, on], target, offset, precision)
        assert value == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixture_over_g_is_the_sum_of_its_values(family, rng):
    data = table_of(family, rng)
    slab = bp.HyperGSlab(nodes=5, largest=100.0)
    spins = torch.as_tensor(list(itertools.product([False, True], repeat=4)))
    whole = bp.generalised_linear(data, "y", family=family, prior=bp.Prior(slab=slab)).log_evidence(spins)
    g, log_weight = slab.mixture(60.0)
    parts = [
        bp.generalised_linear(data, "y", family=family, prior=bp.Prior(slab=bp.GPriorSlab(g=v))).log_evidence(spins) + w
        for v, w in zip(g, log_weight, strict=True)
    ]
    np.testing.assert_allclose(whole, torch.logsumexp(torch.stack(parts), dim=0), atol=1e-8)


# Largest error in nats of Laplace's approximation of the evidence of a model against that of none; 60 rows.
ERROR = {"binomial": 0.02, "probit": 0.02, "poisson": 0.01}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_error_of_laplace_is_small(family, rng):
    """Against the integral over intercept and one coefficient on a grid about the mode."""
    data = table_of(family, rng, terms=1)
    design, target, offset = data[["a"]].to_numpy(), data["y"].to_numpy(), np.zeros(60)
    precision = prior_precision(design, null_information(family, target, offset), g=60)
    none, one, grid = design[:, :0], design, np.linspace(-3.0, 3.0, 241)

    def log_integral(columns, matrix):
        problem = (family, columns, target, offset, matrix)
        mode = optimize.minimize(lambda t: -log_joint(t, *problem), np.zeros(columns.shape[1] + 1)).x
        points = np.stack(np.meshgrid(*(m + grid for m in mode), indexing="ij"), axis=-1)
        eta = points[..., :1] + points[..., 1:] @ columns.T
        value = LOG_DENSITY[family](eta, target).sum(axis=-1)
        if len(matrix):
            value = value + stats.norm.logpdf(points[..., 1], scale=matrix[0, 0] ** -0.5)
        top = value.max()
        density = np.exp(value - top)
        for _ in mode:
            density = integrate.simpson(density, dx=grid[1] - grid[0], axis=0)
        return top + np.log(density)

    wanted = log_integral(one, precision) - log_integral(none, precision[:0, :0])
    got = bp.generalised_linear(data, "y", family=family, prior=bp.Prior(expected_terms=0.5, slab=bp.GPriorSlab()))
    none_one = got.log_evidence(torch.tensor([[False], [True]]))
    assert float(none_one[1] - none_one[0]) == pytest.approx(wanted, abs=ERROR[family])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("slab", [bp.GPriorSlab(), bp.IsotropicSlab(scale=2.0)])
def test_order_and_units_of_columns_do_not_matter(family, slab, rng):
    data = table_of(family, rng)
    spins = torch.as_tensor(list(itertools.product([False, True], repeat=4)))
    prior = bp.Prior(slab=slab)
    wanted = bp.generalised_linear(data, "y", family=family, prior=prior).log_evidence(spins)
    units = data.assign(a=1e5 * data["a"], c=data["c"] / 1e4 + 7.0)
    np.testing.assert_allclose(
        bp.generalised_linear(units, "y", family=family, prior=prior).log_evidence(spins), wanted, atol=1e-7
    )
    turned = bp.generalised_linear(data[["d", "y", "b", "a", "c"]], "y", family=family, prior=prior)
    assert turned.names == ("d", "b", "a", "c")
    np.testing.assert_array_equal(turned.log_evidence(spins[:, [3, 1, 0, 2]]), wanted)


@pytest.mark.parametrize("family", ["binomial", "probit"])
@pytest.mark.parametrize("slab", [bp.GPriorSlab(), bp.HyperGSlab(), bp.ZellnerSiowSlab(), bp.IsotropicSlab()])
def test_separable_classes_have_a_finite_evidence(family, slab, rng):
    data = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abc"))
    data = data.assign(y=data["a"] + 0.01 * data["b"] > 0.1)
    program = bp.generalised_linear(data, "y", family=family, prior=bp.Prior(slab=slab))
    spins = torch.as_tensor(list(itertools.product([False, True], repeat=3)))
    found = program.log_evidence(spins)
    assert torch.isfinite(found).all()
    assert int(found.argmax()) in (4, 5, 6, 7)
    drawn = program.draw(spins, seed=1)
    assert np.isfinite(drawn["coefficient"].values).all()


def test_large_counts_do_not_overflow(rng):
    data = pd.DataFrame({"a": np.linspace(-30, 30, 50)})
    data["y"] = np.round(np.exp(0.3 * data["a"] + 1))
    data["b"] = rng.normal(size=50)
    program = bp.generalised_linear(data, "y", family="poisson", prior=bp.Prior(slab=bp.HyperGSlab()))
    found = program.log_evidence(torch.tensor([[False, False], [True, False], [False, True], [True, True]]))
    assert torch.isfinite(found).all()
    assert found[1] > found[0] + 100
    assert float(program.draw(torch.tensor([[True, False]]))["coefficient"][0, 0]) == pytest.approx(0.3, abs=0.02)


def test_counts_without_noise_under_wide_slabs_converge():
    """Rounding of the log posterior is larger than what the last steps of Newton's method gain."""
    spins = torch.as_tensor(list(itertools.product([False, True], repeat=3)))
    for seed, slab in itertools.product(range(6), (bp.HyperGSlab(), bp.IsotropicSlab(scale=1e3))):
        rng = np.random.default_rng(seed)
        data = pd.DataFrame(rng.normal(size=(20, 3)), columns=list("abc")) * 10.0 ** rng.uniform(-8, 8, size=3)
        data["y"] = np.floor(np.exp(20 * data["a"] / data["a"].abs().max()))
        program = bp.generalised_linear(data, "y", family="poisson", prior=bp.Prior(slab=slab))
        assert torch.isfinite(program.log_evidence(spins)).all()


def test_collinear_columns_have_no_evidence_together_as_in_the_spin_model(rng):
    data = table_of("binomial", rng).assign(copy=lambda d: 3 * d["a"] - 1, one=2.0)
    program = bp.generalised_linear(data[["a", "copy", "one", "y"]], "y")
    spins = torch.tensor([[True, False, False], [False, True, False], [True, True, False], [False, False, True]])
    found = program.log_evidence(spins)
    assert found[0] == pytest.approx(float(found[1]), abs=1e-9)
    assert bool((found[2:] == -torch.inf).all())
    with pytest.raises(StatisticsError, match="2 of 4"):
        program.draw(spins)
    free = bp.generalised_linear(data[["a", "copy", "one", "y"]], "y", prior=bp.Prior(slab=bp.IsotropicSlab()))
    assert torch.isfinite(free.log_evidence(spins)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_have_the_mean_and_covariance_of_the_fit(family, rng):
    data = table_of(family, rng, rows=200)
    program = bp.generalised_linear(data, "y", family=family, prior=bp.Prior(slab=bp.GPriorSlab(g=1e6)))
    spins = torch.tensor([[True, False, True, False]]).expand(4000, 4)
    drawn = program.draw(spins, seed=3)
    assert bool((drawn["coefficient"].sel(term=["b", "d"]) == 0).all())
    design = np.column_stack([np.ones(200), data[["a", "c"]]])
    target = data["y"].to_numpy()
    fit = optimize.minimize(lambda t: -LOG_DENSITY[family](design @ t, target).sum(), np.zeros(3), method="BFGS")
    values = np.column_stack([drawn["intercept"], drawn["coefficient"].sel(term=["a", "c"])])
    error = np.sqrt(
        np.diagonal(
            np.linalg.inv(
                optimize.approx_fprime(
                    fit.x,
                    lambda t: optimize.approx_fprime(t, lambda s: -LOG_DENSITY[family](design @ s, target).sum(), 1e-5),
                    1e-4,
                )
            )
        )
    )
    np.testing.assert_allclose(values.mean(axis=0), fit.x, atol=6 * error.max() / np.sqrt(4000) + 0.02 * error.max())
    np.testing.assert_allclose(values.std(axis=0), error, rtol=0.08)
    assert drawn.equals(program.draw(spins, seed=3))
    assert not drawn.equals(program.draw(spins, seed=4))


def test_the_sampler_runs_all_particles_together_and_agrees_with_enumeration(rng):
    data = table_of("binomial", rng, rows=120)
    program = bp.generalised_linear(data, "y")
    smc = bp.SpinSMC(program, config=bp.SMCConfig(particles=256, runs=2), seed=1).run()
    assert smc.target.looped_because == ""
    exact = bp.enumerate_models(bp.PyroTarget(program))
    np.testing.assert_allclose(smc.inclusion_probability, exact.inclusion_probability, atol=0.02)
    assert smc.log_evidence == pytest.approx(exact.log_evidence, abs=0.15)
    drawn = program.draw(smc.get_samples()["spins"], seed=0)
    assert drawn["coefficient"].dims == ("draw", "term")
    assert "binomial" in repr(program)


def test_a_formula_with_an_offset_column(rng):
    pytest.importorskip("formulaic")
    data = table_of("poisson", rng).assign(log_time=rng.normal(size=60) * 0.2, group=list("xy" * 30))
    program = bp.generalised_linear(data, "y ~ a + group + a:group", family="poisson", offset="log_time")
    assert set(program.names) == {"a", "group[T.y]", "a:group[T.y]"}
    assert program.target == "y"
    assert bp.generalised_linear(data.drop(columns="group"), "y", family="poisson", offset="log_time").terms == 4


@pytest.mark.parametrize(
    ("family", "target"),
    [
        ("binomial", np.ones(6)),
        ("binomial", np.arange(6.0)),
        ("probit", np.zeros(6)),
        ("poisson", np.zeros(6)),
        ("poisson", -np.arange(6.0)),
        ("poisson", np.linspace(0, 1, 6)),
    ],
)
def test_targets_that_a_family_cannot_have_are_refused(family, target):
    data = pd.DataFrame({"a": np.arange(6.0) ** 2, "y": target})
    with pytest.raises(StatisticsError, match=f"family '{family}'"):
        bp.generalised_linear(data, "y", family=family)


def test_settings_that_cannot_be_are_refused(rng):
    data = table_of("binomial", rng)
    for wrong in ({"family": "gamma"}, {"prior": bp.Prior(slab=bp.ProfileLikelihood())}, {"prior": 3}):
        with pytest.raises(ConfigError):
            bp.generalised_linear(data, "y", **wrong)
    for offset in (np.ones(3), np.full(60, np.nan), "none", ["a"] * 60):
        with pytest.raises(StatisticsError):
            bp.generalised_linear(data, "y", offset=offset)
    with pytest.raises(ConfigError, match="configurations"):
        bp.generalised_linear(data, "y").log_evidence(torch.ones(3, 2, dtype=torch.bool))


def test_equal_counts_are_a_fit_of_the_intercept_alone():
    data = pd.DataFrame({"a": np.arange(9.0), "y": np.full(9, 4.0)})
    found = bp.generalised_linear(data, "y", family="poisson").log_evidence(torch.tensor([[False], [True]]))
    assert found[0] > found[1]
