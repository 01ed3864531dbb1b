"""Simulation-based calibration of `SpinSMC` on three programs: ranks of a truth among posterior draws are uniform.

The same program draws the truth and the data, and is conditioned on the data [talts2018]. The empirical distribution of
all ranks of a quantity lies inside a band that holds at every rank together [sailynoja2022], here by Bonferroni's bound
over ranks, so wide that uniform ranks leave it once in a million quantities.
"""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.poutine import condition, trace
from scipy import stats
from statistical import checks

import bayespde as bp
from bayespde.core.random import forked_torch_seed

REPLICATES, DRAWS, PARTICLES = 150, 31, 310
CHANCE = 1e-6
LARGEST_FACTOR = 6.3
CONFIG = bp.SMCConfig(particles=PARTICLES, runs=1, final_passes=2)

pytestmark = pytest.mark.slow


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def noisy_ising(cells=9):
    """A ring of spins that like to be equal, each seen once with noise."""
    spins = pyro.sample("spins", dist.Bernoulli(double(0.4).expand(cells)).to_event(1))
    signs = 2 * spins - 1
    pyro.factor("pairs", LARGEST_FACTOR / cells * (signs * signs.roll(1, -1)).sum())
    pyro.sample("seen", dist.Normal(signs, 1.2).to_event(1))


def changing_level(frames=12):
    """A level that jumps where a spin is up, by a normal amount that is integrated out."""
    spins = pyro.sample("spins", dist.Bernoulli(double(0.2).expand(frames - 1)).to_event(1))
    segment = torch.cat([torch.zeros(1, dtype=torch.float64), spins.cumsum(-1)])
    same = (segment[:, None] == segment).double()
    pyro.sample("seen", dist.MultivariateNormal(torch.zeros(frames).double(), 4.0 * same + torch.eye(frames)))


def mixture(points=12):
    """Points of two groups whose means, and share, are unknown."""
    share = pyro.sample("share", dist.Beta(double(2.0)[0], double(2.0)[0]))
    mean = pyro.sample("mean", dist.Normal(double(-1.0, 2.0), double(1.0, 1.0)).to_event(1))
    chances = torch.stack([1 - share, share]).expand(points, 2)
    group = pyro.sample("group", dist.Categorical(chances).to_event(1))
    pyro.sample("seen", dist.Normal(mean[group.long()], 1.0).to_event(1))


def coupled(spins):
    signs = 2 * spins.double() - 1
    return (signs * signs.roll(1, -1)).sum(-1)


def states_likelihood(values, seen):
    return -0.5 * ((seen - (2 * values["spins"].double() - 1)) ** 2).sum(-1)


QUANTITIES = {
    noisy_ising: {
        "up": lambda v, seen: v["spins"].sum(-1),
        "first": lambda v, seen: v["spins"][..., 0],
        "pairs": lambda v, seen: coupled(v["spins"]),
        "misfit": states_likelihood,
    },
    changing_level: {
        "changes": lambda v, seen: v["spins"].sum(-1),
        "last": lambda v, seen: (v["spins"] * torch.arange(1, v["spins"].shape[-1] + 1)).max(-1).values,
        "jump": lambda v, seen: (v["spins"] * (seen[1:] - seen[:-1]).abs()).sum(-1),
    },
    mixture: {
        "share": lambda v, seen: v["share"],
        "lower mean": lambda v, seen: v["mean"][..., 0],
        "upper mean": lambda v, seen: v["mean"][..., 1],
        "members": lambda v, seen: v["group"].sum(-1),
        "misfit": lambda v, seen: ((seen - v["mean"].gather(-1, v["group"].long())) ** 2).sum(-1),
    },
}


def truth_of(program, seed):
    """Values of all sites, drawn from the program; with a factor by rejection, which is exact."""
    with forked_torch_seed(seed):
        while True:
            nodes = trace(program).get_trace().nodes
            # A factor is a part of the prior of the truth too.
            factor = float(nodes["pairs"]["fn"].log_factor) - LARGEST_FACTOR if "pairs" in nodes else 0.0
            if float(torch.rand(())) < np.exp(factor):
                break
    return {name: node["value"] for name, node in nodes.items() if node["type"] == "sample" and name != "pairs"}


def ranks_of(program, seed):
    """The rank of the truth of every quantity among posterior draws of one run, ties broken at random."""
    truth = truth_of(program, seed)
    seen = truth.pop("seen")
    found = bp.SpinSMC(condition(program, data={"seen": seen}), config=CONFIG, seed=seed).run()
    rng = np.random.default_rng(seed)
    # Particles at equal distances in the order of their ancestors: hardly any two of one family.
    distance = PARTICLES // DRAWS
    first = rng.integers(distance)
    draws = {name: v[first::distance][:DRAWS] for name, v in found.get_samples().items()}
    return [rank(quantity, truth, draws, seen, rng) for quantity in QUANTITIES[program].values()]


def rank(quantity, truth, draws, seen, rng):
    own, others = quantity(truth, seen).item(), quantity(draws, seen).numpy()
    return np.sum(others < own) + rng.integers(0, np.sum(others == own) + 1)


def outside(ranks, chance):
    """Share of ranks at which the empirical distribution of one quantity leaves the band."""
    at = np.arange(DRAWS)
    below = np.sum(ranks[:, None] <= at, axis=0)
    uniform = stats.binom(len(ranks), (at + 1) / (DRAWS + 1))
    return np.mean(2 * np.minimum(uniform.cdf(below), uniform.sf(below - 1)) < chance / DRAWS)


@pytest.mark.parametrize("program", QUANTITIES)
def test_programs_are_calibrated(program, seed):
    ranks = np.array([ranks_of(program, s) for s in checks.statistical_seeds(seed, REPLICATES)])
    for name, column in zip(QUANTITIES[program], ranks.T, strict=True):
        assert outside(column, CHANCE) == 0, name


def test_the_band_is_left_by_draws_that_are_too_narrow(rng):
    """Ranks that avoid the middle are of intervals that are too short."""
    narrow = rng.choice([0, DRAWS, 5, 26], size=REPLICATES, p=[0.2, 0.2, 0.3, 0.3])
    assert outside(narrow, CHANCE) > 0
    assert outside(rng.integers(0, DRAWS + 1, REPLICATES), CHANCE) == 0
