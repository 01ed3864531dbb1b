"""Linear regression from a table: the textbook Bayes factors, published probabilities, and invariance."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import comb, logsumexp

import bayespde as bp
from bayespde.core.errors import StatisticsError

CRIME = pd.read_csv(Path(__file__).parents[1] / "data" / "us_crime_1960.csv")
UNIFORM = 7.5
FINE = {"nodes": 400, "smallest": 1e-6, "largest": 1e10}


def configurations(terms):
    return np.array(list(itertools.product([False, True], repeat=terms)))


def log_bayes_factors(design, target, spins, g):
    """Against the intercept alone, Liang et al. (2008), equation 6: one least-squares fit with intercept for each."""
    rows, found = len(target), []
    total = np.sum((target - target.mean()) ** 2)
    for on in spins:
        columns = np.column_stack([np.ones(rows), design[:, on]])
        residual = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
        left, size = residual @ residual / total, on.sum()
        found.append((rows - 1 - size) / 2 * np.log1p(g) - (rows - 1) / 2 * np.log1p(g * left))
    return np.array(found)


@pytest.fixture
def table(rng):
    design = rng.normal(size=(40, 5)) @ (np.eye(5) + 0.4 * rng.normal(size=(5, 5))) + 3
    target = 2.0 + design @ [1.0, 0.0, -0.5, 0.0, 0.2] + rng.normal(size=40)
    return pd.DataFrame(design, columns=list("abcde")).assign(y=target)


def log_odds(model, spins):
    """Log evidence of every configuration over that of none."""
    import torch

    found = model.log_likelihood(torch.as_tensor(spins)).numpy()
    return found - found[0]


@pytest.mark.parametrize("g", [None, 1.0, 1e4])
def test_evidence_is_that_of_the_textbook(table, g):
    spins = configurations(5)
    model = bp.SpinModel(bp.regression_statistics(table, "y"), prior=bp.Prior(slab=bp.GPriorSlab(g=g)))
    wanted = log_bayes_factors(table[list("abcde")].to_numpy(), table["y"].to_numpy(), spins, g or len(table))
    np.testing.assert_allclose(log_odds(model, spins), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("slab", "density"),
    [
        (bp.ZellnerSiowSlab(), lambda g, n: stats.invgamma.pdf(g, 0.5, scale=n / 2)),
        (bp.HyperGSlab(**FINE), lambda g, n: (1 + g / n) ** -1.5 / (2 * n)),
        (bp.HyperGSlab(**FINE, per_row=False), lambda g, n: (1 + g) ** -1.5 / 2),
    ],
    ids=["zellner-siow", "hyper-g/n", "hyper-g"],
)
def test_mixtures_are_the_integrals_over_g(table, slab, density):
    spins, rows = configurations(5)[[0, 1, 5, 21, 31]], len(table)
    design, target = table[list("abcde")].to_numpy(), table["y"].to_numpy()
    model = bp.SpinModel(bp.regression_statistics(table, "y"), prior=bp.Prior(slab=slab))
    for on, got in zip(spins[1:], log_odds(model, spins)[1:], strict=True):

        def integrand(log_g, on=on):
            g = np.exp(log_g)
            return np.exp(log_bayes_factors(design, target, [on], g)[0]) * density(g, rows) * g

        wanted = integrate.quad(integrand, -20, 40, limit=400, epsrel=1e-10)[0]
        assert got == pytest.approx(np.log(wanted), abs=2e-4)


# Posterior inclusion probabilities of the R package blma (github.com/certifiedwaif/blma, its tests): all predictors
# logged but So, the target not logged, all models equally probable.
PUBLISHED = {
    "hyper-g": (
        bp.HyperGSlab(**FINE, per_row=False),
        "0.6592570082 0.2551890195 0.8623073076 0.6920362397 0.4460647456 0.2306155050 0.3455094697 0.5734193328 "
        "0.3765879959 0.2706204512 0.5124771409 0.2445691137 0.9950499664 0.8387376358 0.2549263051",
    ),
    "hyper-g/n": (
        bp.HyperGSlab(**FINE),
        "0.6510317307 0.2291245644 0.8651014024 0.6951167568 0.4252167906 0.2025875318 0.3258937597 0.5663482122 "
        "0.3560815607 0.2429056433 0.4974513113 0.2163153102 0.9966071300 0.8454731057 0.2265273203",
    ),
    "Zellner-Siow": (
        bp.ZellnerSiowSlab(),
        "0.6529769401 0.2267683042 0.8679006779 0.6958693064 0.4227195813 0.1997499011 0.3232070948 0.5673433815 "
        "0.3556018636 0.2408930357 0.4988904773 0.2135955436 0.9969385837 0.8482357484 0.2236271676",
    ),
}


def logged(*, target):
    names = [n for n in CRIME if n != "So" and (n != "y" or target)]
    return CRIME.assign(**{n: np.log(CRIME[n]) for n in names})


@pytest.mark.parametrize("name", PUBLISHED)
def test_inclusion_probabilities_of_the_crime_data_are_those_published(name):
    slab, digits = PUBLISHED[name]
    rows = bp.regression_statistics(logged(target=False), "y")
    exact = bp.enumerate_models(bp.SpinModel(rows, prior=bp.Prior(expected_terms=UNIFORM, slab=slab)))
    wanted = np.array(list(map(float, digits.split())))
    np.testing.assert_allclose(exact.inclusion_probability, wanted, atol=1e-5 if name == "Zellner-Siow" else 2e-6)


# The vignette of the R package BAS, version 2.0, prior "ZS-null": the integral over g by Laplace's approximation there.
VIGNETTE = {
    "M": 0.8535720,
    "So": 0.2737083,
    "Ed": 0.9746605,
    "Po1": 0.6651553,
    "Po2": 0.4490097,
    "LF": 0.2022374,
    "M.F": 0.2049659,
    "Pop": 0.3696150,
    "NW": 0.6944069,
    "U1": 0.2525834,
    "U2": 0.6149388,
    "GDP": 0.3601179,
    "Ineq": 0.9965359,
    "Prob": 0.8991841,
    "Time": 0.3717976,
}


def test_inclusion_probabilities_are_close_to_the_approximate_ones_of_bas():
    prior = bp.Prior(expected_terms=UNIFORM, slab=bp.ZellnerSiowSlab())
    model = bp.SpinModel(bp.regression_statistics(logged(target=True), "y"), prior=prior)
    exact = bp.enumerate_models(model)
    np.testing.assert_allclose(exact.inclusion_probability, list(VIGNETTE.values()), atol=0.0065)
    assert model.statistics.names == tuple(VIGNETTE)
    best = {n for n, on in zip(VIGNETTE, exact.spins[0], strict=True) if on}
    assert best == {"M", "Ed", "Po1", "NW", "U2", "Ineq", "Prob", "Time"}


def test_by_the_approximation_of_bas_its_printed_digits_come_out():
    """Laplace's approximation in g, over the residuals that our evidence at g = n implies."""
    rows, spins = 47, configurations(15)
    model = bp.SpinModel(bp.regression_statistics(logged(target=True), "y"), prior=bp.Prior(slab=bp.GPriorSlab()))
    size = spins.sum(axis=1)
    left = np.expm1(2 / 46 * ((46 - size) / 2 * np.log1p(rows) - log_odds(model, spins))) / rows

    def slope(g):
        return (46 - size) / (1 + g) - 46 * left / (1 + g * left) - 3 / g + rows / g**2

    low, high = np.full(len(size), 1e-2), np.full(len(size), 1e8)
    for _ in range(200):
        middle = np.sqrt(low * high)
        rises = slope(middle) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    g = np.sqrt(low * high)
    curvature = (46 - size) / (1 + g) ** 2 - 46 * left**2 / (1 + g * left) ** 2 - 3 / g**2 + 2 * rows / g**3
    log_marginal = (46 - size) / 2 * np.log1p(g) - 23 * np.log1p(g * left) + 0.5 * np.log(2 * np.pi / (curvature / 2))
    log_marginal += 0.5 * np.log(rows / 2 / np.pi) - 1.5 * np.log(g) - rows / (2 * g)
    log_marginal[size == 0] = 0.0
    np.testing.assert_allclose(np.sort(log_marginal)[:-4:-1], [23.65111, 23.5909572, 23.2000822], atol=1e-5)
    found = np.exp(log_marginal - logsumexp(log_marginal)) @ spins
    np.testing.assert_allclose(found, list(VIGNETTE.values()), atol=1e-5)


def test_sampling_agrees_with_enumeration():
    model = bp.SpinModel(bp.regression_statistics(logged(target=True), "y"), prior=bp.Prior(slab=bp.ZellnerSiowSlab()))
    exact, sampled = bp.enumerate_models(model), bp.sample(model, seed=1, particles=1000, runs=4)
    assert np.abs(sampled.inclusion_probability.values - exact.inclusion_probability).max() < 0.02
    assert np.mean(sampled.log_evidence) == pytest.approx(exact.log_evidence, abs=0.1)
    assert str(bp.equations(sampled)[0]).startswith("y = ")


def inclusion(data, formula="y", **settings):
    rows = bp.regression_statistics(data, formula, **settings)
    exact = bp.enumerate_models(bp.SpinModel(rows))
    return dict(zip(rows.names, exact.inclusion_probability, strict=True)), exact.log_evidence


def test_order_and_units_of_columns_and_the_zero_of_the_target_do_not_matter(table):
    found, evidence = inclusion(table)
    for other in (
        table[["c", "y", "e", "a", "d", "b"]],
        table.assign(a=1e6 * table["a"], c=table["c"] / 1e3 - 40.0),
        table.assign(y=table["y"] + 1e3),
    ):
        same, log_evidence = inclusion(other)
        assert same == pytest.approx(found, abs=1e-8)
        assert log_evidence == pytest.approx(evidence, abs=1e-6)
    scaled, log_evidence = inclusion(table.assign(y=10 * table["y"]))
    assert scaled == pytest.approx(found, abs=1e-8)


def test_the_intercept_is_integrated_out_under_a_flat_prior(table):
    """A column of ones with a prior so wide that it is flat, always in."""
    rows, spins = bp.regression_statistics(table, "y"), configurations(5)
    assert rows.rows == pytest.approx(39)
    assert rows.observations == pytest.approx(40)
    wide, base = 1e6, []
    for on in spins:
        columns = table[list("abcde")].to_numpy()[:, on]
        centred = columns - columns.mean(axis=0)
        slope = 40 * centred @ np.linalg.pinv(centred.T @ centred) @ centred.T if on.any() else np.zeros((40, 40))
        covariance = np.eye(40) + slope + wide * np.ones((40, 40))
        logdet = np.linalg.slogdet(covariance)[1]
        square = table["y"] @ np.linalg.solve(covariance, table["y"])
        base.append(-0.5 * logdet - 39 / 2 * np.log(square))
    model = bp.SpinModel(rows, prior=bp.Prior(slab=bp.GPriorSlab()))
    np.testing.assert_allclose(log_odds(model, spins), np.array(base) - base[0], atol=1e-4)


def test_weights_count_rows(table):
    """A row of weight 2 has half the noise variance: its centred square counts twice."""
    weight = np.random.default_rng(0).integers(1, 4, size=40).astype(float)
    spins = configurations(5)
    for weights, data in ((weight, table), ("w", table.assign(w=weight))):
        rows = bp.regression_statistics(data, "y", weights=weights)
        assert rows.names == tuple("abcde")
        model = bp.SpinModel(rows, prior=bp.Prior(slab=bp.GPriorSlab(g=40.0)))
        root = np.sqrt(weight)[:, None]
        left, total = [], None
        for on in spins:
            columns = root * np.column_stack([np.ones(40), table[list("abcde")].to_numpy()[:, on]])
            target = root[:, 0] * table["y"].to_numpy()
            residual = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
            total = residual @ residual if total is None else total
            left.append(residual @ residual / total)
        wanted = (39 - spins.sum(axis=1)) / 2 * np.log1p(40.0) - 39 / 2 * np.log1p(40.0 * np.array(left))
        np.testing.assert_allclose(log_odds(model, spins), wanted, atol=1e-6)


def test_without_an_intercept_rows_are_plain_rows(table):
    rows = bp.regression_statistics(table, "y", intercept=False)
    plain = bp.SufficientStatistics.from_rows(table[list("abcde")], table["y"], names=list("abcde"))
    assert rows.rows == plain.rows == rows.observations == 40
    np.testing.assert_allclose(np.abs(rows.factor), np.abs(plain.factor), rtol=1e-12, atol=1e-12)
    pytest.importorskip("formulaic")
    assert bp.regression_statistics(table, "y ~ 0 + a").rows == 40


def test_a_beta_binomial_prior_is_a_mixture_that_quadrature_sums_exactly(table):
    """The recipe of the documentation against all models, of which all sizes are equally probable."""
    rows, spins = bp.regression_statistics(table, "y"), configurations(5)
    nodes, share = np.polynomial.legendre.leggauss(3)
    priors = [bp.Prior(expected_terms=5 * (1 + n) / 2) for n in nodes]
    tables = [bp.enumerate_models(bp.SpinModel(rows, prior=prior)) for prior in priors]
    weight = share * np.exp([t.log_evidence - tables[0].log_evidence for t in tables])
    found = weight @ [t.inclusion_probability for t in tables] / weight.sum()
    size = spins.sum(axis=1)
    log_mass = log_odds(bp.SpinModel(rows), spins) - np.log(6 * comb(5, size))
    wanted = np.exp(log_mass - logsumexp(log_mass)) @ spins
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_interactions_follow_their_main_effects_under_heredity(table):
    pytest.importorskip("formulaic")
    rows = bp.regression_statistics(table, "y ~ a * b")
    strict = tuple(bp.Coupling("a:b", one, strength=50.0, kind="heredity") for one in ("a", "b"))
    model = bp.SpinModel(rows, prior=bp.Prior(expected_terms=1.0, couplings=strict))
    alone = bp.enumerate_models(model)
    for on, probability in zip(alone.spins, alone.probability, strict=True):
        chosen = {n for n, up in zip(rows.names, on, strict=True) if up}
        assert "a:b" not in chosen or chosen == {"a", "b", "a:b"} or probability < 1e-12


def test_statistics_with_an_intercept_can_be_written_joined_and_reduced(table):
    rows = bp.regression_statistics(table, "y")
    assert bp.SufficientStatistics.from_dataset(rows.to_dataset()).observations == rows.observations
    assert (rows + rows).observations == 80
    assert (rows + rows).rows == pytest.approx(78)
    assert rows.select(["a", "b"]).observations == 40
    old = rows.to_dataset()
    del old.attrs["absorbed_rows"]
    assert bp.SufficientStatistics.from_dataset(old).absorbed_rows == 0


def test_constant_columns_are_refused_and_the_fix_works(table):
    data = table.assign(one=1.0, two=2.0)
    with pytest.raises(StatisticsError, match="'one', 'two'") as caught:
        bp.regression_statistics(data, "y")
    assert bp.regression_statistics(eval(caught.value.fix.partition(", or")[0]), "y").names == tuple("abcde")
    assert "one" in bp.regression_statistics(data, "y", intercept=False).names


@pytest.mark.parametrize(
    "weights", [np.ones(3), np.zeros(40), -np.ones(40), np.full(40, np.nan), "none", 3.0, ["a"] * 40]
)
def test_weights_that_cannot_be_are_refused(table, weights):
    with pytest.raises(StatisticsError) as caught:
        bp.regression_statistics(table, "y", weights=weights)
    assert caught.value.fix


def test_one_row_is_too_few(table):
    with pytest.raises(StatisticsError, match=r"too few|constant"):
        bp.regression_statistics(table[:1], "y")


def test_evidence_of_models_sums_as_it_should(table):
    found, log_evidence = inclusion(table)
    rows = bp.regression_statistics(table, "y")
    model = bp.SpinModel(rows)
    import torch

    spins = torch.as_tensor(configurations(5))
    mass = (model.log_prior(spins) + model.log_likelihood(spins)).numpy()
    assert logsumexp(mass) == pytest.approx(log_evidence, abs=1e-9)
    assert np.exp(mass - logsumexp(mass)) @ spins.numpy() == pytest.approx(list(found.values()), abs=1e-9)
