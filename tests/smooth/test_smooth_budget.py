"""Networks in limited CPU time: fewer steps over which the learning rate falls, no further networks, and a record."""

from dataclasses import replace

import numpy as np
import pytest
import small_problem
from training import trained

import bayespde as bp
from bayespde.core import progress
from bayespde.core.progress import Progress
from bayespde.smooth.choice import SmoothingChoice
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.network import train
from bayespde.smooth.network.config import NetworkConfig

TINY = NetworkConfig(width=8, depth=2, steps=200, batch=128, collocation=16, check_every=20, learning_rate=1e-2)
OPTIONS = bp.SmoothingConfig(smoother="network", networks=(TINY,), weight=0.0)
GRID = np.stack([a.ravel() for a in np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 33), indexing="ij")], axis=1)


class Clock:
    """CPU time that passes only by the steps of the optimiser, a second each."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for module in (progress, train):
            monkeypatch.setattr(module, "process_time", lambda: self.now)
        step = train.Soap.step

        def timed(optimiser, gradients, rate):
            self.now += 1.0
            self.rates.append(rate)
            return step(optimiser, gradients, rate)

        self.rates = []
        monkeypatch.setattr(train.Soap, "step", timed)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def fit_within(seconds, config=TINY):
    values = np.sin(3 * GRID[:, 1] - GRID[:, 0]) + 0.1 * np.random.default_rng(0).standard_normal(len(GRID))
    return trained(GRID, values, config=config, progress=Progress().within(seconds))


@pytest.mark.parametrize(("seconds", "steps"), [(1000, 200), (200, 200), (100, 100), (50, 50), (7, 20)])
def test_training_takes_the_steps_that_the_time_allows(clock, seconds, steps):
    fit = fit_within(seconds)
    assert clock.now == fit.history.step[-1] == steps
    assert fit.cut_short == (steps < TINY.steps)
    assert np.isfinite(fit.held_out_rmse)


def test_the_learning_rate_falls_over_the_steps_that_are_left(clock):
    fit_within(100)
    assert clock.rates[0] == TINY.learning_rate
    assert clock.rates[-1] < 0.01 * TINY.learning_rate
    assert np.all(np.diff(clock.rates) < 0)


def test_enough_time_changes_nothing(clock):
    limited, free = fit_within(200), fit_within(np.inf)
    assert limited.best_steps == free.best_steps
    np.testing.assert_array_equal(limited.residuals, free.residuals)


def test_networks_that_no_longer_improve_are_not_cut_short(clock):
    fit = fit_within(1000, replace(TINY, steps=10_000, patience=40))
    assert fit.history.step[-1] < 1000
    assert not fit.cut_short


@pytest.fixture
def field(rng):
    t, x = np.linspace(0, 2, 21), np.linspace(-2, 2, 33)
    return bp.make_field(np.sin(1.5 * x - t[:, None]) + 0.1 * rng.standard_normal((21, 33)), t=t, x=x)


def test_candidates_and_calibration_share_the_time(clock, field):
    options = replace(OPTIONS, networks=(TINY, replace(TINY, width=10)))
    found = bp.fit_field(field, options=options, progress=Progress().within(240.0))
    assert clock.now <= 240.0 + TINY.check_every
    assert found.choice.stopped_by == "budget"
    assert "the budget ended training" in found.summary()
    steps = [int(fit.history.step[-1]) for fit in found.network.ensemble.fits]
    assert all(TINY.check_every <= n <= 60 for n in steps)
    assert np.isfinite(found.network.shrinkage)


def test_no_further_networks_are_tried_without_time(clock, field, monkeypatch):
    options = replace(OPTIONS, networks=(), steps=100, uncertainty=False)
    monkeypatch.setattr("bayespde.smooth.network.fit.candidate_configs", lambda _: [TINY])
    found = bp.fit_field(field, options=options, progress=Progress().within(10.0))
    assert clock.now == TINY.check_every
    assert found.choice.networks == (TINY.label,)
    assert found.choice.stopped_by == "budget"
    clock.now = 0.0
    some = bp.fit_field(field, options=options, progress=Progress().within(100.0))
    assert clock.now <= 100.0 + TINY.check_every
    assert len(some.choice.held_out_rmse) > len(found.choice.held_out_rmse)
    free = bp.fit_field(field, options=options)
    assert len(free.choice.held_out_rmse) > len(found.choice.held_out_rmse)
    assert not free.choice.stopped_by


def test_the_record_is_kept_in_the_file_and_files_without_it_are_read(clock, field):
    options = replace(OPTIONS, uncertainty=False)
    found = bp.fit_field(field, options=options, progress=Progress().within(40.0))
    assert from_dataset(to_dataset(found)).choice == found.choice
    assert found.choice.stopped_by == "budget"
    before = found.choice.to_json().replace(', "stopped_by": "budget"', "")
    assert SmoothingChoice.from_json(before) == replace(found.choice, stopped_by="")


@pytest.mark.filterwarnings("ignore::bayespde.weak.strong_form.StrongFormWarning")
def test_a_strong_form_of_networks_that_were_cut_short_says_so_and_is_completed(clock, tmp_path):
    field = small_problem.video()
    form = bp.StrongForm(smoother="network")
    smoothing = replace(OPTIONS, uncertainty=False)
    config = replace(small_problem.CONFIG, form=form, smoothing=smoothing, trajectory_matching="never")
    found = small_problem.discover(field, config=config, folder=tmp_path, budget=120.0)
    assert found.smooth.choice.stopped_by == found.posterior.stopped_by == "budget"
    assert "the budget ended the training of the networks" in str(bp.diagnose(found.posterior))
    whole = small_problem.discover(field, config=config, folder=tmp_path, budget=4000.0)
    assert whole.smooth.choice.stopped_by == whole.posterior.stopped_by == ""
    assert not np.array_equal(whole.statistics.factor, found.statistics.factor)
