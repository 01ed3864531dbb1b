"""Pyro programs as targets against the spin model, tables from NumPy and enumeration; and refused programs."""

import warnings
from dataclasses import replace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from oracles import all_spins, brute_force, random_rows, student_log_density
from pyro.distributions import constraints
from statistical import checks

from bayespde.core.errors import BayespdeError, ConfigError, StatisticsError
from bayespde.core.random import torch_generator
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel, collapsed, generative, program_density, pyro_target
from bayespde.model.prior import Prior
from bayespde.model.pyro_target import PyroTarget
from bayespde.smc import SMCConfig, enumerate_exact, run_all

SLABS = [HyperGSlab(nodes=7), GPriorSlab(50.0), IsotropicSlab(2.0)]
PROBABILITIES = torch.tensor([0.1, 0.3, 0.5, 0.2, 0.4], dtype=torch.float64)


def bernoulli(probabilities=PROBABILITIES):
    return pyro.sample("spins", dist.Bernoulli(probabilities).to_event(1))


def log_mass(target):
    """Log prior plus log likelihood of all configurations, `[2^K]`."""
    spins = torch.as_tensor(all_spins(target.terms))
    return (target.log_prior(spins) + target.log_likelihood(spins)).numpy()


def hand_log_prior(probabilities=PROBABILITIES):
    p = probabilities.numpy()
    return np.where(all_spins(len(p)), np.log(p), np.log(1 - p)).sum(axis=1)


# The spin model


@pytest.mark.parametrize(("slab", "tolerance"), [(SLABS[0], 1e-10), (SLABS[1], 1e-10), (SLABS[2], 0.05)])
def test_the_collapsed_program_is_the_spin_model(slab, tolerance, rng):
    design, response = random_rows(rng, 60, 12)
    design *= 10.0 ** rng.uniform(-3, 3, size=12)
    design[:, 7] = 3.0 * design[:, 2]
    design[:, 9] = design[:, 0] + 1e-7 * design[:, 9] / np.abs(design[:, 9]).max()
    names = tuple(rng.permutation(list("abcdefghijkl")))
    prior = Prior(slab=slab, expected_terms=4, pivot_tolerance=tolerance)
    model = SpinModel(SufficientStatistics.from_rows(design, response, names=names), prior=prior)
    target = PyroTarget(collapsed(model))
    assert target.terms == 12
    assert target.looped_because == ""
    spins = torch.as_tensor(rng.random((400, 12)) < 0.5)
    spins[0], spins[1] = False, True
    wanted = model.log_likelihood(spins)
    assert 100 < int(torch.isinf(wanted).sum()) < 350
    assert target.log_likelihood(spins).dtype == target.log_prior(spins).dtype == torch.float64
    torch.testing.assert_close(target.log_likelihood(spins), wanted, rtol=0, atol=1e-10)
    torch.testing.assert_close(target.log_prior(spins), model.log_prior(spins), rtol=0, atol=1e-10)


def test_the_sampler_on_the_collapsed_program_agrees_with_student_densities(seed):
    slab = GPriorSlab(40.0)
    design, response = random_rows(np.random.default_rng(21), 40, 5, noise=3.0)
    settings = {"prior_rows": 3.0, "prior_variance": 2.0}
    model = SpinModel(
        SufficientStatistics.from_rows(design, response, model=RowModel(**settings)),
        prior=Prior(slab=slab, expected_terms=1.5),
    )
    table = [student_log_density(design[:, s], response, slab, **settings) for s in all_spins(5)]
    log_evidence, inclusion, _ = brute_force(np.array(table) + hand_log_prior(torch.full((5,), 0.3).double()))
    assert np.sum((inclusion > 0.02) & (inclusion < 0.98)) >= 3
    config = SMCConfig(particles=200, runs=20, sweeps=1, max_passes=1, final_passes=2, schedule=(0.1, 0.3, 1.0))
    checks.check_inclusion(PyroTarget(collapsed(model)), inclusion, log_evidence, seed=seed, config=config)


@pytest.mark.parametrize("slab", SLABS)
def test_enumeration_of_the_program_agrees_with_branch_and_bound(slab):
    """Both refuse the same configurations, also with duplicated columns."""
    design, response = random_rows(np.random.default_rng(24), 40, 6, noise=2.0)
    design[:, 5] = -2.0 * design[:, 1]
    model = SpinModel(SufficientStatistics.from_rows(design, response), prior=Prior(slab=slab))
    plain, branches = enumerate_exact(PyroTarget(collapsed(model))), enumerate_exact(model)
    assert branches.log_evidence == pytest.approx(plain.log_evidence, abs=1e-9)
    np.testing.assert_allclose(branches.inclusion_probability, plain.inclusion_probability, rtol=0, atol=1e-9)


# Other programs


def ising(field, coupling):
    """Spins on a ring, by broadcasting."""
    signs = 2 * bernoulli() - 1
    pyro.factor("field", signs @ field)
    pyro.factor("ring", coupling * torch.sum(signs * signs.roll(1, dims=-1), dim=-1))


def ising_by_loops(field, coupling):
    """The same ring for one configuration at a time, with branches, and the prior in a plate."""
    with pyro.plate("terms", 5):
        spins = pyro.sample("spins", dist.Bernoulli(PROBABILITIES))
    for k in range(5):
        pyro.factor(f"field_{k}", field[k] if spins[k] == 1 else -field[k])
        if spins[k] == spins[k - 1]:
            pyro.factor(f"equal_{k}", torch.tensor(coupling, dtype=torch.float64))
        else:
            pyro.factor(f"unequal_{k}", torch.tensor(-coupling, dtype=torch.float64))


def ising_table(field, coupling):
    signs = np.where(all_spins(5), 1.0, -1.0)
    bonds = sum(signs[:, k] * signs[:, (k + 1) % 5] for k in range(5))
    return sum(signs[:, k] * field[k] for k in range(5)) + coupling * bonds


@pytest.mark.parametrize(("program", "looped"), [(ising, False), (ising_by_loops, True)])
def test_an_ising_ring_against_its_table(program, looped, seed):
    field, coupling = np.array([0.6, -0.2, 0.9, 0.1, -0.8]), 0.7
    target = PyroTarget(program, torch.as_tensor(field), coupling=coupling)
    assert bool(target.looped_because) == looped
    wanted = hand_log_prior() + ising_table(field, coupling)
    np.testing.assert_allclose(log_mass(target), wanted, rtol=0, atol=1e-12)
    log_evidence, inclusion, _ = brute_force(wanted)
    assert enumerate_exact(target).log_evidence == pytest.approx(log_evidence, abs=1e-10)
    config = SMCConfig(particles=200, runs=20, sweeps=1, max_passes=1, final_passes=2, schedule=(0.3, 1.0))
    checks.check_inclusion(target, inclusion, log_evidence, seed=seed, config=config)


def rows_of(count, *, terms=5):
    """Design `[n, K]`, labels `[n]` and weights `[K]` of a logistic regression."""
    rng = np.random.default_rng(22)
    design, weights = rng.normal(size=(count, terms)), rng.normal(size=terms)
    chance = 1 / (1 + np.exp(-design[:, :2] @ weights[:2]))
    return design, (rng.random(count) < chance).astype(float), weights


def logistic_table(design, labels, weights):
    """Log likelihood of all configurations from `y eta - log(1 + exp(eta))`."""
    predictor = (all_spins(len(weights)) * weights) @ design.T
    return (labels * predictor - np.log1p(np.exp(predictor))).sum(axis=1)


def logistic_event(design, labels, weights):
    predictor = (bernoulli() * weights) @ design.T
    pyro.deterministic("predictor", predictor)
    pyro.sample("labels", dist.Bernoulli(logits=predictor).to_event(1), obs=labels)


def logistic_plate(design, labels, weights):
    with pyro.plate("terms", len(weights)):
        spins = pyro.sample("spins", dist.Bernoulli(PROBABILITIES.to(design)))
    with pyro.plate("rows", len(labels)):
        pyro.sample("labels", dist.Bernoulli(logits=(spins * weights) @ design.T), obs=labels)


def logistic_matrix(design, labels, weights):
    spins = bernoulli()
    with pyro.plate("rows", len(labels)):
        pyro.sample("labels", dist.Bernoulli(logits=design @ (spins * weights)), obs=labels)


def logistic_sum(design, labels, weights):
    predictor = (design * (bernoulli() * weights)).sum(dim=-1)
    with pyro.plate("rows", len(labels)):
        pyro.sample("labels", dist.Bernoulli(logits=predictor), obs=labels)


def logistic_columns(design, labels, weights):
    on = torch.nonzero(bernoulli()).ravel()
    predictor = design[:, on] @ weights[on]
    pyro.sample("labels", dist.Bernoulli(logits=predictor).to_event(1), obs=labels)


@pytest.mark.parametrize("count", [1, 3, 5, 32, 40])  # 3 and 32 are the lengths of the test batches
@pytest.mark.parametrize(
    ("program", "looped"),
    [
        (logistic_event, False),
        (logistic_plate, False),
        (logistic_matrix, False),
        (logistic_sum, False),
        (logistic_columns, True),
    ],
)
def test_vectorised_and_looped_programs_give_equal_numbers(program, looped, count):
    data = rows_of(count)
    target = PyroTarget(program, *map(torch.as_tensor, data))
    assert bool(target.looped_because) == looped or count == 1
    spins = torch.as_tensor(all_spins(5))
    np.testing.assert_allclose(target.log_likelihood(spins), logistic_table(*data), rtol=0, atol=1e-12)
    np.testing.assert_allclose(target.log_prior(spins), hand_log_prior(), rtol=0, atol=1e-12)
    again = torch.tensor([3, 1, 3, 3, 30, 1])
    np.testing.assert_allclose(target.log_likelihood(spins[again]), logistic_table(*data)[again], rtol=0, atol=1e-12)


@pytest.mark.parametrize("program", [logistic_plate, logistic_matrix])
def test_sparse_logistic_regression_is_sampled(program, seed):
    data = rows_of(40)
    log_evidence, inclusion, _ = brute_force(hand_log_prior() + logistic_table(*data))
    assert np.sum((inclusion > 0.02) & (inclusion < 0.98)) >= 3
    config = SMCConfig(particles=200, runs=20, sweeps=1, max_passes=1, final_passes=2, schedule=(0.1, 0.3, 1.0))
    target = PyroTarget(program, *map(torch.as_tensor, data))
    checks.check_inclusion(target, inclusion, log_evidence, seed=seed, config=config)


def test_scaled_and_masked_likelihoods_are_scaled_and_masked():
    data = rows_of(40)
    design, labels, weights = map(torch.as_tensor, data)

    def program():
        predictor = (bernoulli() * weights) @ design.T
        with pyro.plate("rows", 40), pyro.poutine.scale(scale=0.3), pyro.poutine.mask(mask=torch.arange(40) < 25):
            pyro.sample("labels", dist.Bernoulli(logits=predictor), obs=labels)

    target = PyroTarget(program)
    assert target.looped_because == ""
    wanted = 0.3 * logistic_table(data[0][:25], data[1][:25], data[2])
    np.testing.assert_allclose(log_mass(target), hand_log_prior() + wanted, rtol=0, atol=1e-12)


def test_many_rows_are_evaluated_in_parts(monkeypatch):
    data = rows_of(40)
    monkeypatch.setattr(program_density, "ELEMENTS", 40 * 7)
    target = PyroTarget(logistic_plate, *map(torch.as_tensor, data))
    np.testing.assert_allclose(log_mass(target), hand_log_prior() + logistic_table(*data), rtol=0, atol=1e-12)


def test_a_full_cache_does_not_change_the_result(monkeypatch):
    data = rows_of(40)
    monkeypatch.setattr(pyro_target, "CACHED", 10)
    target = PyroTarget(logistic_matrix, *map(torch.as_tensor, data))
    for _ in range(2):
        np.testing.assert_allclose(log_mass(target), hand_log_prior() + logistic_table(*data), rtol=0, atol=1e-12)


def test_impossible_configurations_have_no_likelihood():
    def program():
        spins = bernoulli()
        pyro.factor("at most two", torch.where(spins.sum(dim=-1) > 2, -torch.inf, 0.0))

    got = PyroTarget(program).log_likelihood(torch.as_tensor(all_spins(5))).numpy()
    assert np.array_equal(got, np.where(all_spins(5).sum(axis=1) > 2, -np.inf, 0.0))


# The prior


class Chain(dist.TorchDistribution):
    """A binary Markov chain: the first spin is fair, each other one repeats the previous one with probability 0.8."""

    arg_constraints = {}  # noqa: RUF012
    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, terms):
        super().__init__(torch.Size(), torch.Size([terms]), validate_args=False)

    def sample(self, sample_shape=()):
        flips = torch.rand(*sample_shape, *self.event_shape, dtype=torch.float64) < 0.2
        flips[..., 0] = torch.rand(tuple(sample_shape), dtype=torch.float64) < 0.5
        return (flips.cumsum(dim=-1) % 2).double()

    def log_prob(self, value):
        repeated = (value[..., 1:] == value[..., :-1]).double()
        return np.log(0.5) + (np.log(0.2) + np.log(4.0) * repeated).sum(dim=-1)


def test_spins_can_be_dependent_under_the_prior(seed):
    def program():
        spins = pyro.sample("spins", Chain(4))
        pyro.factor("data", 2.0 * spins[..., 0] - 1.5 * spins[..., 3])

    spins = all_spins(4)
    chain = 0.5 * np.prod(np.where(spins[:, 1:] == spins[:, :-1], 0.8, 0.2), axis=1)
    target = PyroTarget(program)
    np.testing.assert_allclose(
        log_mass(target), np.log(chain) + 2 * spins[:, 0] - 1.5 * spins[:, 3], rtol=0, atol=1e-12
    )
    counts = prior_counts(target, seed)
    assert np.all(np.abs(counts - 20000 * chain) < 5 * np.sqrt(20000 * chain * (1 - chain)))


def prior_counts(target, seed):
    drawn = target.sample_prior(20000, generator=torch_generator(seed)).numpy()
    return np.bincount(drawn @ (1 << np.arange(target.terms)[::-1]), minlength=2**target.terms)


@pytest.mark.parametrize("program", [logistic_event, logistic_plate])
def test_prior_draws_follow_the_prior_and_the_generator(program, seed):
    target = PyroTarget(program, *map(torch.as_tensor, rows_of(10)))
    chance = np.exp(hand_log_prior())
    assert np.all(np.abs(prior_counts(target, seed) - 20000 * chance) < 5 * np.sqrt(20000 * chance * (1 - chance)) + 5)
    before = torch.random.get_rng_state()
    first, second, third = (target.sample_prior(200, generator=torch_generator(seed + i)) for i in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.dtype == torch.bool
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    torch.rand(7)
    assert torch.equal(first, target.sample_prior(200, generator=torch_generator(seed)))


def test_runs_do_not_depend_on_the_number_of_workers(seed):
    target = PyroTarget(logistic_plate, *map(torch.as_tensor, rows_of(10)))
    config = SMCConfig(particles=50, runs=6, final_passes=1)
    one, two = (run_all(target, config=replace(config, workers=w), seed=seed) for w in (1, 3))
    assert np.array_equal(one.spins, two.spins)
    assert np.array_equal(one.log_evidence, two.log_evidence)


def test_a_target_does_not_change_global_state(seed):
    torch.manual_seed(seed)
    before = torch.random.get_rng_state()
    log_mass(PyroTarget(logistic_plate, *map(torch.as_tensor, rows_of(10))))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len(pyro.get_param_store()) == 0


def test_single_precision_is_accepted_with_a_warning():
    design, labels, weights = rows_of(40)
    data = [torch.as_tensor(a).float() for a in (design, labels, weights)]
    target = PyroTarget(logistic_plate, *data)
    assert target.looped_because == ""
    np.testing.assert_allclose(log_mass(target), hand_log_prior() + logistic_table(design, labels, weights), atol=1e-4)

    def large():
        pyro.factor("large", 1e5 * (1 + bernoulli().float().sum(dim=-1)))

    with pytest.warns(UserWarning, match="'large' is computed in torch.float32"):
        PyroTarget(large)


# Refused programs


def no_such_site():
    pyro.sample("gamma", dist.Bernoulli(PROBABILITIES).to_event(1))


def observed_site():
    pyro.sample("spins", dist.Bernoulli(PROBABILITIES).to_event(1), obs=torch.ones(5).double())


def other_latent():
    bernoulli()
    pyro.sample("noise", dist.Gamma(1.0, 1.0))


def subsampled():
    bernoulli()
    with pyro.plate("rows", 100, subsample_size=10):
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=torch.zeros(10))


def relaxed():
    pyro.sample("spins", dist.RelaxedBernoulli(torch.tensor(0.5), probs=PROBABILITIES).to_event(1))


def normal():
    pyro.sample("spins", dist.Normal(torch.zeros(5), 1.0).to_event(1))


def count():
    pyro.sample("spins", dist.Poisson(torch.ones(3)).to_event(1))


def one_hot():
    pyro.sample("spins", dist.OneHotCategorical(torch.ones(3)))


def masked_prior():
    pyro.sample("spins", dist.Bernoulli(PROBABILITIES).mask(torch.arange(5) > 2).to_event(1))


def masked_by_handler():
    with pyro.poutine.mask(mask=False):
        bernoulli()


def scaled_prior():
    with pyro.poutine.scale(scale=0.5):
        bernoulli()


def parameter():
    pyro.factor("data", bernoulli() @ pyro.param("weights", torch.ones(5).double()))


def random_inside():
    pyro.factor("data", bernoulli() @ torch.randn(5, dtype=torch.float64))


class Unscored(Chain):
    """A binary distribution without a density."""

    def log_prob(self, value):
        raise NotImplementedError("no closed form")


def no_density():
    pyro.sample("spins", Unscored(5))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (no_such_site, ["no site called 'spins'", "'gamma'", "site='gamma'"]),
        (observed_site, ["'spins' is observed"]),
        (other_latent, ["continuous latent sites", "'noise'", "integrate them out", "SpinSMC"]),
        (subsampled, ["other latent sites", "'rows'", "subsampling"]),
        (relaxed, ["no discrete latent site", "'spins'", "dist.Bernoulli"]),
        (normal, ["no discrete latent site", "'spins'"]),
        (count, ["cannot be coded", "Poisson"]),
        (one_hot, ["cannot be coded", "OneHotCategorical", "dist.Categorical"]),
        (masked_prior, ["masked or scaled"]),
        (masked_by_handler, ["masked or scaled"]),
        (scaled_prior, ["masked or scaled"]),
        (parameter, ["parameter", "'weights'", "pyro.poutine.substitute"]),
        (random_inside, ["different log densities for the same values", "outside the program"]),
        (no_density, ["cannot be drawn from, or has no density", "no closed form", "pyro.factor"]),
    ],
)
def test_wrong_programs_are_refused_with_a_reason(program, words):
    before = torch.random.get_rng_state()
    with pytest.raises(ConfigError) as refusal:
        PyroTarget(program, site="spins" if program in (no_such_site, observed_site) else None)
    for word in [*words, "got:", "wanted:", "fix:"]:
        assert word in str(refusal.value)
    assert len(pyro.get_param_store()) == 0
    if program is not random_inside:
        assert torch.equal(torch.random.get_rng_state(), before)


def test_the_generative_program_is_refused_with_the_names_of_its_latent_sites():
    model = SpinModel(SufficientStatistics.from_rows(*random_rows(np.random.default_rng(23), 30, 4)))
    with pytest.raises(ConfigError, match="'noise_variance'"):
        PyroTarget(generative(model))


def test_fixed_parameters_and_conditioned_sites_are_accepted():
    def program():
        spins = bernoulli()
        weights = pyro.param("weights", torch.zeros(5).double())
        scale = pyro.sample("scale", dist.Gamma(torch.tensor(2.0).double(), 1.0))
        pyro.factor("data", scale * (spins @ weights))

    weights = torch.arange(5).double()
    fixed = pyro.poutine.substitute(program, data={"weights": weights})
    target = PyroTarget(pyro.condition(fixed, data={"scale": torch.tensor(3.0).double()}))
    # Gamma(2, 1) at 3 has log density log(3) - 3
    wanted = hand_log_prior() + 3 * all_spins(5) @ weights.numpy() + np.log(3) - 3
    np.testing.assert_allclose(log_mass(target), wanted, rtol=0, atol=1e-12)


def test_another_site_name():
    def program():
        pyro.factor("data", pyro.sample("gamma", dist.Bernoulli(PROBABILITIES).to_event(1)).sum(dim=-1))

    wanted = hand_log_prior() + all_spins(5).sum(axis=1)
    np.testing.assert_allclose(log_mass(PyroTarget(program, site="gamma")), wanted, rtol=0, atol=1e-12)


def test_a_latent_site_of_some_configurations_is_refused_when_it_appears():
    def program():
        spins = bernoulli(torch.full((5,), 0.02).double())
        if spins.sum(dim=-1) == 3:
            pyro.sample("rare", dist.Normal(0.0, 1.0))

    target = PyroTarget(program)
    state = torch.random.get_rng_state()
    with pytest.raises(ConfigError, match="'rare'"):
        target.log_likelihood(torch.as_tensor(all_spins(5)))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("sum_of", ["all", "rare"])
def test_log_densities_that_are_not_comparable_are_refused(value, sum_of):
    def program():
        spins = bernoulli()
        rare = (spins == torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])).all(dim=-1)
        pyro.factor("data", torch.where(rare | torch.tensor(sum_of == "all"), value, 0.0))

    def attempt():
        PyroTarget(program).log_likelihood(torch.as_tensor(all_spins(5)))

    # Pyro itself refuses a NaN; without its validation the target does.
    for validation in (True, False):
        with pyro.validation_enabled(validation), pytest.raises(StatisticsError, match=r"NaN|\+inf"):
            attempt()


def test_errors_of_the_program_are_not_converted():
    def program():
        bernoulli()
        raise KeyError("the user's own")

    with pytest.raises(KeyError, match="the user's own") as error:
        PyroTarget(program)
    assert not isinstance(error.value, BayespdeError)


@pytest.mark.parametrize("all_of", [False, True])
def test_configurations_that_the_prior_hardly_draws_are_tried_at_once(all_of):
    """The empty and the full one: a program that cannot evaluate them is refused before it is sampled."""

    def program():
        spins = bernoulli(torch.full((12,), 0.02 if all_of else 0.98, dtype=torch.float64))
        is_bad = (spins == all_of).all(dim=-1)
        pyro.factor("fit", torch.where(is_bad, torch.nan, 0.0))

    with pytest.raises(StatisticsError):
        PyroTarget(program)


def test_each_configuration_of_a_looped_program_is_run_once():
    calls = []

    def counted():
        spins = bernoulli()
        calls.append(tuple(spins.tolist()))
        pyro.factor("pair", 1.0 if spins[0] == spins[1] else torch.tensor(-2.0, dtype=torch.float64))

    target = PyroTarget(counted)
    assert target.looped_because
    calls.clear()
    first = log_mass(target)
    assert sorted(calls) == sorted(map(tuple, all_spins(5).astype(float)))
    np.testing.assert_array_equal(log_mass(target), first)
    assert len(calls) == 32


def test_whole_numbers_have_no_rounding_error():
    """No warning of single precision, and no tolerance for densities that change between runs."""

    def program():
        pyro.factor("count", -2000 * bernoulli().long().sum(dim=-1))

    with warnings.catch_warnings(action="error"):
        target = PyroTarget(program)
    np.testing.assert_allclose(log_mass(target), hand_log_prior() - 2000 * all_spins(5).sum(axis=1), rtol=1e-14)
