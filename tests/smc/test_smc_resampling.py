"""Resampling: expected counts, exact copies, low variance."""

import numpy as np
import pytest
import torch

from bayespde.smc.resampling import SCHEMES


@pytest.mark.parametrize("scheme", SCHEMES)
def test_expected_counts(scheme, generator):
    weights = np.array([0.0, 0.5, 1.0, 1e-3, 2.7, 0.0, 3.2, 0.6, 0.0])
    expected = len(weights) * weights / weights.sum()
    log_weights = torch.log(torch.as_tensor(weights)) - 700
    draws = np.stack([SCHEMES[scheme](log_weights, generator=generator).numpy() for _ in range(4000)])
    assert np.all(np.diff(draws, axis=1) >= 0)
    counts = np.stack([np.bincount(d, minlength=len(weights)) for d in draws])
    error = counts.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(counts.mean(axis=0) - expected) <= 5 * error + 1e-12 + 5e-3 * (weights < 0.01))
    assert not counts[:, weights == 0].any()


@pytest.mark.parametrize("scheme", ["systematic", "residual"])
def test_integer_expected_counts_are_copied_exactly(scheme, generator):
    log_weights = torch.log(torch.tensor([3.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    ancestors = SCHEMES[scheme](log_weights, generator=generator)
    assert ancestors.tolist() == [0, 0, 0, 2, 3]


def test_low_variance_schemes_stay_within_one_copy(generator):
    log_weights = torch.randn(50, generator=generator, dtype=torch.float64)
    expected = 50 * torch.softmax(log_weights, 0)
    counts = torch.bincount(SCHEMES["systematic"](log_weights, generator=generator), minlength=50)
    assert torch.all((counts - expected).abs() < 1)
