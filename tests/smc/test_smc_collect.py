"""Finished runs as arrays: the mass that was visited, by hand."""

import numpy as np
import pytest
import torch

from bayespde.smc.base import SMCState
from bayespde.smc.collect import Finished, Run, collect


def run_of(visited, mass, evidence, stages=2):
    """A run of two particles that visited some of the configurations 00, 01, 10, 11 of given masses."""
    spins = np.array([[False, False], [False, True], [True, False], [True, True]])[visited]
    two = torch.zeros(2, dtype=torch.float64)
    state = SMCState(torch.as_tensor(spins[:2]), two, two, 1.0, float(np.log(evidence)), torch.arange(2))
    history = {"ess": np.arange(float(stages))}
    return Run(state, history, np.full(2, 0.5), spins, np.log(np.array(mass)[visited]), 0.0, np.empty(0))


MASS = [0.1, 0.2, 0.3, 0.6]


def collected(*runs):
    return collect(Finished(list(runs), complete=True, budget_exhausted=False))


def test_captured_mass_is_relative_to_the_pooled_evidence_and_two_standard_errors_above():
    found = collected(run_of([0, 1], MASS, 1.0), run_of([1, 2, 3], MASS, 2.0), run_of([2, 3], MASS, 3.0))
    np.testing.assert_allclose(found.captured_mass, np.array([0.3, 1.1, 0.9]) / 2)
    np.testing.assert_allclose(found.captured_mass_lower, np.array([0.3, 1.1, 0.9]) / (2 + 2 / np.sqrt(3)))
    np.testing.assert_allclose(found.estimates["renormalised"][1], np.array([0.9, 0.8]) / 1.1)
    np.testing.assert_allclose(found.estimates["frequency"], [[0, 0.5], [0.5, 0.5], [1, 0.5]])


def test_captured_mass_is_relative_to_all_that_was_visited_where_the_evidence_is_below_that():
    found = collected(run_of([0, 1], MASS, 0.5), run_of([1, 2, 3], MASS, 0.5))
    np.testing.assert_allclose(found.captured_mass, np.array([0.3, 1.1]) / 1.2)
    np.testing.assert_allclose(found.captured_mass_lower, found.captured_mass)


@pytest.mark.parametrize("evidence", [2.0, np.nan])
def test_one_run_and_unknown_evidence_have_no_lower_value(evidence):
    found = collected(run_of([2, 3], MASS, evidence))
    assert np.isnan(found.captured_mass_lower).all()
    assert np.isnan(found.captured_mass[0]) == np.isnan(evidence)


def test_the_history_of_a_shorter_run_ends_in_nan():
    found = collected(run_of([0, 1], MASS, 1.0, stages=1), run_of([0, 1], MASS, 1.0, stages=3))
    np.testing.assert_array_equal(found.stages["ess"], [[0, np.nan, np.nan], [0, 1, 2]])
    assert (found.complete, found.budget_exhausted) == (True, False)
