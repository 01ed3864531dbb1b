"""Fields and couplings of spins -> their exact joint distribution: log density, draws, means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logsumexp

from bayespde.core.errors import ConfigError

# Largest number of spins in a cluster, whose states are enumerated.
MAXIMUM_CLUSTER = 16


class _Cluster(NamedTuple):
    """Coupled spins: their indices `[m]`, all their states `[2^m, m]`, and the probability of each."""

    spins: np.ndarray
    states: np.ndarray
    probability: np.ndarray
    log_normaliser: float


@dataclass(frozen=True, eq=False)
class PairwiseSpins:
    """Spins s in {0, 1} of log density `h's + s'Js/2 - log Z`: an Ising model [ising1925] on a graph.

    Spins that are joined by couplings form clusters, between which they are independent; the states of a cluster are
    enumerated, so that normaliser, means and draws are exact.

    Attributes:
        fields: h, `[K]`, float64: log odds of a spin given that all spins coupled to it are 0.
        couplings: J, `[K, K]`, float64, symmetric with a zero diagonal.
    """

    fields: np.ndarray
    couplings: np.ndarray

    def __post_init__(self) -> None:
        largest = np.bincount(self._labels).max() if len(self.fields) else 0
        if largest > MAXIMUM_CLUSTER:
            raise ConfigError(
                "Too many spins are coupled.",
                got=f"{largest} spins joined by couplings",
                wanted=f"at most {MAXIMUM_CLUSTER}",
                fix="leave out couplings, so that the clusters become smaller",
            )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> PairwiseSpins:
        """The distribution that `record` described."""
        fields = np.array(record["fields"], dtype=np.float64)
        couplings = np.zeros((len(fields), len(fields)))
        for i, j, strength in record["couplings"]:
            couplings[int(i), int(j)] = couplings[int(j), int(i)] = strength
        return cls(fields, couplings)

    def record(self) -> dict[str, Any]:
        """All numbers in a JSON-able form: `fields`, and `couplings` as a list `[i, j, J]` for each pair."""
        pairs = [[int(i), int(j), float(self.couplings[i, j])] for i, j in zip(*self._pairs, strict=True)]
        return {"fields": self.fields.tolist(), "couplings": pairs}

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.asarray(connected_components(self.couplings != 0, directed=False)[1])

    @cached_property
    def _clusters(self) -> tuple[_Cluster, ...]:
        sizes = np.bincount(self._labels)
        return tuple(self._cluster(np.flatnonzero(self._labels == one)) for one in np.flatnonzero(sizes > 1))

    def _cluster(self, spins: np.ndarray) -> _Cluster:
        states = (np.arange(2 ** len(spins))[:, None] >> np.arange(len(spins))) & 1 == 1
        coupled = np.einsum("sa,ab,sb->s", states, self.couplings[np.ix_(spins, spins)] / 2, states)
        energy = states @ self.fields[spins] + coupled
        total = float(logsumexp(energy))
        return _Cluster(spins, states, np.exp(energy - total), total)

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """First and second spins of the couplings, `[n]` each."""
        first, second = np.nonzero(np.triu(self.couplings))
        return first, second

    @cached_property
    def _alone(self) -> np.ndarray:
        """Spins without couplings, `[n]`."""
        return np.flatnonzero(~(self.couplings != 0).any(axis=1))

    @cached_property
    def _log_normaliser(self) -> float:
        return float(np.logaddexp(0.0, self.fields[self._alone]).sum()) + sum(c.log_normaliser for c in self._clusters)

    @cached_property
    def inclusion(self) -> np.ndarray:
        """Probability that each spin is 1, `[K]`, float64."""
        inclusion = expit(self.fields)
        for cluster in self._clusters:
            inclusion[cluster.spins] = cluster.probability @ cluster.states
        return np.asarray(inclusion)

    def log_density(self, spins: np.ndarray) -> np.ndarray:
        """Log probability of configurations (`[..., K]`, bool): `[...]`, float64."""
        # Matrix products start threads for every short call, and their order of summation depends on the threads.
        up = np.einsum("...k,k->...", spins.astype(np.float64), self.fields)
        first, second = self._pairs
        if len(first):
            both = (spins[..., first] & spins[..., second]).astype(np.float64)
            up += np.einsum("...k,k->...", both, self.couplings[first, second])
        return np.asarray(up - self._log_normaliser)

    def from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        """Draws of the spins, `[..., K]`, bool, from independent uniform numbers in [0, 1) of the same shape."""
        spins = np.asarray(uniform < expit(self.fields))
        for cluster in self._clusters:
            edges = np.cumsum(cluster.probability)[:-1]
            spins[..., cluster.spins] = cluster.states[np.searchsorted(edges, uniform[..., cluster.spins[0]], "right")]
        return spins
