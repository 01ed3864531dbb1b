"""Categorical sites in programs against sums over all values; several discrete sites at once."""

from itertools import product

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import bayespde as bp
from bayespde.core.errors import ConfigError

CONFIG = bp.SMCConfig(particles=256, runs=4, pilot_fraction=0, final_passes=6)
MEANS = torch.tensor([-2.0, 0.5, 2.0], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def mixture(data):
    component = pyro.sample("component", dist.Categorical(WEIGHTS.expand(len(data), 3)).to_event(1))
    pyro.sample("data", dist.Normal(MEANS[component], 1.0).to_event(1), obs=data)


def responsibilities(data):
    logs = WEIGHTS.log() + dist.Normal(MEANS, 1.0).log_prob(data[:, None])
    return float(torch.logsumexp(logs, 1).sum()), torch.softmax(logs, 1).numpy()


def test_a_mixture_of_three_components(seed):
    """Assignments are independent given known means, so that evidence and probabilities are closed forms."""
    data = torch.tensor([-2.2, -0.6, 0.1, 0.9, 1.3, 2.6, -1.0, 1.2], dtype=torch.float64)
    log_evidence, wanted = responsibilities(data)
    smc = bp.SpinSMC(mixture, config=CONFIG, seed=seed).run(data)
    assert smc.target.looped_because == ""
    assert smc.enumerate()[0] == pytest.approx(log_evidence, abs=1e-10)
    assert abs(smc.log_evidence - log_evidence) < 5 * smc.sampled.log_evidence_error + 1e-3
    found, table = smc.level_probability, smc.summary()
    assert found.dims == ("variable", "level")
    assert found["variable"].values.tolist()[:2] == ["component[0]", "component[1]"]
    assert (np.abs(found.values - wanted) < 5 * np.maximum(table["level_error"].values, 2e-3)).all()
    np.testing.assert_allclose(found.sum("level"), 1.0)
    samples = smc.get_samples()["component"]
    assert samples.shape == (4 * 256, 8)
    assert samples.dtype == torch.int64
    with pytest.raises(ConfigError, match="level_probability"):
        smc.inclusion_probability  # noqa: B018
    assert bp.diagnose(smc).verdict in ("ok", "not_converged")


def test_the_evidence_is_unbiased_on_a_fixed_schedule(seed):
    data = torch.tensor([-1.0, 0.4, 1.4], dtype=torch.float64)
    config = bp.SMCConfig(
        particles=8, runs=60, schedule=(0.3, 1.0), sweeps=1, max_passes=1, final_passes=1, pilot_fraction=0
    )
    smc = bp.SpinSMC(mixture, config=config, seed=seed).run(data)
    ratio = np.exp(smc.sampled.log_evidence - responsibilities(data)[0])
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / len(ratio) ** 0.5


@pytest.mark.parametrize("levels", [3, 5])
def test_a_potts_chain(levels, seed):
    """Neighbours like to be equal; levels that are no power of two; a field that a few levels dislike."""
    field = torch.linspace(-0.5, 0.7, levels).double()

    def potts():
        colour = pyro.sample("colour", dist.Categorical(logits=field.expand(3, levels)).to_event(1))
        pyro.factor("bonds", 1.2 * (colour[1:] == colour[:-1]).double().sum() - 0.8 * (colour[0] == 1).double())

    masses = {}
    log_weight = torch.log_softmax(field, 0).numpy()
    for values in product(range(levels), repeat=3):
        bonds = 1.2 * ((values[1] == values[0]) + (values[2] == values[1])) - 0.8 * (values[0] == 1)
        masses[values] = np.exp(log_weight[list(values)].sum() + bonds)
    total = sum(masses.values())
    smc = bp.SpinSMC(potts, config=CONFIG, seed=seed).run()
    assert smc.enumerate()[0] == pytest.approx(np.log(total), abs=1e-10)
    wanted = (
        np.array([[sum(m for v, m in masses.items() if v[k] == c) for c in range(levels)] for k in range(3)]) / total
    )
    error = np.maximum(smc.summary()["level_error"].values, 2e-3)
    assert (np.abs(smc.level_probability.values - wanted) < 5 * error).all()
    assert abs(smc.log_evidence - np.log(total)) < 5 * smc.sampled.log_evidence_error + 1e-3


def test_levels_that_differ_in_two_spins_are_joined(seed):
    """Level 0 is impossible, and lies between levels 1 and 2 in every way of single flips."""

    def program():
        level = pyro.sample("level", dist.Categorical(torch.ones(4, 3).double()).to_event(1))
        pyro.factor("fit", torch.where(level == 0, -torch.inf, torch.where(level == 1, 1.0, 0.0)).sum())

    config = bp.SMCConfig(particles=64, runs=4, swaps=0, final_passes=40, pilot_fraction=0)
    smc = bp.SpinSMC(program, config=config, seed=seed).run()
    wanted = np.array([0.0, np.e, 1.0]) / (np.e + 1)
    assert np.abs(smc.level_probability.values - wanted).max() < 0.2
    assert np.abs(smc.level_probability.values.mean(axis=0) - wanted).max() < 0.08


def test_binary_and_categorical_sites_of_any_shape(seed):
    """A number, a matrix, and a site whose prior depends on another one; binomial counts are levels too."""

    def program():
        on = pyro.sample("on", dist.Bernoulli(torch.tensor(0.3, dtype=torch.float64)))
        kind = pyro.sample("kind", dist.Categorical(torch.stack([0.2 + 0.5 * on, 0.5 - 0.25 * on, 0.3 - 0.25 * on])))
        grid = pyro.sample("grid", dist.Bernoulli(torch.full((2, 2), 0.4, dtype=torch.float64)).to_event(2))
        count = pyro.sample(
            "count", dist.Binomial(torch.tensor(3.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
        )
        pyro.factor("fit", on * grid.sum() - 0.7 * kind.double() * grid[0, 0] + 0.3 * count * on)

    total, inclusion, levels = 0.0, np.zeros(5), np.zeros((2, 4))
    for on, kind, *grid, count in product((0, 1), range(3), *[(0, 1)] * 4, range(4)):
        share = [0.2 + 0.5 * on, 0.5 - 0.25 * on, 0.3 - 0.25 * on]
        mass = (0.3 if on else 0.7) * share[kind] / sum(share) * 0.4 ** sum(grid) * 0.6 ** (4 - sum(grid))
        mass *= [1, 3, 3, 1][count] / 8 * np.exp(on * sum(grid) - 0.7 * kind * grid[0] + 0.3 * count * on)
        total += mass
        inclusion += mass * np.array([on, *grid])
        levels[0, kind] += mass
        levels[1, count] += mass
    smc = bp.SpinSMC(program, config=CONFIG, seed=seed).run()
    assert smc.sites == ("on", "kind", "grid", "count")
    assert smc.enumerate()[0] == pytest.approx(np.log(total), abs=1e-10)
    assert smc.inclusion_probability["spin"].values.tolist() == [
        "on",
        *(f"grid[{i},{j}]" for i in (0, 1) for j in (0, 1)),
    ]
    table = smc.summary()
    error = np.maximum(table["standard_error"].values, 2e-3)
    assert (np.abs(smc.inclusion_probability.values - inclusion / total) < 5 * error).all()
    assert np.isnan(smc.level_probability.sel(variable="kind", level=3))
    found = smc.level_probability.fillna(0.0).values
    assert (np.abs(found - levels / total) < 5 * np.maximum(table["level_error"].fillna(0).values, 2e-3)).all()
    shapes = {name: tuple(value.shape[1:]) for name, value in smc.get_samples(10).items()}
    assert shapes == {"on": (), "kind": (), "grid": (2, 2), "count": ()}


def test_sites_marked_for_enumeration_are_sampled(seed):
    """Pyro's mark asks for enumeration where it is offered; here every discrete site is sampled."""

    def program():
        first = pyro.sample(
            "first", dist.Bernoulli(torch.tensor(0.4, dtype=torch.float64)), infer={"enumerate": "parallel"}
        )
        second = pyro.sample("second", dist.Categorical(torch.ones(3).double()), infer={"enumerate": "sequential"})
        pyro.factor("fit", first * second)

    smc = bp.SpinSMC(program, config=CONFIG, seed=seed).run()
    wanted = 0.6 + 0.4 * (1 + np.e + np.e**2) / 3
    assert smc.enumerate()[0] == pytest.approx(np.log(wanted), abs=1e-10)
    with pytest.raises(ConfigError, match="more discrete latent sites"):
        bp.SpinSMC(program, site="first").run()
    with pytest.raises(ConfigError, match="'second' is observed"):
        bp.SpinSMC(pyro.condition(program, data={"second": torch.tensor(1)}), site="second").run()
    given = bp.SpinSMC(pyro.condition(program, data={"second": torch.tensor(1)}), config=CONFIG, site="first").run()
    assert given.enumerate()[0] == pytest.approx(np.log((0.6 + 0.4 * np.e) / 3), abs=1e-10)


def test_names_label_the_variables():
    def program():
        pyro.sample("spins", dist.Bernoulli(torch.full((2,), 0.4).double()).to_event(1))
        pyro.factor("fit", torch.tensor(0.0, dtype=torch.float64))

    few = bp.SMCConfig(particles=16, runs=2)
    smc = bp.SpinSMC(program, names=["age", "dose"], config=few).run()
    assert smc.inclusion_probability["spin"].values.tolist() == ["age", "dose"]
    assert smc.summary()["spin"].values.tolist() == ["age", "dose"]

    class Named:
        names = ("age", "dose")

        def __call__(self):
            program()

    assert bp.SpinSMC(Named(), config=few).run().sampled.names == ("age", "dose")
    for wrong in (["age"], ["age", "age"]):
        with pytest.raises(ConfigError, match="one name for each"):
            bp.SpinSMC(program, names=wrong, config=few).run()
    with pytest.raises(ConfigError, match="names"):
        bp.SpinSMC(program, names="age")
