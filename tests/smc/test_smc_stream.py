"""The compiled random numbers, against the published mixer in Python integers."""

import numpy as np
import pytest
from numba import njit

from bayespde.smc.kernels.stream import advance, uniform

MASK = 2**64 - 1
FIRST_OUTPUTS_OF_1234567 = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)


@njit
def uniforms(key, count):
    """The first numbers of the stream that starts at a key."""
    numbers, state = np.empty(count), np.uint64(key)
    for i in range(count):
        state = advance(state)
        numbers[i] = uniform(state)
    return numbers


def split_mix(key, count):
    for _ in range(count):
        key = (key + 0x9E3779B97F4A7C15) & MASK
        z = key
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def test_the_oracle_gives_the_published_outputs():
    assert tuple(split_mix(1234567, 4)) == FIRST_OUTPUTS_OF_1234567


@pytest.mark.parametrize("key", [0, 5, 1234567, 2**63 - 1, 2**63 + 11, 2**64 - 1])
def test_uniforms_are_the_leading_bits(key):
    wanted = [((z >> 12) + 0.5) / 2**52 for z in split_mix(key, 100)]
    assert uniforms(np.uint64(key), 100).tolist() == wanted
    if key < 2**63:
        assert uniforms(key, 100).tolist() == wanted


def test_moments_and_lags(seed):
    drawn = uniforms(np.uint64(seed + 17), 10**6)
    assert np.all((drawn > 0) & (drawn < 1))
    for lag in (1, 2, 7):
        product = (drawn[lag:] - 0.5) * (drawn[:-lag] - 0.5)
        assert abs(product.mean()) < 5 / 12 / np.sqrt(len(product))
    assert abs(drawn.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(drawn))
    assert abs(((drawn - 0.5) ** 2).mean() - 1 / 12) < 5 * np.sqrt(1 / 180 / len(drawn))
