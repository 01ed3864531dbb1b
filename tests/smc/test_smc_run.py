"""The loop over stages: reproducible, the same from its parts, correct in extreme cases."""

import importlib
import inspect
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracles import TableTarget, all_spins, codes, random_rows, table_target

import bayespde.smc as smc
from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.smc import SMCConfig, run, run_all
from bayespde.smc.base import BlockFlips, Moves
from bayespde.smc.decided_settings import decided
from bayespde.smc.rejuvenation import rejuvenate_finally

# The package has a function of the name of the module.
several_runs = importlib.import_module("bayespde.smc.several_runs")


def test_same_seed_same_result_with_any_number_of_threads():
    design, rows = random_rows(np.random.default_rng(1), 100, 7)
    model = SpinModel(SufficientStatistics.from_rows(design, rows))
    config = SMCConfig(particles=200, runs=4, final_passes=2)
    serial, threaded = (run_all(model, config=replace(config, workers=w), seed=5) for w in (1, 2))
    for a, b in zip(serial, threaded, strict=True):
        if isinstance(a, dict):
            assert all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)
        else:
            assert np.array_equal(a, b)
    other = run_all(model, config=config, seed=6)
    assert not np.array_equal(serial.spins, other.spins)
    assert len(set(serial.log_evidence)) == 4


def test_shapes_history_and_consistency(seed):
    target = table_target(np.random.default_rng(2), 6, spread=4.0)
    config = SMCConfig(particles=64, runs=3, ess_fraction=0.8, final_passes=2)
    runs = run_all(target, config=config, seed=seed)
    assert runs.spins.shape == (3, 64, 6)
    assert runs.spins.dtype == bool
    assert np.array_equal(runs.log_likelihood, target.table[codes(runs.spins.reshape(-1, 6))].reshape(3, 64))
    for name in ("frequency", "rao_blackwell", "renormalised"):
        assert runs.estimates[name].shape == (3, 6)
        assert np.all((runs.estimates[name] >= 0) & (runs.estimates[name] <= 1))
    beta = runs.stages["inverse_temperature"]
    last = np.isfinite(beta).sum(axis=1)
    for r in range(3):
        assert beta[r, last[r] - 1] == 1
        assert np.all(np.diff(beta[r, : last[r]]) > 0)
        assert np.isnan(beta[r, last[r] :]).all()
    increments = np.nansum(runs.stages["log_marginal_likelihood_increment"], axis=1)
    np.testing.assert_allclose(increments, runs.log_evidence, rtol=0, atol=1e-12)
    assert np.all(np.diff(runs.eve_index, axis=1) >= 0)
    assert [len(np.unique(o)) for o in runs.eve_index] == [
        int(runs.stages["distinct_ancestors"][r, last[r] - 1]) for r in range(3)
    ]


def test_renormalised_estimate_is_exact_once_everything_was_visited(seed):
    target = table_target(np.random.default_rng(3), 3, spread=0.3)
    exact = np.exp(target.log_mass - np.logaddexp.reduce(target.log_mass)) @ all_spins(3)
    runs = run_all(target, config=SMCConfig(particles=2000, runs=2), seed=seed)
    np.testing.assert_allclose(runs.estimates["renormalised"], np.tile(exact, (2, 1)), rtol=0, atol=1e-12)
    # What was visited is a lower bound of the evidence.
    captured = np.exp(min(0.0, np.logaddexp.reduce(target.log_mass) - smc.log_mean_exp(runs.log_evidence)))
    np.testing.assert_allclose(runs.captured_mass, captured, rtol=1e-12)


def test_on_step_is_called_after_every_stage(generator):
    target, stages = table_target(np.random.default_rng(4), 5), []
    result = run(
        target,
        config=SMCConfig(particles=100),
        generator=generator,
        on_step=lambda s, i: stages.append((s.inverse_temperature, i.inverse_temperature)),
    )
    assert [a for a, _ in stages] == [b for _, b in stages] == result.stages["inverse_temperature"].tolist()


def test_one_term_and_flat_likelihood(seed):
    target = TableTarget(np.array([-1.0]), np.array([0.0, 2.0]))
    runs = run_all(target, config=SMCConfig(particles=4000, runs=2), seed=seed)
    np.testing.assert_allclose(runs.estimates["rao_blackwell"], 1 / (1 + np.exp(-1.0)), rtol=1e-12)
    flat = run_all(TableTarget(np.zeros(2), np.full(4, -7.0)), config=SMCConfig(runs=1, pilot_fraction=0), seed=seed)
    assert flat.log_evidence[0] == pytest.approx(-7.0, abs=1e-12)
    assert flat.stages["inverse_temperature"].tolist() == [[1.0]]


def test_mostly_impossible_configurations(seed):
    table = np.full(32, -np.inf)
    table[[0, 5, 17]] = [0.0, 3.0, 2.0]
    target = TableTarget(np.zeros(5), table)
    config = SMCConfig(particles=2000, runs=10)
    runs = run_all(target, config=config, seed=seed)
    assert np.isfinite(runs.log_likelihood).all()
    ratio = np.exp(runs.log_evidence - np.logaddexp.reduce(target.log_mass))
    assert abs(ratio.mean() - 1) < 5 * ratio.std(ddof=1) / np.sqrt(10)
    with pytest.raises(ConfigError, match="No particle"):
        run_all(TableTarget(np.zeros(2), np.full(4, -np.inf)), config=config, seed=seed)


def test_one_signature_for_every_step():
    assert list(inspect.signature(smc.step).parameters) == ["state", "target", "kernel", "generator", "config"]
    assert list(inspect.signature(smc.init).parameters) == ["target", "particles", "generator"]
    for name, parameter in list(inspect.signature(smc.step).parameters.items())[2:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, name


def test_the_loop_can_be_written_by_hand():
    target, config = table_target(np.random.default_rng(5), 4), SMCConfig(particles=50, pilot_fraction=0)
    generator, kernel = torch_generator(3), smc.make_kernel(target, config)
    state = smc.init(target, particles=50, generator=generator)
    while state.inverse_temperature < 1:
        state, info = smc.step(state, target, kernel=kernel, generator=generator, config=config)
    assert info.rao_blackwell.shape == (4,)
    assert torch.equal(state.log_likelihood, target.log_likelihood(state.spins))
    whole = run(target, config=config, generator=torch_generator(3))
    assert whole.state.log_evidence == state.log_evidence


@pytest.mark.slow
def test_three_hundred_terms(seed):
    design, rows = random_rows(np.random.default_rng(6), 600, 300, mixing=0.02)
    model = SpinModel(SufficientStatistics.from_rows(design, rows))
    runs = run_all(model, config=SMCConfig(particles=64, runs=1, final_passes=1), seed=seed)
    assert np.all(runs.estimates["rao_blackwell"][0, :2] > 0.99)
    assert runs.estimates["rao_blackwell"][0, 3:].sum() < 20


@pytest.mark.parametrize(("terms", "kernel", "wanted"), [(30, "auto", 2), (30, "gibbs", 1), (12, "auto", 1)])
def test_runs_are_made_at_a_time_where_that_pays(terms, kernel, wanted, monkeypatch):
    """By default: and the result is that of one at a time."""
    module = importlib.import_module("bayespde.smc.several_runs")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    seen, right = [], module.finish_all
    monkeypatch.setattr(
        module, "finish_all", lambda *a, workers, **k: seen.append(workers) or right(*a, workers=workers, **k)
    )
    design, target = random_rows(np.random.default_rng(1), 100, terms, noise=2.0, mixing=0.2)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    settings = {"particles": 40, "runs": 3, "kernel": kernel, "final_passes": 1}
    several, one = (run_all(model, config=SMCConfig(**settings, workers=w), seed=0) for w in (None, 1))
    assert seen == [wanted, 1]
    np.testing.assert_array_equal(several.spins, one.spins)
    np.testing.assert_array_equal(several.log_evidence, one.log_evidence)


@pytest.mark.parametrize(("settling", "wanted"), [(0, 1.5), (2, 2.5)])
def test_passes_in_which_particles_settle_do_not_count(settling, wanted, generator):
    """Averages are those of the passes after them; configurations that were met on the way are kept."""
    target, passes = TableTarget(np.zeros(2), np.zeros(4)), iter(range(4))
    patterns = torch.tensor([[False, False], [True, False], [False, True], [True, True]])

    class Counts:
        def __call__(self, state, path, *, sweeps, generator):
            number = next(passes)
            spins = patterns[number].repeat(len(state.spins), 1)
            return state._replace(spins=spins), Moves(torch.full((2,), float(number), dtype=torch.float64), 1.0)

    state = smc.init(target, particles=8, generator=generator)._replace(spins=patterns[[0] * 8])
    config = SMCConfig(particles=8, sweeps=1.0, final_passes=4)
    _, found = rejuvenate_finally(state, target, Counts(), generator=generator, config=config, settling=settling)
    assert found.rao_blackwell.tolist() == [wanted] * 2
    assert len(found.visited) == 4


@pytest.mark.parametrize(("share", "wanted"), [(0.5, False), (0.58, False), (0.63, True), (0.3, True)])
def test_runs_disagree_where_one_has_a_spin_in_other_shares_of_its_particles(share, wanted):
    parts = [torch.arange(100) < 100 * s for s in (0.5, 0.52, share)]
    annealed = [SimpleNamespace(state=SimpleNamespace(spins=torch.stack([p, ~p], dim=1))) for p in parts]
    assert several_runs._disagree(annealed) is wanted


@pytest.mark.parametrize(("disagree", "wanted"), [(False, 0), (True, 4)])
def test_half_of_the_passes_do_not_count_where_runs_disagree(disagree, wanted, monkeypatch):
    settling, right = [], several_runs.conclude
    monkeypatch.setattr(several_runs, "conclude", lambda *a, **k: settling.append(k["settling"]) or right(*a, **k))
    monkeypatch.setattr(several_runs, "_disagree", lambda annealed: disagree)
    flips = BlockFlips(torch.tensor([[True, True] + [False] * 6]), torch.ones(1, dtype=torch.float64), 3)
    monkeypatch.setattr(several_runs, "_shared", lambda *args: flips)
    design, rows = random_rows(np.random.default_rng(1), 100, 8)
    model = SpinModel(SufficientStatistics.from_rows(design, rows))
    run_all(model, config=SMCConfig(particles=100, runs=2, final_passes=8), seed=0)
    assert settling == [wanted, wanted]


@pytest.mark.parametrize(
    ("terms", "settings", "wanted"),
    [
        (8, {}, (1, 3)),
        (24, {}, (2, 3)),
        (151, {}, (2, 6)),
        (500, {}, (2, 16)),
        (151, {"kernel": "gibbs"}, (1, 3)),
        (151, {"block_flips": 5, "workers": 1}, (1, 5)),
    ],
)
def test_open_settings_follow_the_target(terms, settings, wanted, monkeypatch):
    """Many compiled terms: runs at a time, and one block flip for every 30 terms, as small matrices reject most."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    design, rows = random_rows(np.random.default_rng(1), 600, terms)
    model = SpinModel(SufficientStatistics.from_rows(design, rows))
    chosen = decided(SMCConfig(**settings), model)
    assert (chosen.workers, chosen.block_flips) == wanted
