import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import StatisticsError
from bayespde.results.checks import REMEDIES, model_checks
from bayespde.results.diagnostics import scalar_diagnostics
from bayespde.results.information_matrix import information_matrix_test

NAMES = ["u", "u**2", "u_x", "u*u_x", "u_xx"]


def rows(rng, *, count=400, repeated=1, blocks=16):
    """Rows repeated a number of times, of varying scale."""
    scale = np.exp(0.5 * rng.standard_normal((count // repeated, 1)))
    design = scale * rng.standard_normal((count // repeated, len(NAMES)))
    target = 0.5 * design[:, 4] - design[:, 3] + rng.standard_normal(len(design))
    design, target = np.repeat(design, repeated, axis=0), np.repeat(target, repeated)
    return bp.SufficientStatistics.from_rows(design, target, names=NAMES, blocks=blocks, target_name="u_t")


def sampled(rng, **settings):
    statistics = rows(rng)
    model = bp.SpinModel(statistics, bp.Library.from_strings(NAMES))
    return bp.sample(model, **{"particles": 256, "seed": int(rng.integers(2**31))} | settings)


@pytest.fixture
def posterior(rng):
    return sampled(rng)


def names_of(checks):
    return {c.name for c in checks}


def interrupted(posterior):
    return dataclasses.replace(posterior, sampling=dataclasses.replace(posterior.sampling, complete=False))


def test_a_posterior_that_passes_every_check_is_ok(posterior):
    found = bp.diagnose(posterior)
    assert (found.verdict, found.failed) == ("ok", ())
    assert str(found).startswith(f"OK: all {len(found.sampler) + len(found.fit)} checks")
    found.raise_if_failed()
    assert names_of(found.sampler) >= {
        "agreement",
        "precision",
        "mixing",
        "evidence",
        "tempering step",
        "likelihood error",
    }


def test_runs_that_disagree_fail_loudly(posterior):
    inclusion = posterior.estimates["rao_blackwell"].copy()
    inclusion[:, 0] = [0.95, 0.05, 0.95, 0.05]
    spins = posterior.spins.copy()
    spins[:, :, 0] = np.array([True, False, True, False])[:, None]
    frozen = dataclasses.replace(posterior, spins=spins, estimates={**posterior.estimates, "rao_blackwell": inclusion})
    found = bp.diagnose(frozen)
    assert found.verdict == "not_converged"
    assert {"agreement", "precision"} <= names_of(found.failed)
    text = str(found)
    assert text.startswith("NOT CONVERGED")
    assert "u has probability 0.95, 0.05, 0.95, 0.05 by run" in text
    assert REMEDIES["agreement"] in text
    with pytest.raises(StatisticsError, match="NOT CONVERGED"):
        found.raise_if_failed()


def test_one_run_is_not_assessed_unless_there_is_an_enumeration(rng):
    alone = sampled(rng, runs=1)
    assert bp.diagnose(alone).verdict == "single_run"
    assert names_of(bp.diagnose(alone).failed) == {"runs"}
    assert bp.diagnose(sampled(rng, runs=1, enumerate_up_to=5)).verdict == "ok"
    assert bp.diagnose(sampled(rng, runs=1, method="exact")).verdict == "ok"


def test_sampling_that_deviates_from_enumeration_is_detected(rng):
    exact = sampled(rng, enumerate_up_to=5)
    assert bp.diagnose(exact).verdict == "ok"
    inclusion = exact.estimates["rao_blackwell"].copy()
    inclusion[:, 2] = 0.9
    missed = dataclasses.replace(exact, estimates={**exact.estimates, "rao_blackwell": inclusion})
    assert "enumeration" in names_of(bp.diagnose(missed).failed)
    assert "Probabilities and evidence are enumerated and remain valid" in str(bp.diagnose(missed))


def test_a_step_that_left_few_particles_is_detected(posterior):
    stages = {**posterior.stages, "ess": np.where(posterior.stages["ess"] > 0, 5.0, np.nan)}
    steep = dataclasses.replace(posterior, stages=stages)
    assert "5 effective particles of 256" in str(bp.diagnose(steep))
    assert bp.diagnose(steep).verdict == "not_converged"


def test_an_interrupted_run_is_not_assessed(posterior):
    cut = interrupted(posterior)
    assert names_of(bp.diagnose(cut).failed) == {"complete"}
    assert bp.diagnose(cut).verdict == "single_run"


def test_every_check_has_a_remedy(posterior):
    every = [*bp.diagnose(interrupted(posterior)).sampler, *model_checks(posterior)]
    assert names_of(every) <= set(REMEDIES)


def test_r_hat_of_constants_follows_the_rule(posterior):
    def size_of(spins):
        table = scalar_diagnostics(dataclasses.replace(posterior, spins=spins)).sel(quantity="model_size")
        return float(table["r_hat"]), float(table["ess"])

    alike = np.ones_like(posterior.spins)
    assert size_of(alike)[0] == 1.0
    assert np.isnan(size_of(alike)[1])
    by_run = alike.copy()
    by_run[0, :, 0] = False
    assert size_of(by_run)[0] == np.inf
    # One particle of one run differs: a number again.
    by_run[:] = True
    by_run[0, 0, 0] = False
    assert 0.9 < size_of(by_run)[0] < 1.1


def test_particles_that_depend_on_their_ancestors_do_not_mix(posterior):
    halves = np.zeros_like(posterior.spins)
    halves[:, : posterior.spins.shape[1] // 2, :3] = True
    assert scalar_diagnostics(dataclasses.replace(posterior, spins=halves)).sel(quantity="model_size")["r_hat"] > 1.5


def scatters(rng, repeated, count=400):
    found = [information_matrix_test(rows(rng, repeated=repeated), np.ones(len(NAMES), bool)) for _ in range(count)]
    return np.array([f.ratio for f in found]), np.array([f.score for f in found])


def test_scores_of_independent_blocks_scatter_as_expected(rng):
    ratio, score = scatters(rng, 1)
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))
    assert abs(score.mean()) < 5 * score.std() / np.sqrt(len(score)) + 0.05
    assert 0.75 < score.std() < 1.25


def test_scores_of_repeated_rows_scatter_more(rng):
    ratio, score = scatters(rng, 4, count=100)
    # The noise is estimated from all rows, a few of which the fit takes.
    assert abs(ratio.mean() / 4 - 1) < 5 * ratio.std() / 4 / np.sqrt(len(ratio)) + 0.05
    assert np.quantile(score, 0.1) > 4


def test_repeated_rows_are_detected(rng):
    statistics = rows(rng, repeated=8)
    model = bp.SpinModel(statistics, bp.Library.from_strings(NAMES))
    failed = bp.diagnose(bp.sample(model, particles=256)).failed
    assert "information matrix" in names_of(failed)
    assert "lower the power" in REMEDIES["information matrix"]


def test_the_information_matrix_test_needs_blocks_and_terms(rng):
    assert information_matrix_test(rows(rng, blocks=1), np.ones(5, bool)) == (1.0, 0.0)
    assert information_matrix_test(rows(rng), np.zeros(5, bool)) == (1.0, 0.0)


def test_importing_diagnose_needs_no_torch_and_no_arviz():
    code = "from bayespde.results.diagnose import diagnose; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "pyro", "arviz", "matplotlib"} & set(loaded.split())


def test_rounding_errors_do_not_scatter(rng):
    design = rng.standard_normal((400, 5))
    exact = bp.SufficientStatistics.from_rows(design, 0.5 * design[:, 4] - design[:, 3], names=NAMES, blocks=16)
    assert information_matrix_test(exact, np.ones(5, bool)) == (1.0, 0.0)


def test_few_particles_and_empty_histories_raise_no_errors(rng, posterior):
    tiny = bp.diagnose(sampled(rng, particles=2))
    assert "too few to compare" in str(tiny)
    bare = dataclasses.replace(posterior, stages={"ess": np.zeros((4, 0))})
    assert "tempering step" not in names_of(bp.diagnose(bare).sampler)


def test_a_fit_that_failed_is_not_hidden_by_missing_runs(rng):
    statistics = rows(rng, repeated=8)
    model = bp.SpinModel(statistics, bp.Library.from_strings(NAMES))
    assert bp.diagnose(bp.sample(model, particles=256, runs=1)).verdict == "misfit"
