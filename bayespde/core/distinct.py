"""Configurations -> groups of equal ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Distinct(NamedTuple):
    """Groups of equal rows.

    Attributes:
        order: Indices of the rows, equal rows next to each other and in their old order, `[P]`, int64.
        edges: Index in `order` at which each group of equal rows begins, and P at the end, `[N+1]`, int64.
        first: First row of each group, `[N]`, int64.
        group: Group of each row, `[P]`, int64.
        sizes: Size of each group, `[N]`, int64.
    """

    order: np.ndarray
    edges: np.ndarray
    first: np.ndarray
    group: np.ndarray
    sizes: np.ndarray


def distinct(spins: np.ndarray) -> Distinct:
    """Group equal rows of `spins` (`[P, K]`, bool). The order of the groups depends on their content only."""
    if not len(spins):
        nothing = np.empty(0, dtype=np.int64)
        return Distinct(nothing, np.zeros(1, dtype=np.int64), nothing, nothing, nothing)
    packed = np.packbits(spins, axis=1)
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    return distinct_words(words.view(np.uint64))


def without_repeats(spins: np.ndarray) -> np.ndarray:
    """Rows of `spins` (`[P, K]`, bool) in their order, each where it appears first."""
    return spins[np.sort(distinct(spins).first)]


def distinct_words(keys: np.ndarray) -> Distinct:
    """Group equal rows of packed bits (`[P, W]`, uint64, P > 0); groups are sorted by the last word first."""
    order = np.argsort(keys[:, 0], kind="stable") if keys.shape[1] == 1 else np.lexsort(keys.T)
    changes = (np.diff(keys[order], axis=0) != 0).any(axis=1)
    edges = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(order)]])
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    return Distinct(order, edges, order[edges[:-1]], group, np.diff(edges))
