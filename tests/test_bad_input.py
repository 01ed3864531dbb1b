"""Every kind of bad input through every public door: what, got, wanted, fix, and nothing left behind."""

import sys

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde import cli
from bayespde.core.errors import FieldError, FileError, TermError

T, X, Y = np.linspace(0, 2, 24), np.linspace(0, 6, 30), np.linspace(0, 1, 6)
U = np.sin(X - T[:, None]) + 0.1 * np.cos(2 * X + T[:, None])
SPLINE = bp.DiscoverConfig(trajectory_matching="never", smoothing=bp.SmoothingConfig(smoother="spline"))


def array(values=U, t=T, x=X, dims=("time", "x")):
    coordinates = dict(zip(dims, (t, x), strict=True)) if len(dims) == 2 else {}
    return xr.DataArray(values, dims=dims, coords=coordinates, name="u")


def changed(values, *index, to=np.nan):
    values = values.copy()
    values[index] = to
    return values


MISSING = np.where(np.arange(30) < 12, np.nan, U)
FIELDS = {
    "a NaN frame": (array(changed(U, 7)), "Whole frames have no value"),
    "NaN frames at the end": (array(changed(U, slice(20, None))), "Whole frames have no value"),
    "too many NaN": (array(MISSING), "Too many pixels are missing"),
    "four frames": (array(U[:4], T[:4]), "too short along 'time'"),
    "one frame": (array(U[:1], T[:1]), "too short along 'time'"),
    "no frame": (array(U[:0], T[:0]), "too short along 'time'"),
    "four pixels": (array(U[:, :4], x=X[:4]), "too short along 'x'"),
    "time backwards": (array(t=T[::-1]), "not strictly increasing"),
    "times that repeat": (array(t=np.repeat(T[:12], 2)), "not strictly increasing"),
    "times out of order": (array(t=T[np.r_[1, 0, 2:24]]), "not strictly increasing"),
    "x out of order": (array(x=X[np.r_[0:28, 29, 28]]), "not strictly increasing"),
    "NaN in the times": (array(t=changed(T, 3)), "not strictly increasing"),
    "uneven times": (array(t=T**2), "not evenly spaced"),
    "constant video": (array(np.full_like(U, 2.5)), "constant"),
    "black video": (array(np.zeros_like(U)), "constant"),
    "the same frame again and again": (array(np.tile(U[:1], (24, 1))), "does not change in time"),
    "wrong dims": (array(dims=("frame", "pixel")), "dimensions of the field are not understood"),
    "one dimension": (xr.DataArray(U[0], dims=("x",), coords={"x": X}, name="u"), "dimensions"),
    "colour channels": (xr.DataArray(np.stack([U] * 3, -1), dims=("time", "x", "colour"), name="u"), "dimensions"),
    "no coordinates": (xr.DataArray(U, dims=("time", "x"), name="u"), "has no coordinate"),
    "complex values": (array(U * (1 + 2j)), "real numbers"),
    "text": (array(U.astype(str)), "real numbers"),
    "infinite values": (array(changed(U, 3, 4, to=np.inf)), "infinite values"),
    "a name that cannot stand in a term": (array().rename("my field"), "name of the field"),
    "a name that is an axis": (array().rename("x1").rename("t"), "name of the field"),
    "a plain array": (U, "must be an xarray.DataArray"),
    "a list": (U.tolist(), "must be an xarray.DataArray"),
    "nothing": (None, "must be an xarray.DataArray"),
    "a file name": ("field.nc", "must be an xarray.DataArray"),
}


def well_said(error):
    lines = str(error).splitlines()
    return lines[0].endswith(".") and [line.split(":")[0].strip() for line in lines[-3:]] == ["got", "wanted", "fix"]


def files(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("case", FIELDS)
def test_discover_refuses_the_field(tmp_path, case):
    field, message = FIELDS[case]
    with pytest.raises(FieldError, match=message) as caught:
        bp.discover(field, library=bp.Library.from_strings(["u", "u_x"]), config=SPLINE, folder=tmp_path / "run")
    assert well_said(caught.value)
    # A field that only the second stage can refuse leaves its first stage whole.
    assert set(files(tmp_path)) <= ({"smooth.nc", "provenance.json"} if "change in time" in message else set())


@pytest.mark.parametrize("case", sorted(set(FIELDS) - {"the same frame again and again"}))
def test_fit_field_refuses_the_field(case):
    field, message = FIELDS[case]
    with pytest.raises(FieldError, match=message) as caught:
        bp.fit_field(field, smoother="spline")
    assert well_said(caught.value)


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["bayespde", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


# Only what a file can hold: complex, nameless and non-array fields have no netCDF of their own.
IN_FILES = sorted(
    set(FIELDS)
    - {"complex values", "text", "a plain array", "a list", "nothing", "a file name", "no frame"}
    - {"a name that cannot stand in a term", "a name that is an axis", "wrong dims", "one dimension"}
)


@pytest.mark.parametrize("case", IN_FILES)
def test_the_command_line_refuses_the_file(tmp_path, monkeypatch, capsys, case):
    field, message = FIELDS[case]
    (tmp_path / "in").mkdir()
    field.to_netcdf(tmp_path / "in" / "field.nc", engine="h5netcdf")
    (tmp_path / "in" / "config.toml").write_text('[smooth]\nsmoother = "spline"')
    code, err = command(
        monkeypatch, capsys, "discover", tmp_path / "in" / "field.nc", "--terms", "u,u_x",
        "--config", tmp_path / "in" / "config.toml", "-o", tmp_path / "out",
    )  # fmt: skip
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "posterior.nc").exists()
    if "change in time" not in message:
        assert files(tmp_path) == ["config.toml", "field.nc"]


@pytest.mark.parametrize("values", [U * (1 + 2j), U.astype(str), changed(U, 5), U[:4], np.ones_like(U), U[None]])
def test_the_command_line_refuses_bad_arrays(tmp_path, monkeypatch, capsys, values):
    np.savez(tmp_path / "field.npz", t=T[: len(values)] if values.ndim == 2 else T, x=X, u=values)
    for verb in ("discover", "smooth"):
        code, err = command(monkeypatch, capsys, verb, tmp_path / "field.npz", "-o", tmp_path / "out")
        assert code == 2
        assert err.count("error:") == 1
        assert "Traceback" not in err
        assert files(tmp_path) == ["field.npz"]


TERMS = {
    "does not parse": ["u", "u+*u_x"],
    "empty": ["u", ""],
    "no text": ["u", 3],
    "repeats": ["u", "u_x", "u"],
    "repeats in another order": ["u*u_x", "u_x*u"],
    "repeats with a factor": ["u", "-0.5*u"],
    "zero": ["u - u"],
    "not finite": ["u/0"],
    "unknown name": ["v"],
    "time derivative on the right": ["u_t"],
    "code": ["__import__('os').system('false')"],
    "attribute": ["u.__class__"],
    "lambda": ["lambda: 1"],
    "too long": ["u*" * 150 + "u"],
    "power tower": ["9**9**9**9"],
    "hidden tower": ["((((((((9**8)**8)**8)**8)**8)**8)**8)**8)**8"],
    "nested sums": ["sin((1+u+u_x+u_xx+u_xxx+u_xxxx+u*u_x+u**2)**8)"],
    "nested parentheses": ["(" * 99 + "u" + ")" * 99],
    "null byte": ["u\x00"],
    "no terms": [],
}


@pytest.mark.parametrize("case", sorted(set(TERMS) - {"nested parentheses"}))
def test_bad_terms_are_refused(case):
    with pytest.raises(TermError) as caught:
        bp.Library.from_strings(TERMS[case])
    assert well_said(caught.value)


def test_deep_nesting_is_read_or_refused():
    try:
        assert bp.Library.from_strings(TERMS["nested parentheses"]).names == ("u",)
    except TermError as error:
        assert well_said(error)  # noqa: PT017  the depth that Python's grammar reads differs between versions


@pytest.mark.parametrize("terms", [["u_y"], ["u", "u_xy"], ["v", "v_x"]])
def test_a_library_of_another_field_is_refused_before_any_work(tmp_path, terms):
    variable = terms[0][0]
    library = bp.Library.from_strings(terms, variable=variable, target=f"{variable}_t")
    with pytest.raises(TermError) as caught:
        bp.discover(array(), library=library, config=SPLINE, folder=tmp_path / "run")
    assert well_said(caught.value)
    assert files(tmp_path) == []


@pytest.mark.parametrize("place", ["file/run", "file", "/proc/no/such/place"])
def test_an_unwritable_folder_is_refused_before_any_work(tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("bayespde.discovery.pipeline.fit_field", lambda *_, **__: pytest.fail("work began"))
    with pytest.raises(FileError, match="cannot be written") as caught:
        bp.discover(array(), library=bp.Library.from_strings(["u", "u_x"]), config=SPLINE, folder=tmp_path / place)
    assert well_said(caught.value)
    assert files(tmp_path) == ["file"]


def test_a_window_too_wide_for_the_field_is_said(tmp_path):
    config = bp.DiscoverConfig(smoothing=SPLINE.smoothing, form=bp.WeakForm(support_radius={"time": 40}))
    with pytest.raises(bp.BayespdeError, match="does not fit") as caught:
        bp.discover(array(), library=bp.Library.from_strings(["u", "u_x"]), config=config, folder=tmp_path)
    assert well_said(caught.value)


@pytest.mark.parametrize("frames", [5, 6, 8, 12, 16])
@pytest.mark.parametrize("pixels", [5, 8, 20])
def test_short_videos_are_answered_or_refused(frames, pixels):
    field = array(U[:frames, :pixels], T[:frames], X[:pixels])
    try:
        found = bp.discover(field, library=bp.Library.from_strings(["u", "u_x", "u_xx"]), config=SPLINE)
        assert np.isfinite(found.posterior.inclusion_probability).all()
    except bp.BayespdeError as error:
        assert well_said(error)  # noqa: PT017  any other error fails the test by itself
