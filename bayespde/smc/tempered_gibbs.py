"""Linear target -> weighted chains: tempered Gibbs sampling, an engine without tempering schedule or resampling.

A spin is chosen in proportion to `eta / p`, with p the conditional probability of its present value, and flipped for
certain: spins in improbable states move first. The chain visits a configuration in proportion to its posterior times
the sum Z of those numbers, so every visit weighs `1 / Z` [zanellaroberts2019]. With `eta = p(up) + exploration / K` the
effort goes to terms that may be in the equation. All of it is computed from log odds; formed as one minus the other, p
would be zero for log odds above 37, and the weights wrong. The engine gives no evidence, and nothing carries a chain
between separated modes: it checks other engines, and serves posteriors without such modes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from bayespde.core.distinct import distinct_words
from bayespde.core.errors import ConfigError
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc.base import LinearTarget, SMCState, Target
from bayespde.smc.collect import Run, Runs, collect
from bayespde.smc.config import TemperedGibbsConfig
from bayespde.smc.independent_runs import Check, finish_all
from bayespde.smc.kernels.barker import barker
from bayespde.smc.kernels.evidence_table import tabulate
from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.jumps import choose, flip
from bayespde.smc.kernels.layout import (
    LOG_LIKELIHOOD,
    OVERFLOW,
    ActiveSet,
    FactorisedRows,
    factorised_rows,
    make_active_set,
)
from bayespde.smc.kernels.neighbour_odds import (
    TemperedTarget,
    compact_couplings,
    log_odds,
    refresh,
)
from bayespde.smc.kernels.stream import advance, uniform
from bayespde.smc.resampling import systematic

PART = 1000
REFACTOR_AFTER = 200
FIRST_CAP = 64
PRIOR_TRIES = 100


class _Chain(NamedTuple):
    """Part of a chain, as the compiled walk writes it.

    Attributes:
        words: Configuration at each visit, one bit per column, `[J, words]`, uint64, canonical order.
        log_weight: `[J]`.
        log_likelihood: `[J]`.
        conditional: Weighted sum of the conditional probabilities of being up, `[K]`.
        total: Log of the unit of those weights, their sum, largest error of an updated log likelihood, `[3]`.
    """

    words: np.ndarray
    log_weight: np.ndarray
    log_likelihood: np.ndarray
    conditional: np.ndarray
    total: np.ndarray


OnPart = Callable[[int], None]
"""Called after a part of a chain with the number of flips that count."""


def run_chains(
    target: Target,
    *,
    config: TemperedGibbsConfig | None = None,
    seed: int,
    progress: bool | Progress = False,
) -> Runs:
    """Run independent chains; the result is the same however many of them run at a time.

    Args:
        target: What to sample, a `LinearTarget`.
        config: Settings; the defaults if None.
        seed: Non-negative integer from which every chain's generator is spawned.
        progress: Show a progress bar.

    Returns:
        The chains in the form of sequential Monte Carlo runs: equally weighted draws, in the order of the chain, and
        the estimates; `log_evidence` and `captured_mass` are NaN, and there are no stages.

    Raises:
        ConfigError: If the target is not linear, or no initial configuration of positive likelihood is found.
    """
    config = TemperedGibbsConfig() if config is None else config
    if not isinstance(target, LinearTarget):
        raise ConfigError(
            "Tempered Gibbs sampling needs all single-flip odds at once.",
            got=type(target).__name__,
            wanted="a LinearTarget",
            fix="method='smc'",
        )
    seeds, watch = spawn_seeds(seed, config.runs), Progress.of(progress)
    with watch.bar(total=config.runs * config.steps, desc="sampling", unit="flip") as bar:

        def one(chain_seed: int, check: Check) -> Run:
            def on_part(flips: int) -> None:
                bar.update(flips)
                check()

            from_prior = chain_seed != seeds[0]
            return _run_chain(target, config, chain_seed, cap=FIRST_CAP, from_prior=from_prior, on_part=on_part)

        return collect(finish_all(one, seeds, workers=config.workers, progress=watch))


def _run_chain(
    target: LinearTarget,
    config: TemperedGibbsConfig,
    seed: int,
    *,
    cap: int,
    from_prior: bool,
    on_part: OnPart,
) -> Run:
    generator, rows = torch_generator(seed), target.regression
    spins = _start(target, generator, from_prior=from_prior)[rows.order]
    cap = min(target.terms, max(cap, 2 * int(spins.sum())))
    problem = factorised_rows(rows)
    logits = np.ascontiguousarray(rows.prior.fields[rows.order])
    tempered = TemperedTarget(tabulate(target, sizes=cap + 1), logits, compact_couplings(rows), 1.0)
    state = make_active_set(target.terms, cap)
    build(state, problem, spins)
    refresh(state, problem, tempered)
    key = np.uint64(int(torch.randint(2**62, (1,), generator=generator)))
    parts = []
    for steps, counts in ((math.ceil(config.burn_in * config.steps), False), (config.steps, True)):
        for begin in range(0, steps, PART):
            part = _make_part(min(PART, steps - begin), target.terms)
            key = np.uint64(_walk(state, problem, tempered, config.exploration / target.terms, key, part))
            if state.size[OVERFLOW]:
                # the arrays were full, so that a column could not enter: repeat the chain with larger ones
                return _run_chain(target, config, seed, cap=2 * cap, from_prior=from_prior, on_part=on_part)
            on_part(len(part.log_weight) if counts else 0)
            if counts:
                parts.append(part)
    return _summarise(target, config, parts, generator)


def _start(target: LinearTarget, generator: torch.Generator, *, from_prior: bool) -> np.ndarray:
    """The empty configuration, or a possible one from the prior: `[K]`, bool, library order."""
    spins = torch.zeros((1, target.terms), dtype=torch.bool)
    if from_prior:
        spins = target.sample_prior(PRIOR_TRIES, generator=generator)
    possible = torch.isfinite(target.log_likelihood(spins))
    if not possible.any():
        raise ConfigError(
            "No initial configuration is possible.",
            got=f"{len(spins)} configurations of likelihood 0",
            wanted="at least one of positive likelihood",
            fix="use a smaller expected_terms",
        )
    return np.ascontiguousarray(spins[int(torch.nonzero(possible)[0])].numpy())


def _make_part(steps: int, terms: int) -> _Chain:
    return _Chain(
        np.zeros((steps, -(-terms // 64)), np.uint64),
        np.zeros(steps),
        np.zeros(steps),
        np.zeros(terms),
        np.array([-np.inf, 0.0, 0.0]),
    )


def _summarise(
    target: LinearTarget, config: TemperedGibbsConfig, parts: list[_Chain], generator: torch.Generator
) -> Run:
    """Equally weighted draws and estimates from the visits."""
    log_weight = np.concatenate([p.log_weight for p in parts])
    shares = np.array([p.total[0] for p in parts])
    shares = np.exp(shares - shares.max())
    conditional = np.empty(target.terms)
    conditional[target.regression.order] = (
        sum(s * p.conditional for s, p in zip(shares, parts, strict=True))
        / sum(s * p.total[1] for s, p in zip(shares, parts, strict=True))
    )  # fmt: skip
    words = np.concatenate([p.words for p in parts])
    chosen = systematic(torch.as_tensor(log_weight), generator=generator, count=config.particles).numpy()
    kept = torch.as_tensor(_unpacked(words[chosen], target))
    log_prior, log_likelihood = target.log_prior(kept), target.log_likelihood(kept)
    tracked = np.concatenate([p.log_likelihood for p in parts])
    error = max(float(np.abs(tracked[chosen] - log_likelihood.numpy()).max()), *(float(p.total[2]) for p in parts))
    first = distinct_words(words).first
    visited = _unpacked(words[first], target)
    log_mass = tracked[first] + target.log_prior(torch.as_tensor(visited)).numpy()
    state = SMCState(kept, log_prior, log_likelihood, 1.0, math.nan, torch.as_tensor(chosen))
    return Run(state, {}, conditional, visited, log_mass, error, np.zeros(0))


def _unpacked(words: np.ndarray, target: LinearTarget) -> np.ndarray:
    """Configurations in the order of the target's spins, `[N, K]`, bool, from packed columns `[N, W]`, uint64."""
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    spins = np.empty((len(words), target.terms), dtype=bool)
    spins[:, target.regression.order] = bits[:, : target.terms]
    return spins


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(
    state: ActiveSet, problem: FactorisedRows, target: TemperedTarget, floor: float, key: int, chain: _Chain
) -> int:
    """Walk as many flips as the part of the chain holds, from the present configuration; returns the new key."""
    terms = state.place.shape[0]
    log_rate, up = np.empty(terms), np.empty(terms)
    spins = np.empty(terms, np.bool_)
    for step in range(chain.log_weight.shape[0]):
        if step % REFACTOR_AFTER == 0:
            before = state.number[LOG_LIKELIHOOD]
            for j in range(terms):
                spins[j] = state.place[j] >= 0
            build(state, problem, spins)
            refresh(state, problem, target)
            chain.total[2] = max(chain.total[2], abs(state.number[LOG_LIKELIHOOD] - before))
        peak = _log_rates(state, target, floor, log_rate, up)
        stuck = peak == -math.inf
        if stuck:
            # no flip is possible: the chain stays at the only possible configuration
            peak = 0.0
        total = 1.0 if stuck else 0.0
        for j in range(terms):
            log_rate[j] = math.exp(log_rate[j] - peak)
            total += log_rate[j]
            if state.place[j] >= 0:
                chain.words[step, j // 64] |= np.uint64(1) << np.uint64(j % 64)
        log_weight = -peak - math.log(total)
        chain.log_weight[step], chain.log_likelihood[step] = log_weight, state.number[LOG_LIKELIHOOD]
        _accumulate(chain, log_weight, up)
        key = advance(key)
        if not stuck:
            flip(state, problem, target, choose(log_rate, total * uniform(key)))
    return key


@njit(cache=True, nogil=True, error_model="numpy")
def _log_rates(state: ActiveSet, target: TemperedTarget, floor: float, log_rate: np.ndarray, up: np.ndarray) -> float:
    """Log of `eta / p` of every spin, and its probability of being up; returns the largest log rate."""
    peak = -math.inf
    for j in range(state.place.shape[0]):
        odds = log_odds(state, target, j)
        up[j] = barker(-odds) if state.place[j] >= 0 else barker(odds)
        softplus = odds + math.log1p(math.exp(-odds)) if odds > 0.0 else math.log1p(math.exp(odds))
        # a flip into an impossible configuration has no rate, not a small one
        log_rate[j] = -math.inf if odds == -math.inf else math.log(up[j] + floor) + softplus
        peak = max(peak, log_rate[j])
    return peak


@njit(cache=True, nogil=True, error_model="numpy")
def _accumulate(chain: _Chain, log_weight: float, up: np.ndarray) -> None:
    """Add a visit to the weighted sums, in units of the largest weight so far."""
    if log_weight > chain.total[0]:
        shrink = math.exp(chain.total[0] - log_weight)
        chain.total[0] = log_weight
        chain.total[1] *= shrink
        for j in range(up.shape[0]):
            chain.conditional[j] *= shrink
    weight = math.exp(log_weight - chain.total[0])
    chain.total[1] += weight
    for j in range(up.shape[0]):
        chain.conditional[j] += weight * up[j]
