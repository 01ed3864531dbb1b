"""Every sampler on small linear models, with few particles, in numbers that two processes can compare."""

import json
import sys
import threading
import warnings
from pathlib import Path

import compiled

import bayespde
from bayespde.smc import SMCConfig, TemperedGibbsConfig, enumerate_exact, run_all, run_chains
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
        found[f"{name}, without a cache"] = _without_cache(model)
        chains = run_chains(model, config=CHAIN, seed=2)
        found[f"{name}, chains"] = chains.estimates["rao_blackwell"].ravel().tolist()
    return found


def _sampled(model, kernel):
    runs = run_all(model, config=SMCConfig(**SHORT, kernel=kernel), seed=1)
    return [*runs.log_evidence, *runs.estimates["rao_blackwell"].ravel()]


def _without_cache(model):
    """By the kernel for many terms, which groups equal particles."""
    before, cached_jumps.MOST_TERMS = cached_jumps.MOST_TERMS, 0
    try:
        return _sampled(model, "barker")
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
