"""Reports of run folders and of discoveries: what they need, what they leave out, and how they look to a browser."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import small_problem
import xarray as xr
from pages import Page, check
from typer.testing import CliRunner

import bayespde as bp
from bayespde.cli import app
from bayespde.core.errors import ConfigError, FileError, FileWarning
from bayespde.core.netcdf import write_netcdf
from bayespde.discovery.files import write_forecast
from bayespde.smooth.files import to_dataset

LARGEST = 2_000_000
HELD = 12


def read(path):
    page = Page(path.read_text(encoding="utf-8"))
    check(page)
    assert path.stat().st_size < LARGEST
    return page


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    field = small_problem.video()
    field[5, 10:14] = np.nan
    found = small_problem.discover(field, holdout_frames=HELD, folder=folder)
    prediction, scores = found.forecast_holdout(options=bp.ForecastConfig(draws=20))
    write_forecast(prediction, folder, found.holdout, scores, animation="none")
    return found


@pytest.fixture
def folder(found, tmp_path):
    """A copy, which may be broken."""
    return shutil.copytree(found.folder, tmp_path / "run")


def test_a_folder_alone_is_enough(found, folder):
    path = bp.report(folder)
    assert path == folder / "report.html"
    page = read(path)
    best = found.equations(top=1)[0]
    assert str(best) in page.by_id("answer").text
    assert len(page.all("img")) == 7
    assert "Left out" not in page.root.text
    provenance = page.by_id("provenance").text
    record = json.loads((folder / "provenance.json").read_text())
    for wanted in (
        found.posterior.provenance["data"],
        record["written"],
        record["stages"]["posterior.nc"],
        "u: m s^-1",
    ):
        assert wanted in provenance
    assert f"{4 / (49 * 128):.1%} of the pixels missing" in provenance
    assert "not used for the forecast" in page.by_id("forecast").text
    left = float(np.nanstd(found.smooth.field - found.smooth.evaluate((0, 0))))
    assert f"{left:.3g}" in page.by_id("field").all("img")[0].attributes["alt"]


def test_the_front_knows_how_well_its_equations_foretell(found, folder):
    front = found.pareto_front()
    best = front.isel(equation=np.flatnonzero(front["on_front"].values))
    table = read(bp.report(folder)).by_id("pareto").all("table")[0]
    shown = [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]
    wanted = [f"{e:.3g}" if np.isfinite(e) else "diverges" for e in best["forecast_error"].values]
    assert [row[3] for row in shown] == wanted
    chosen = int(np.flatnonzero(best["selected"].values)[0])
    mean_stays = float(np.sqrt(np.nanmean((found.holdout - found.smooth.field.mean()) ** 2)) / found.holdout.std())
    assert float(shown[chosen][3]) < 0.5 * mean_stays
    (folder / "observed.nc").unlink()
    assert "Forecast error" not in read(bp.report(folder)).by_id("pareto").text


def test_scores_are_those_of_the_file(folder):
    shown = read(bp.report(folder)).by_id("forecast").text
    table = np.genfromtxt(folder / "scores.csv", delimiter=",", names=True)
    assert f"forecast {np.sqrt(np.mean(table['rmse'] ** 2)):.3g}" in shown
    assert f"{table['coverage'].mean():.0%} of pixels inside their 90% bands" in shown


def test_a_discovery_gives_the_page_of_its_folder(found, tmp_path):
    one, other = (
        found.report(tmp_path / "one.html", title="Mine"),
        bp.report(found.folder, tmp_path / "b.html", title="Mine"),
    )
    assert one.read_text() == other.read_text()
    assert read(one).all("h1")[0].text == "Mine"


def test_a_discovery_without_a_folder_is_forecast_for_its_page(found, tmp_path):
    page = read(replace(found, folder=None).report(tmp_path / "page.html"))
    assert f"{HELD} times" in page.by_id("forecast").text
    assert "not recorded" in page.by_id("provenance").text
    with pytest.raises(ConfigError, match="no path to write"):
        replace(found, folder=None).report()


def test_without_a_posterior_there_is_no_page(folder):
    (folder / "posterior.nc").unlink()
    before = sorted(folder.iterdir())
    with pytest.raises(FileError, match=r"has smooth.nc, statistics.nc") as caught:
        bp.report(folder)
    assert "resumes" in caught.value.fix
    assert sorted(folder.iterdir()) == before
    with pytest.raises(FileError, match="none of the stages"):
        bp.report(folder / "absent", folder / "page.html")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("broken", ["posterior.nc", "smooth.nc", "forecast.nc"])
def test_a_broken_file_leaves_the_page_of_before(folder, broken):
    (folder / "report.html").write_text("before")
    (folder / broken).write_bytes((folder / broken).read_bytes()[:500])
    with pytest.raises(FileError):
        bp.report(folder)
    assert (folder / "report.html").read_text() == "before"


def test_what_a_folder_lacks_is_left_out_with_a_reason(folder):
    for name in ("smooth.nc", "statistics.nc", "forecast.nc", "provenance.json"):
        (folder / name).unlink()
    page = read(bp.report(folder))
    assert "Left out: The folder has no smooth.nc" in page.by_id("field").text
    assert "Left out: The folder has no smooth.nc" in page.by_id("derivatives").text
    assert "No frames were held out" in page.by_id("forecast").text
    assert "Finished not recorded" in page.by_id("provenance").text
    assert len(page.all("img")) == 3


def test_frames_that_are_not_in_the_folder_are_not_invented(folder):
    (folder / "observed.nc").unlink()
    page = read(bp.report(folder))
    assert "There are no observed frames to verify it with." in page.by_id("forecast").text
    assert len(page.by_id("forecast").all("img")) == 1


@pytest.mark.parametrize("change", [{"posterior": "another"}, {"field": "v"}, "early"])
def test_a_forecast_of_an_earlier_discovery_is_not_shown(folder, change):
    with xr.open_dataset(folder / "forecast.nc", engine="h5netcdf") as dataset:
        prediction = dataset.load()
    if change == "early":
        prediction = prediction.assign_coords(time=prediction["time"] - 3.0)
    else:
        prediction = prediction.assign_attrs(change)
    write_netcdf(prediction, folder / "forecast.nc", "forecast")
    page = read(bp.report(folder))
    assert "that of an earlier discovery" in page.by_id("forecast").text
    assert page.by_id("forecast").all("img") == []


def test_stages_of_different_videos_make_no_page(found, folder):
    smooth = bp.fit_field(small_problem.video(), smoother="spline")
    write_netcdf(to_dataset(smooth), folder / "smooth.nc", "smooth")
    with pytest.raises(FileError, match="different videos"):
        bp.report(folder)


def test_a_record_that_cannot_be_read_is_no_matter(folder):
    (folder / "provenance.json").write_text("[1, 2")
    with pytest.warns(FileWarning, match=r"provenance\.json is damaged"):
        page = read(bp.report(folder))
    assert "not recorded" in page.by_id("provenance").text


def test_frames_predicted_later_are_shown_too(folder):
    done = CliRunner().invoke(app, ["forecast", str(folder), "--until", "8", "--draws", "10", "--animation", "none"])
    assert done.exit_code == 0, done.output
    page = read(bp.report(folder))
    assert len(page.by_id("forecast").all("img")) == 3


def test_two_dimensions_make_a_page(tmp_path):
    t, y, x = np.linspace(0, 2, 31), np.linspace(0, 4, 25), np.linspace(0, 5, 30)
    clean = np.exp(-0.4 * t)[:, None, None] * np.cos(y)[:, None] * np.sin(x) + 0.2
    noise = 0.01 * np.random.default_rng(0).standard_normal(clean.shape)
    field = bp.make_field(clean + noise, t=t, y=y, x=x)
    library = bp.Library.from_strings(["u", "u_xx", "u_yy"])
    found = small_problem.discover(field, library=library, folder=tmp_path / "run")
    page = read(found.report())
    assert "Maps of 4 frames" in page.by_id("field").all("img")[0].attributes["alt"]


def test_the_command_writes_the_page_and_names_it(folder, tmp_path):
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert (done.exit_code, done.output.split()) == (0, [str(folder / "report.html")])
    done = CliRunner().invoke(app, ["report", str(folder), "-o", str(tmp_path / "p.html"), "--title", "<i>Mine</i>"])
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "p.html").all("h1")[0].text == "<i>Mine</i>"
    assert isinstance(CliRunner().invoke(app, ["report", str(tmp_path)]).exception, FileError)


def test_a_browser_shows_it_without_a_complaint(found, folder, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    path = bp.report(folder, title="<script>document.title = 'run'</script>")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}"]
    options += ["--enable-logging=stderr", "--window-size=500,900", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    page = Page(done.stdout)
    assert page.all("h1")[0].text == "<script>document.title = 'run'</script>"
    assert str(found.equations(top=1)[0]) in page.by_id("answer").text
    assert re.search(r"not used for the forecast", page.root.text)
    assert len(page.all("img")) == 7


def test_the_folder_of_coupled_fields_names_those_of_each(tmp_path):
    for name in "uv":
        (tmp_path / name).mkdir()
        (tmp_path / name / "posterior.nc").touch()
    with pytest.raises(FileError, match="one folder for each of the coupled fields") as caught:
        bp.report(tmp_path)
    assert str(tmp_path / "v") in str(caught.value)
