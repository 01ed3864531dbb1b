"""Coupled fields end to end: fields in, equations and forecasts out."""

import sys

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde import cli
from bayespde.core.errors import BayespdeError, ConfigError, FieldError
from bayespde.discovery import pipeline

X, TIMES = 20 * np.arange(96) / 96, np.linspace(0, 12, 121)
EXCITED = bp.CoupledEquations.from_strings(["u_t = u - u**3 - v + 0.5*u_xx", "v_t = 0.5*u - 0.3*v + 0.1*v_xx"])
CONFIG = bp.DiscoverConfig(smoothing=bp.SmoothingConfig(smoother="spline"))


@pytest.fixture(scope="module")
def clean():
    k = 2 * np.pi / 20
    start = {"u": np.sin(k * X) + 0.6 * np.cos(2 * k * X), "v": 0.4 * np.cos(k * X) + 0.3 * np.sin(3 * k * X)}
    frames = xr.Dataset({name: ("x", values) for name, values in start.items()}, coords={"x": X})
    return bp.integrate(EXCITED, frames, TIMES)


def noisy(clean, level, seed):
    units = {"u": "V", "v": "A", "time": "s", "x": "mm"}
    fields = [
        bp.make_field(clean[name].values, t=TIMES, x=X, name=name, units={k: units[k] for k in (name, "time", "x")})
        for name in clean.data_vars
    ]
    return xr.Dataset({str(f.name): bp.add_noise(f, level, seed=seed + i) for i, f in enumerate(fields)})


@pytest.fixture(scope="module")
def found(clean, request):
    fields = noisy(clean, 0.05, request.config.getoption("--seed"))
    return bp.discover(fields, config=CONFIG, holdout_frames=30, seed=0)


def pulls(found):
    """Errors of all coefficients of the true equations in stated standard deviations."""
    total = []
    for equation in EXCITED.equations:
        part = found[equation.variable]
        on = part.posterior.library.spins(equation.names)
        design = np.concatenate(part.statistics.factors)[:, :-1][:, on]
        errors = part.statistics.least_squares(on)[on] - [
            equation.as_dict()[n] for n, o in zip(part.posterior.library.names, on, strict=True) if o
        ]
        total.extend(errors / np.sqrt(np.diagonal(np.linalg.inv(design.T @ design))))
    return np.array(total)


def test_both_equations_are_found_among_thirteen_terms_each(found):
    best = found.best()
    for wanted, equation in zip(EXCITED.equations, best.equations, strict=True):
        assert len(found[wanted.variable].posterior.library) == 13
        assert set(equation.names) == set(wanted.names)
        for name, value in wanted.as_dict().items():
            assert equation.as_dict()[name] == pytest.approx(value, abs=0.05)


def test_their_errors_are_those_stated(found):
    """Seven coefficients: the root mean square of seven normal numbers is beyond 1.9 once in three thousand."""
    assert np.sqrt(np.mean(pulls(found) ** 2)) < 1.9


def test_units_of_coefficients_have_both_fields(found):
    first = found["u"].equations(top=1)[0]
    units = {name: set(unit.split()) for name, unit in zip(first.names, first.units, strict=True)}
    assert units["v"] == {"V", "s^-1", "A^-1"}
    assert units["u_xx"] == {"s^-1", "mm^2"}


def test_the_forecast_is_far_better_than_persistence(found):
    prediction, scores = found.forecast_holdout(options=bp.ForecastConfig(draws=30), seed=1)
    assert prediction["u"].dims == ("draw", "time", "x")
    assert prediction["v"].attrs["units"] == "A"
    for name in "uv":
        assert float(scores[name]["rmse"].mean()) < 0.2 * float(scores[name]["persistence"].mean())
        assert 0.8 < float(scores[name]["coverage"].mean()) < 0.97
    one = bp.select_field(prediction, "v")
    assert one.attrs["field"] == "v"
    assert one.attrs["noise_scale"] == pytest.approx(found["v"].smooth.noise_scale)


def test_one_equation_is_not_integrated_alone(found):
    with pytest.raises(ConfigError, match="alone"):
        found["u"].forecast(np.linspace(9, 10, 3))
    assert np.isnan(found["u"].pareto_front()["forecast_error"]).any()


def test_boundary_data_of_coupled_fields_are_refused(found):
    with pytest.raises(ConfigError, match="one equation only"):
        found.forecast(np.linspace(9.1, 10, 3), boundary_data=found["u"].smooth.field)
    with pytest.raises(FieldError, match="boundary_data"):
        found.forecast_holdout(boundary_data=True)


def test_the_report_of_one_equation_says_that_fields_are_forecast_together(found, tmp_path):
    page = found["u"].report(tmp_path / "u.html").read_text(encoding="utf-8")
    assert "forecast together" in page
    assert "u_t" in page


def test_a_posterior_is_read_back_with_its_other_fields(found, tmp_path):
    from bayespde.results.inference_data import load, save

    save(found["u"].posterior, tmp_path / "posterior.nc")
    again = load(tmp_path / "posterior.nc")
    assert again.library == found["u"].posterior.library


def test_the_order_of_the_fields_does_not_matter_to_the_rows(clean, found, seed):
    fields = noisy(clean, 0.05, seed)[["v", "u"]]
    other = bp.discover(fields, config=CONFIG, holdout_frames=30, seed=0)
    for name in "uv":
        here, there = found[name].posterior, other[name].posterior
        there = there.inclusion_probability.sel(term=list(here.library.names))
        assert np.abs(here.inclusion_probability - there).max() < 1e-6


def test_finished_stages_are_read_back_for_each_field(clean, tmp_path, monkeypatch, seed):
    fields = noisy(clean, 0.05, seed).isel(time=slice(60))
    first = bp.discover(fields, config=CONFIG, folder=tmp_path)
    for name in ("fit_field", "assemble", "sample"):
        monkeypatch.setattr(pipeline, name, lambda *_, **__: pytest.fail("a finished stage was computed again"))
    second = bp.discover(fields, config=CONFIG, folder=tmp_path)
    assert str(first.best()) == str(second.best())
    monkeypatch.undo()
    # The coupled field is an input of the statistics.
    monkeypatch.setattr(pipeline, "sample", lambda *_, **__: pytest.fail("computed again"))
    with pytest.raises(pytest.fail.Exception):
        bp.discover(fields.assign(v=fields["v"] + 1e-6), config=CONFIG, folder=tmp_path)


def test_missing_pixels_of_either_field_are_no_obstacle(clean, seed):
    fields, random = noisy(clean, 0.05, seed), np.random.default_rng(seed)
    for name in "uv":
        fields[name] = fields[name].where(random.random(fields[name].shape) > 0.1)
    found = bp.discover(fields, config=CONFIG)
    for wanted, equation in zip(EXCITED.equations, found.best().equations, strict=True):
        assert set(equation.names) == set(wanted.names)


@pytest.mark.parametrize(
    "change",
    [
        {"fields": lambda f: f[["u"]]},
        {"library": {"w": bp.Library.from_strings(["w"], variable="w", target="w_t")}},
        {"library": {"u": bp.Library.from_strings(["w"], variable="u", coupled_variables=("w",))}},
        {"config": bp.DiscoverConfig(trajectory_matching="always")},
        {"holdout_frames": 1000},
        {"form": bp.StrongForm()},
    ],
    ids=["one field", "library of a stranger", "terms of a stranger", "trajectories", "no frame left", "strong form"],
)
def test_what_coupled_fields_lack_is_refused_before_any_work(clean, change, monkeypatch):
    monkeypatch.setattr(pipeline, "fit_field", lambda *_, **__: pytest.fail("work began"))
    fields = noisy(clean, 0.05, 0)
    settings = {k: v for k, v in change.items() if k != "fields"}
    with pytest.raises(BayespdeError):
        bp.discover(change["fields"](fields) if "fields" in change else fields, **settings)


def test_on_the_command_line(clean, tmp_path, monkeypatch, capsys, seed):
    monkeypatch.chdir(tmp_path)
    fields = noisy(clean, 0.05, seed)
    np.savez("fields.npz", t=TIMES, x=X, u=fields["u"].values, v=fields["v"].values)
    (tmp_path / "config.toml").write_text(
        '[library.u]\nterms = ["u", "v", "u**2", "u**3", "u*v", "u_xx"]\n[smooth]\nsmoother = "spline"\n'
    )
    arguments = ["fields.npz", "--variables", "u,v", "--config", "config.toml", "--holdout-frames", "30"]
    monkeypatch.setattr(sys, "argv", ["bayespde", "discover", *arguments, "--output", "run"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().out
    assert not caught.value.code
    assert "held-out frames of v" in said
    for name in "uv":
        written = {p.name for p in (tmp_path / "run" / name).iterdir()}
        assert {"posterior.nc", "equations.txt", "forecast.nc", "scores.csv"} <= written
