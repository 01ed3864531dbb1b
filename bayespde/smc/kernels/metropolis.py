"""Proposed particles -> accepted ones: what all moves by a log density share."""

from __future__ import annotations

from typing import cast

import torch

from bayespde.smc.base import JointTarget, SMCState, Target


def over_spins(target: Target | JointTarget, state: SMCState) -> Target:
    """The target over configurations, at the real numbers of the particles if they have any."""
    return cast(Target, target) if state.latents is None else cast(JointTarget, target).given(state.latents)


def tempered_log_ratio(log_prior: torch.Tensor, log_likelihood: torch.Tensor, beta: float) -> torch.Tensor:
    """Log ratio of tempered densities from differences of log prior and log likelihood, `[P]`, float64.

    The likelihood is ignored at inverse temperature 0, and where both sides are impossible.
    """
    if beta == 0:
        return log_prior
    return log_prior + beta * torch.nan_to_num(log_likelihood, nan=0.0, posinf=torch.inf, neginf=-torch.inf)


def propose(state: SMCState, target: Target, spins: torch.Tensor) -> tuple[SMCState, torch.Tensor]:
    """The state with other spins (`[P, K]`, bool), and its log density minus that of the present one, `[P]`."""
    log_prior, log_likelihood = target.log_prior(spins), target.log_likelihood(spins)
    proposed = state._replace(spins=spins, log_prior=log_prior, log_likelihood=log_likelihood)
    prior_ratio, likelihood_ratio = log_prior - state.log_prior, log_likelihood - state.log_likelihood
    return proposed, tempered_log_ratio(prior_ratio, likelihood_ratio, state.inverse_temperature)


def accept(state: SMCState, proposed: SMCState, accepted: torch.Tensor) -> SMCState:
    """Replace the particles that are accepted (`[P]`, bool)."""
    latents = state.latents
    if latents is not None and proposed.latents is not None:
        latents = torch.where(accepted[:, None], proposed.latents, latents)
    return state._replace(
        latents=latents,
        spins=torch.where(accepted[:, None], proposed.spins, state.spins),
        log_prior=torch.where(accepted, proposed.log_prior, state.log_prior),
        log_likelihood=torch.where(accepted, proposed.log_likelihood, state.log_likelihood),
    )
