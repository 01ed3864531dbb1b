"""Three engines behind one door: agreement, settings, interrupts, and what each says of itself."""

import json

import numpy as np
import pytest
from oracles import random_rows

import bayespde as bp
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.random import torch_generator
from bayespde.results.inference_data import to_tree
from bayespde.smc import SMCConfig, TemperedGibbsConfig, run

NAMES = [f"u**{i}" for i in range(1, 9)]


def model_of(seed=11, noise=3.0):
    design, target = random_rows(np.random.default_rng(seed), 80, 8, noise=noise, mixing=0.8)
    library = bp.Library.from_strings(NAMES, target="u_t")
    return bp.SpinModel(
        bp.SufficientStatistics.from_rows(design, target, names=library.names, target_name="u_t"), library
    )


def stop_the_second_run(monkeypatch, error):
    import importlib

    module = importlib.import_module("bayespde.smc.several_runs")
    right, calls = module.anneal, []

    def stopped(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return right(*args, **kwargs)

    monkeypatch.setattr(module, "anneal", stopped)


def test_three_engines_agree(seed):
    model = model_of()
    exact = bp.enumerate_models(model)
    posteriors = {m: bp.sample(model, method=m, particles=1000, runs=20, seed=seed) for m in ("smc", "tempered_gibbs")}
    posteriors["exact"] = bp.sample(model, method="exact", particles=1000, runs=20, seed=seed)
    for name, posterior in posteriors.items():
        by_run = posterior.estimates["frequency"]
        error = by_run.std(axis=0, ddof=1) / np.sqrt(20)
        assert np.all(np.abs(by_run.mean(axis=0) - exact.inclusion_probability) < 5 * error + 1e-3), name
        assert posterior.sampling.method == name
        assert posterior.sampling.complete is True
        assert posterior.spins.shape == posterior.coefficients.shape == (20, 1000, 8)
        json.dumps(dict(posterior.provenance))
    assert posteriors["exact"].log_evidence_pooled == exact.log_evidence
    assert np.array_equal(posteriors["exact"].inclusion_probability.values, exact.inclusion_probability)


def test_independent_draws_are_independent(seed):
    """Shares of the configurations are multinomial."""
    model = model_of()
    posterior = bp.sample(model, method="exact", particles=4000, runs=5, seed=seed)
    spins, probability = posterior.exact.spins[:20], posterior.exact.probability[:20]
    shares = np.array([(posterior.spins == s).all(axis=-1).mean() for s in spins])
    assert np.all(np.abs(shares - probability) < 5 * np.sqrt(probability / 20000) + 1e-9)


def test_captured_mass_bounds_the_error_of_the_renormalised_estimate(seed):
    """|renormalised - exact| <= 1 - C with the true evidence, and C is what the runs say of themselves."""
    model = model_of()
    exact = bp.enumerate_models(model)
    for particles in (20, 200):
        posterior = bp.sample(model, particles=particles, runs=6, seed=seed)
        wrong = np.abs(posterior.estimates["renormalised"] - exact.inclusion_probability).max(axis=1)
        for r in range(6):
            result = run(model, config=SMCConfig(particles=particles, runs=1), generator=torch_generator(r + seed))
            truth = np.exp(np.logaddexp.reduce(result.log_mass) - exact.log_evidence)
            masses = np.exp(result.log_mass - np.logaddexp.reduce(result.log_mass))
            assert np.abs(masses @ result.visited - exact.inclusion_probability).max() <= 1 - truth + 1e-12
        said = np.array(posterior.sampling.captured_mass)
        lower = np.array(posterior.sampling.captured_mass_lower)
        assert np.all((lower > 0) & (lower <= said) & (said <= 1 + 1e-12))
        assert wrong.shape == (6,)
    single = bp.sample(model, particles=50, runs=1, seed=seed)
    assert single.sampling.captured_mass_lower == (None,)


def test_chains_without_evidence_are_pooled_evenly_and_not_compared():
    posterior = bp.sample(model_of(), method="tempered_gibbs", particles=100, runs=3, seed=1)
    assert np.allclose(posterior.run_weights, 1 / 3)
    assert np.isnan(posterior.log_evidence_pooled)
    assert np.allclose(posterior.inclusion_probability, posterior.estimates["rao_blackwell"].mean(axis=0))
    assert abs(posterior.configurations()[1].sum() - 1) < 1e-12
    assert "u" in str(bp.equations(posterior)[0])
    with pytest.raises(StatisticsError, match="no evidence"):
        bp.compare({"chains": posterior})


@pytest.mark.parametrize("method", ["smc", "exact", "tempered_gibbs"])
def test_every_engine_survives_export(method):
    posterior = bp.sample(model_of(), method=method, particles=60, runs=2, seed=2)
    back = bp.from_inference_data(to_tree(posterior))
    assert np.array_equal(back.spins, posterior.spins)
    assert np.array_equal(back.log_evidence, posterior.log_evidence, equal_nan=True)
    assert np.array_equal(back.inclusion_probability, posterior.inclusion_probability)


@pytest.mark.parametrize("method", ["smc", "exact", "tempered_gibbs"])
def test_more_particles_than_memory_holds_are_refused_before_any_work(method):
    with pytest.raises(ConfigError, match="would not fit into memory"):
        bp.sample(model_of(), method=method, particles=10**9)


def test_settings_that_do_not_fit_are_refused():
    model = model_of()
    with pytest.raises(ConfigError, match="'method' has an unknown value"):
        bp.sample(model, method="mcmc")
    with pytest.raises(ConfigError, match="another method"):
        bp.sample(model, method="tempered_gibbs", config=SMCConfig())
    with pytest.raises(ConfigError, match="another method"):
        bp.sample(model, config=TemperedGibbsConfig())
    with pytest.raises(ConfigError, match="particles"):
        bp.sample(model, particles=0)


def test_a_model_without_a_library_has_the_columns_of_its_rows():
    rows = model_of().statistics
    posterior = bp.sample(bp.SpinModel(rows), method="exact", particles=32, runs=2)
    assert posterior.library == bp.Library.columns(rows.names, target=rows.target)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", ["smc", "tempered_gibbs"])
def test_an_interrupt_returns_what_has_finished(method, workers, monkeypatch):
    import importlib

    module = importlib.import_module("bayespde.smc.several_runs" if method == "smc" else "bayespde.smc.tempered_gibbs")
    name = "anneal" if method == "smc" else "_run_chain"
    right, calls = getattr(module, name), []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return right(*args, **kwargs)

    monkeypatch.setattr(module, name, interrupted)
    if workers == 1:
        posterior = bp.sample(model_of(), method=method, particles=50, runs=4, seed=0, workers=workers)
        assert len(posterior.log_evidence) == 2
        assert posterior.sampling.complete is False
    calls[:] = [1, 1]
    with pytest.raises(KeyboardInterrupt):
        bp.sample(model_of(), method=method, particles=50, runs=1, seed=0, workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_of_the_final_passes_cuts_them_short(workers, monkeypatch):
    import importlib

    module = importlib.import_module("bayespde.smc.several_runs")
    right, passes = module.conclude, []

    def interrupted(*args, **kwargs):
        passes.append(kwargs["passes"])
        if len(passes) == 2:
            raise KeyboardInterrupt
        return right(*args, **kwargs)

    monkeypatch.setattr(module, "conclude", interrupted)
    posterior = bp.sample(model_of(), particles=50, runs=3, seed=0, workers=workers)
    assert len(posterior.log_evidence) == 3
    assert posterior.stopped_by == "interrupt"
    assert passes[-3:] == [1, 1, 1]
    assert set(passes[:-3]) == {8}
    monkeypatch.undo()
    alone = bp.sample(model_of(), particles=50, runs=3, seed=0)
    np.testing.assert_array_equal(posterior.log_evidence, alone.log_evidence)


def test_the_thread_pool_keeps_finished_runs_after_an_interrupt(monkeypatch):
    """The interrupt reaches the waiting thread while runs are under way: those that finish are kept."""
    import importlib

    module = importlib.import_module("bayespde.smc.independent_runs")

    class Interrupting(module.ThreadPoolExecutor):
        def submit(self, function, seed):
            future = super().submit(function, seed)
            future.result()
            if len(submitted) == 0:
                submitted.append(future)
                result = future.result

                def once(*args):
                    future.result = result
                    raise KeyboardInterrupt

                future.result = once
            return future

    submitted = []
    monkeypatch.setattr(module, "ThreadPoolExecutor", Interrupting)
    posterior = bp.sample(model_of(), particles=50, runs=3, seed=0, workers=2)
    assert len(posterior.log_evidence) >= 1


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", [MemoryError("no room"), ConfigError("no initial particle")])
def test_an_error_of_one_run_is_that_of_all(workers, error, monkeypatch):
    stop_the_second_run(monkeypatch, error)
    with pytest.raises(type(error), match=str(error)):
        bp.sample(model_of(), particles=50, runs=4, seed=0, workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", ["smc", "tempered_gibbs"])
def test_without_time_one_run_is_finished(method, workers):
    spent = bp.Progress(seconds=7.0, end=0.0)
    posterior = bp.sample(model_of(), method=method, particles=50, runs=4, seed=0, workers=workers, progress=spent)
    assert posterior.stopped_by == "budget"
    assert not posterior.sampling.complete
    assert len(posterior.log_evidence) == 1
    # A run of sequential Monte Carlo that is stopped has one final pass, and no other run to learn from.
    settings = {"runs": 1, "final_passes": 1} if method == "smc" else {"runs": 4}
    alone = bp.sample(model_of(), method=method, particles=50, seed=0, **settings)
    assert np.array_equal(posterior.spins[0], alone.spins[0])
    assert alone.stopped_by == ""


def test_names_are_public():
    assert {"sample", "enumerate_models", "SMCConfig", "TemperedGibbsConfig"} <= set(bp.__all__)


def test_an_interrupted_posterior_is_not_taken_for_a_finished_one(tmp_path, monkeypatch):
    from bayespde.stages.run_folder import RunFolder

    model = model_of()
    stop_the_second_run(monkeypatch, KeyboardInterrupt())
    folder = RunFolder(tmp_path / "run")
    first = folder.weak_posterior("key", lambda: bp.sample(model, particles=50, runs=3, seed=0), {})
    assert len(first.log_evidence) == 1
    second = folder.weak_posterior("key", lambda: bp.sample(model, particles=50, runs=3, seed=0), {})
    assert len(second.log_evidence) == 3
    third = folder.weak_posterior("key", lambda: pytest.fail("finished work is not done again"), {})
    assert np.array_equal(third.spins, second.spins)
