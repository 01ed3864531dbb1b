"""Seeds and generators: reproducible, independent, and without global state."""

import numpy as np
import pytest

from bayespde.core.errors import ConfigError
from bayespde.core.random import forked_torch_seed, spawn_seeds, torch_generator


def test_seeds_are_stable_and_distinct_and_do_not_depend_on_their_number():
    assert spawn_seeds(7, 3) == spawn_seeds(7, 3)
    assert spawn_seeds(7, 3) == spawn_seeds(7, 10)[:3]
    seeds = [s for parent in range(50) for s in spawn_seeds(parent, 20)]
    assert len(set(seeds)) == 1000
    assert all(0 <= s < 2**63 for s in seeds)
    wanted = np.random.SeedSequence(7).spawn(2)[1].generate_state(1, np.uint64)[0]
    assert spawn_seeds(7, 2)[1] == int(wanted) // 2


def test_spawned_streams_are_uncorrelated(seed):
    streams = np.stack([np.random.default_rng(s).standard_normal(4000) for s in spawn_seeds(seed, 12)])
    correlation = np.corrcoef(streams)[np.triu_indices(12, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("seed_value", [-1, 1.0, "3", None, True, 2**63, pytest.param(1 << 16000, id="many digits")])
def test_invalid_seeds_are_refused(seed_value):
    with pytest.raises(ConfigError, match="seed"):
        spawn_seeds(seed_value, 2)


def test_generators_do_not_change_the_global_state():
    import torch

    before = torch.get_rng_state()
    first = torch.rand(3, generator=torch_generator(5))
    with forked_torch_seed(5):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)
