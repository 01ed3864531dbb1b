import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import StatisticsError
from bayespde.results.checks import model_checks
from bayespde.results.diagnostics import evidence_error, scalar_diagnostics
from bayespde.results.information_matrix import block_scatter
from bayespde.results.remedies import REMEDIES

NAMES = ["u", "u**2", "u_x", "u*u_x", "u_xx"]


def rows(rng, *, count=400, repeated=1, blocks=16):
    """Rows of which so many say the same, with loud and quiet places."""
    loud = np.exp(0.5 * rng.standard_normal((count // repeated, 1)))
    design = loud * rng.standard_normal((count // repeated, len(NAMES)))
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


def test_a_healthy_posterior_is_sound_and_says_so(posterior):
    found = bp.diagnose(posterior)
    assert (found.verdict, found.failed) == ("sound", ())
    assert str(found).startswith(f"Sound: all {len(found.sampler) + len(found.fit)} checks")
    found.raise_if_failed()
    assert names_of(found.sampler) >= {"agreement", "precision", "mixing", "evidence", "ladder", "likelihood_error"}


def test_runs_that_disagree_fail_loudly(posterior):
    inclusion = posterior.estimates["rao_blackwell"].copy()
    inclusion[:, 0] = [0.95, 0.05, 0.95, 0.05]
    spins = posterior.spins.copy()
    spins[:, :, 0] = np.array([True, False, True, False])[:, None]
    frozen = dataclasses.replace(posterior, spins=spins, estimates={**posterior.estimates, "rao_blackwell": inclusion})
    found = bp.diagnose(frozen)
    assert found.verdict == "not sampled"
    assert {"agreement", "precision"} <= names_of(found.failed)
    text = str(found)
    assert text.startswith("NOT SAMPLED")
    assert "u has probability 0.95, 0.05, 0.95, 0.05 by run" in text
    assert REMEDIES["agreement"] in text
    with pytest.raises(StatisticsError, match="NOT SAMPLED"):
        found.raise_if_failed()


def test_one_run_is_unchecked_unless_enumeration_stands_beside_it(rng):
    alone = sampled(rng, runs=1)
    assert bp.diagnose(alone).verdict == "unchecked"
    assert names_of(bp.diagnose(alone).failed) == {"runs"}
    assert bp.diagnose(sampled(rng, runs=1, enumerate_up_to=5)).verdict == "sound"
    assert bp.diagnose(sampled(rng, runs=1, method="exact")).verdict == "sound"


def test_sampling_that_misses_enumeration_is_noticed(rng):
    exact = sampled(rng, enumerate_up_to=5)
    assert bp.diagnose(exact).verdict == "sound"
    inclusion = exact.estimates["rao_blackwell"].copy()
    inclusion[:, 2] = 0.9
    missed = dataclasses.replace(exact, estimates={**exact.estimates, "rao_blackwell": inclusion})
    assert "enumeration" in names_of(bp.diagnose(missed).failed)
    assert "Probabilities and evidence are enumerated and stand" in str(bp.diagnose(missed))


def test_a_step_that_left_few_particles_is_noticed(posterior):
    stages = {**posterior.stages, "ess": np.where(posterior.stages["ess"] > 0, 5.0, np.nan)}
    steep = dataclasses.replace(posterior, stages=stages)
    assert "5 effective particles of 256" in str(bp.diagnose(steep))
    assert bp.diagnose(steep).verdict == "not sampled"


def test_an_interrupted_run_is_unchecked(posterior):
    cut = dataclasses.replace(posterior, provenance={**posterior.provenance, "complete": False})
    assert names_of(bp.diagnose(cut).failed) == {"complete"}
    assert bp.diagnose(cut).verdict == "unchecked"


def test_every_check_says_what_to_do(posterior):
    exact = dataclasses.replace(posterior, provenance={**posterior.provenance, "complete": False})
    every = [*bp.diagnose(exact).sampler, *model_checks(posterior)]
    assert names_of(every) <= set(REMEDIES)


def test_r_hat_of_constants_follows_the_rule(posterior):
    def size_of(spins):
        table = scalar_diagnostics(dataclasses.replace(posterior, spins=spins)).sel(quantity="size")
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


def test_particles_that_remember_their_ancestors_do_not_mix(posterior):
    halves = np.zeros_like(posterior.spins)
    halves[:, : posterior.spins.shape[1] // 2, :3] = True
    assert scalar_diagnostics(dataclasses.replace(posterior, spins=halves)).sel(quantity="size")["r_hat"] > 1.5


def scatters(rng, repeated, count=400):
    found = [block_scatter(rows(rng, repeated=repeated), np.ones(len(NAMES), bool)) for _ in range(count)]
    return np.array([f.ratio for f in found]), np.array([f.score for f in found])


def test_blocks_of_independent_rows_scatter_as_expected(rng):
    ratio, score = scatters(rng, 1)
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))
    assert abs(score.mean()) < 5 * score.std() / np.sqrt(len(score)) + 0.05
    assert 0.75 < score.std() < 1.25


def test_blocks_of_rows_that_say_the_same_scatter_more(rng):
    ratio, score = scatters(rng, 4, count=100)
    # The noise is estimated from all rows, a few of which the fit takes.
    assert abs(ratio.mean() / 4 - 1) < 5 * ratio.std() / 4 / np.sqrt(len(ratio)) + 0.05
    assert np.quantile(score, 0.1) > 4


def test_rows_that_say_the_same_are_noticed(rng):
    statistics = rows(rng, repeated=8)
    model = bp.SpinModel(statistics, bp.Library.from_strings(NAMES))
    failed = bp.diagnose(bp.sample(model, particles=256)).failed
    assert "block scatter" in names_of(failed)
    assert "lower the power" in REMEDIES["block scatter"]


def test_scatter_needs_blocks_and_terms(rng):
    assert block_scatter(rows(rng, blocks=1), np.ones(5, bool)) == (1.0, 0.0)
    assert block_scatter(rows(rng), np.zeros(5, bool)) == (1.0, 0.0)


def test_importing_diagnose_needs_no_torch_and_no_arviz():
    code = "from bayespde.results.diagnose import diagnose; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "pyro", "arviz", "matplotlib"} & set(loaded.split())


def test_rounding_is_no_scatter(rng):
    design = rng.standard_normal((400, 5))
    exact = bp.SufficientStatistics.from_rows(design, 0.5 * design[:, 4] - design[:, 3], names=NAMES, blocks=16)
    assert block_scatter(exact, np.ones(5, bool)) == (1.0, 0.0)


def test_evidences_far_apart_have_an_error_that_says_so():
    assert evidence_error(np.array([0.0, -500.0, -500.0, -500.0])) == pytest.approx(125)
    close = np.array([0.0, 0.1, -0.1, 0.05])
    assert evidence_error(close) == pytest.approx(close.std(ddof=1) / 2, rel=0.1)
    assert np.isnan(evidence_error(np.zeros(1)))


def test_few_particles_and_empty_histories_are_no_foreign_errors(rng, posterior):
    tiny = bp.diagnose(sampled(rng, particles=2))
    assert "too few to compare" in str(tiny)
    bare = dataclasses.replace(posterior, stages={"ess": np.zeros((4, 0))})
    assert "ladder" not in names_of(bp.diagnose(bare).sampler)


def test_a_fit_that_failed_is_not_hidden_by_missing_runs(rng):
    statistics = rows(rng, repeated=8)
    model = bp.SpinModel(statistics, bp.Library.from_strings(NAMES))
    assert bp.diagnose(bp.sample(model, particles=256, runs=1)).verdict == "doubtful"
