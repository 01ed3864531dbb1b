"""Key -> uniform numbers inside compiled code: one stream per particle, whichever thread moves it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-52


@njit(cache=True, nogil=True, inline="always")
def advance(key: Any) -> Any:
    """State of a stream after one draw; the states run through all 2^64 values [steele2014]."""
    # the compiler takes a plain int for a signed one, and its sum with an unsigned one for a float
    return np.uint64(key) + _STEP


@njit(cache=True, nogil=True, inline="always")
def uniform(key: Any) -> float:
    """The number in (0, 1) that belongs to a state of a stream, by the SplitMix64 mixer [steele2014]."""
    z = np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    # half a step away from both ends: a logarithm of it or of one minus it is always finite
    return (np.float64(z >> np.uint64(12)) + 0.5) * _UNIT
