"""The last stage of a discovery: the observation likelihood where it can be trusted, else the weak form and why."""

from dataclasses import replace

import numpy as np
import pytest
import small_problem

import bayespde as bp
from bayespde.core import progress
from bayespde.core.errors import ConfigError, FileWarning, FitError, OutOfReachError
from bayespde.core.likelihood import Likelihood
from bayespde.discovery import discovery, pipeline
from bayespde.discovery import trajectory_matching as matching
from bayespde.stages.run_folder import finished_files, read_matched

CONFIG = replace(small_problem.CONFIG, trajectory_matching="auto")


def discover(field, config=CONFIG, **settings):
    return small_problem.discover(field, config=config, **settings)


@pytest.fixture(scope="module")
def field():
    return small_problem.video()


@pytest.fixture(scope="module")
def found(field):
    return discover(field)


def reason(found):
    return found.posterior.likelihood.reason


def test_the_observation_likelihood_is_used_by_default(found):
    about = Likelihood("observation", along=tuple(found.best().names), boundary="periodic")
    assert found.posterior.likelihood == about
    assert "by the observation likelihood along a trajectory of u_xx + u*u_x, boundary periodic" in str(found)
    first, second = found.equations(top=1)[0], bp.equations(found.weak_posterior, top=1)[0]
    assert set(first.names) == set(second.names) == set(small_problem.TRUTH)
    for name, mean, sd in zip(first.names, first.coefficients, first.sd, strict=True):
        assert abs(mean - small_problem.TRUTH[name]) < 5 * sd
        assert sd < dict(zip(second.names, second.sd, strict=True))[name]
    assert found.posterior.units == small_problem.UNITS


def test_results_take_the_posterior_by_the_observation_likelihood(found, tmp_path):
    """Statistics, model and posterior belong together; ArviZ, the Pareto front and the file take them."""
    assert found.statistics is found.posterior.statistics
    assert np.array_equal(bp.enumerate_models(found.model).inclusion_probability, found.posterior.inclusion_probability)
    front = found.pareto_front()
    best = front.isel(equation=int(front["probability"].values.argmax()))
    assert set(str(best["names"].values).split(", ")) == set(small_problem.TRUTH)
    found.to_inference_data().to_netcdf(tmp_path / "posterior.nc")
    with pytest.warns(FileWarning, match="no checksum"):
        back = bp.from_inference_data(tmp_path / "posterior.nc")
    assert back.likelihood.kind == "observation"
    assert [c.name for c in bp.model_checks(back)] == [c.name for c in bp.model_checks(found.posterior)]


def test_both_posteriors_are_kept_and_resumed(field, found, tmp_path, monkeypatch):
    first = discover(field, folder=tmp_path)
    assert {"weak_posterior.nc", "posterior.nc", "trajectories.nc"} <= {p.name for p in tmp_path.iterdir()}
    assert np.array_equal(first.posterior.coefficients, found.posterior.coefficients)
    monkeypatch.setattr(pipeline, "match_trajectories", lambda *_, **__: pytest.fail("a finished stage was redone"))
    again = discover(field, folder=tmp_path)
    assert np.array_equal(again.posterior.coefficients, found.posterior.coefficients)
    assert np.array_equal(again.weak_posterior.coefficients, found.weak_posterior.coefficients)


@pytest.mark.parametrize(("length", "time", "size"), [(2.5e-7, 60.0, 1e-6)])
def test_units_change_nothing_but_units(field, found, length, time, size):
    scaled = bp.make_field(size * field.values, t=time * field.time.values, x=length * field.x.values)
    other = discover(scaled)
    assert other.posterior.likelihood.kind == "observation"
    assert np.allclose(other.posterior.inclusion_probability, found.posterior.inclusion_probability, atol=1e-3)
    factor = {"u*u_x": length / time / size, "u_xx": length**2 / time}
    for name, value in found.best().as_dict().items():
        assert other.best().as_dict()[name] == pytest.approx(value * factor[name], rel=1e-3)


def test_never_means_the_weak_form(field):
    found = discover(field, replace(CONFIG, trajectory_matching="never"))
    assert found.posterior is found.weak_posterior
    assert found.trajectories is None
    assert found.posterior.likelihood == Likelihood("weak_form")
    assert str(found).startswith("Discovery by the weak form\n")


def test_a_repr_computes_nothing(found, monkeypatch):
    monkeypatch.setattr(discovery, "equations", lambda *_, **__: pytest.fail("equations were computed"))
    monkeypatch.setattr(discovery, "diagnose", lambda *_, **__: pytest.fail("checks were computed"))
    assert repr(found) == "Discovery(target='u_t', terms=6, runs=4, draws=256, likelihood='observation')"
    assert repr(found.posterior) == "Posterior(target='u_t', terms=6, runs=4, draws=256, likelihood='observation')"
    fitted = found.trajectories.trajectories
    for part in (found.smooth, found.smooth.spline, found.statistics, found.model, found.trajectories, fitted[0]):
        assert len(repr(part)) < 300
        assert "\n" not in repr(part)


@pytest.mark.parametrize("looks", [(), pytest.param(("neumann",), marks=pytest.mark.slow)])
def test_a_window_of_a_larger_field_has_an_open_boundary(field, monkeypatch, looks):
    """Whether its edges suggest no boundary condition, or a wrong one."""
    monkeypatch.setattr(matching, "likely_boundaries", lambda *_: looks)
    found = discover(field.isel(x=slice(20, 60)))
    likelihood = found.posterior.likelihood
    assert likelihood.padding in matching.PADDINGS
    assert (likelihood.kind, likelihood.reason, likelihood.boundary) == ("observation", "", "open")
    best = bp.equations(found.posterior, top=1)[0]
    assert set(best.names) == set(small_problem.TRUTH)
    for name, value, sd in zip(best.names, best.coefficients, best.sd, strict=True):
        assert abs(value - small_problem.TRUTH[name]) < 5 * sd


def test_a_library_without_the_truth_keeps_the_weak_form(field):
    """The reason is the failed check of the best trajectory."""
    found = discover(field, library=bp.Library.from_strings(["u_xx"]))
    assert found.posterior.likelihood.kind == "weak_form"
    assert reason(found)


def test_a_search_that_fails_keeps_the_weak_form(field, monkeypatch):
    def fails(*_, **__):
        raise FitError("It cannot be done.", got="this", wanted="that", fix="nothing")

    monkeypatch.setattr(matching, "fit_trajectories", fails)
    assert reason(discover(field)) == "It cannot be done."


def test_no_window_is_tried_where_trajectories_are_out_of_reach(field, monkeypatch):
    tried = []

    def fails(*_, config, **__):
        tried.append([c.boundary for c in config])
        raise OutOfReachError("They are out of reach: it diverges.", got="this", wanted="that", fix="nothing")

    monkeypatch.setattr(matching, "fit_trajectories", fails)
    assert reason(discover(field)) == "They are out of reach: it diverges."
    assert len(tried) == 1
    assert "open" not in tried[0]


@pytest.fixture(scope="module")
def plane():
    """An anisotropic heat equation, 20 % noise."""
    spec = bp.SimulationSpec(
        equation="u_t = 0.5*u_xx + 0.2*u_yy",
        extent={"y": 16.0, "x": 16.0},
        points={"y": 24, "x": 24},
        times={"start": 0.0, "stop": 2.0, "frames": 20},
        initial={"kind": "random_waves", "modes": 3, "seed": 2},
    )
    return bp.add_noise(bp.simulate(spec), 0.2, seed=1)


PLANE_TERMS = bp.Library.from_strings(["u", "u**2", "u_x", "u_y", "u_xx", "u_yy"])


@pytest.mark.parametrize(("looks", "boundary"), [(("periodic",), "periodic"), ((), "open")])
def test_a_plane_is_fitted_by_default(plane, monkeypatch, looks, boundary):
    """As a whole, and a window of it whose edges suggest no boundary condition."""
    monkeypatch.setattr(matching, "likely_boundaries", lambda *_: looks)
    found = discover(plane if looks else plane.isel(y=slice(1, 23), x=slice(1, 23)), library=PLANE_TERMS)
    assert (found.posterior.likelihood.kind, found.posterior.likelihood.boundary) == ("observation", boundary)
    best, weak = (bp.equations(p, top=1)[0] for p in (found.posterior, found.weak_posterior))
    assert set(best.names) == {"u_xx", "u_yy"}
    for name, value, sd in zip(best.names, best.coefficients, best.sd, strict=True):
        assert abs(value - {"u_xx": 0.5, "u_yy": 0.2}[name]) < 5 * sd
        assert sd < dict(zip(weak.names, weak.sd, strict=True))[name]


def test_noiseless_pixels_keep_the_weak_form():
    """Residuals of the smoothed field are then no noise of the pixels."""
    spec = bp.SimulationSpec.from_mapping(small_problem.SPEC | {"noise": 0.0})
    assert "hardly any noise" in reason(discover(bp.simulate(spec)))


def test_other_words_are_refused():
    with pytest.raises(ConfigError, match="'trajectory_matching' has an unknown value"):
        bp.DiscoverConfig(trajectory_matching="sometimes")


def test_trajectories_are_kept_and_forecast_the_same(field, found, tmp_path):
    """What was fitted is read back, and nothing is fitted again."""
    stored = discover(field, folder=tmp_path)
    posterior, trajectories = read_matched(tmp_path / "posterior.nc")
    times = np.linspace(field.time.values[-1], field.time.values[-1] + 0.2, 4)
    options = bp.ForecastConfig(draws=5)
    wanted = found.forecast(times, options=options, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayespde.stages.trajectory_search.fit_trajectory", lambda *_, **__: pytest.fail("fitted again"))
        for ahead in (
            stored.forecast(times, options=options, seed=3),
            bp.forecast(posterior, trajectories, times, options=options, seed=3),
        ):
            np.testing.assert_array_equal(ahead["u"], wanted["u"])
            np.testing.assert_array_equal(ahead["coefficient"], wanted["coefficient"])
    assert trajectories.config == found.trajectories.config
    assert np.array_equal(trajectories.probability, found.trajectories.probability)
    assert str(trajectories) == str(found.trajectories)


def test_an_interrupt_while_sampling_ends_the_discovery(field, tmp_path, monkeypatch):
    """Runs that have finished are not the answer that was asked for; the stages before are kept."""
    right = pipeline.sample

    def cut(*arguments, **settings):
        posterior = right(*arguments, **settings)
        return replace(posterior, sampling=replace(posterior.sampling, complete=False))

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "sample", cut)
        with pytest.raises(KeyboardInterrupt):
            discover(field, folder=tmp_path)
    assert finished_files(tmp_path) == ["smooth.nc", "statistics.nc"]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["provenance.json", "smooth.nc", "statistics.nc"]
    again = discover(field, folder=tmp_path)
    assert again.posterior.stopped_by == ""
    assert again.posterior.likelihood.kind == "observation"


class Clock:
    """CPU time that passes by the look at it."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


def test_a_budget_cuts_sampling_short_after_one_run(field, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "process_time", Clock(10.0))
    found = discover(field, folder=tmp_path, budget=15.0)
    assert len(found.posterior.log_evidence) == 1
    assert found.trajectories is None
    assert found.posterior.stopped_by == "budget"
    assert "stopped_by='budget'" in repr(found)
    diagnosis = bp.diagnose(found.posterior)
    assert diagnosis.verdict in {"budget_exhausted", "misfit"}
    assert "the budget ended sampling after 1 of 4 runs" in str(diagnosis)
    assert not list(tmp_path.glob(".*"))


def test_a_budget_cuts_the_search_for_trajectories_short(field, tmp_path, monkeypatch):
    """The weak form is the result, is kept for the same budget, and is completed with a larger one."""
    with monkeypatch.context() as patch:
        right = matching.fit_trajectories

        def without_time(*arguments, progress, **settings):
            return right(*arguments, progress=replace(progress, end=0.0), **settings)

        patch.setattr(matching, "fit_trajectories", without_time)
        found = discover(field, folder=tmp_path, budget=200.0)
    assert found.posterior.likelihood.budget_exhausted
    assert str(found).startswith("Discovery by the weak form (the budget ended before a trajectory was found)\n")
    assert bp.diagnose(found.posterior).verdict == "budget_exhausted"
    assert bp.from_inference_data(tmp_path / "posterior.nc").stopped_by == "budget"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "match_trajectories", lambda *_, **__: pytest.fail("finished work is not done again"))
        assert discover(field, folder=tmp_path, budget=200.0).posterior.stopped_by == "budget"
    whole = discover(field, folder=tmp_path, budget=400.0)
    assert whole.posterior.likelihood.kind == "observation"
    np.testing.assert_array_equal(whole.posterior.coefficients, discover(field).posterior.coefficients)


def test_another_boundary_is_forecast_from_the_smoothed_field(found):
    times = np.linspace(6.1, 6.3, 3)
    ahead = found.forecast(times, draws=4, boundary="open")
    assert (ahead.attrs["boundary"], ahead.attrs["initialised_from"]) == ("open", "smooth field")
    assert found.forecast(times, draws=4, boundary="periodic").attrs["initialised_from"] == "trajectories"
    with pytest.raises(ConfigError, match="without boundary data"):
        bp.forecast(found.posterior, found.trajectories, times, boundary_data=found.smooth.field)
