"""Target -> weighted chains: tempered Gibbs sampling, an engine that shares no idea with tempering or resampling.

A spin is chosen in proportion to `eta / p`, with p the conditional probability of its present value, and flipped for
certain: spins that sit uneasily move first. The chain visits a configuration in proportion to its posterior times the
sum Z of those numbers, so every visit weighs `1 / Z` [zanellaroberts2019]. With `eta = p(up) + exploration / K` the
effort goes to terms that may be in the equation. All of it is computed from log odds; formed as one minus the other, p
would be zero for log odds above 37, and the weights wrong. There is no evidence, and no tempering that could carry a
chain from one mode to another: it is for checking, and for posteriors that are rugged but of one piece.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from tqdm import tqdm

from bayespde.core.distinct import distinct_words
from bayespde.core.errors import ConfigError
from bayespde.core.random import spawn_seeds, torch_generator
from bayespde.smc.base import LinearTarget, SMCState, Target, check_counts
from bayespde.smc.collect import Run, Runs, collect
from bayespde.smc.kernels.evidence_table import tabulate
from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.jumps import choose, flip
from bayespde.smc.kernels.layout import FULL, LOG_LIKELIHOOD, Active, FactorisedRows, make_active, make_problem
from bayespde.smc.kernels.neighbour_odds import Tempered, barker, compact_couplings, log_odds, refresh
from bayespde.smc.kernels.stream import advance, uniform
from bayespde.smc.resampling import systematic
from bayespde.smc.run import finish_all

PORTION = 1000
REBUILD_AFTER = 200
FIRST_CAP = 64
TRIES = 100


@dataclass(frozen=True)
class TemperedGibbsConfig:
    """Settings of tempered Gibbs sampling.

    Attributes:
        steps: Flips per chain that count.
        burn_in: Flips before them, as a fraction of `steps`.
        runs: Number of independent chains; the first starts from the empty configuration, the others from the prior.
        particles: Equally weighted draws that are kept of each chain.
        exploration: Weight of terms that are unlikely to be in the equation.
    """

    steps: int = 20000
    burn_in: float = 0.1
    runs: int = 4
    particles: int = 2048
    exploration: float = 5.0

    def __post_init__(self) -> None:
        check_counts(self, {"steps": 1, "runs": 1, "particles": 1})
        if not (0 <= self.burn_in < math.inf and 0 < self.exploration < math.inf):
            raise ConfigError(
                "A setting of tempered Gibbs sampling is out of range.",
                got=f"burn_in={self.burn_in!r}, exploration={self.exploration!r}",
                wanted="burn_in >= 0 and exploration > 0",
                fix="TemperedGibbsConfig()",
            )


class _Chain(NamedTuple):
    """What a walk writes.

    Attributes:
        words: Configuration at each visit, one bit a column, `[J, words]`, uint64, canonical order.
        log_weight: `[J]`.
        log_likelihood: `[J]`.
        conditional: Weighted sum of the conditional probabilities of being up, `[K]`.
        total: Log of the unit of those weights, their sum, largest drift seen, `[3]`.
    """

    words: np.ndarray
    log_weight: np.ndarray
    log_likelihood: np.ndarray
    conditional: np.ndarray
    total: np.ndarray


def run_chains(
    target: Target, *, config: TemperedGibbsConfig | None = None, seed: int, progress: bool = False, workers: int = 1
) -> Runs:
    """Run independent chains; the result is the same however many of them work at a time.

    Args:
        target: What to sample, a `LinearTarget`.
        config: Settings; the defaults if None.
        seed: Non-negative integer from which every chain's generator is spawned.
        progress: Show a progress bar.
        workers: Number of threads.

    Returns:
        The chains in the form of sequential Monte Carlo runs: equally weighted draws, in the order of the chain, and
        the estimates; `log_evidence` and `captured_mass` are NaN, and there are no stages.

    Raises:
        ConfigError: If the target is not linear, or no configuration of positive likelihood is found to start from.
    """
    config = TemperedGibbsConfig() if config is None else config
    if not isinstance(target, LinearTarget):
        raise ConfigError(
            "Tempered Gibbs sampling needs all single-flip odds at once.",
            got=type(target).__name__,
            wanted="a LinearTarget",
            fix="method='smc'",
        )
    seeds = spawn_seeds(seed, config.runs)
    with tqdm(total=config.runs * config.steps, desc="sampling", unit="flip", disable=not progress) as bar:

        def one(chain_seed: int) -> Run:
            return _run_chain(target, config, chain_seed, cap=FIRST_CAP, from_prior=chain_seed != seeds[0], bar=bar)

        runs = finish_all(one, seeds, workers=workers)
    return collect(runs, complete=len(runs) == config.runs)


def _run_chain(
    target: LinearTarget, config: TemperedGibbsConfig, seed: int, *, cap: int, from_prior: bool, bar: tqdm
) -> Run:
    generator, order = torch_generator(seed), np.asarray(target.order)
    spins = _start(target, generator, from_prior=from_prior)[order]
    cap = min(target.terms, max(cap, 2 * int(spins.sum())))
    problem = make_problem(target)
    logits = np.ascontiguousarray(target.prior_logits.numpy()[order])
    tempered = Tempered(tabulate(target, sizes=cap + 1), logits, compact_couplings(target), 1.0)
    state = make_active(target.terms, cap)
    build(state, problem, spins)
    refresh(state, problem, tempered)
    key = np.uint64(int(torch.randint(2**62, (1,), generator=generator)))
    parts = []
    for jumps, counts in ((math.ceil(config.burn_in * config.steps), False), (config.steps, True)):
        for begin in range(0, jumps, PORTION):
            part = _room(min(PORTION, jumps - begin), target.terms)
            key = np.uint64(_walk(state, problem, tempered, config.exploration / target.terms, key, part))
            if state.size[FULL]:
                # the work space was full once, and refused a column: walk the same way with more room
                return _run_chain(target, config, seed, cap=2 * cap, from_prior=from_prior, bar=bar)
            if counts:
                parts.append(part)
                bar.update(len(part.log_weight))
    return _summarise(target, config, parts, generator)


def _start(target: LinearTarget, generator: torch.Generator, *, from_prior: bool) -> np.ndarray:
    """The empty configuration, or one from the prior that is possible: `[K]`, bool, library order."""
    spins = torch.zeros((1, target.terms), dtype=torch.bool)
    if from_prior:
        spins = target.sample_prior(TRIES, generator=generator)
    possible = torch.isfinite(target.log_likelihood(spins))
    if not possible.any():
        raise ConfigError(
            "No configuration to start from.",
            got=f"{len(spins)} configurations of likelihood 0",
            wanted="a possible one",
            fix="use a smaller expected_terms",
        )
    return np.ascontiguousarray(spins[int(torch.nonzero(possible)[0])].numpy())


def _room(jumps: int, terms: int) -> _Chain:
    return _Chain(
        np.zeros((jumps, -(-terms // 64)), np.uint64),
        np.zeros(jumps),
        np.zeros(jumps),
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
    conditional[np.asarray(target.order)] = (
        sum(s * p.conditional for s, p in zip(shares, parts, strict=True))
        / sum(s * p.total[1] for s, p in zip(shares, parts, strict=True))
    )  # fmt: skip
    words = np.concatenate([p.words for p in parts])
    chosen = systematic(torch.as_tensor(log_weight), generator=generator, count=config.particles).numpy()
    kept = torch.as_tensor(_unpacked(words[chosen], target))
    log_prior, log_likelihood = target.log_prior(kept), target.log_likelihood(kept)
    tracked = np.concatenate([p.log_likelihood for p in parts])
    drift = max(float(np.abs(tracked[chosen] - log_likelihood.numpy()).max()), *(float(p.total[2]) for p in parts))
    first = distinct_words(words).first
    visited = _unpacked(words[first], target)
    log_mass = tracked[first] + target.log_prior(torch.as_tensor(visited)).numpy()
    state = SMCState(kept, log_prior, log_likelihood, 1.0, math.nan, torch.as_tensor(chosen))
    return Run(state, {}, conditional, visited, log_mass, drift)


def _unpacked(words: np.ndarray, target: LinearTarget) -> np.ndarray:
    """Configurations in the order of the target's spins, `[N, K]`, bool, from packed columns `[N, W]`, uint64."""
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    spins = np.empty((len(words), target.terms), dtype=bool)
    spins[:, np.asarray(target.order)] = bits[:, : target.terms]
    return spins


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(state: Active, problem: FactorisedRows, target: Tempered, floor: float, key: int, chain: _Chain) -> int:
    """Walk as many flips as there is room for; the state goes on from where it is."""
    terms = state.place.shape[0]
    log_rate, up = np.empty(terms), np.empty(terms)
    spins = np.empty(terms, np.bool_)
    for jump in range(chain.log_weight.shape[0]):
        if jump % REBUILD_AFTER == 0:
            before = state.number[LOG_LIKELIHOOD]
            for j in range(terms):
                spins[j] = state.place[j] >= 0
            build(state, problem, spins)
            refresh(state, problem, target)
            chain.total[2] = max(chain.total[2], abs(state.number[LOG_LIKELIHOOD] - before))
        peak = _log_rates(state, target, floor, log_rate, up)
        stuck = peak == -math.inf
        if stuck:
            # every flip is refused: the one possible configuration is visited for ever
            peak = 0.0
        total = 1.0 if stuck else 0.0
        for j in range(terms):
            log_rate[j] = math.exp(log_rate[j] - peak)
            total += log_rate[j]
            if state.place[j] >= 0:
                chain.words[jump, j // 64] |= np.uint64(1) << np.uint64(j % 64)
        log_weight = -peak - math.log(total)
        chain.log_weight[jump], chain.log_likelihood[jump] = log_weight, state.number[LOG_LIKELIHOOD]
        _accumulate(chain, log_weight, up)
        key = advance(key)
        if not stuck:
            flip(state, problem, target, choose(log_rate, total * uniform(key)))
    return key


@njit(cache=True, nogil=True, error_model="numpy")
def _log_rates(state: Active, target: Tempered, floor: float, log_rate: np.ndarray, up: np.ndarray) -> float:
    """Log of `eta / p` of every spin, and its probability of being up; returns the largest of the former."""
    peak = -math.inf
    for j in range(state.place.shape[0]):
        odds = log_odds(state, target, j)
        up[j] = barker(-odds) if state.place[j] >= 0 else barker(odds)
        softplus = odds + math.log1p(math.exp(-odds)) if odds > 0.0 else math.log1p(math.exp(odds))
        # a flip into what is refused is not a flip of small weight but none
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
