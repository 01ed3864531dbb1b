"""The table of kernels: each leaves a small linear model invariant and finds what enumeration finds; how it grows."""

import numpy as np
import pytest
from oracles import random_rows, table_target
from statistical import checks

from bayespde.core.errors import ConfigError
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.smc import SMCConfig, enumerate_exact, make_kernel
from bayespde.smc.config import KERNELS

# A kernel as another package would have it: all particles propose to flip the same spin, and accept by Metropolis.
TOY = """
import torch
from bayespde.smc.base import Moves
from bayespde.smc.kernels.metropolis import accept, propose

class OneSpin:
    def __call__(self, state, path, *, sweeps, generator):
        terms, total, before = state.spins.shape[1], [], state.spins
        for site in list(range(terms)) * int(sweeps):
            spins = state.spins.clone()
            spins[:, site] = ~spins[:, site]
            other, log_ratio = propose(state, path, spins)
            total.append(torch.sigmoid(torch.where(spins[:, site], log_ratio, -log_ratio)).mean())
            uniforms = torch.rand(len(spins), generator=generator, dtype=torch.float64)
            state = accept(state, other, torch.log(uniforms) < log_ratio)
        up = torch.stack(total).reshape(-1, terms).mean(dim=0)
        return state, Moves(up, float((before ^ state.spins).double().mean()) / int(sweeps))

    def sweeps_for(self, state, path, *, flips):
        return 2.0

    def with_block_flips(self, block_flips):
        return self

def make(target, config, *, threads=1):
    return OneSpin()
"""


def linear_model():
    design, target = random_rows(np.random.default_rng(11), 60, 6, noise=3.0, mixing=0.8)
    return SpinModel(SufficientStatistics.from_rows(design, target))


def check_against_enumeration(kernel, seed):
    model = linear_model()
    config = SMCConfig(
        particles=256, runs=20, kernel=kernel, sweeps=2.0, max_passes=1, final_passes=2, schedule=checks.SCHEDULE
    )
    for beta in (0.0, 0.3, 1.0):
        checks.check_kept_distribution(make_kernel(model, config), model, beta=beta, seed=seed)
    exact = enumerate_exact(model)
    checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_agrees_with_enumeration(kernel, seed):
    check_against_enumeration(kernel, seed)


def test_a_new_kernel_is_one_module_and_one_line(tmp_path, monkeypatch, seed):
    (tmp_path / "bayespde_toy_kernel.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(KERNELS, "one_spin", "bayespde_toy_kernel")
    check_against_enumeration("one_spin", seed)
    table = table_target(np.random.default_rng(0), 4)
    assert type(make_kernel(table, SMCConfig(kernel="one_spin"))).__name__ == "OneSpin"
    with pytest.raises(ConfigError, match="unknown value") as caught:
        SMCConfig(kernel="two_spins")
    assert all(repr(name) in caught.value.wanted for name in ("auto", *KERNELS))
