"""Every sampler on small linear models, with few particles, in numbers that two processes can compare."""

import json
import sys
import threading
import warnings
from pathlib import Path

import compiled
import torch

import bayespde
from bayespde.core.random import torch_generator
from bayespde.smc import (
    LocallyBalancedJumps,
    SMCConfig,
    TemperedGibbsConfig,
    enumerate_exact,
    init,
    run_all,
    run_chains,
)
from bayespde.smc.base import BlockFlips
from bayespde.smc.config import KERNELS
from bayespde.smc.kernels import cached_jumps

SHORT = {"particles": 16, "runs": 1, "max_passes": 1, "final_passes": 1, "swaps": 1}
CHAIN = TemperedGibbsConfig(steps=25, runs=1, particles=8)


def answers():
    """Name of a model and of a sampler -> log evidence and inclusion probabilities."""
    found = {}
    for name, model in compiled.small_models().items():
        exact = enumerate_exact(model)
        found[f"{name}, enumeration"] = [exact.log_evidence, *exact.inclusion_probability]
        for kernel in KERNELS:
            found[f"{name}, {kernel}"] = _sampled(model, kernel)
        found[f"{name}, without a cache"] = _without_cache(lambda model=model: _sampled(model, "barker"))
        found[f"{name}, block flips"] = _flipped(model)
        found[f"{name}, block flips without a cache"] = _without_cache(lambda model=model: _flipped(model))
        chains = run_chains(model, config=CHAIN, seed=2)
        found[f"{name}, chains"] = chains.estimates["rao_blackwell"].ravel().tolist()
    return found


def _sampled(model, kernel):
    runs = run_all(model, config=SMCConfig(**SHORT, kernel=kernel), seed=1)
    return [*runs.log_evidence, *runs.estimates["rao_blackwell"].ravel()]


def _flipped(model):
    """After a pass that ends with flips of two sets."""
    generator = torch_generator(3)
    sets = torch.tensor([[True, False, True, True, False], [True, True, True, True, True]])[:, : model.terms]
    moves = BlockFlips(sets, torch.tensor([1.0, 0.5], dtype=torch.float64), 3)
    state = init(model, particles=12, generator=generator)._replace(inverse_temperature=0.5)
    state = state._replace(spins=torch.where(torch.isfinite(state.log_likelihood)[:, None], state.spins, False))
    kernel = LocallyBalancedJumps(model).with_block_flips(moves)
    return kernel(state, model, sweeps=0.1, generator=generator)[0].log_likelihood.tolist()


def _without_cache(work):
    """What a function returns with the kernel for many terms, which groups equal particles."""
    before, cached_jumps.MOST_TERMS = cached_jumps.MOST_TERMS, 0
    try:
        return work()
    finally:
        cached_jumps.MOST_TERMS = before


def called_meanwhile(work):
    """What a function returns, and the functions of the package that it called: "smc/kernels/jumps.py:choose"."""
    root, called = Path(bayespde.__file__).parent, set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(root)):
            called.add(f"{Path(frame.f_code.co_filename).relative_to(root).as_posix()}:{frame.f_code.co_name}")

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        return work(), called
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


if __name__ == "__main__":
    # Sums of unsigned integers are meant to wrap around.
    warnings.simplefilter("ignore", RuntimeWarning)
    numbers, functions = called_meanwhile(answers)
    json.dump({"answers": numbers, "called": sorted(functions)}, sys.stdout)
