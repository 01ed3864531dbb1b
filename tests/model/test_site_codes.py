"""Codes of discrete sites: every configuration of spins is a value, and sums over spins are sums over values."""

import numpy as np
import pytest
import torch
from oracles import all_spins

from bayespde.core.random import torch_generator
from bayespde.model.site_codes import SiteCode, SiteCodes


def code_of(levels, shape=(2,), lowest=0):
    return SiteCode("z", torch.zeros(shape, dtype=torch.int64), lowest, levels)


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 7, 8, 9])
def test_spins_of_one_value_share_its_probability(levels):
    code = code_of(levels, (1,))
    spins = torch.as_tensor(all_spins(code.terms))
    share = torch.exp(-code.log_multiplicity(spins)).numpy()
    sums = np.bincount(code.values(spins)[:, 0].numpy(), weights=share, minlength=levels)
    np.testing.assert_allclose(sums, 1.0, rtol=1e-14)
    assert code.bits == max(1, int(np.ceil(np.log2(levels))))
    assert code.is_binary == (levels == 2)


@pytest.mark.parametrize(("levels", "lowest"), [(2, 0), (3, 0), (5, 2), (6, -1)])
def test_values_are_coded_and_decoded(levels, lowest, rng):
    code = code_of(levels, (2, 3), lowest)
    values = torch.as_tensor(rng.integers(lowest, lowest + levels, size=(500, 2, 3)))
    spins = code.spins(values, torch.as_tensor(rng.random((500, 6))))
    assert torch.equal(code.values(spins), values)
    # Both codes of a level that has two are drawn.
    used = {tuple(s) for s in spins.reshape(-1, code.bits).tolist()}
    assert len(used) == 2**code.bits


@pytest.mark.parametrize("levels", [3, 5, 8, 16])
def test_single_spins_and_blocks_join_all_levels_directly(levels):
    code = code_of(levels, (1,))
    moves = [[k] for k in range(code.bits)] + code.blocks
    for spins in torch.as_tensor(all_spins(code.terms)):
        reached = spins.repeat(len(moves), 1)
        for row, move in zip(reached, moves, strict=True):
            row[move] = ~row[move]
        assert {*code.values(reached).flatten().tolist(), int(code.values(spins[None]))} == set(range(levels))


def test_sites_are_joined_in_their_order(rng):
    one = SiteCode("a", torch.zeros((), dtype=torch.float64), 0, 2)
    other = SiteCode("b", torch.zeros((2, 2), dtype=torch.int64), 0, 3)
    codes = SiteCodes((one, other))
    assert codes.terms == 1 + 8
    assert codes.names == ("a", "b[0,0]", "b[0,1]", "b[1,0]", "b[1,1]")
    assert codes.spin_names(codes.names)[:3] == ("a", "b[0,0].bit0", "b[0,0].bit1")
    assert codes.blocks == ((1, 2), (3, 4), (5, 6), (7, 8))
    values = {"a": torch.tensor([1.0, 0.0]).double(), "b": torch.as_tensor(rng.integers(0, 3, (2, 2, 2)))}
    spins = codes.spins(values, generator=torch_generator(0))
    found = codes.values(spins)
    assert all(torch.equal(found[name], values[name]) for name in values)
    assert found["a"].dtype == torch.float64
    twice = (values["b"] == 0).flatten(1).sum(dim=1)
    torch.testing.assert_close(codes.log_multiplicity(spins), twice.double() * np.log(2.0))
