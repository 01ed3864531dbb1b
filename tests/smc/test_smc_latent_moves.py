"""Moves of real numbers beside spins: they leave the tempered target invariant, and the evidence unbiased."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.smc import SMCConfig, make_kernel, run_all
from bayespde.smc.base import SMCState
from bayespde.smc.kernels.latent_moves import MOVES
from bayespde.smc.step import init, with_densities

PRIOR = torch.tensor([0.4, 0.7], dtype=torch.float64)
MEANS = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-1.0, 1.0], [0.3, -2.0]], dtype=torch.float64)
NOISE = 0.6


def code_of(spins):
    return spins.long() @ torch.tensor([2, 1])


class Gaussians:
    """Two spins choose the mean of two numbers with a standard normal prior; everything is known in closed form.

    The likelihood is -inf where the first number is below `wall`.
    """

    terms, dimension, has_gradient = 2, 2, True

    def __init__(self, wall=-np.inf):
        self.wall = wall

    def given(self, latents):
        return Given(self, latents)

    def sample_joint(self, particles, *, generator):
        spins = torch.rand((particles, 2), generator=generator, dtype=torch.float64) < PRIOR
        return spins, torch.randn((particles, 2), generator=generator, dtype=torch.float64)

    def log_prior(self, spins, latents):
        return torch.where(spins, PRIOR, 1 - PRIOR).log().sum(1) - 0.5 * (latents**2).sum(1)

    def log_likelihood(self, spins, latents):
        square = ((latents - MEANS[code_of(spins)]) ** 2).sum(1)
        return torch.where(latents[:, 0] < self.wall, -torch.inf, -square / (2 * NOISE**2))

    def proposed(self, spins, latents):
        return self.log_prior(spins, latents), self.log_likelihood(spins, latents)

    def with_gradient(self, spins, latents, beta):
        mean = MEANS[code_of(spins)]
        return self.proposed(spins, latents), -latents - beta * (latents - mean) / NOISE**2


class Given:
    terms = 2

    def __init__(self, target, latents):
        self.target, self.latents = target, latents

    def log_prior(self, spins):
        return self.target.log_prior(spins, self.latents)

    def log_likelihood(self, spins):
        return self.target.log_likelihood(spins, self.latents)


def closed_form(beta):
    """Probability of each configuration, its posterior mean `[4, 2]` and variance at an inverse temperature; log Z."""
    variance = 1 / (1 + beta / NOISE**2)
    spins = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.bool)
    log_prior = torch.where(spins, PRIOR, 1 - PRIOR).log().sum(1)
    square = (MEANS**2).sum(1)
    # of exp(-beta |x - m|^2 / (2 s^2)) under N(0, 1) in two dimensions
    log_mass = log_prior + np.log(variance) - beta * square / (2 * NOISE**2) * variance
    return torch.softmax(log_mass, 0), MEANS * beta / NOISE**2 * variance, variance, float(torch.logsumexp(log_mass, 0))


def exact(target, beta, particles, generator):
    """Independent draws at an inverse temperature; those below the wall are drawn again."""
    share, mean, variance, _ = closed_form(beta)
    code = torch.multinomial(share, 40 * particles, replacement=True, generator=generator)
    noise = torch.randn((len(code), 2), generator=generator, dtype=torch.float64)
    latents = mean[code] + variance**0.5 * noise
    kept = latents[:, 0] >= target.wall
    code, latents = code[kept][:particles], latents[kept][:particles]
    spins = torch.stack([code >= 2, code % 2 == 1], dim=1)
    nothing = torch.zeros(particles, dtype=torch.float64)
    return with_densities(SMCState(spins, nothing, nothing, beta, 0.0, torch.arange(particles), latents), target)


def statistics(state):
    x, s = state.latents, state.spins.double()
    parts = [s, s[:, :1] * s[:, 1:], x, x**2, x[:, :1] * x[:, 1:], s * x, state.log_likelihood[:, None]]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("wall", [-np.inf, 0.2])
@pytest.mark.parametrize("beta", [0.3, 1.0])
@pytest.mark.parametrize("moves", MOVES)
def test_the_tempered_target_is_invariant(moves, beta, wall, seed):
    target, generator = Gaussians(wall), torch_generator(seed)
    state = exact(target, beta, 20_000, generator)
    config = SMCConfig(latent_moves=moves, latent_steps=3, latent_step_size=0.7)
    kernel, fresh = make_kernel(target, config), exact(target, beta, 20_000, torch_generator(seed + 1))
    before, moved = state, state
    for _ in range(3):
        moved, _ = kernel(moved, target, sweeps=1, generator=generator)
    again = with_densities(moved, target)
    torch.testing.assert_close(again.log_prior, moved.log_prior, rtol=0, atol=1e-10)
    torch.testing.assert_close(again.log_likelihood, moved.log_likelihood, rtol=0, atol=1e-10)
    assert float((moved.latents != before.latents).any(dim=1).double().mean()) > 0.5
    a, b = statistics(moved), statistics(fresh)
    error = ((a.var(dim=0) + b.var(dim=0)) / len(a)).sqrt()
    assert ((a.mean(dim=0) - b.mean(dim=0)).abs() < 5 * error).all()


@pytest.mark.parametrize("moves", MOVES)
def test_moves_are_reversible(moves, seed):
    """From draws of the target as many go from one region to another as back."""
    target, generator = Gaussians(-0.5), torch_generator(seed)
    state = exact(target, 1.0, 50_000, generator)
    tuning, eye = MOVES[moves], torch.eye(2, dtype=torch.float64)
    moved, acceptance = tuning.move(state, target, spread=eye, step=0.9, steps=1, generator=generator)
    assert 0.2 < acceptance < 0.97
    edges = torch.tensor([-0.2, 0.2, 0.6, 1.0], dtype=torch.float64)
    a, b = (torch.bucketize(s.latents[:, 0].contiguous(), edges) for s in (state, moved))
    table = torch.zeros(5, 5, dtype=torch.float64).index_put_((a, b), torch.ones(len(a)).double(), accumulate=True)
    assert ((table - table.T).abs() <= 5 * (table + table.T).sqrt() + 1e-9).all()
    assert torch.equal(moved.spins, state.spins)


@pytest.mark.parametrize("moves", MOVES)
def test_the_evidence_is_unbiased_on_a_fixed_schedule(moves, seed):
    fixed = SMCConfig(particles=8, runs=400, schedule=(0.3, 1.0), sweeps=1, max_passes=1, final_passes=1, swaps=0)
    config = replace(fixed, latent_moves=moves, latent_steps=2, latent_step_size=0.7)
    ratio = np.exp(run_all(Gaussians(), config=config, seed=seed).log_evidence - closed_form(1.0)[3])
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / len(ratio) ** 0.5


def test_adaptive_runs_find_the_posterior(seed):
    config = SMCConfig(particles=1000, runs=6)
    found = run_all(Gaussians(), config=config, seed=seed)
    share, mean, variance, log_evidence = closed_form(1.0)
    inclusion = np.array([float(share[2:].sum()), float(share[1::2].sum())])
    by_run = found.estimates["rao_blackwell"]
    assert (np.abs(by_run.mean(axis=0) - inclusion) < 5 * by_run.std(axis=0, ddof=1) / 6**0.5 + 0.01).all()
    means = found.latents.mean(axis=1)
    wanted = (share[:, None] * mean).sum(dim=0).numpy()
    assert (np.abs(means.mean(axis=0) - wanted) < 5 * means.std(axis=0, ddof=1) / 6**0.5 + 0.02).all()
    second = (share[:, None] * (mean**2 + variance)).sum(dim=0).numpy()
    assert (np.abs((found.latents**2).mean(axis=(0, 1)) - second) < 0.15 * second).all()
    error = found.log_evidence.std(ddof=1) / 6**0.5
    assert abs(found.log_evidence.mean() - log_evidence) < 5 * error + 0.02
    # What rests on the masses of configurations is not known.
    assert np.isnan(found.estimates["renormalised"]).all()
    assert np.isnan(found.captured_mass).all()
    assert (found.likelihood_error < 1e-9).all()


def test_latents_follow_their_particles(seed):
    config = SMCConfig(particles=64, runs=3, workers=1)
    one, two = (run_all(Gaussians(), config=replace(config, workers=w), seed=seed) for w in (1, 3))
    assert np.array_equal(one.latents, two.latents)
    assert np.array_equal(one.spins, two.spins)
    state = init(Gaussians(), particles=10, generator=torch_generator(seed))
    assert state.latents.shape == (10, 2)


def test_the_step_size_follows_the_acceptance(seed):
    target, generator = Gaussians(), torch_generator(seed)
    kernel = make_kernel(target, SMCConfig(latent_moves="random_walk"))
    state = exact(target, 1.0, 500, generator)._replace(step_size=5.0)
    sizes = []
    for _ in range(12):
        state, _ = kernel(state, target, sweeps=1, generator=generator)
        sizes.append(state.step_size)
    assert sizes[0] < 5.0
    assert 0.3 < sizes[-1] < 3.0


def test_gradient_moves_need_a_gradient():
    class Blind(Gaussians):
        has_gradient = False

    with pytest.raises(ConfigError, match="latent_moves='random_walk'"):
        make_kernel(Blind(), SMCConfig(latent_moves="hamiltonian"))
    assert make_kernel(Blind(), SMCConfig()).tuning is MOVES["random_walk"]
    assert make_kernel(Gaussians(), SMCConfig()).tuning is MOVES["hamiltonian"]
