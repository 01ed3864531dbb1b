"""Target -> its exact posterior, by visiting all 2^K configurations without storing them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from bayespde.core.errors import ConfigError
from bayespde.smc.base import LinearTarget, Target
from bayespde.smc.tree import descend, residuals

SUFFIX_TERMS = 16
MAXIMUM_LINEAR_TERMS = 26
MAXIMUM_TERMS = 20


class ExactResult(NamedTuple):
    """The posterior over all configurations, as far as it is worth keeping.

    Attributes:
        log_evidence: Log of the sum of prior times likelihood.
        inclusion_probability: `[K]`, float64.
        spins: Kept configurations, most probable first, `[N, K]`, bool: the top ones and the best of every
            size.
        probability: Their posterior probabilities, `[N]`, float64.
        visited: Number of configurations summed.
    """

    log_evidence: float
    inclusion_probability: np.ndarray
    spins: np.ndarray
    probability: np.ndarray
    visited: int


class _Best(NamedTuple):
    """Configurations worth keeping so far: their codes, unnormalised log posteriors and sizes, `[N]` each."""

    code: np.ndarray
    log_mass: np.ndarray
    size: np.ndarray


def enumerate_exact(target: Target, *, keep: int = 2000, per_size: int = 20, progress: bool = False) -> ExactResult:
    """Sum over all configurations.

    A `LinearTarget` is enumerated depth first with the canonical pivot rule, any other target by evaluating
    it.

    Args:
        target: What to enumerate.
        keep: Number of most probable configurations to return.
        per_size: Number of best configurations of every size to return besides.
        progress: Show a progress bar.

    Returns:
        The exact posterior.

    Raises:
        ConfigError: If there are too many terms, or no configuration has a positive likelihood.
    """
    terms = target.terms
    linear = target if isinstance(target, LinearTarget) else None
    limit = MAXIMUM_LINEAR_TERMS if linear else MAXIMUM_TERMS
    if terms > limit:
        raise ConfigError(
            "There are too many terms to enumerate.",
            got=f"{terms} terms",
            wanted=f"at most {limit}",
            fix="use sequential Monte Carlo, or a smaller library",
        )
    suffix = min(terms, SUFFIX_TERMS)
    bits = _bits(np.arange(2**suffix), suffix)
    chunks = _linear_chunks(linear, bits) if linear else _plain_chunks(target, bits)
    order = linear.order if linear else np.arange(terms)
    top, mass, inclusion = -math.inf, 0.0, np.zeros(terms)
    best = _Best(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
    weights = bits.astype(np.float64)
    bar = tqdm(chunks, total=2 ** (terms - suffix), desc="enumerating", unit="chunk", disable=not progress)
    for prefix, log_mass in bar:
        peak = float(log_mass.max())
        if peak == -math.inf:
            continue
        if peak > top:
            mass, inclusion, top = mass * math.exp(top - peak), inclusion * math.exp(top - peak), peak
        share = np.exp(log_mass - top)
        total = float(share.sum())
        mass += total
        inclusion += np.concatenate([prefix * total, share @ weights])
        best = _merge(best, prefix, bits, log_mass, keep=keep, per_size=per_size)
    return _finish(top, mass, inclusion, best, order)


def _finish(top: float, mass: float, inclusion: np.ndarray, best: _Best, order: np.ndarray) -> ExactResult:
    if mass == 0:
        raise ConfigError(
            "No configuration has a positive likelihood.",
            got="all refused",
            wanted="at least one possible configuration",
            fix="check the target for infinite values",
        )
    terms = len(order)
    log_evidence = top + math.log(mass)
    probability = np.empty(terms)
    probability[order] = inclusion / mass
    spins = np.empty((len(best.code), terms), dtype=bool)
    spins[:, order] = _bits(best.code, terms)
    return ExactResult(log_evidence, probability, spins, np.exp(best.log_mass - log_evidence), 2**terms)


def _linear_chunks(target: LinearTarget, bits: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Prefix `[K-L]` and log posterior masses `[2^L]` of its completions, in the order of the factor."""
    suffix, terms = bits.shape[1], target.terms
    plain = np.ascontiguousarray(target.factor)
    extra = math.sqrt(target.ridge) * np.eye(terms, terms + 1)
    penalised = np.asarray(np.linalg.qr(np.vstack([plain, extra]), mode="r"))
    inside = bits.sum(axis=1)
    spins = np.empty((len(bits), terms), dtype=bool)
    spins[:, target.order[terms - suffix :]] = bits
    for prefix in _bits(np.arange(2 ** (terms - suffix)), terms - suffix):
        rss, logdet, pivot = residuals(descend(plain, prefix))
        if target.ridge > 0:
            rss, logdet, _ = residuals(descend(penalised, prefix))
        spins[:, target.order[: terms - suffix]] = prefix
        log_likelihood = target.log_evidence_given(inside + prefix.sum(), rss, logdet)
        log_mass = (log_likelihood + target.log_prior(torch.as_tensor(spins))).numpy()
        log_mass[pivot < target.pivot_tolerance] = -np.inf
        yield prefix, log_mass


def _plain_chunks(target: Target, bits: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same for a target that can only be evaluated."""
    prefix_terms = target.terms - bits.shape[1]
    for prefix in _bits(np.arange(2**prefix_terms), prefix_terms):
        spins = torch.as_tensor(np.hstack([np.tile(prefix, (len(bits), 1)), bits]))
        yield prefix, (target.log_prior(spins) + target.log_likelihood(spins)).numpy()


def _bits(codes: np.ndarray, width: int) -> np.ndarray:
    """Binary digits, highest first: `[N, width]`, bool."""
    return (codes[:, None] >> np.arange(width - 1, -1, -1)) & 1 == 1


def _merge(
    best: _Best, prefix: np.ndarray, bits: np.ndarray, log_mass: np.ndarray, *, keep: int, per_size: int
) -> _Best:
    """Add a chunk's candidates to the best so far, and drop what is no longer among them."""
    size = bits.sum(axis=1) + prefix.sum()
    threshold = np.full(len(prefix) + bits.shape[1] + 1, -np.inf)
    for s in np.unique(best.size):
        of_size = np.sort(best.log_mass[best.size == s])
        if len(of_size) >= per_size > 0:
            threshold[s] = of_size[-per_size]
    overall = best.log_mass[keep - 1] if len(best.log_mass) >= keep > 0 else -np.inf
    found = np.flatnonzero((log_mass > -np.inf) & ((log_mass > overall) | (log_mass > threshold[size])))
    offset = int(prefix @ (1 << np.arange(len(prefix) - 1, -1, -1, dtype=np.int64))) << bits.shape[1]
    code = np.concatenate([best.code, found + offset])
    mass = np.concatenate([best.log_mass, log_mass[found]])
    sizes = np.concatenate([best.size, size[found]])
    order = np.lexsort((code, -mass))
    code, mass, sizes = code[order], mass[order], sizes[order]
    wanted = np.arange(len(code)) < keep
    for s in np.unique(sizes):
        wanted[np.flatnonzero(sizes == s)[:per_size]] = True
    return _Best(code[wanted], mass[wanted], sizes[wanted])
