"""Tempering: effective sample size, inverse temperatures, incremental weights."""

import numpy as np
import pytest
import torch
from statistical import checks

from bayespde.core.errors import ConfigError
from bayespde.smc import tempering


def test_ess_of_the_weights_used_is_the_target(seed):
    checks.check_ess_target(seed)


def test_next_inverse_temperature_with_impossible_particles():
    log_likelihood = torch.tensor([-np.inf, -np.inf, -1000.0, -2000.0, -np.inf], dtype=torch.float64)
    found = tempering.next_inverse_temperature(log_likelihood, previous=0.0, ess_fraction=0.75)
    weights = np.exp(found * np.array([0.0, -1000.0]))
    assert weights.sum() ** 2 / np.sum(weights**2) == pytest.approx(1.5, rel=1e-9)
    with pytest.raises(ConfigError, match="No particle has a positive likelihood"):
        tempering.next_inverse_temperature(torch.full((3,), -torch.inf), previous=0.0, ess_fraction=0.5)


def test_flat_likelihood_jumps_to_one():
    assert tempering.next_inverse_temperature(torch.zeros(5), previous=0.0, ess_fraction=0.9) == 1.0


def test_zero_increment_weighs_everything_equally():
    log_likelihood = torch.tensor([-np.inf, 3.0])
    log_weights = tempering.incremental_log_weights(log_likelihood, previous=0.0, beta=0.0)
    assert torch.equal(log_weights, torch.zeros(2))


def test_log_mean_weight_and_ess_by_hand():
    log_weights = torch.log(torch.tensor([1.0, 2.0, 3.0, 0.0], dtype=torch.float64)) + 1000
    assert tempering.log_mean_weight(log_weights) == pytest.approx(1000 + np.log(1.5), abs=1e-12)
    assert tempering.effective_sample_size(log_weights) == pytest.approx(36 / 14, rel=1e-12)
