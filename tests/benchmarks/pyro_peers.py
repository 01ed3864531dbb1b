"""`SpinSMC` beside what Pyro itself offers for binary latents: enumeration in parallel, and NUTS on relaxed spins.

    OMP_NUM_THREADS=1 python tests/benchmarks/pyro_peers.py

The problem is the binary factor model of docs/pyro.md with 10, 16 or 40 sources.
"""

import json
import sys
import time

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import MCMC, NUTS, TraceEnum_ELBO

import bayespde as bp

RARE, NOISE, TEMPERATURE = 0.3, 0.5, 0.3
DRAWS, WARMUP = 1000, 500
ENUMERABLE = 20


def problem(count):
    """Profiles `[K, n]` that overlap, and a signal `[n]` of some of them."""
    draw, points = torch.Generator().manual_seed(count), 4 * count
    profile = torch.exp(-0.5 * (torch.arange(points)[None] - 4.0 * torch.arange(count)[:, None]) ** 2 / 25).double()
    on = (torch.rand(count, generator=draw) < RARE).double()
    return on @ profile + NOISE * torch.randn(points, generator=draw, dtype=torch.float64), profile


def together(signal, profile):
    spins = pyro.sample("spins", dist.Bernoulli(torch.full((len(profile),), RARE).double()).to_event(1))
    pyro.sample("signal", dist.Normal(spins @ profile, NOISE).to_event(1), obs=signal)


def one_by_one(signal, profile):
    spins = [
        pyro.sample(f"spin_{k}", dist.Bernoulli(torch.tensor(RARE).double()), infer={"enumerate": "parallel"})
        for k in range(len(profile))
    ]
    mean = sum(s[..., None] * p for s, p in zip(spins, profile, strict=True))
    pyro.sample("signal", dist.Normal(mean, NOISE).to_event(1), obs=signal)


def relaxed(signal, profile):
    chance = torch.full((len(profile),), RARE).double()
    spins = pyro.sample("spins", dist.RelaxedBernoulli(torch.tensor(TEMPERATURE).double(), chance).to_event(1))
    pyro.sample("signal", dist.Normal(spins @ profile, NOISE).to_event(1), obs=signal)


def by_smc(signal, profile):
    return bp.SpinSMC(together, seed=1).run(signal, profile).inclusion_probability.values


def by_smc_with_exchanges(signal, profile):
    return bp.SpinSMC(together, config=bp.SMCConfig(swaps=8), seed=1).run(signal, profile).inclusion_probability.values


def by_enumeration_in_pyro(signal, profile):
    found = TraceEnum_ELBO(max_plate_nesting=0).compute_marginals(one_by_one, lambda *_: None, signal, profile)
    return torch.stack([found[f"spin_{k}"].probs for k in range(len(profile))])


def by_relaxed_nuts(signal, profile):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        mcmc = MCMC(NUTS(relaxed, jit_compile=False), num_samples=DRAWS, warmup_steps=WARMUP, disable_progbar=True)
        mcmc.run(signal, profile)
    return (mcmc.get_samples()["spins"] > 0.5).double().mean(0)


def main(counts):
    for count in counts:
        data = problem(count)
        few = bp.SpinSMC(together, config=bp.SMCConfig(particles=16)).run(*data)
        best = few.enumerate()[1] if count <= ENUMERABLE else None
        for method in (by_smc, by_smc_with_exchanges, by_relaxed_nuts, by_enumeration_in_pyro):
            start = time.perf_counter()
            try:
                found = method(*data)
            except (RuntimeError, ValueError, MemoryError) as error:
                found, said = None, str(error).splitlines()[0][:100]
            seconds = time.perf_counter() - start
            row = {"spins": count, "method": method.__name__, "seconds": round(seconds, 2)}
            if found is None:
                row["error"] = said
            elif best is not None:
                row["largest_error"] = float(np.abs(np.asarray(found) - best.numpy()).max())
            else:
                row["inclusion"] = [round(float(p), 3) for p in found]
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [10, 16, 40])
