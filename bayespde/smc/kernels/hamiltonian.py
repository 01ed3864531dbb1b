"""Real numbers of particles -> moved ones, by Hamiltonian dynamics along the gradient of the tempered density."""

from __future__ import annotations

import math

import torch

from bayespde.smc.base import JointTarget, SMCState
from bayespde.smc.kernels.metropolis import accept, tempered_log_ratio

# Acceptance probability to which the step size is adapted, and the first step size relative to the particles' spread.
ACCEPTANCE, FIRST_STEP = 0.8, 0.5
# Half a turn of a harmonic oscillator of unit frequency is pi: a quarter makes positions independent.
TRAJECTORY = math.pi / 2
# Each trajectory has steps of a random size, up to this share off, so that no period is met exactly.
JITTER = 0.2
# Multiples of the spread beyond which a trajectory is one that diverges.
DIVERGED = 1000.0


def hamiltonian(
    state: SMCState, target: JointTarget, *, spread: torch.Tensor, step: float, steps: int, generator: torch.Generator
) -> tuple[SMCState, float]:
    """Hamiltonian Monte Carlo [neal2011] at fixed spins, which leaves the tempered target invariant.

    The mass of each coordinate is the inverse square of its spread. A trajectory that leaves the region in which
    numbers can be computed is refused, as is the one that comes from there: leapfrog steps are reversible whatever the
    gradient is.

    Args:
        state: Particles of positive likelihood.
        target: What to sample.
        spread: Of the coordinates, a lower triangular root of their covariance, `[D, D]`; its rows' lengths count.
        step: Step size relative to the spread.
        steps: Largest number of leapfrog steps; fewer where they suffice for a quarter of a turn.
        generator: Source of randomness.

    Returns:
        The new state, and the mean acceptance probability.
    """
    start, beta = _latents(state), state.inverse_temperature
    scale = spread.norm(dim=1)
    momentum = torch.randn(start.shape, generator=generator, dtype=torch.float64)
    jitter = 1 + JITTER * (2 * torch.rand((len(start), 1), generator=generator, dtype=torch.float64) - 1)
    uniform = torch.rand(len(start), generator=generator, dtype=torch.float64)
    size, count = step * jitter, max(1, min(steps, math.ceil(TRAJECTORY / step)))
    place, now = start, momentum
    found, gradient = target.with_gradient(state.spins, place, beta)
    diverged = torch.zeros(len(start), dtype=torch.bool)
    for _ in range(count):
        now = now + 0.5 * size * scale * gradient
        place = place + size * scale * now
        diverged |= ~((place - start).abs() <= DIVERGED * scale).all(dim=1)
        place = torch.where(diverged[:, None], start, place)
        found, gradient = target.with_gradient(state.spins, place, beta)
        now = now + 0.5 * size * scale * gradient
    log_ratio = tempered_log_ratio(found[0] - state.log_prior, found[1] - state.log_likelihood, beta)
    log_ratio = log_ratio + 0.5 * (momentum**2 - now**2).sum(dim=1)
    log_ratio = torch.where(diverged, -torch.inf, log_ratio).nan_to_num(nan=-torch.inf)
    proposed = state._replace(log_prior=found[0], log_likelihood=found[1], latents=place)
    return accept(state, proposed, torch.log(uniform) < log_ratio), float(torch.exp(log_ratio.clamp(max=0)).mean())


def _latents(state: SMCState) -> torch.Tensor:
    assert state.latents is not None
    return state.latents
