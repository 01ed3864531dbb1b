"""Checks that define a correct sampler, by name: planted bugs must fail them."""

import importlib

import numpy as np
import torch
from oracles import TableTarget, all_spins, codes, random_rows, student_log_density, table_target

from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.prior import Prior
from bayespde.smc import GibbsFlips, SMCConfig, SMCState, init, make_kernel, run_all
from bayespde.smc.kernels import gibbs

step_module = importlib.import_module("bayespde.smc.step")
SCHEDULE = (0.03, 0.1, 0.3, 0.6, 1.0)


def check_evidence_formula():
    """Log likelihood = log of the multivariate Student-t density of the rows, for every configuration and slab."""
    rng = np.random.default_rng(3)
    design, target = random_rows(rng, 40, 4)
    design *= [1.0, 30.0, 1e-3, 2.0]
    names = ("c", "a", "d", "b")
    statistics = SufficientStatistics.from_rows(
        design, target, names=names, model=RowModel(prior_rows=3.0, prior_variance=0.7, log_jacobian=1.3)
    )
    spins = all_spins(4)
    for slab in (HyperGSlab(), HyperGSlab(nodes=7, shape=4.0), GPriorSlab(), GPriorSlab(50.0), IsotropicSlab(3.0)):
        got = SpinModel(statistics, prior=Prior(slab=slab)).log_likelihood(torch.as_tensor(spins)).numpy()
        wanted = [
            1.3 + student_log_density(design[:, s], target, slab, prior_rows=3.0, prior_variance=0.7) for s in spins
        ]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-10)


def check_ess_target(seed):
    """The chosen inverse temperature gives the wanted ESS, recomputed from the weights that the step used."""
    generator = torch_generator(seed)
    target = table_target(np.random.default_rng(1), 8, spread=6.0)
    for fraction in (0.5, 0.8):
        config = SMCConfig(particles=500, ess_fraction=fraction)
        state, kernel = init(target, particles=500, generator=generator), make_kernel(target, config)
        while state.inverse_temperature < 1:
            state, info = step_module.step(state, target, kernel=kernel, generator=generator, config=config)
            weights = np.exp(info.log_weights.numpy() - info.log_weights.numpy().max())
            ess = weights.sum() ** 2 / np.sum(weights**2)
            if state.inverse_temperature < 1:
                assert abs(ess / (fraction * 500) - 1) < 1e-6
            else:
                assert ess >= fraction * 500
            assert abs(info.ess / ess - 1) < 1e-9


def all_states(target, beta):
    """One particle in every configuration."""
    spins = torch.as_tensor(all_spins(target.terms))
    return SMCState(spins, target.log_prior(spins), target.log_likelihood(spins), beta, 0.0, torch.arange(len(spins)))


def site_matrix(target, site, beta):
    """Transition matrix `[2^K, 2^K]` of one site update, from its destinations and their probabilities."""
    state = all_states(target, beta)
    count = len(state.spins)
    matrix, rows = np.zeros((count, count)), np.arange(count)
    never = torch.full((count,), 1 - 2.0**-53, dtype=torch.float64)
    flipped, up = gibbs.update_site(state, target, site=site, uniforms=torch.zeros(count, dtype=torch.float64))
    stayed, _ = gibbs.update_site(state, target, site=site, uniforms=never)
    probability = torch.where(state.spins[:, site], 1 - up, up).numpy()
    np.add.at(matrix, (rows, codes(flipped.spins.numpy())), probability)
    np.add.at(matrix, (rows, codes(stayed.spins.numpy())), 1 - probability)
    return matrix


def invariance_targets():
    """Rugged, nearly deterministic (log odds of 1e4), and partly impossible tables over four spins."""
    rng = np.random.default_rng(5)
    impossible = rng.normal(size=16)
    impossible[[3, 7, 8, 15]] = -np.inf
    return (
        table_target(rng, 4),
        TableTarget(rng.normal(size=4), 1e4 * rng.choice([-1.0, 0.0, 1.0], size=16) + rng.normal(size=16)),
        TableTarget(rng.normal(size=4), impossible),
    )


def check_invariance():
    """The tempered target is invariant under every site update and every sweep of them, to rounding."""
    for target in invariance_targets():
        for beta in (0.0, 0.3, 1.0):
            wanted = target.tempered(beta)
            matrices = [site_matrix(target, site, beta) for site in range(4)]
            for matrix in matrices:
                np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-12)
                flow = wanted[:, None] * matrix
                np.testing.assert_allclose(flow, flow.T, rtol=0, atol=1e-12)
            for order in ((0, 1, 2, 3), (2, 0, 3, 1)):
                moved = wanted
                for site in order:
                    moved = moved @ matrices[site]
                np.testing.assert_allclose(moved, wanted, rtol=0, atol=1e-12)


def check_sweep_distribution(seed):
    """Exact draws from a tempered target keep their distribution after two sweeps with swaps."""
    target = table_target(np.random.default_rng(6), 5, spread=1.0)
    check_kept_distribution(GibbsFlips(swaps=3), target, beta=0.6, seed=seed)


def check_kept_distribution(kernel, target, *, beta, seed):
    """Exact draws from a tempered target keep their distribution after two sweeps, and their densities are right."""
    generator, particles, states = torch_generator(seed), 40000, all_states(target, beta)
    log_mass = (states.log_prior + beta * states.log_likelihood if beta else states.log_prior).numpy()
    wanted = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    start = torch.multinomial(torch.as_tensor(wanted), particles, replacement=True, generator=generator)
    moved, moves = kernel(step_module.select(states, start), target, sweeps=2, generator=generator)
    counts = np.bincount(codes(moved.spins.numpy()), minlength=len(wanted))
    error = np.sqrt(particles * wanted * (1 - wanted))
    assert np.all(np.abs(counts - particles * wanted) < 5 * error + 5)
    inclusion = wanted @ all_spins(target.terms)
    assert np.all(np.abs(moves.rao_blackwell.numpy() - inclusion) < 5 * np.sqrt(0.25 / particles))
    assert torch.allclose(moved.log_likelihood, target.log_likelihood(moved.spins), rtol=0, atol=1e-9)
    assert torch.equal(moved.log_prior, target.log_prior(moved.spins))


def check_unbiased_evidence(seed, *, replicates=400):
    """With a fixed schedule the mean of the evidence estimate over many small runs is the evidence."""
    target = table_target(np.random.default_rng(7), 4, spread=1.5)
    config = SMCConfig(
        particles=16, runs=replicates, sweeps=1.0, swaps=1, max_passes=1, final_passes=1, schedule=SCHEDULE
    )
    log_ratio = run_all(target, config=config, seed=seed).log_evidence - np.logaddexp.reduce(target.log_mass)
    ratio = np.exp(log_ratio)
    assert abs(ratio.mean() - 1) < 5 * ratio.std(ddof=1) / np.sqrt(replicates)
    assert ratio.std() < 1.5


def check_inclusion(target, exact_inclusion, exact_log_evidence, *, seed, config):
    """Pooled inclusion probabilities and evidence agree with enumeration within five standard errors."""
    runs = run_all(target, config=config, seed=seed)
    weights = np.exp(runs.log_evidence - runs.log_evidence.max())
    weights /= weights.sum()
    # a spin that is down in all particles has no spread: the floor is one of the independent draws, of which a run has
    # at least 1 / sum f^2 for ancestors with shares f
    shares = [np.unique(eve_index, return_counts=True)[1] / config.particles for eve_index in runs.eve_index]
    floor = 1 / sum(1 / np.sum(f**2) for f in shares)
    for name in ("frequency", "rao_blackwell"):
        estimate = runs.estimates[name]
        pooled = weights @ estimate
        error = np.sqrt(weights**2 @ (estimate - pooled) ** 2)
        assert np.all(np.abs(pooled - exact_inclusion) < 5 * error + 5 * floor), name
    ratio = np.exp(runs.log_evidence - exact_log_evidence)
    assert abs(ratio.mean() - 1) < 5 * ratio.std(ddof=1) / np.sqrt(config.runs) + 1e-6
    return runs


def check_table_inclusion(seed):
    """`check_inclusion` on a rugged table with a fixed schedule, so that nothing is adapted."""
    target = table_target(np.random.default_rng(8), 6, spread=1.5)
    mass = target.log_mass
    log_evidence = np.logaddexp.reduce(mass)
    inclusion = np.exp(mass - log_evidence) @ all_spins(6)
    config = SMCConfig(particles=400, runs=20, final_passes=2, schedule=SCHEDULE)
    check_inclusion(target, inclusion, log_evidence, seed=seed, config=config)


def statistical_seeds(seed, count):
    """Seeds for replicates of a test."""
    return spawn_seeds(seed, count)
