"""Particles, and how they have moved -> sets of spins by which modes differ, and Metropolis steps that flip them.

A flip of a fixed set of spins is its own inverse, so that a Metropolis step with it leaves the tempered target
invariant, whatever the set. One by which two modes differ takes a particle from the one to the other, and leaves how it
differs from its mode. Particles move between modes that single flips and swaps do not connect, and the weights of modes
no longer rest on how resampling divided the particles when they came apart, nor on the few that stood for a mode at a
higher temperature.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components

from bayespde.core.distinct import distinct
from bayespde.smc.base import BlockFlips, JointTarget, SMCState, Target
from bayespde.smc.kernels.metropolis import accept, over_spins, propose

# Correlation of a spin across particles, between before and after moves, above which these leave it where it is; fewer
# particles are no evidence of that.
FROZEN, FEWEST_COMPARED = 0.8, 16
# Correlations between spins above which they change together; share of the particles with the rarer value of a spin
# below which its correlations are chance.
TOGETHER, RARE = (0.8, 0.6, 0.4), 0.005
# Difference of a spin's mean between runs above which they are in different modes.
DIFFERENT = 0.3
# Particles that try a set, number of sets kept, and the acceptance that each must have.
TRIED, MOST_SETS, LEAST_ACCEPTED = 64, 16, 1e-3
# Least persistence of a spin that counts: moves that are known must not forget how to make it.
LEAST_NEEDED = 0.05


def flip_blocks(state: SMCState, path: Target, moves: BlockFlips, *, generator: torch.Generator) -> SMCState:
    """Metropolis steps of every particle, each with a set drawn by its weight."""
    particles = len(state.spins)
    for _ in range(moves.flips):
        chosen = torch.multinomial(moves.weights, particles, replacement=True, generator=generator)
        uniforms = torch.rand(particles, generator=generator, dtype=torch.float64)
        proposed, log_ratio = propose(state, path, state.spins ^ moves.sets[chosen])
        state = accept(state, proposed, torch.log(uniforms) < log_ratio)
    return state


def learn_block_flips(
    before: torch.Tensor,
    state: SMCState,
    target: Target | JointTarget,
    *,
    known: BlockFlips | None = None,
    flips: int = 1,
) -> BlockFlips | None:
    """Sets of spins that change from mode to mode, proposed as often as they would be accepted, and are needed.

    Spins that keep their values through a kernel's moves, and differ between particles, are what it cannot change;
    spins that correlate with them across particles change with them. Sets are the connected components of strong
    correlation that hold such a spin. Moves learnt from the particles leave their distribution invariant in the limit
    of many, as adaptive temperatures do [schaferchopin2013, beskos2016].

    Args:
        before: Configurations before the last moves, `[P, K]`, bool.
        state: Particles after them.
        target: What to sample, or a `GeometricPath` to it.
        known: What the moves ended with: sets that have set their spins free are not found again.
        flips: Proposals for each particle after each pass.

    Returns:
        The moves; `known` where no set is new, None where none would be accepted.
    """
    if not flips:
        return known
    kept = persistence(before, state.spins)
    frozen = kept > FROZEN
    if not frozen.any():
        return known
    sets = correlated_sets(state.spins, frozen)
    if not len(sets):
        return known
    if known is not None:
        sets = _distinct(torch.cat([known.sets, sets]))
    return _rated(sets, kept, [few(state, 1)], target, flips)


def shared_block_flips(
    spins: torch.Tensor,
    kept: torch.Tensor,
    some: list[SMCState],
    target: Target | JointTarget,
    *,
    known: list[BlockFlips],
    flips: int,
) -> BlockFlips | None:
    """Sets of spins that several runs have learnt, and those by which the runs differ.

    Args:
        spins: Configurations of all runs, `[R, P, K]`, bool.
        kept: Persistence of each spin in the last moves of each run, `[R, K]`, float64.
        some: A few particles of each run, with their densities under the target.
        target: What to sample.
        known: What runs have learnt.
        flips: Proposals for each particle after each pass.

    Returns:
        The moves; None where there are none.
    """
    share = spins.double().mean(dim=1)
    differ = share.max(dim=0).values - share.min(dim=0).values > DIFFERENT
    if not flips or not (known or differ.any()):
        return None
    found = [moves.sets for moves in known]
    if differ.any():
        found.append(correlated_sets(spins.flatten(0, 1), differ))
    sets = torch.cat(found)
    needed = torch.where(differ, 1.0, kept.mean(dim=0))
    return _rated(_distinct(sets), needed, some, target, flips) if len(sets) else None


def _rated(
    sets: torch.Tensor, kept: torch.Tensor, some: list[SMCState], target: Target | JointTarget, flips: int
) -> BlockFlips | None:
    """The best sets by their mean acceptance by some particles times the mean persistence of their spins.

    They are proposed by the root of their acceptance: one that is accepted often needs few proposals.
    """
    paths = [over_spins(target, state) for state in some]
    each = [[_acceptance(state, path, one) for state, path in zip(some, paths, strict=True)] for one in sets]
    rates = torch.stack([torch.stack(values).mean() for values in each])
    needed = torch.where(sets, kept.clamp(min=LEAST_NEEDED), 0.0).sum(dim=1) / sets.sum(dim=1)
    best = torch.argsort(rates * needed, descending=True, stable=True)[:MOST_SETS]
    best = best[rates[best] > LEAST_ACCEPTED]
    return BlockFlips(sets[best], (rates.sqrt() * needed)[best], flips) if len(best) else None


def persistence(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Correlation of each spin across particles between before and after moves, `[K]`; from `[P, K]`, bool.

    It is 0 where all particles have the same value, and for so few particles that it would be chance.
    """
    a, b = (spins.double() - spins.double().mean(dim=0) for spins in (before, after))
    covariance, scale = (a * b).sum(dim=0), ((a**2).sum(dim=0) * (b**2).sum(dim=0)).sqrt()
    enough = (scale > 0) & (len(before) >= FEWEST_COMPARED)
    return torch.where(enough, covariance / torch.where(enough, scale, 1.0), 0.0)


def correlated_sets(spins: torch.Tensor, frozen: torch.Tensor) -> torch.Tensor:
    """Sets of at least two spins that correlate across particles, one of them frozen: `[D, K]` from `[P, K]`, bool."""
    share = spins.double().mean(dim=0)
    common = torch.where((share > RARE) & (share < 1 - RARE))[0]
    if len(common) < 2:
        return spins[:0]
    correlation = np.abs(np.corrcoef(spins[:, common].numpy().T.astype(np.float32)))
    sets = []
    for level in TOGETHER:
        count, label = connected_components(correlation > level)
        one = torch.zeros((count, spins.shape[1]), dtype=torch.bool)
        one[torch.as_tensor(label, dtype=torch.int64), common] = True
        sets.append(one[(one.sum(dim=1) > 1) & (one & frozen).any(dim=1)])
    return _distinct(torch.cat(sets))


def _distinct(sets: torch.Tensor) -> torch.Tensor:
    return sets[torch.as_tensor(distinct(sets.numpy()).first)]


def few(state: SMCState, runs: int) -> SMCState:
    """Particles that try a set, evenly from those of one of several runs."""
    stride = max(1, len(state.spins) * runs // TRIED)
    latents = None if state.latents is None else state.latents[::stride]
    return state._replace(
        spins=state.spins[::stride],
        log_prior=state.log_prior[::stride],
        log_likelihood=state.log_likelihood[::stride],
        latents=latents,
    )


def _acceptance(state: SMCState, path: Target, one: torch.Tensor) -> torch.Tensor:
    """Mean acceptance of the flip of a set (`[K]`, bool)."""
    return torch.exp(propose(state, path, state.spins ^ one)[1].clamp(max=0)).mean()
