"""Programs with binary and continuous latents against quadrature and dynamic programming; and what is handed out."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from oracles import all_spins
from pyro.infer import Predictive

import bayespde as bp
from bayespde.core.errors import ConfigError

# Slab and noise scales of the regression: log-normal priors.
LOG_SCALES = dist.Normal(torch.tensor([0.0, -0.5], dtype=torch.float64), torch.tensor([0.7, 0.5], dtype=torch.float64))


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def assert_found(smc, inclusion, means, log_evidence):
    """Inclusion within .02, means and evidence within a few of their standard errors."""
    table = smc.summary()
    error = np.maximum(5 * table["standard_error"].values, 0.02)
    assert (np.abs(smc.inclusion_probability.values - inclusion) < error).all()
    assert (np.abs(table["mean"].values - means) < 4 * table["mean_error"].values + 0.005).all()
    assert abs(smc.log_evidence - log_evidence) < 4 * table.attrs["log_evidence_error"] + 0.01


# Spike and slab regression: coefficients integrated out, two scales unknown


def spike_and_slab(design, response):
    scales = torch.exp(pyro.sample("log_scales", dist.Normal(LOG_SCALES.loc, LOG_SCALES.scale).to_event(1)))
    spins = pyro.sample("spins", dist.Bernoulli(torch.full((design.shape[1],), 0.3).double()).to_event(1))
    chosen = design * spins
    eye = torch.eye(len(design), dtype=torch.float64)
    covariance = scales[1] ** 2 * eye + scales[0] ** 2 * chosen @ chosen.T
    pyro.sample("y", dist.MultivariateNormal(torch.zeros_like(response), covariance), obs=response)


def regression(rng, rows=14, terms=4):
    design = rng.normal(size=(rows, terms))
    design[:, 1] = design[:, 0] + 0.5 * design[:, 1]
    return design, design[:, 0] - 0.6 * design[:, 3] + 0.6 * rng.normal(size=rows)


def regression_reference(design, response):
    """All configurations, and a grid over both log scales; eigenvalues give the density of a configuration."""
    grid = np.linspace(-4, 4, 161)
    slab, noise = LOG_SCALES.loc.numpy()[:, None] + LOG_SCALES.scale.numpy()[:, None] * grid
    weight = np.exp(-0.5 * grid**2) / np.exp(-0.5 * grid**2).sum()
    spins, masses, first, second = all_spins(design.shape[1]), [], [], []
    for one in spins:
        values, vectors = np.linalg.eigh(design[:, one] @ design[:, one].T)
        square = (vectors.T @ response) ** 2
        variance = np.exp(2 * noise)[None, :, None] + np.exp(2 * slab)[:, None, None] * np.maximum(values, 0)
        log_density = -0.5 * (np.log(2 * np.pi * variance) + square / variance).sum(axis=2)
        mass = np.exp(log_density + 30) * weight[:, None] * weight * 0.3 ** one.sum() * 0.7 ** (~one).sum()
        masses.append(mass.sum())
        first.append((mass * slab[:, None]).sum())
        second.append((mass * noise).sum())
    total = np.sum(masses)
    return np.array(masses) @ spins / total, np.array([np.sum(first), np.sum(second)]) / total, np.log(total) - 30


def test_spike_and_slab_regression_with_unknown_scales(seed):
    data = regression(np.random.default_rng(3))
    inclusion, means, log_evidence = regression_reference(*data)
    assert np.sum((inclusion > 0.02) & (inclusion < 0.98)) >= 3
    config = bp.SMCConfig(particles=256, runs=4, final_passes=4)
    smc = bp.SpinSMC(spike_and_slab, config=config, seed=seed).run(*map(torch.as_tensor, data))
    assert smc.target.looped_because == ""
    assert_found(smc, inclusion, means, log_evidence)


# A mixture with unknown means, whose assignments are spins


def mixture(data, noise=0.7):
    means = pyro.sample("means", dist.Normal(torch.tensor([-1.0, 1.3]).double(), 0.6).to_event(1))
    spins = pyro.sample("spins", dist.Bernoulli(torch.full((len(data),), 0.4).double()).to_event(1))
    pyro.sample("data", dist.Normal(torch.where(spins == 1, means[1], means[0]), noise).to_event(1), obs=data)


def mixture_data(count=10):
    draw = torch.Generator().manual_seed(5)
    second = torch.rand(count, generator=draw) < 0.4
    return torch.where(second, 1.3, -1.0).double() + 0.7 * torch.randn(count, generator=draw, dtype=torch.float64)


def mixture_reference(data):
    """A grid over both means, assignments summed out."""
    grid = torch.linspace(-4, 4, 401, dtype=torch.float64)
    first, second = torch.meshgrid(grid, grid, indexing="ij")
    low = dist.Normal(first[..., None], 0.7).log_prob(data) + np.log(0.6)
    high = dist.Normal(second[..., None], 0.7).log_prob(data) + np.log(0.4)
    logs = torch.logaddexp(low, high).sum(-1) + dist.Normal(-1.0, 0.6).log_prob(first)
    logs = logs + dist.Normal(1.3, 0.6).log_prob(second)
    weight = torch.softmax(logs.flatten(), 0).reshape(logs.shape)
    inclusion = (weight[..., None] * torch.sigmoid(high - low)).sum((0, 1))
    means = np.array([float((weight * m).sum()) for m in (first, second)])
    return inclusion.numpy(), means, float(torch.logsumexp(logs.flatten(), 0)) + 2 * np.log(8 / 400)


@pytest.fixture(scope="module")
def sampled():
    return bp.SpinSMC(mixture, config=bp.SMCConfig(particles=200, runs=4, final_passes=4), seed=3).run(mixture_data())


@pytest.mark.parametrize("moves", ["hamiltonian", "random_walk"])
def test_a_mixture_with_unknown_means(moves, seed):
    data = mixture_data()
    config = bp.SMCConfig(particles=256, runs=4, final_passes=4, latent_moves=moves)
    smc = bp.SpinSMC(mixture, config=config, seed=seed).run(data)
    assert_found(smc, *mixture_reference(data))


# Change points: spins over time, heights of the levels integrated out


def change_points(data, rate=0.2, noise=0.5, spread=1.5):
    changes = pyro.sample("changes", dist.Bernoulli(torch.full((len(data) - 1,), rate).double()).to_event(1))
    level = torch.cat([torch.zeros(1, dtype=torch.float64), changes]).cumsum(0)
    same = (level[:, None] == level).double()
    covariance = noise**2 * torch.eye(len(data), dtype=torch.float64) + spread**2 * same
    pyro.sample("data", dist.MultivariateNormal(torch.zeros_like(data), covariance), obs=data)


def change_point_reference(data, rate=0.2, noise=0.5, spread=1.5):
    """Sums over all segmentations by recursions forwards and backwards."""
    count = len(data)
    segment = np.full((count, count + 1), -np.inf)
    for i in range(count):
        for j in range(i + 1, count + 1):
            part = data[i:j]
            covariance = noise**2 * np.eye(j - i) + spread**2
            _, logdet = np.linalg.slogdet(2 * np.pi * covariance)
            segment[i, j] = -0.5 * (logdet + part @ np.linalg.solve(covariance, part)) + (j - i - 1) * np.log(1 - rate)
    forward, backward = np.full(count + 1, -np.inf), np.full(count + 1, -np.inf)
    forward[0] = backward[count] = 0.0
    for j in range(1, count + 1):
        forward[j] = np.logaddexp.reduce([forward[i] + segment[i, j] + (np.log(rate) if i else 0) for i in range(j)])
    for i in range(count - 1, -1, -1):
        ends = range(i + 1, count + 1)
        backward[i] = np.logaddexp.reduce(
            [segment[i, j] + backward[j] + (np.log(rate) if j < count else 0) for j in ends]
        )
    inclusion = np.exp(forward[1:-1] + backward[1:-1] + np.log(rate) - forward[-1])
    return inclusion, forward[-1]


def test_change_points_against_dynamic_programming(seed):
    rng = np.random.default_rng(8)
    data = np.repeat([0.0, 1.6, -0.4], [4, 3, 3]) + 0.5 * rng.normal(size=10)
    inclusion, log_evidence = change_point_reference(data)
    config = bp.SMCConfig(particles=256, runs=4, final_passes=4)
    smc = bp.SpinSMC(change_points, config=config, seed=seed).run(torch.as_tensor(data))
    assert smc.target.looped_because == ""
    error = np.maximum(5 * smc.summary()["standard_error"].values, 0.02)
    assert (np.abs(smc.inclusion_probability.values - inclusion) < error).all()
    assert abs(smc.log_evidence - log_evidence) < 4 * smc.sampled.log_evidence_error + 0.01


# What is handed out


def test_samples_are_constrained_and_whole(sampled):
    samples = sampled.get_samples()
    assert {name: tuple(value.shape) for name, value in samples.items()} == {"spins": (800, 10), "means": (800, 2)}
    assert sampled.sites == ("spins", "means")
    assert sampled.get_samples(5, group_by_chain=True)["means"].shape == (4, 5, 2)
    assert set(sampled.get_empirical()) == {"spins", "means"}
    with pyro.poutine.seed(rng_seed=0):
        replicated = Predictive(pyro.poutine.uncondition(mixture), samples)(mixture_data())["data"]
    assert replicated.shape == (800, 10)
    table = sampled.summary()
    assert table["latent"].values.tolist() == ["means[0]", "means[1]"]
    weighted, weights = sampled.get_weighted_samples()
    torch.testing.assert_close(weights @ weighted["means"], torch.as_tensor(table["mean"].values))


def test_simplex_and_positive_sites_come_back_in_their_supports(seed):
    def program():
        spins = pyro.sample("spins", dist.Bernoulli(torch.full((3,), 0.5).double()).to_event(1))
        share = pyro.sample("share", dist.Dirichlet(torch.ones(3).double()))
        scale = pyro.sample("plate/scale", dist.HalfNormal(number(1.0)))
        pyro.sample("y", dist.Normal((spins * share).sum(), scale), obs=number(0.8))

    smc = bp.SpinSMC(program, config=bp.SMCConfig(particles=100, runs=2), seed=seed).run()
    samples = smc.get_samples()
    torch.testing.assert_close(samples["share"].sum(-1), torch.ones(200).double())
    assert (samples["plate/scale"] > 0).all()
    assert smc.target.dimension == 3
    tree = smc.to_tree()
    assert tree["posterior"]["share"].shape == (2, 100, 3)
    assert "plate.scale" in tree["posterior"]


def test_diagnosis_covers_the_continuous_latents(sampled):
    found = bp.diagnose(sampled)
    assert found.verdict in ("ok", "not_converged")
    table = bp.between_run_diagnostics(sampled)
    assert table["inclusion"].dims == ("run", "spin")
    assert {"lp", "means[0]", "means[1]"} <= set(sampled.sampled.scalars)
    assert set(sampled.diagnostics()) >= {"r_hat_lp", "log_evidence_error", "complete"}


def test_inference_data_have_every_site_with_labels(sampled):
    arviz = pytest.importorskip("arviz")
    data = bp.to_inference_data(sampled)
    assert {"means", "spins"} <= set(data.posterior.data_vars)
    assert dict(data.posterior["means"].sizes) == {"chain": 4, "draw": 200, "means_dim_0": 2}
    assert set(data.sample_stats.data_vars) >= {"lp", "eve_index"}
    assert data.smc_stats["log_marginal_likelihood"].dims == ("chain",)
    assert data.smc_stats["inclusion_rao_blackwell"].dims == ("chain", "spin")
    assert np.isfinite(arviz.rhat(data.posterior["means"].values[..., 0]))
    labels = [f"row {k}" for k in range(10)]
    named = bp.SpinSMC(mixture, names=labels, config=bp.SMCConfig(particles=16, runs=2)).run(mixture_data())
    tree = named.to_tree()
    assert isinstance(tree, xr.DataTree)
    assert tree["posterior"]["spins_dim_0"].values.tolist() == labels
    assert tree["posterior"]["spins"].dtype.kind == "i"
    with pytest.raises(ConfigError, match="forecast"):
        bp.to_inference_data(named, forecast=xr.Dataset({"noise_scale": 1.0, "blow_up_time": 1.0}))
    with pytest.raises(ConfigError, match="posterior"):
        bp.to_inference_data(3)


def test_one_seed_one_answer_for_any_number_of_workers():
    def once(seed, workers):
        config = bp.SMCConfig(particles=32, runs=2, workers=workers, final_passes=2)
        return bp.SpinSMC(mixture, config=config, seed=seed).run(mixture_data()).get_samples()

    before = torch.random.get_rng_state()
    one, two, other = once(3, 1), once(3, 2), once(4, 1)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["means"], other["means"])
    assert torch.equal(before, torch.random.get_rng_state())


def test_regions_without_likelihood_are_left(seed):
    def program():
        spins = pyro.sample("spins", dist.Bernoulli(torch.full((2,), 0.5).double()).to_event(1))
        x = pyro.sample("x", dist.Normal(number(0.0), number(1.0)))
        pyro.factor("wall", torch.where(x * (1 + spins.sum()) < 0.5, -torch.inf, 0.0))

    smc = bp.SpinSMC(program, config=bp.SMCConfig(particles=256, runs=4, final_passes=2), seed=seed).run()
    samples = smc.get_samples()
    assert (samples["x"] * (1 + samples["spins"].sum(-1)) >= 0.5).all()
    normal = torch.distributions.Normal(0.0, 1.0)
    share = 1 - normal.cdf(torch.tensor([0.5, 0.25, 1 / 6]))
    wanted = float(torch.log((share * torch.tensor([0.25, 0.5, 0.25])).sum()))
    assert abs(smc.log_evidence - wanted) < 5 * smc.sampled.log_evidence_error + 0.02


def test_a_program_that_is_looped_gives_the_same_posterior(seed):
    def program():
        spins = pyro.sample("spins", dist.Bernoulli(torch.tensor([0.3]).double()).to_event(1))
        x = pyro.sample("x", dist.Normal(number(0.0), number(1.0)))
        mean = x + 1 if spins[0] == 1 else x
        pyro.sample("y", dist.Normal(mean, 0.5), obs=number(1.0))

    smc = bp.SpinSMC(
        program, config=bp.SMCConfig(particles=24, runs=4, final_passes=2, max_passes=1, latent_steps=3), seed=seed
    ).run()
    assert "map" in smc.target.looped_because
    # y is N(spin, 1 + 1/4)
    masses = np.array([0.7, 0.3]) * np.exp(-0.5 * np.array([1.0, 0.0]) / 1.25)
    inclusion = masses[1] / masses.sum()
    error = smc.sampled.inclusion_error.values[0]
    assert abs(smc.inclusion_probability.values[0] - inclusion) < 5 * error + 0.02
    with pytest.raises(ConfigError, match="cannot be enumerated"):
        smc.enumerate()
