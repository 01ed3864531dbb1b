"""From a posterior to forecast frames."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import bayespde as bp
from bayespde.cli import app
from bayespde.core.errors import ConfigError, FieldError, FileError
from bayespde.core.rows import RowModel
from bayespde.forecasting.skill import forecast_errors

T, X = np.linspace(0, 4, 81), 2 * np.pi * np.arange(64) / 64
TERMS = ("u", "u_x", "u_xx", "u*u_x")
SPLINE = bp.DiscoverConfig(smoothing=bp.SmoothingConfig(smoother="spline"))
HELD = 30


@pytest.fixture(scope="module")
def clean():
    start = xr.DataArray(1 + 0.8 * np.sin(X), dims="x", coords={"x": X}, name="u")
    found = bp.integrate(bp.Equation.from_string("u_t = 0.1*u_xx - u*u_x"), start, T)
    return bp.make_field(found.values, t=T, x=X)


@pytest.fixture(scope="module")
def found(clean, tmp_path_factory):
    field = bp.add_noise(clean, 0.1, seed=0)
    folder = tmp_path_factory.mktemp("run")
    library = bp.Library.from_strings(TERMS)
    return bp.discover(field, library=library, config=SPLINE, holdout_frames=HELD, folder=folder, seed=0)


@pytest.fixture(scope="module")
def held_out(found):
    return found.forecast_holdout(seed=1)


def test_held_out_frames_are_not_used(found, clean):
    assert found.smooth.field.sizes["time"] == len(T) - HELD
    np.testing.assert_array_equal(found.holdout["time"], T[-HELD:])
    assert found.posterior.likelihood.kind == "observation"


def test_the_equation_forecasts_the_held_out_frames(found, held_out, clean):
    ahead, scores = held_out
    assert ahead["u"].dims == ("draw", "time", "x")
    assert ahead["u"].sizes["draw"] == 100
    assert np.isinf(ahead["blow_up_time"]).all()
    rest = clean.isel(time=slice(-HELD, None))
    before = found.smooth.field.copy(data=found.smooth.evaluate((0, 0)))
    truth = bp.verify_forecast(ahead, rest, before=before, is_noisy=False)
    rms = {n: float(np.sqrt((truth[n] ** 2).mean())) for n in ("rmse", "persistence", "constant_velocity")}
    assert rms["rmse"] < 0.1 * rms["persistence"]
    assert rms["rmse"] < 0.2 * rms["constant_velocity"]
    # Pixels with their noise: independent, and more than a thousand of them.
    assert float(scores["coverage"].mean()) == pytest.approx(0.9, abs=0.05)
    assert float(scores["rmse"].mean()) == pytest.approx(ahead.attrs["noise_scale"], rel=0.1)


def test_without_trajectories_it_starts_at_the_smoothed_field(found, held_out):
    assert held_out[0].attrs["initialised_from"] == "trajectories"
    assert 0.9 < held_out[0].attrs["probability_covered"] <= 1
    again = replace(found, trajectories=None).forecast([3.0], options=bp.ForecastConfig(draws=3))
    assert again.attrs["initialised_from"] == "smooth field"
    assert again.attrs["boundary"] == "periodic"


def test_same_seed_same_forecast(found, held_out):
    again, _ = found.forecast_holdout(seed=1)
    assert again.identical(held_out[0])
    other, _ = found.forecast_holdout(seed=2)
    assert not np.array_equal(other["u"], again["u"])


def test_the_weak_form_starts_at_the_smoothed_field(found, clean):
    rest = clean.isel(time=slice(-HELD, None))
    ahead = bp.forecast(found.weak_posterior, found.smooth, rest["time"].values, seed=0)
    assert ahead.attrs["initial_time"] == T[-HELD - 1]
    assert ahead.attrs["initialised_from"] == "smooth field"
    assert ahead.attrs["boundary"] == "periodic"
    scores = bp.verify_forecast(ahead, rest, before=found.smooth.field, is_noisy=False)
    assert float(scores["rmse"].mean()) < 0.2 * float(scores["persistence"].mean())
    assert float(scores["coverage"].mean()) > 0.5


def test_a_frame_is_known(found, clean):
    """All that differs is the equation: its draws alone make the spread."""
    start = clean.isel(time=0, drop=True)
    ahead = bp.forecast(found.posterior, start, T[:20], options=bp.ForecastConfig(draws=40), seed=0)
    assert float(ahead["u"].isel(time=0).std("draw").max()) < 1e-12
    assert ahead.attrs["noise_scale"] == 0
    one = {n: float(v) for n, v in zip(ahead["term"].values, ahead["coefficient"][7], strict=True) if v}
    equation = bp.Equation.from_string("u_t = " + " + ".join(f"{v:.17g}*{n}" for n, v in one.items()))
    wanted = bp.integrate(equation, start, T[:20])
    np.testing.assert_allclose(ahead["u"][7], wanted, atol=2e-3)


def test_the_front_has_a_forecast_error(found):
    front = found.pareto_front()
    best = front.isel(equation=int(np.flatnonzero(front["selected"])[0]))
    empty = front.isel(equation=int(np.flatnonzero(front["size"] == 0)[0]))
    assert float(best["forecast_error"]) < 0.5 * float(empty["forecast_error"])
    # The empty equation stays where it is.
    stays = found.smooth.evaluate((0, 0))[-1]
    wanted = np.sqrt(np.mean((found.holdout.values - stays) ** 2)) / float(found.holdout.std())
    assert float(empty["forecast_error"]) == pytest.approx(wanted, rel=0.02)


def test_an_equation_that_blows_up_has_none(found):
    coefficients = np.array([[0.0, 0, 0.1, -1.0], [0.0, 0, -1.0, 0]])
    errors = forecast_errors(found.posterior.library, coefficients, found.smooth, found.holdout, boundary="periodic")
    assert errors[0] < 0.3
    assert np.isnan(errors[1])


def test_forecasts_are_groups_of_the_inference_data(found, held_out):
    from bayespde.results.inference_data import from_inference_data, to_tree

    tree = to_tree(found.posterior, held_out[0])
    assert tree["predictions"]["u"].dims == ("chain", "draw", "time", "x")
    np.testing.assert_array_equal(tree["predictions"]["u"][0], held_out[0]["u"])
    assert float(tree["predictions_constant_data"]["noise_scale"]) == held_out[0].attrs["noise_scale"]
    assert np.array_equal(from_inference_data(tree).spins, found.posterior.spins)


def test_the_command_line_forecasts_a_run(found, clean, tmp_path):
    clean.to_netcdf(tmp_path / "observed.nc", engine="h5netcdf")
    command = ["forecast", str(found.folder), "--until", "3.0", "--draws", "20", "--output", str(tmp_path / "out")]
    answer = CliRunner().invoke(app, [*command, "--verify-with", str(tmp_path / "observed.nc")])
    assert answer.exit_code == 0, answer.output
    assert "root mean square error: forecast" in answer.output
    names = {"forecast.nc", "forecast.png", "forecast.gif", "scores.csv", "scores.png", "observed.nc"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    with xr.open_dataset(tmp_path / "out" / "forecast.nc", engine="h5netcdf") as written:
        assert float(written["time"][-1]) == pytest.approx(3.0)
        assert written.sizes["draw"] == 20
    plain = CliRunner().invoke(app, [*command, "--frames", "5", "--animation", "none"])
    assert plain.exit_code == 0, plain.output
    late = CliRunner().invoke(app, [*command[:2], "--until", "1.0"])
    assert isinstance(late.exception, ConfigError)


def test_gaps_of_the_last_frame_are_filled(found):
    field = found.smooth.field.copy()
    field[-1, 10:13] = np.nan
    smooth = bp.fit_field(field, smoother="spline")
    ahead = bp.forecast(found.weak_posterior, smooth, T[-HELD:-20], options=bp.ForecastConfig(draws=5))
    assert np.isfinite(ahead["u"]).all()
    errors = forecast_errors(
        found.posterior.library, np.array([[0.0, 0, 0.1, -1.0]]), smooth, found.holdout, boundary="periodic"
    )
    assert errors[0] < 0.3


def test_a_draw_beyond_the_divergence_threshold_ends():
    """Growth to 1 from a thousandth of it."""
    start = xr.DataArray(1e-3 * (1 + 0.5 * np.sin(X)), dims="x", coords={"x": X}, name="u")
    library = bp.Library.from_strings(["u", "u**3"])
    design = 100 * np.eye(6)[:, :2]
    rows = bp.SufficientStatistics.from_rows(
        design, design @ [3.0, -3.0], names=library.names, model=RowModel(prior_variance=1.0)
    )
    posterior = bp.sample(bp.SpinModel(rows, library), method="exact", particles=50, runs=1)
    times = np.linspace(0, 4, 5)
    ended = bp.forecast(posterior, start, times, options=bp.ForecastConfig(draws=10))
    grown = bp.forecast(posterior, start, times, options=bp.ForecastConfig(draws=10, divergence_threshold=1e4))
    assert ended.attrs["fraction_diverged"] > 0.5
    assert grown.attrs["fraction_diverged"] == 0
    np.testing.assert_allclose(grown["u"][:, -1].mean(), 1, atol=0.1)


@pytest.fixture(scope="module")
def window():
    """Pulses that enter and leave: clean frames, and a discovery from the first sixty."""
    settings = {"kind": "gaussian_pulses", "centres": [4, 12, 20, 27], "heights": [1.5, 1, -0.7, -1.2]}
    spec = bp.SimulationSpec(
        equation="u_t = -u*u_x + 0.1*u_xx",
        extent={"x": 32.0},
        points={"x": 256},
        times={"start": 0.0, "stop": 10.0, "frames": 101},
        initial=settings | {"widths": [1.5, 1.0, 0.8, 1.5]},
        crop={"x": (64, 192)},
    )
    clean = bp.simulate(spec)
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u*u_x", "u**2"])
    config = replace(SPLINE, trajectory_matching="never")
    noisy = bp.add_noise(clean, 0.05, seed=1)
    return clean, bp.discover(noisy, library=library, config=config, holdout_frames=40, seed=0)


def test_boundary_data_give_what_enters_a_window(window):
    clean, found = window
    open_forecast, _ = found.forecast_holdout()
    known, _ = found.forecast_holdout(boundary_data=True)
    assert (open_forecast.attrs["boundary"], known.attrs["boundary"]) == ("open", "dirichlet")
    rest = clean.isel(time=slice(-40, None))
    apart = {
        name: float(np.sqrt(((p["u"].mean("draw") - rest) ** 2).mean()))
        for name, p in {"open": open_forecast, "known": known}.items()
    }
    persistence = float(np.sqrt(((clean.isel(time=60) - rest) ** 2).mean()))
    # Without boundary data what enters is unknown; with them only equation and initial state are.
    assert apart["known"] < 0.1 * persistence
    assert apart["open"] < 0.8 * persistence
    truth = bp.verify_forecast(open_forecast, rest, is_noisy=False)
    assert float(truth["coverage"].mean()) > 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rest: rest.isel(time=slice(0, 20)), "do not fit"),
        (lambda rest: rest.isel(x=slice(1, None)), "do not fit"),
        (lambda rest: rest.where(rest["x"] > rest["x"][0]), "missing"),
    ],
    ids=["too short", "another grid", "gaps at an edge"],
)
def test_boundary_data_that_do_not_fit_are_refused(window, change, words):
    _, found = window
    with pytest.raises(ConfigError, match=words):
        found.forecast(found.holdout["time"], boundary_data=change(found.holdout))


def test_three_dimensions_are_forecast(seed):
    """Anisotropic diffusion: every wave decays at its own rate."""
    rng, rates = np.random.default_rng(seed), np.array([0.05, 0.1, 0.2])
    library = bp.Library.from_strings(["u_xx", "u_yy", "u_zz", "u"])
    design = rng.standard_normal((200, 4))
    target = design[:, :3] @ rates + 1e-4 * rng.standard_normal(200)
    statistics = bp.SufficientStatistics.from_rows(design, target, names=library.names, target_name="u_t")
    posterior = bp.sample(bp.SpinModel(statistics, library), seed=0)
    x = 2 * np.pi * np.arange(12) / 12
    waves = {"z": np.cos(x)[:, None, None], "y": np.cos(2 * x)[None, :, None], "x": np.sin(x)[None, None, :]}
    wave = waves["z"] * waves["y"] * waves["x"]
    start = xr.DataArray(wave, dims=("z", "y", "x"), coords=dict.fromkeys("zyx", x), name="u")
    times = np.linspace(0, 2, 5)
    found = bp.forecast(posterior, start, times, options=bp.ForecastConfig(draws=10), seed=0)
    assert found["u"].dims == ("draw", "time", "z", "y", "x")
    decay = np.exp(-(rates @ [1, 4, 1]) * times)
    assert np.abs(found["u"].mean("draw").values - decay[:, None, None, None] * wave).max() < 2e-3


def test_units_of_time_are_kept(clean, found):
    start = clean.isel(time=0).assign_coords(time=clean["time"][0].assign_attrs(units="s"))
    ahead = bp.forecast(found.weak_posterior, start, [0.0, 0.5], options=bp.ForecastConfig(draws=2))
    assert ahead["time"].attrs["units"] == "s"
    alone = bp.forecast(found.weak_posterior, start, [0.0], options=bp.ForecastConfig(draws=2))
    np.testing.assert_allclose(alone["u"][0, 0], start)
    late = start.assign_coords(time=1 - 2**-53)
    assert (
        bp.forecast(found.weak_posterior, late, np.linspace(1, 2, 5), options=bp.ForecastConfig(draws=8)).attrs[
            "fraction_diverged"
        ]
        == 0
    )


def test_a_forecast_knows_that_its_posterior_was_cut_short(clean, found):
    options, start = bp.ForecastConfig(draws=2), clean.isel(time=0)
    whole, sampling = found.weak_posterior, replace(found.weak_posterior.sampling, complete=False)
    for posterior, stopped_by in ((whole, ""), (replace(whole, sampling=sampling), "interrupt")):
        assert bp.forecast(posterior, start, [0.5], options=options).attrs["stopped_by"] == stopped_by


def test_a_uniform_start_is_one(clean, found):
    start = clean.isel(time=0, drop=True) * 0 + 0.5
    assert np.isfinite(
        bp.forecast(found.weak_posterior, start, [0.0, 0.5], options=bp.ForecastConfig(draws=3))["u"]
    ).all()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda p, s, c: bp.forecast(p, s, [1.0, 0.5]), ConfigError),
        (lambda p, s, c: bp.forecast(p, s, [-1.0, 0.5]), ConfigError),
        (lambda p, s, c: bp.forecast(p, c, [0.0, 1.0]), FieldError),
        (lambda p, s, c: bp.forecast(p, c.isel(time=3), [0.0, 1.0]), ConfigError),
        (
            lambda p, s, c: bp.forecast(p, s, np.linspace(3, 4, 10**5), options=bp.ForecastConfig(draws=10**4)),
            ConfigError,
        ),
        (lambda p, s, c: bp.forecast(p, s, []), ConfigError),
        (lambda p, s, c: bp.forecast(p, s, [[3.0, 3.5], [3.6, 3.7]]), ConfigError),
        (lambda p, s, c: bp.forecast(p, s, [np.inf]), ConfigError),
        (lambda p, s, c: bp.ForecastConfig(draws=0), ConfigError),
        (lambda p, s, c: bp.ForecastConfig(divergence_threshold=0.5), ConfigError),
        (lambda p, s, c: bp.ForecastConfig(boundary="round"), ConfigError),
        (lambda p, s, c: bp.ForecastConfig(noise_scale=-1.0), ConfigError),
        (lambda p, s, c: bp.figures.animate_forecast(None, "film.gif"), FieldError),
        (lambda p, s, c: bp.figures.animate_forecast(bp.forecast(p, s, [3.0, 3.5], draws=2), "film.avi"), FileError),
    ],
)
def test_what_cannot_be_forecast_is_refused(found, clean, change, error):
    with pytest.raises(error):
        change(found.posterior, found.smooth, clean)


@pytest.mark.parametrize("frames", [-1, True, 80, 2.0])
def test_frames_to_hold_out_are_checked(clean, frames):
    with pytest.raises(ConfigError, match=r"hold out|holdout_frames"):
        bp.discover(clean, holdout_frames=frames)


def test_nothing_held_out_nothing_forecast(found):
    from dataclasses import replace

    with pytest.raises(ConfigError, match="held out"):
        replace(found, holdout=None).forecast_holdout()


def test_figures_of_planes(found, tmp_path):
    axis = np.linspace(0, 1, 12)
    values = np.random.default_rng(0).random((5, 6, 12, 12))
    u = xr.DataArray(values, dims=("draw", "time", "y", "x"), coords={"time": np.arange(6.0), "y": axis, "x": axis})
    ahead = xr.Dataset({"u": u}, attrs={"field": "u", "noise_scale": 0.1, "boundary": "periodic"})
    observed = u.mean("draw") + 0.3 * (u["x"] > 0.5)
    figure = bp.figures.plot_forecast(ahead, observed, frames=3)
    drawn = [a for a in figure.axes if a.images]
    assert [a.get_ylabel() for a in drawn[::3]] == ["forecast", "observed", "difference", "sd"]
    assert [a.get_title() for a in drawn[:3]] == ["$t$ = 0", "$t$ = 2", "$t$ = 5"]
    assert figure.get_supxlabel() == "x (dimensionless)"
    np.testing.assert_allclose(drawn[7].images[0].get_array(), np.tile(0.3 * (axis > 0.5), (12, 1)), atol=1e-12)
    np.testing.assert_allclose(drawn[-1].images[0].get_array(), np.std(values[:, 5], axis=0))
    assert len([a for a in bp.figures.plot_forecast(ahead).axes if a.images]) == 8
    path = bp.figures.animate_forecast(ahead, tmp_path / "plane.gif")
    assert path.stat().st_size > 1000
