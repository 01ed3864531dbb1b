"""Names of posteriors with several modes -> errors of several ways to use particles, at equal cost.

    python tests/benchmarks/particle_schemes.py [--seeds 20] [--names ising14_0 ...]

with `tests` in PYTHONPATH, writes a row for each target and scheme: how often the largest error of an inclusion
probability is within 0.02, its median and largest value, the root mean square error of the log evidence, and CPU
seconds of one thread. All schemes have the kernel of the package and four independent runs; their numbers of particles
are chosen so that all take as many CPU seconds as the default.
"""

import argparse
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from multimodal import TARGETS, truth_of

from bayespde.core.monte_carlo import evidence_weights
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc import SMCConfig, log_mean_exp, run_all, tempering
from bayespde.smc.kernels import make_kernel
from bayespde.smc.resampling import systematic
from bayespde.smc.step import init, select

CONFIG = SMCConfig()
RUNS = CONFIG.runs
OTHERS = {
    "from the prior": SMCConfig(pilot_fraction=0),
    "no block flips": SMCConfig(block_flips=0),
    "neither": SMCConfig(pilot_fraction=0, block_flips=0),
}


def once(state, target, kernel, generator):
    """One pass of the kernel."""
    return kernel(state, target, sweeps=kernel.sweeps_for(state, target, flips=CONFIG.flips), generator=generator)


def finally_moved(state, target, kernel, generator):
    """The mean conditional probabilities over final passes from equally weighted particles."""
    found = []
    for _ in range(CONFIG.final_passes):
        state, moves = once(state, target, kernel, generator)
        found.append(moves.rao_blackwell)
    return torch.stack(found).mean(dim=0)


def resampled(state, log_weights, count, generator):
    """Some particles by systematic resampling."""
    return select(state, systematic(log_weights, generator=generator, count=count))


def waste_free(target, kernel, particles, generator, length=16):
    """Few particles are resampled, each is moved many times, and all states on the way are kept [dau2022]."""
    chains = max(2, particles // length)
    state = init(target, particles=chains * length, generator=generator)
    while state.inverse_temperature < 1:
        beta, log_weights, state = reweighted(state, CONFIG.ess_fraction)
        state = resampled(state, log_weights, chains, generator)._replace(inverse_temperature=beta)
        states = [state]
        for _ in range(length - 1):
            state, _ = once(state, target, kernel, generator)
            states.append(state)
        state = joined(states)
    return state.log_evidence, finally_moved(state, target, kernel, generator)


def reweighted(state, fraction):
    """The next inverse temperature, the weights that lead there, and the state with the evidence that they add."""
    beta = tempering.next_inverse_temperature(
        state.log_likelihood, previous=state.inverse_temperature, ess_fraction=fraction
    )
    log_weights = tempering.incremental_log_weights(state.log_likelihood, previous=state.inverse_temperature, beta=beta)
    evidence = state.log_evidence + tempering.log_mean_weight(log_weights)
    return beta, log_weights, state._replace(log_evidence=evidence)


def joined(states):
    """Particles of several states as one."""
    fields = ("spins", "log_prior", "log_likelihood", "eve_index")
    return states[-1]._replace(**{name: torch.cat([getattr(s, name) for s in states]) for name in fields})


def persistent(target, kernel, particles, generator):
    """Particles of all stages are reweighted, against the mixture of what they were drawn from [karamanis2024]."""
    states, evidences, betas = [init(target, particles=particles, generator=generator)], [0.0], [0.0]
    while betas[-1] < 1:
        everything = joined(states)
        # Against the mixture an impossible configuration has the density of the stage that drew it, the prior.
        each = torch.stack([tempered(everything, b) - z for b, z in zip(betas, evidences, strict=True)])
        mixture = each.logsumexp(0) - np.log(len(betas))
        beta = next_persistent(everything, mixture, betas[-1], CONFIG.ess_fraction * particles)
        log_weights = tempered(everything, beta) - mixture
        evidences.append(tempering.log_mean_weight(log_weights))
        betas.append(beta)
        state = resampled(everything, log_weights, particles, generator)._replace(inverse_temperature=beta)
        state, _ = once(state, target, kernel, generator)
        states.append(state)
    return evidences[-1], finally_moved(state, target, kernel, generator)


def tempered(state, beta):
    return tempering.incremental_log_weights(state.log_likelihood, previous=0.0, beta=beta)


def next_persistent(state, mixture, previous, wanted):
    """The inverse temperature at which all particles so far have the wanted effective sample size, by bisection."""
    low, high = previous, 1.0
    if tempering.effective_sample_size(tempered(state, 1.0) - mixture) >= wanted:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        enough = tempering.effective_sample_size(tempered(state, middle) - mixture) >= wanted
        low, high = (middle, high) if enough else (low, middle)
    return max(low, previous * (1 + 1e-9) + 1e-12)


def annealed(target, kernel, particles, generator):
    """Particles are never resampled; their weights are products over the stages [neal2001]."""
    state = init(target, particles=particles, generator=generator)
    total = torch.zeros(particles, dtype=torch.float64)
    while state.inverse_temperature < 1:
        beta, log_weights, state = reweighted(state, 0.8)
        total, state = total + log_weights, state._replace(inverse_temperature=beta)
        alive = torch.isfinite(total)
        # An impossible configuration has weight 0 from now on.
        state = select(state, torch.where(alive, torch.arange(particles), int(alive.nonzero()[0])))
        state, _ = once(state, target, kernel, generator)
    state = resampled(state, total, particles, generator)
    return tempering.log_mean_weight(total), finally_moved(state, target, kernel, generator)


def of_package(config):
    """All runs of the package: inclusion probabilities, the log evidence, CPU seconds."""

    def runs(target, particles, seed):
        started = time.process_time()
        found = run_all(target, config=replace(config, particles=particles), seed=seed)
        seconds = time.process_time() - started
        inclusion = evidence_weights(found.log_evidence) @ found.estimates["rao_blackwell"]
        return inclusion, log_mean_exp(found.log_evidence), seconds

    return runs


def of_scheme(scheme, target, particles, seed):
    """The same of four runs of another scheme."""
    evidence, inclusion, started = [], [], time.process_time()
    for each in spawn_seeds(seed, RUNS):
        kernel = make_kernel(target, CONFIG)
        log_evidence, conditional = scheme(target, kernel, particles, torch_generator(each))
        evidence.append(log_evidence)
        inclusion.append(conditional.numpy())
    seconds, evidence = time.process_time() - started, np.array(evidence)
    weights = evidence_weights(evidence)
    return weights @ np.stack(inclusion), log_mean_exp(evidence), seconds


SCHEMES = {
    "default": of_package(CONFIG),
    **{name: of_package(config) for name, config in OTHERS.items()},
    "waste-free, 16": partial(of_scheme, waste_free),
    "waste-free, 4": partial(of_scheme, partial(waste_free, length=4)),
    "persistent": partial(of_scheme, persistent),
    "annealed": partial(of_scheme, annealed),
}


def seconds_of(scheme, target, particles):
    """Median over three seeds."""
    return np.median([scheme(target, particles, 10**6 + k)[2] for k in range(3)])


def particles_for(scheme, target, wanted):
    """Number of particles with which a scheme takes about some CPU seconds, in two steps."""
    particles = CONFIG.particles
    for _ in range(2):
        particles = int(np.clip(particles * wanted / seconds_of(scheme, target, particles), 64, 2**16))
    return particles


def measure(name, seeds):
    """A row for each scheme."""
    target = TARGETS[name]()
    exact_evidence, exact = truth_of(target)
    seconds_of(SCHEMES["default"], target, 64)
    wanted = seconds_of(SCHEMES["default"], target, CONFIG.particles)
    for label, scheme in SCHEMES.items():
        particles = CONFIG.particles if label == "default" else particles_for(scheme, target, wanted)
        rows = [scheme(target, particles, seed) for seed in range(seeds)]
        errors = np.array([np.abs(inclusion - exact).max() for inclusion, _, _ in rows])
        evidence = np.array([log_evidence - exact_evidence for _, log_evidence, _ in rows])
        print(
            f"{name:16} {label:16} {particles:6} {np.sum(errors <= 0.02):3} {np.median(errors):.4f} "
            f"{np.max(errors):.4f} {np.sqrt(np.mean(evidence**2)):.4f} {np.median([s for *_, s in rows]):.3f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--names", nargs="*", default=list(TARGETS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names:
        measure(name, options.seeds)


if __name__ == "__main__":
    main()
