"""The Pyro inference class on programs that are no equations, against enumeration; and what it hands to Pyro."""

import re
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive

import bayespde as bp
from bayespde.core.errors import ConfigError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pyro.md"


BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.M | re.S)


def namespace_of(section):
    """The namespace after the imports of the documentation's page and all code of one section have run."""
    text = PAGE.read_text(encoding="utf-8")
    imports = re.findall(r"^(?:import|from) .*$", BLOCK.findall(text)[0], flags=re.M)
    (part,) = [p for p in re.split(r"^## ", text, flags=re.M) if p.startswith(section)]
    namespace = {}
    exec(compile("\n".join([*imports, *BLOCK.findall(part)]), str(PAGE), "exec"), namespace)
    return namespace


@pytest.fixture(scope="module")
def logistic():
    return namespace_of("Sparse logistic regression")


@pytest.fixture(scope="module")
def image():
    return namespace_of("Denoising a binary image")


@pytest.fixture(scope="module")
def page():
    return namespace_of("A binary factor model")


def assert_exact(smc):
    """Inclusion within five standard errors of enumeration, with a floor for rare spins, and the evidence too."""
    log_evidence, inclusion = smc.enumerate()
    found = smc.diagnostics()
    error = np.maximum(found["standard_error"], 2e-3)
    assert (np.abs(smc.inclusion_probability.values - inclusion.numpy()) < 5 * error).all()
    assert abs(smc.log_evidence - log_evidence) < 5 * max(found["log_evidence_error"], 1e-3)


@pytest.mark.slow
def test_logistic_regression_is_that_of_enumeration(logistic, seed):
    smc = bp.SpinSMC(logistic["sparse_logistic"], config=bp.SMCConfig(particles=512, runs=8), seed=seed)
    assert_exact(smc.run(logistic["design"], logistic["labels"]))
    assert smc.target.looped_because == ""
    assert (smc.inclusion_probability[[0, 7]] > 0.8).all()


@pytest.mark.slow
def test_the_marginal_likelihood_of_the_page_is_laplaces(logistic):
    """One coefficient: the integral by quadrature."""
    design, labels = logistic["design"][:, :1], logistic["labels"]
    grid = torch.linspace(-6, 8, 20_001, dtype=torch.float64)
    predictor = grid[:, None] * design[:, 0]
    logs = (labels * predictor - torch.nn.functional.softplus(predictor)).sum(1) + dist.Normal(0.0, 2.0).log_prob(grid)
    integral = torch.logsumexp(logs, 0) + np.log(float(grid[1] - grid[0]))
    found = logistic["log_marginal"](torch.ones(1, dtype=torch.float64), design, labels)
    assert float(found) == pytest.approx(float(integral), abs=0.02)


@pytest.mark.slow
def test_the_corner_of_an_image_is_that_of_enumeration(image, seed):
    corner = image["observed"][1:5, 2:6]
    assert_exact(bp.SpinSMC(image["noisy_image"], config=bp.SMCConfig(particles=512, runs=8), seed=seed).run(corner))


@pytest.mark.slow
def test_the_image_loses_its_noise(image):
    assert image["wrong"]["by the posterior"] < image["wrong"]["by their sign"] / 2


def test_sources_are_those_of_enumeration(page, seed):
    smc = bp.SpinSMC(page["sources"], config=bp.SMCConfig(particles=512, runs=8), seed=seed)
    assert_exact(smc.run(page["signal"], page["profile"]))


def test_samples_are_what_predictive_takes(page):
    factors, profile = page["factors"], page["profile"]
    samples = factors.get_samples()["spins"]
    assert samples.dtype == torch.float64
    assert samples.shape == (4 * 2048, 10)
    assert factors.get_samples(group_by_chain=True)["spins"].shape == (4, 2048, 10)
    assert factors.get_samples(7, group_by_chain=True)["spins"].shape == (4, 7, 10)
    few = factors.get_samples(50)["spins"]
    assert torch.equal(few, factors.get_samples(50)["spins"])
    assert page["replicated"].shape == (200, 40)
    with pyro.poutine.seed(rng_seed=0):
        replicated = Predictive(page["sources"], {"spins": samples[:2000]})(None, profile)["signal"]
    expected = samples[:2000].mean(0) @ profile
    assert float((replicated.mean(0) - expected).abs().max()) < 5 * 0.5 / 2000**0.5 + 1e-9


def test_weights_are_those_of_the_runs(page):
    factors = page["factors"]
    samples, weights = factors.get_weighted_samples()
    assert float(weights.sum()) == pytest.approx(1)
    by_run = weights.reshape(4, -1).sum(1)
    evidence = torch.as_tensor(factors.diagnostics()["log_evidence"])
    torch.testing.assert_close(by_run, torch.softmax(evidence, 0))
    empirical = factors.get_empirical()["spins"]
    torch.testing.assert_close(empirical.mean, weights @ samples["spins"])


def test_the_summary_shows_errors_and_no_r_hat_of_spins(page):
    summary = page["factors"].summary()
    assert set(summary.data_vars) == {"inclusion_probability", "standard_error", "disagreement"}
    assert summary.attrs["log_evidence"] == pytest.approx(page["factors"].log_evidence)
    found = page["factors"].diagnostics()
    assert abs(found["r_hat_size"] - 1) < 0.05
    assert found["inclusion"].shape == (4, 10)


def test_one_seed_one_answer_and_pyros_seed_left_alone(page):
    def once(seed, workers):
        smc = bp.SpinSMC(page["sources"], config=bp.SMCConfig(particles=64, runs=2, workers=workers), seed=seed)
        return smc.run(page["signal"], page["profile"]).get_samples()["spins"]

    before = torch.random.get_rng_state()
    assert torch.equal(once(3, 1), once(3, 2))
    assert not torch.equal(once(3, 1), once(4, 1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_cannot_be_done_is_said(page):
    with pytest.raises(ConfigError, match="has not been sampled"):
        bp.SpinSMC(page["sources"]).get_samples()
    with pytest.raises(ConfigError, match="workers"):
        bp.SpinSMC(page["sources"], config=bp.SMCConfig(workers=0))
    with pytest.raises(ConfigError, match="num_samples"):
        page["factors"].get_samples(-3)
    with pytest.raises(ConfigError, match="must be a SMCConfig"):
        bp.SpinSMC(page["sources"], config=bp.TemperedGibbsConfig())


def test_the_graph_of_the_program(page):
    pytest.importorskip("graphviz")
    assert "spins" in page["factors"].render().source


def test_a_run_that_fails_leaves_the_one_before(page):
    smc = bp.SpinSMC(page["sources"], config=bp.SMCConfig(particles=32, runs=2)).run(page["signal"], page["profile"])
    before, evidence = smc.get_samples()["spins"], smc.log_evidence
    with pytest.raises(ValueError, match="invalid values"):
        smc.run(page["signal"] * torch.nan, page["profile"])
    assert torch.equal(smc.get_samples()["spins"], before)
    assert smc.enumerate()[0] == pytest.approx(evidence, abs=2)
    assert smc.summary().attrs["complete"] == 1


def test_the_only_latent_site_is_taken_whatever_its_name(seed):
    def program(shift):
        chosen = pyro.sample("chosen", dist.Bernoulli(torch.full((3,), 0.4)).to_event(1))
        pyro.factor("fit", shift * chosen.sum(-1))

    smc = bp.SpinSMC(program, config=bp.SMCConfig(particles=64, runs=2), seed=seed).run(1.0)
    assert smc.sites == ("chosen",)
    assert set(smc.get_samples()) == {"chosen"}
    assert smc.inclusion_probability["spin"].values.tolist() == ["chosen[0]", "chosen[1]", "chosen[2]"]

    def two():
        program(1.0)
        pyro.sample("more", dist.Bernoulli(torch.full((2,), 0.4)).to_event(1))

    with pytest.raises(ConfigError, match=r"more discrete latent sites than 'more'[\s\S]*'chosen', 'more'"):
        bp.SpinSMC(two, site="more").run()
    both = bp.SpinSMC(two, config=bp.SMCConfig(particles=64, runs=2), seed=seed).run()
    assert both.sites == ("chosen", "more")
    assert both.inclusion_probability["spin"].values.tolist()[2:] == ["chosen[2]", "more[0]", "more[1]"]


def test_a_result_is_diagnosed(page):
    factors = page["factors"]
    found = bp.diagnose(factors)
    assert found.verdict == "ok", found
    assert str(found).endswith("checks of the sampler passed.")
    assert {c.name for c in found.sampler} >= {"agreement", "precision", "mixing", "evidence", "tempering step"}
    table = bp.between_run_diagnostics(factors)
    assert table["inclusion"].dims == ("run", "spin")
    assert not table["disagreement"].any()
    one = bp.SpinSMC(page["sources"], config=bp.SMCConfig(particles=64, runs=1)).run(page["signal"], page["profile"])
    assert bp.diagnose(one).verdict == "single_run"
    assert np.isfinite(one.summary()["standard_error"]).all()
    with pytest.raises(ConfigError, match="has not been sampled"):
        bp.diagnose(bp.SpinSMC(page["sources"]))


def test_runs_that_found_different_modes_are_not_converged(seed):
    """Two modes that no move joins: without pilot chains each of few particles of a run end in one of them."""

    def program():
        spins = pyro.sample("spins", dist.Bernoulli(torch.full((12,), 0.5, dtype=torch.float64)).to_event(1))
        pyro.factor("fit", 4.0 * (spins.sum(-1) - 6) ** 2)

    config = bp.SMCConfig(particles=8, runs=8, pilot_fraction=0)
    assert bp.diagnose(bp.SpinSMC(program, config=config, seed=seed).run()).verdict == "not_converged"
    assert bp.diagnose(bp.SpinSMC(program, config=bp.SMCConfig(runs=8), seed=seed).run()).verdict == "ok"


@pytest.mark.slow
def test_change_points_and_the_mixture_of_the_page():
    assert abs(namespace_of("Change points")["difference"]).max() < 0.03
    page = namespace_of("A mixture with unknown means")
    groups, weights = page["groups"], torch.softmax(page["log_weight"], 0)
    assert abs(groups.log_evidence - float(page["exact"])) < 5 * groups.sampled.log_evidence_error + 0.02
    table = groups.summary()
    wanted = (weights @ page["means"]).numpy()
    assert (np.abs(table["mean"].values - wanted) < 5 * table["mean_error"].values + 0.005).all()
    exact = (weights[:, None, None] * torch.softmax(page["fit"], -1)).sum(0).numpy()
    assert np.abs(groups.level_probability.values - exact).max() < 0.04
