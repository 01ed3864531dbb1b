"""Log posterior odds against Student densities and prior odds."""

import math

import numpy as np
import pytest
from oracles import student_log_density

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.slabs import GPriorSlab

NAMES = ["u", "u_x", "u_xx", "u**2"]


@pytest.fixture
def problem(rng):
    design = rng.standard_normal((60, 4))
    design[:, 3] = 2 * design[:, 0]
    target = design[:, 2] + rng.standard_normal(60)
    statistics = bp.SufficientStatistics.from_rows(design, target, names=NAMES, blocks=4, target_name="u_t")
    return (
        design,
        target,
        bp.SpinModel(statistics, bp.Library.from_strings(NAMES), prior=bp.Prior(slab=GPriorSlab(), expected_terms=1)),
    )


def test_posterior_odds_are_prior_odds_times_ratios_of_densities(problem):
    design, target, model = problem
    noise = {"prior_rows": model.statistics.prior_rows, "prior_variance": model.statistics.prior_variance}
    densities = [student_log_density(design[:, on], target, model.prior.slab, **noise) for on in ([2], [0, 1])]
    # One term more, of odds 1 to 3.
    expected = densities[0] - densities[1] + math.log(3)
    assert bp.log_posterior_odds(model, ["u_xx"], ["u", "u_x"]) == pytest.approx(expected, abs=1e-8)
    assert bp.log_posterior_odds(model, ["u", "u_x"], ["u_xx"]) == pytest.approx(-expected, abs=1e-8)


def test_collinear_equations_have_infinite_odds_or_are_refused(problem):
    _, _, model = problem
    assert bp.log_posterior_odds(model, ["u_xx"], ["u", "u**2"]) == np.inf
    with pytest.raises(ConfigError, match="Neither"):
        bp.log_posterior_odds(model, ["u", "u**2"], ["u", "u**2", "u_x"])
    with pytest.raises(ConfigError, match="not in the library"):
        bp.log_posterior_odds(model, ["u_y"], ["u"])
