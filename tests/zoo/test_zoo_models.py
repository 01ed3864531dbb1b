"""Every shipped declaration parses, has a card and a reference, simulates, and meets its reference."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from bayespde.core.coupled import CoupledEquations
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field
from bayespde.solve.simulate import SimulationSpec, simulate
from bayespde.zoo.declaration import read_declaration
from bayespde.zoo.reference import compare_with_posterior, compare_with_truth
from bayespde.zoo.shipped import declaration_names, models_folder

ALL = declaration_names()
SYSTEMS = [name for name in ALL if read_declaration(name).fields]
NAMES = [name for name in ALL if name not in SYSTEMS]
NEW = {"advection_diffusion", "fisher_kpp", "korteweg_de_vries", "kuramoto_sivashinsky", "swift_hohenberg"}
# The model that the default suite runs as a whole.
FAST = "heat"
WHOLE = [n if n == FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", params=NAMES)
def declaration(request):
    return read_declaration(request.param)


@pytest.fixture(scope="module")
def clean(declaration):
    spec = SimulationSpec.from_mapping(declaration.settings["simulate"])
    return simulate(dataclasses.replace(spec, noise=0.0))


def test_the_folder_holds_what_is_promised():
    assert {"allen_cahn_front", "burgers", "heat", "phase_field_front"} | NEW <= set(NAMES)
    assert SYSTEMS == ["reaction_diffusion_spiral"]
    folders = {f.name for f in models_folder().iterdir() if f.is_dir() and not f.name.startswith((".", "__"))}
    assert folders == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_declaration_has_card_and_title(name):
    declaration = read_declaration(name)
    card = (declaration.folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {declaration.name}\n")
    headings = ("Physics", "What is identifiable", "What is not", "Reference", "Measured", "Known failure", "Run")
    assert [h for h in headings if f"**{h}.**" not in card] == []
    assert declaration.title != declaration.name


def test_reference_is_the_simulated_equation(declaration):
    reference = declaration.references[""]
    stored = json.loads((declaration.folder / "reference.json").read_text(encoding="utf-8"))
    assert set(stored) == {"coefficients", "relative_tolerance", "sd_tolerance", "source", "posterior"}
    assert 0 < reference.relative_tolerance <= 0.05
    assert 0 < reference.sd_tolerance <= 3
    simulated = Equation.from_string(declaration.settings["simulate"]["equation"]).as_dict()
    assert reference.coefficients == pytest.approx(simulated, rel=1e-12)


def test_reference_posterior_holds_the_truth(declaration, clean):
    reference, known = declaration.references[""], declaration.references[""].posterior
    library = declaration.library(clean)
    truth = {library[library.index(n)].name: v for n, v in reference.coefficients.items()}
    assert set(known.inclusion_probability) == set(library.names)
    assert set(known.mean) == set(known.sd) == set(truth)
    for name, value in truth.items():
        assert known.inclusion_probability[name] > 0.95
        assert abs(known.mean[name] - value) < reference.sd_tolerance * known.sd[name]
    assert max(p for n, p in known.inclusion_probability.items() if n not in truth) < 0.2
    assert 0.5 < known.probability <= min(known.inclusion_probability[n] for n in truth)


def test_settings_parse_and_library_holds_the_truth(declaration, clean):
    config, library = declaration.config, declaration.library(clean)
    assert len(library) <= config.enumerate_up_to
    assert len(library) > len(declaration.references[""].coefficients)
    assert all(library.index(n) >= 0 for n in declaration.references[""].coefficients)


def test_field_is_the_clean_one_with_the_declared_noise(declaration, clean):
    settings, field = declaration.settings["simulate"], declaration.field()
    assert field.shape == clean.shape
    assert field.sizes["time"] == settings["times"]["frames"]
    assert {str(d): field[d].attrs["units"] for d in field.dims}.items() <= settings["units"].items()
    validate_field(field)
    assert 0.01 <= settings["noise"] <= 0.10
    ratio = float((field - clean).std()) / (settings["noise"] * float(clean.std()))
    # The sample standard deviation of n normal values has a relative standard error of 1 / sqrt(2 n).
    assert abs(ratio - 1) < 5 / np.sqrt(2 * field.size)


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_way_meets_the_reference(name):
    declaration = read_declaration(name)
    found = declaration.run()
    assert compare_with_truth(found, declaration.references[""]) == []
    assert compare_with_posterior(found, declaration.references[""].posterior) == []


def test_other_noise_leaves_the_truth_of_a_reference_alone():
    declaration = read_declaration("burgers")
    other = declaration.with_noise(7)
    assert other.references == {"": dataclasses.replace(declaration.references[""], posterior=None)}
    assert other.simulation == dict(declaration.simulation) | {"seed": 7}
    with pytest.raises(ConfigError, match="does not simulate"):
        dataclasses.replace(declaration, settings={"data": {"file": "a.nc"}}).with_noise(7)


def _clean(name):
    spec = SimulationSpec.from_mapping(read_declaration(name).settings["simulate"])
    return simulate(dataclasses.replace(spec, noise=0.0)), spec


def test_two_solitons_pass_through_each_other_as_the_exact_solution_says():
    """Hirota's two solitons on a line, at the declared places, and their images, which hardly overlap with them."""
    field, spec = _clean("korteweg_de_vries")
    steepening, dispersion = 15.0, 1650.0
    k, heights = 2 / np.array(spec.initial["widths"]), np.array(spec.initial["heights"])
    np.testing.assert_allclose(k, np.sqrt(heights * steepening / (3 * dispersion)), rtol=1e-6)
    coupling = ((k[0] - k[1]) / (k[0] + k[1])) ** 2
    # The slow soliton is ahead, so that its phase holds the shift of a passage that has yet to come.
    first, second = spec.initial["centres"]
    places = first, second + np.log(coupling) / k[1]
    x, t = field["x"].values, field["time"].values[:, None]

    def exact(x):
        e = [np.exp(q * (x - place - dispersion * q**2 * t)) for q, place in zip(k, places, strict=True)]
        parts = [(e[0], k[0]), (e[1], k[1]), (coupling * e[0] * e[1], k.sum())]
        tau, slope, curvature = ((n == 0) + sum(v * q**n for v, q in parts) for n in range(3))
        return 12 * dispersion / steepening * (curvature / tau - (slope / tau) ** 2)

    images = sum(exact(x + turn * spec.extent["x"]) for turn in (-1, 0, 1))
    assert np.abs(field.values - images).max() < 0.1 * spec.noise * float(field.std())
    # The passage is in the video, and over at its end.
    highest = field.max("x").values
    assert highest.min() < 0.8 * heights[0]
    assert highest[-1] == pytest.approx(heights[0], rel=0.02)


def test_plumes_follow_the_closed_form_and_disperse_along_the_flow():
    field, spec = _clean("advection_diffusion")
    flow, spread = np.array([0.8, 0.6]), np.array([[0.356, 0.192], [0.192, 0.244]])
    # Dispersion of Scheidegger: 0.5 m along the flow and 0.1 m across it, times a speed of 1 m per day.
    np.testing.assert_allclose(spread, 0.1 * np.eye(2) + 0.4 * np.outer(flow, flow), atol=1e-12)
    y, x = (2 * np.pi * np.fft.fftfreq(spec.points[d], spec.extent[d] / spec.points[d]) for d in "yx")
    vectors = np.stack(np.meshgrid(x, y), axis=-1)
    rate = -1j * vectors @ flow - np.einsum("...i,ij,...j", vectors, spread, vectors)
    start = np.fft.fft2(field.values[0])
    for frame, time in zip(field.values, field["time"].values, strict=True):
        np.testing.assert_allclose(frame, np.fft.ifft2(start * np.exp(rate * time)).real, atol=1e-4)


def _slopes(extent, points):
    """k-th derivatives along an axis of a periodic array, without any code of the package."""
    frequency = 2j * np.pi * np.fft.fftfreq(points, extent / points)

    def slope(u, k, axis=-1):
        shape = [-1 if a == axis % u.ndim else 1 for a in range(u.ndim)]
        return np.fft.ifft(np.fft.fft(u, axis=axis) * (frequency**k).reshape(shape), axis=axis).real

    return slope


RATES = {
    "fisher_kpp": lambda u, d: 0.05 * u * (1 - u) + 1000 * (d(u, 2) + d(u, 2, 0)),
    "kuramoto_sivashinsky": lambda u, d: -u * d(u, 1) - 30 * d(u, 2) - 40 * d(u, 4),
    "swift_hohenberg": lambda u, d: -0.04 * u - 0.1 * u**3 - 0.16 * d(u, 2) - 0.075 * d(u, 4),
}


@pytest.mark.parametrize("name", RATES)
def test_frames_are_those_of_another_integrator(name):
    field, spec = _clean(name)
    slope, shape = _slopes(spec.extent["x"], spec.points["x"]), field.shape[1:]
    stiff = {"method": "BDF"} if field.ndim == 2 else {"method": "DOP853"}
    found = solve_ivp(
        lambda _, u: RATES[name](u.reshape(shape), slope).ravel(),
        (spec.times["start"], spec.times["stop"]),
        field.values[0].ravel(),
        t_eval=field["time"].values,
        rtol=1e-8,
        atol=1e-8 * float(field.std()),
        **stiff,
    )
    error = np.abs(found.y.T.reshape(field.shape) - field.values).max()
    # A tenth of what the noise hides, at the worst pixel, after chaos has had its time.
    assert error < 0.1 * spec.noise * float(field.std())


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request):
    return read_declaration(request.param)


def test_references_of_a_system_are_its_simulated_equations(system):
    simulated = CoupledEquations.from_strings(system.settings["simulate"]["equation"])
    assert set(system.references) == set(system.fields) == set(simulated.variables)
    for equation in simulated.equations:
        reference = system.references[equation.variable]
        assert reference.coefficients == pytest.approx(equation.as_dict(), rel=1e-12)
        known = reference.posterior
        for name, value in reference.coefficients.items():
            assert known.inclusion_probability[name] > 0.95
            assert abs(known.mean[name] - value) < reference.sd_tolerance * known.sd[name]
        assert max(p for n, p in known.inclusion_probability.items() if n not in reference.coefficients) < 0.2


def test_fields_of_a_system_have_noise_of_their_own(system):
    spec = SimulationSpec.from_mapping(system.settings["simulate"])
    clean, seen = simulate(dataclasses.replace(spec, noise=0.0)), system.field()
    left = {name: (seen[name] - clean[name]) / (spec.noise * float(clean[name].std())) for name in spec.fields}
    for name in spec.fields:
        validate_field(seen[name])
        assert seen[name].attrs["units"] == spec.units[name]
        assert abs(float(left[name].std()) - 1) < 5 / np.sqrt(2 * left[name].size)
    first, second = left.values()
    assert abs(float((first * second).mean())) < 5 / np.sqrt(first.size)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_whole_way_of_a_system_meets_its_references(name):
    declaration = read_declaration(name)
    found = declaration.run()
    for field, reference in declaration.references.items():
        assert compare_with_truth(found[field], reference) == []
        assert compare_with_posterior(found[field], reference.posterior) == []


def test_a_spiral_turns_at_the_rate_of_its_arms():
    """Far from the core r = 1 up to what the arms' waves cost, 1 - D k^2, and the phase turns by -r^2."""
    field, spec = _clean("reaction_diffusion_spiral")
    phase = np.unwrap(np.angle(field["u"].values + 1j * field["v"].values), axis=0)
    far = np.hypot(
        *np.meshgrid(field["y"] - spec.initial["u"]["y"], field["x"] - spec.initial["u"]["x"], indexing="ij")
    )
    arms = (far > 500) & (far < 800)
    turned = np.diff(phase, axis=0)[-20:, arms].mean() / float(field["time"][1])
    squared = (field["u"] ** 2 + field["v"] ** 2).values[-20:, arms].mean()
    assert turned == pytest.approx(-squared, rel=0.05)
    assert 0.7 < squared < 1.0
