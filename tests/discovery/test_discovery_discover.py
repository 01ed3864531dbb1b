"""All stages: truth found, repeatable, resumable, the same in any units, and nothing half-written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import small_problem
from small_problem import discover

import bayespde as bp
from bayespde.core.errors import ConfigError, FileError, FileWarning
from bayespde.discovery import pipeline
from bayespde.smc.config import SMCConfig
from bayespde.smooth.network.config import NetworkConfig

STAGES = {"smooth.nc", "statistics.nc", "posterior.nc", "provenance.json"}


@pytest.fixture(scope="module")
def field():
    return small_problem.video()


@pytest.fixture(scope="module")
def found(field):
    return discover(field)


def same(a, b):
    """Whether two posteriors are equal to the last bit."""
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("spins", "coefficients", "noise_scale", "log_evidence", "log_likelihood", "eve_index")
    ) and all(np.array_equal(a.estimates[k], b.estimates[k]) for k in a.estimates)


def files(folder):
    return {p.name for p in folder.iterdir()}


# The answer


def test_the_true_equation_is_found_with_its_coefficients(found):
    best = found.equations(top=1)[0]
    assert set(best.names) == set(small_problem.TRUTH)
    for name, mean, sd in zip(best.names, best.coefficients, best.sd, strict=True):
        truth = small_problem.TRUTH[name]
        assert abs(mean - truth) < min(0.05 * abs(truth), 4 * sd)
    inclusion = found.posterior.inclusion_probability
    true = found.posterior.library.spins(list(small_problem.TRUTH))
    assert inclusion.values[true].min() > 0.95
    assert inclusion.values[~true].max() < 0.2
    assert found.best().as_dict() == pytest.approx(small_problem.TRUTH, rel=0.05)
    assert dict(zip(best.names, best.units, strict=True)) == {"u*u_x": "1", "u_xx": "m^2 s^-1"}


def test_the_answer_can_be_read_by_people(found):
    text = str(found)
    assert "u_t = " in text
    assert "inclusion probability" in text
    assert "u*u_x" in text


def test_sampling_agrees_with_enumeration(field, found, seed):
    """Inclusion probabilities over 20 runs within 5 standard errors, with a floor for terms that never vary."""
    posterior = bp.sample(found.model, particles=128, runs=20, seed=seed)
    exact = bp.enumerate_models(found.model)
    by_run = posterior.estimates["rao_blackwell"]
    error = by_run.std(axis=0, ddof=1) / np.sqrt(20)
    floor = 1 / (20 * 128)
    assert np.all(np.abs(by_run.mean(axis=0) - exact.inclusion_probability) < 5 * error + floor)
    evidence = np.exp(posterior.log_evidence - exact.log_evidence)
    assert abs(evidence.mean() - 1) < 5 * evidence.std(ddof=1) / np.sqrt(20)
    assert posterior.log_evidence_pooled == pytest.approx(np.log(evidence.mean()) + exact.log_evidence)


def test_the_exact_posterior_is_the_one_reported_where_it_ran(found):
    assert found.posterior.exact is not None
    assert found.posterior.inclusion_probability.attrs["estimator"] == "exact"
    assert found.posterior.exact.models_enumerated == 2**6
    exact = bp.enumerate_models(found.model)
    assert np.array_equal(found.posterior.inclusion_probability, exact.inclusion_probability)


def test_without_enumeration_the_samples_answer(field):
    found = discover(field, config=replace(small_problem.CONFIG, enumerate_up_to=0))
    assert found.posterior.exact is None
    assert found.posterior.inclusion_probability.attrs["estimator"] == "rao_blackwell"
    assert set(found.equations(top=1)[0].names) == set(small_problem.TRUTH)


def test_the_default_library_is_that_of_the_field(field):
    config = replace(small_problem.CONFIG, sampler=SMCConfig(particles=64, runs=2, final_passes=1), enumerate_up_to=0)
    found = bp.discover(field.rename("v"), config=config)
    assert found.posterior.library.names == bp.polynomial_library("v").names
    assert found.posterior.library.target == "v_t"


# Repeatable


def test_same_seed_same_result_to_the_last_bit(field, found):
    again = discover(field)
    assert same(found.posterior, again.posterior)
    assert np.array_equal(found.statistics.factors, again.statistics.factors)
    assert not same(found.posterior, discover(field, seed=1).posterior)


def test_the_number_of_workers_changes_nothing(field, found):
    sampler = replace(small_problem.CONFIG.sampler, workers=2)
    assert same(found.posterior, discover(field, sampler=sampler).posterior)


@pytest.mark.parametrize(("length", "time", "size"), [(1e3, 1.0, 1.0), (1.0, 1 / 3600, 1.0), (2.5e-7, 60.0, 1e4)])
def test_other_units_give_the_same_spins_and_scaled_coefficients(field, found, length, time, size):
    scaled = bp.make_field(size * field.values, t=time * field.time.values, x=length * field.x.values)
    other = discover(scaled)
    assert np.allclose(other.posterior.inclusion_probability, found.posterior.inclusion_probability, atol=1e-6), np.abs(
        other.posterior.inclusion_probability - found.posterior.inclusion_probability
    ).max()
    factor = {"u*u_x": length / time / size, "u_xx": length**2 / time}
    for name, value in found.best().as_dict().items():
        assert other.best().as_dict()[name] == pytest.approx(value * factor[name], rel=0.01)


# Folders


def forbid(monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(pipeline, name, lambda *_, **__: pytest.fail("a finished stage was computed again"))


def test_a_rerun_reads_everything_back(tmp_path, field, found, monkeypatch):
    first = discover(field, folder=tmp_path / "run")
    assert files(tmp_path / "run") == STAGES
    forbid(monkeypatch, "fit_field", "assemble", "sample")
    second = discover(field, folder=tmp_path / "run")
    assert same(first.posterior, second.posterior)
    assert same(first.posterior, found.posterior)
    assert np.array_equal(first.statistics.factors, second.statistics.factors)
    assert np.array_equal(first.smooth.evaluate((0, 2)), second.smooth.evaluate((0, 2)))
    assert [str(e) for e in first.equations()] == [str(e) for e in second.equations()]


CHANGES = {
    "noise of the field": ("fit_field", lambda f: {"field": f + 1e-9}),
    "coordinates": ("fit_field", lambda f: {"field": f.assign_coords(x=2 * f.x)}),
    "seed": ("fit_field", lambda f: {"seed": 3}),
    "library": ("assemble", lambda f: {"library": bp.Library.from_strings([*small_problem.TERMS, "u_x**2"])}),
    "complexity": (
        "assemble",
        lambda f: {"library": bp.Library.from_strings({t: 1.0 + (t == "u") for t in small_problem.TERMS})},
    ),
    "form": ("assemble", lambda f: {"config": replace(small_problem.CONFIG, form=bp.WeakForm(rows=100))}),
    "sampler": ("sample", lambda f: {"config": replace(small_problem.CONFIG, sampler=SMCConfig(particles=300))}),
    "enumeration": ("sample", lambda f: {"config": replace(small_problem.CONFIG, enumerate_up_to=3)}),
}


class Computed(Exception):
    pass


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_computed_again_and_what_did_not_is_not(tmp_path, field, found, monkeypatch, change):
    stage, settings = CHANGES[change]
    discover(field, folder=tmp_path)
    order = ["fit_field", "assemble", "sample"]
    forbid(monkeypatch, *order[: order.index(stage)])

    def computed(*_, **__):
        raise Computed

    monkeypatch.setattr(pipeline, stage, computed)
    with pytest.raises(Computed):
        discover(**({"field": field, "folder": tmp_path} | settings(field)))


LEFT = {
    "fit_field": set(),
    "assemble": {"smooth.nc", "provenance.json"},
    "sample": {"smooth.nc", "statistics.nc", "provenance.json"},
}


@pytest.mark.parametrize("stage", LEFT)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_an_interrupted_stage_leaves_the_finished_ones_and_no_part_of_itself(
    tmp_path, field, found, monkeypatch, stage, error
):
    def interrupted(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, stage, interrupted)
        with pytest.raises(error):
            discover(field, folder=tmp_path / "run")
    assert files(tmp_path / "run") == LEFT[stage]
    assert same(discover(field, folder=tmp_path / "run").posterior, found.posterior)
    assert files(tmp_path / "run") == STAGES


def test_an_interruption_while_writing_leaves_no_part(tmp_path, field, found, monkeypatch):
    import bayespde.stages.run_folder as folder

    def half(content, stream, kind):
        stream.write(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder, "put_netcdf", half)
        with pytest.raises(KeyboardInterrupt):
            discover(field, folder=tmp_path / "run")
    assert files(tmp_path / "run") == set()


def test_a_damaged_stage_is_said_and_a_lost_record_is_made_again(tmp_path, field, found):
    discover(field, folder=tmp_path)
    (tmp_path / "provenance.json").write_text("{ not json")
    with pytest.warns(FileWarning, match=r"provenance\.json is damaged") as said:
        assert same(discover(field, folder=tmp_path).posterior, found.posterior)
    assert len(said) == 1
    (tmp_path / "statistics.nc").write_bytes(b"damaged")
    with pytest.warns(FileWarning, match=r"computed again: .*statistics\.nc") as said:
        assert same(discover(field, folder=tmp_path).posterior, found.posterior)
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert same(discover(field, folder=tmp_path).posterior, found.posterior)


def test_the_record_says_version_and_stages(tmp_path, field):
    discover(field, folder=tmp_path)
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["version"] == bp.__version__
    assert set(record["stages"]) == {"smooth.nc", "statistics.nc", "posterior.nc"}


def test_an_unwritable_folder_is_found_out_before_any_work(tmp_path, field, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    forbid(monkeypatch, "fit_field", "assemble", "sample")
    with pytest.raises(FileError, match="cannot be written"):
        discover(field, folder=tmp_path / "file" / "run")
    assert files(tmp_path) == {"file"}


def test_the_posterior_file_gives_the_same_answers(tmp_path, field, found):
    discover(field, folder=tmp_path)
    back = bp.from_inference_data(tmp_path / "posterior.nc")
    assert same(back, found.posterior)
    assert np.array_equal(back.inclusion_probability, found.posterior.inclusion_probability)
    assert bp.equations(back) == found.equations()
    front, wanted = bp.pareto_front(back), found.pareto_front()
    assert front.identical(wanted)
    assert back.units == small_problem.UNITS
    assert back.provenance["seed"] == 0


# Doors


def test_settings_are_checked_at_the_door(field, monkeypatch):
    forbid(monkeypatch, "fit_field", "assemble", "sample")
    for settings in ({"seed": -1}, {"seed": 0.5}, {"holdout_frames": -1}, {"enumerate_up_to": 2.5}):
        with pytest.raises(ConfigError):
            discover(field, **settings)


@pytest.mark.parametrize("settings", [{"particles": 0}, {"particles": -3}, {"runs": 0}, {"runs": 1.5}, {"seed": -2}])
def test_sampling_refuses_numbers_out_of_range(found, settings):
    with pytest.raises(ConfigError):
        bp.sample(found.model, **settings)


def test_an_interrupted_discovery_says_so(found):
    sampling = replace(found.posterior.sampling, complete=False)
    cut = replace(found, posterior=replace(found.posterior, sampling=sampling))
    assert "interrupted: 4 of 4 runs" in str(cut)
    assert "interrupted" not in str(found)


# Derivatives by another smoother


NETWORK = bp.SmoothingConfig(steps=60, networks=(NetworkConfig(width=8, depth=2, batch=256),), uncertainty=False)


def test_networks_are_fitted_on_request_only(field, tmp_path, monkeypatch):
    config = replace(small_problem.CONFIG, smoothing=NETWORK)
    found = discover(field, config=config, folder=tmp_path)
    assert found.smooth.network is None
    assert found.derivatives().attrs["smoother"] == "spline"
    derivatives = found.derivatives(smoother="network")
    assert derivatives.attrs["smoother"] == "network"
    assert {"u", "u_t", "u_x", "u_xx"} <= set(derivatives)
    monkeypatch.setattr("bayespde.discovery.discovery.fit_field", lambda *_, **__: pytest.fail("fitted again"))
    assert found.derivatives(smoother="network").identical(derivatives)
    with pytest.raises(ConfigError, match="smoother"):
        found.derivatives(smoother="kalman")
