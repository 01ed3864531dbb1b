"""Typical one-line bugs of samplers -> the named check that catches each of them; without bugs all checks pass."""

import importlib

import numpy as np
import pytest
from statistical import checks

from bayespde.model.evidence import ClosedForm
from bayespde.smc import tempering
from bayespde.smc.kernels import gibbs, metropolis

step_module = importlib.import_module("bayespde.smc.step")


def sign_in_the_ess_solver(patch):
    right = tempering.next_inverse_temperature
    patch.setattr(tempering, "next_inverse_temperature", lambda log_likelihood, **kw: right(-log_likelihood, **kw))


def flip_ignores_the_inverse_temperature(patch):
    right = metropolis.tempered_log_ratio
    patch.setattr(metropolis, "tempered_log_ratio", lambda prior, likelihood, beta: right(prior, likelihood, 1.0))


def prior_odds_with_wrong_sign(patch):
    right = metropolis.tempered_log_ratio
    patch.setattr(metropolis, "tempered_log_ratio", lambda prior, likelihood, beta: right(-prior, likelihood, beta))


def log_likelihood_not_resampled(patch):
    right = step_module.select
    patch.setattr(step_module, "select", lambda state, a: right(state, a)._replace(log_likelihood=state.log_likelihood))


def weights_from_the_inverse_temperature_not_its_increment(patch):
    patch.setattr(
        tempering,
        "incremental_log_weights",
        lambda log_likelihood, *, previous, beta: beta * log_likelihood,
    )


def rejuvenation_at_the_previous_inverse_temperature(patch):
    right, previous = step_module.rejuvenate, [0.0]

    def wrong(state, target, kernel, **kw):
        beta = state.inverse_temperature
        old = previous[0] if previous[0] < beta else 0.0
        previous[0] = beta
        moved, moves = right(state._replace(inverse_temperature=old), target, kernel, **kw)
        return moved._replace(inverse_temperature=beta), moves

    patch.setattr(step_module, "rejuvenate", wrong)


def slab_determinant_missing(patch):
    patch.setattr(ClosedForm, "log_determinant", lambda self, size, logdet: np.zeros((len(size), 1)))


def flip_also_changes_a_neighbour(patch):
    right = gibbs.update_site

    def wrong(state, target, *, site, uniforms):
        moved, up = right(state, target, site=site, uniforms=uniforms)
        accepted = moved.spins[:, site] ^ state.spins[:, site]
        spins = moved.spins.clone()
        spins[:, (site + 1) % spins.shape[1]] ^= accepted
        return moved._replace(spins=spins), up

    patch.setattr(gibbs, "update_site", wrong)


CAUGHT_BY = (
    (sign_in_the_ess_solver, "check_ess_target"),
    (flip_ignores_the_inverse_temperature, "check_invariance"),
    (flip_ignores_the_inverse_temperature, "check_unbiased_evidence"),
    (prior_odds_with_wrong_sign, "check_invariance"),
    (prior_odds_with_wrong_sign, "check_table_inclusion"),
    (log_likelihood_not_resampled, "check_unbiased_evidence"),
    (weights_from_the_inverse_temperature_not_its_increment, "check_unbiased_evidence"),
    (rejuvenation_at_the_previous_inverse_temperature, "check_unbiased_evidence"),
    (slab_determinant_missing, "check_evidence_formula"),
    (flip_also_changes_a_neighbour, "check_invariance"),
    (flip_also_changes_a_neighbour, "check_table_inclusion"),
)


def perform(name, seed):
    check = getattr(checks, name)
    return check() if name in ("check_evidence_formula", "check_invariance") else check(seed)


@pytest.mark.parametrize("name", sorted({name for _, name in CAUGHT_BY}))
def test_without_a_bug_the_check_passes(name, seed):
    perform(name, seed)


# Four of five bugs of the evidence take the time of all others together.
EVIDENCE = [case for case in CAUGHT_BY if case[1] == "check_unbiased_evidence"]
CASES = [pytest.param(*case, marks=[pytest.mark.slow] * (case in EVIDENCE[1:])) for case in CAUGHT_BY]


@pytest.mark.parametrize(("bug", "name"), CASES)
def test_planted_bug_is_caught(bug, name, seed, monkeypatch):
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        perform(name, seed)
