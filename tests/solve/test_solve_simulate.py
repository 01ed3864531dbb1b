"""Simulations from declarations: known moments of the demonstration, windows, noise, and refused settings."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayespde.solve
from bayespde.core.errors import ConfigError, TermError
from bayespde.core.field import validate_field
from bayespde.solve import SimulationSpec, SolverConfig, simulate

MODEL = Path(__file__).resolve().parents[2] / "models" / "allen_cahn_front" / "model.toml"


def declaration():
    return {
        "equation": "u_t = 0.1*u_xx",
        "extent": {"x": 2.0},
        "points": {"x": 20},
        "times": {"start": 1.0, "stop": 2.0, "frames": 11},
        "initial": {"kind": "sine_modes", "amplitudes": [1.0], "wavenumbers": [1]},
    }


def test_the_demonstration_has_its_known_mean_and_noise():
    spec = SimulationSpec.from_mapping(tomllib.loads(MODEL.read_text())["simulate"])
    clean = simulate(replace(spec, noise=0.0))
    assert dict(clean.sizes) == {"time": 60, "y": 64, "x": 64}
    np.testing.assert_allclose(clean.mean(("y", "x"))[::10], [0.31, 0.39, 0.49, 0.60, 0.72, 0.81], atol=0.005)
    assert float(clean.std()) == pytest.approx(0.353, abs=5e-4)
    np.testing.assert_allclose(np.diff(clean.time), 0.5)
    assert (float(clean.x[0]), float(clean.y[-1])) == (16.0, 79.0)
    assert (clean.units, clean.time.units, clean.y.units) == ("1", "s", "nm")
    noise = (simulate(spec) - clean).values / (0.1 * float(clean.std()))
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 5 / np.sqrt(noise.size)


def test_a_declared_simulation_equals_its_closed_form():
    found = simulate(SimulationSpec.from_mapping(declaration()))
    x = np.arange(20) / 10
    decay = np.exp(-0.1 * np.pi**2 * np.linspace(0, 1, 11))
    np.testing.assert_allclose(found, decay[:, None] * np.sin(np.pi * x), atol=1e-9)
    np.testing.assert_allclose(found.time, np.linspace(1, 2, 11))
    xr.testing.assert_identical(validate_field(found), found)


def test_the_window_is_cropped_after_integration_and_noise_is_relative_to_it(seed):
    spec = SimulationSpec.from_mapping(declaration())
    whole = simulate(spec)
    cut = replace(spec, crop={"x": [3, 11]})
    xr.testing.assert_identical(simulate(cut), whole.isel(x=slice(3, 11)))
    noisy = [simulate(replace(cut, noise=0.2, seed=s)) for s in (seed, seed, seed + 1)]
    xr.testing.assert_identical(noisy[0], noisy[1])
    assert np.abs(noisy[0] - noisy[2]).max() > 0
    deviation = (noisy[0] - simulate(cut)).values
    expected = 0.2 * float(simulate(cut).std())
    assert deviation.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * deviation.size))


def test_the_method_and_the_variable_of_a_declaration_are_used():
    settings = {**declaration(), "equation": "c_t = 0.1*c_xx", "units": {"c": "mol"}}
    spec = SimulationSpec.from_mapping({**settings, "method": {"space": "difference", "order": 4}})
    assert spec.method == SolverConfig(space="difference", order=4)
    found = simulate(spec)
    assert (found.name, found.units) == ("c", "mol")
    exact = simulate(SimulationSpec.from_mapping(settings))
    assert 1e-7 < np.abs(found - exact).max() < 1e-3


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"__class__": "x"},
        {"equation": 3},
        {"extent": {"x": 0.0}},
        {"extent": {"x": "2"}},
        {"extent": {"x": float("inf")}},
        {"extent": {"y": 2.0}},
        {"points": {"x": 20.0}},
        {"points": {"x": True}},
        {"points": {"x": 4}},
        {"points": {"x": 10**12}},
        {"points": {"y": 20}},
        {"points": 20},
        {"times": {"start": 0.0, "stop": 1.0}},
        {"times": {"start": 0.0, "stop": 0.0, "frames": 11}},
        {"times": {"start": 0.0, "stop": 1.0, "frames": 11, "step": 0.1}},
        {"times": {"start": float("nan"), "stop": 1.0, "frames": 11}},
        {"initial": "sine_modes"},
        {"initial": {"amplitudes": [1.0], "wavenumbers": [1]}},
        {"initial": {"kind": "os.system", "command": "true"}},
        {"initial": {"kind": "sine_modes", "amplitudes": [1.0], "wavenumbers": [1], "axes": {}}},
        {"initial": {"kind": "sine_modes", "amplitudes": [1.0], "wavenumbers": [1], "shift": 1}},
        {"crop": {"x": [5, 3]}},
        {"crop": {"x": [0, 21]}},
        {"crop": {"x": [-8, 8]}},
        {"crop": {"x": "all"}},
        {"crop": {"y": [0, 8]}},
        {"noise": -0.1},
        {"noise": "much"},
        {"seed": 1.5},
        {"seed": -1},
        {"units": {"x": 3}},
        {"units": {"z": "nm"}},
        {"method": {"scheme": "rk4"}},
        {"method": {"solver": "etd"}},
        {"method": "etd"},
        {"equation": "u_tt = u_xx"},
        {"equation": "u_t = u_yy"},
        {"method": {"boundary": "dirichlet"}},
    ],
)
def test_unusable_declarations_are_refused(change):
    with pytest.raises(ConfigError):
        simulate(SimulationSpec.from_mapping({**declaration(), **change}))


@pytest.mark.parametrize("missing", ["equation", "extent", "points", "times", "initial"])
def test_missing_keys_are_refused(missing):
    settings = {k: v for k, v in declaration().items() if k != missing}
    with pytest.raises(ConfigError, match=missing):
        SimulationSpec.from_mapping(settings)


def test_an_equation_that_does_not_parse_is_refused():
    hostile = {**declaration(), "equation": "u_t = __import__('os').getcwd()"}
    with pytest.raises(TermError):
        simulate(SimulationSpec.from_mapping(hostile))


def test_the_folder_exports_its_public_names():
    for name in ("SolverConfig", "SimulationSpec", "initial_state", "integrate", "simulate"):
        assert callable(getattr(bayespde.solve, name))
