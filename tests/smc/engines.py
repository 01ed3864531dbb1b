"""Every sampler on small linear models, with few particles, in numbers that two processes can compare."""

import json
import sys
import warnings

import compiled

from bayespde.smc import SMCConfig, TemperedGibbsConfig, enumerate_exact, run_all, run_chains
from bayespde.smc.kernels import cached_jumps

SHORT = SMCConfig(particles=24, runs=1, final_passes=2, swaps=2)
CHAIN = TemperedGibbsConfig(steps=40, runs=2, particles=8)


def answers():
    """Name of a model and of a sampler -> log evidence and inclusion probabilities."""
    found = {}
    for name, model in compiled.small_models().items():
        exact = enumerate_exact(model)
        found[f"{name}, enumeration"] = [exact.log_evidence, *exact.inclusion_probability]
        for most_terms in (cached_jumps.MOST_TERMS, 0):
            runs = _with_caches_up_to(most_terms, model)
            found[f"{name}, SMC, {most_terms}"] = [*runs.log_evidence, *runs.estimates["rao_blackwell"].ravel()]
        chains = run_chains(model, config=CHAIN, seed=2)
        found[f"{name}, chains"] = [0.0, *chains.estimates["rao_blackwell"].ravel()]
    return found


def _with_caches_up_to(most_terms, model):
    """Runs of the kernel that caches configurations, or with 0 of the one that groups particles."""
    before, cached_jumps.MOST_TERMS = cached_jumps.MOST_TERMS, most_terms
    try:
        return run_all(model, config=SHORT, seed=1)
    finally:
        cached_jumps.MOST_TERMS = before


if __name__ == "__main__":
    # Sums of unsigned integers are meant to wrap around.
    warnings.simplefilter("ignore", RuntimeWarning)
    json.dump(answers(), sys.stdout)
