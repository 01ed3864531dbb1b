"""The search for trajectories: the noise is known better after a fit, and not before."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import FitError, OutOfReachError, StepLimitError
from bayespde.core.noise import NoiseModel
from bayespde.stages import trajectory_search as module
from bayespde.stages.select_domain import select_domain
from bayespde.stages.trajectory_search import FUTILE, Search
from bayespde.trajectory import problem
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData

X, T, NOISE = 2 * np.pi * np.arange(48) / 48, np.linspace(0, 1, 40), 0.05
LIBRARY = bp.Library.from_strings(["u", "u_xx"])
# The rows of u_t = 0.2 u_xx, as a start.
ROWS = bp.SufficientStatistics.from_rows(np.eye(2), np.array([0.0, 0.2]), names=LIBRARY.names)
HEAT = np.array([[False, True]])


@pytest.fixture
def data(seed):
    """White noise that was taken for one that varies with the value."""
    clean = sum(a * np.exp(-0.2 * k**2 * T[:, None]) * np.sin(k * X + k) for k, a in ((1, 1.0), (2, 0.7), (3, 0.5)))
    noisy = clean + NOISE * np.random.default_rng(seed).standard_normal(clean.shape)
    first = xr.DataArray(clean[0], {"x": X}, name="u")
    wrong = NoiseModel(NOISE * np.sqrt(0.05 + np.clip(1 + clean, 0.0, None)), variance_function="shot")
    return TrajectoryData(bp.make_field(noisy, t=T, x=X), wrong, first)


def search_of(data):
    found = Search(LIBRARY, bp.Prior(), data, TrajectoryConfig(most_modes=7))
    found.fit_until_adequate(HEAT, ROWS)
    return found


def test_the_kind_of_noise_is_that_of_the_residuals_of_a_trajectory(data):
    search, right = search_of(data), replace(data, noise=NoiseModel(NOISE))
    before = search.ranked()[0][0]
    search.renew_noise()
    assert search.data.noise.kind == "white"
    assert search.data.noise.rms == pytest.approx(NOISE, rel=5 / np.sqrt(2 * data.field.size))
    after, wanted = search.ranked()[0][0], search_of(right).ranked()[0][0]
    assert after.equation.coefficients[0] == pytest.approx(wanted.equation.coefficients[0], abs=0.2 * wanted.sd[0])
    assert after.log_evidence > before.log_evidence + 5
    # How much noise was expected is what was known before.
    assert search.expected_noise == data.noise.rms


def test_noise_of_the_kind_that_was_expected_is_not_fitted_again(data, monkeypatch):
    search = search_of(replace(data, noise=NoiseModel(NOISE)))
    monkeypatch.setattr(module, "fit_trajectory", lambda *_, **__: pytest.fail("fitted again"))
    search.renew_noise()


def test_a_trajectory_that_is_lost_with_the_new_noise_is_kept_with_the_old(data, monkeypatch):
    def fails(*_, **__):
        raise FitError("It cannot be done.", got="this", wanted="that", fix="nothing")

    search = search_of(data)
    before = search.ranked()[0][0]
    monkeypatch.setattr(module, "fit_trajectory", fails)
    search.renew_noise()
    assert search.ranked()[0][0] is before
    assert search.data is data
    assert not search.failed


@pytest.fixture
def tried(monkeypatch):
    """Terms of the equations that were fitted, in order."""
    names, right = [], module.fit_trajectory
    monkeypatch.setattr(module, "fit_trajectory", lambda e, *a, **k: names.append(e.names) or right(e, *a, **k))
    return names


def test_parts_of_an_equation_that_does_not_explain_the_pixels_are_not_tried(data, tried):
    forced = data.field + 0.3 * np.sin(9 * data.field.time) * np.sin(data.field.x)
    search = Search(LIBRARY, bp.Prior(), replace(data, field=forced, noise=NoiseModel(NOISE)), TrajectoryConfig())
    rows = bp.SufficientStatistics.from_rows(np.eye(2), np.array([0.1, 0.2]), names=LIBRARY.names)
    search.fit_until_adequate(np.array([[True, True], [False, True], [True, False]]), rows)
    assert not search.is_adequate
    assert tried == [("u", "u_xx")]


def test_a_state_that_is_sharper_than_its_modes_gets_more_of_them(data, tried, monkeypatch):
    monkeypatch.setattr(module, "FIRST_MODES", 3)
    search = search_of(replace(data, noise=NoiseModel(NOISE)))
    assert tried == [("u_xx",)] * 2
    assert search.config.most_modes == 7
    assert search.is_adequate
    assert len(search.best.known_mode().problem.basis.deviation) == 7


def test_a_trajectory_is_kept_where_more_modes_need_too_much_memory(data, monkeypatch):
    few = search_of(replace(data, noise=NoiseModel(NOISE))).best.known_mode().problem
    points = len(few.times) * few.resolution.grid.points[0]
    monkeypatch.setattr(module, "FIRST_MODES", 3)
    monkeypatch.setattr(problem, "MAXIMUM_SLOPES", 5 * points)
    search = search_of(replace(data, noise=NoiseModel(NOISE)))
    assert list(search.found) == [("u_xx",)]
    assert search.config.most_modes == 3


def test_more_modes_than_a_state_needs_are_not_kept(data, tried, monkeypatch):
    """A forced field, which no modes of its first state explain."""
    monkeypatch.setattr(module, "FIRST_MODES", 7)
    forced = data.field + 0.3 * np.sin(9 * data.field.time) * np.sin(data.field.x)
    config = TrajectoryConfig(most_modes=9)
    search = Search(LIBRARY, bp.Prior(), replace(data, field=forced, noise=NoiseModel(NOISE)), config)
    search.fit_until_adequate(np.array([[True, True]]), ROWS)
    assert len(tried) <= 2
    assert search.config.most_modes == 7


def test_a_search_ends_where_trajectories_are_out_of_reach(data, monkeypatch):
    """Two equations or boundaries are tried, no more, and the reason is that of the first."""
    calls = []

    def fails(*_, **__):
        calls.append(1)
        raise StepLimitError(f"Failure {len(calls)}.", got="this", wanted="that", fix="nothing")

    monkeypatch.setattr(module, "fit_trajectory", fails)
    searches = [Search(LIBRARY, bp.Prior(), data, TrajectoryConfig()) for _ in range(3)]
    every = np.array([[False, True], [True, False], [True, True]])
    chosen = select_domain(searches, every[:1], ROWS)
    chosen.fit_until_adequate(every, ROWS)
    assert len(calls) == FUTILE
    with pytest.raises(OutOfReachError, match="out of reach: Failure 1"):
        chosen.ranked()


def test_parts_of_an_equation_out_of_reach_are_not_tried(data, monkeypatch):
    tried = []

    def fails(start, *_, **__):
        tried.append(start.names)
        raise OutOfReachError("It is lost in noise.", got="this", wanted="that", fix="nothing")

    monkeypatch.setattr(module, "fit_trajectory", fails)
    search = Search(LIBRARY, bp.Prior(), data, TrajectoryConfig())
    rows = bp.SufficientStatistics.from_rows(np.eye(2), np.array([0.1, 0.2]), names=LIBRARY.names)
    search.fit_until_adequate(np.array([[True, True], [False, True], [True, False]]), rows)
    assert tried == [("u", "u_xx")]


def test_a_poor_trajectory_does_not_keep_up_a_search_that_is_out_of_reach(data, monkeypatch):
    monkeypatch.setattr(module, "REJECT_SCORE", module.SLOW)
    forced = data.field + 0.3 * np.sin(9 * data.field.time) * np.sin(data.field.x)
    for field, is_poor in ((forced, True), (data.field, False)):
        search = search_of(replace(data, field=field, noise=NoiseModel(NOISE)))
        assert search.is_adequate != is_poor
        # Those of others may take too many steps for another reason.
        search.futile = FUTILE
        assert not search.is_out_of_reach
        search.out_of_reach = [("u",), ("u", "u_xx")]
        assert search.is_out_of_reach == is_poor
