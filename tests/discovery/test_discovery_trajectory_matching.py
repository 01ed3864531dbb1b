"""The last stage of a discovery: pixels where they can be asked and be trusted, rows and a reason elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import small_problem

import bayespde as bp
from bayespde.core.errors import ConfigError, FitError
from bayespde.discovery import task
from bayespde.discovery import trajectory_matching as refine_stage

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
    return found.posterior.provenance["refinement"]["because"]


def test_pixels_are_asked_of_themselves(found):
    about = {"by": "pixels", "because": "", "boundary": "periodic", "padding": 0.0}
    assert found.posterior.provenance["refinement"] == about
    assert "Discovery by the pixels along a trajectory of u_xx + u*u_x, periodic in space" in repr(found)
    first, second = found.equations(top=1)[0], bp.equations(found.rows, top=1)[0]
    assert set(first.names) == set(second.names) == set(small_problem.TRUTH)
    for name, mean, sd in zip(first.names, first.coefficients, first.sd, strict=True):
        assert abs(mean - small_problem.TRUTH[name]) < 5 * sd
        assert sd < dict(zip(second.names, second.sd, strict=True))[name]
    assert found.posterior.provenance["units"] == small_problem.UNITS


def test_everything_after_takes_the_posterior_over_pixels(found, tmp_path):
    """Statistics, model and posterior belong together; ArviZ, the Pareto front and the file take them."""
    assert found.statistics is found.posterior.statistics
    assert np.array_equal(bp.enumerate_models(found.model).inclusion_probability, found.posterior.inclusion_probability)
    front = found.pareto_front()
    best = front.isel(equation=int(front["probability"].values.argmax()))
    assert set(str(best["names"].values).split(", ")) == set(small_problem.TRUTH)
    found.to_inference_data().to_netcdf(tmp_path / "posterior.nc")
    back = bp.from_inference_data(tmp_path / "posterior.nc")
    assert back.provenance["refinement"]["by"] == "pixels"
    assert [c.name for c in bp.model_checks(back)] == [c.name for c in bp.model_checks(found.posterior)]


def test_both_posteriors_are_kept_and_resumed(field, found, tmp_path, monkeypatch):
    first = discover(field, folder=tmp_path)
    assert {"weak_posterior.nc", "posterior.nc"} <= {p.name for p in tmp_path.iterdir()}
    assert np.array_equal(first.posterior.coefficients, found.posterior.coefficients)
    monkeypatch.setattr(task, "refined_or_rows", lambda *_, **__: pytest.fail("a finished stage was made again"))
    again = discover(field, folder=tmp_path)
    assert np.array_equal(again.posterior.coefficients, found.posterior.coefficients)
    assert np.array_equal(again.rows.coefficients, found.rows.coefficients)


@pytest.mark.parametrize(("length", "time", "size"), [(2.5e-7, 60.0, 1e-6)])
def test_units_change_nothing_but_units(field, found, length, time, size):
    scaled = bp.make_field(size * field.values, t=time * field.time.values, x=length * field.x.values)
    other = discover(scaled)
    assert other.posterior.provenance["refinement"]["by"] == "pixels"
    assert np.allclose(other.posterior.inclusion_probability, found.posterior.inclusion_probability, atol=1e-3)
    factor = {"u*u_x": length / time / size, "u_xx": length**2 / time}
    for name, value in found.best().as_dict().items():
        assert other.best().as_dict()[name] == pytest.approx(value * factor[name], rel=1e-3)


def test_never_means_rows(field):
    found = discover(field, replace(CONFIG, trajectory_matching="never"))
    assert found.posterior is found.rows
    assert "refinement" not in found.posterior.provenance
    assert repr(found).startswith("Discovery by rows\n")


@pytest.mark.parametrize("looks", [(), pytest.param(("neumann",), marks=pytest.mark.slow)])
def test_a_window_out_of_a_larger_field_is_judged_by_the_pixels(field, monkeypatch, looks):
    """Whether its edges look like nothing, or like walls that it does not have."""
    monkeypatch.setattr(refine_stage, "likely_boundaries", lambda *_: looks)
    found = discover(field.isel(x=slice(20, 60)))
    about = dict(found.posterior.provenance["refinement"])
    assert about.pop("padding") in refine_stage.PADDINGS
    assert about == {"by": "pixels", "because": "", "boundary": "open"}
    best = bp.equations(found.posterior, top=1)[0]
    assert set(best.names) == set(small_problem.TRUTH)
    for name, value, sd in zip(best.names, best.coefficients, best.sd, strict=True):
        assert abs(value - small_problem.TRUTH[name]) < 5 * sd


def test_a_library_without_the_truth_keeps_the_rows(field):
    """What the pixels say against every equation of it is the reason."""
    found = discover(field, library=bp.Library.from_strings(["u_xx"]))
    assert found.posterior.provenance["refinement"]["by"] == "rows"
    assert reason(found)


def test_a_search_that_fails_keeps_the_rows(field, monkeypatch):
    def fails(*_, **__):
        raise FitError("It cannot be done.", got="this", wanted="that", fix="nothing")

    monkeypatch.setattr(refine_stage, "trajectory_matching", fails)
    assert reason(discover(field)) == "It cannot be done."


def test_what_takes_long_is_left_to_the_user(field, monkeypatch):
    monkeypatch.setattr(refine_stage, "MOST_PIXELS", 1_000)
    found = discover(field)
    assert "trajectory_matching='always'" in reason(found)
    asked = discover(field, replace(CONFIG, trajectory_matching="always"))
    assert asked.posterior.provenance["refinement"]["by"] == "pixels"


def test_exact_pixels_are_left_to_the_rows():
    """What a smooth field leaves of them is no noise, by which a trajectory could be judged."""
    spec = bp.SimulationSpec.from_mapping(small_problem.SPEC | {"noise": 0.0})
    assert "hardly any noise" in reason(discover(bp.simulate(spec)))


def test_other_words_are_refused():
    with pytest.raises(ConfigError, match="Whether to refine"):
        bp.DiscoverConfig(trajectory_matching="sometimes")
