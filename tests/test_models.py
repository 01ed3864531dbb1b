"""Every shipped declaration parses, has a card and a reference, simulates, and meets its reference."""

import dataclasses
import json

import numpy as np
import pytest

from bayespde.core.equation import Equation
from bayespde.core.field import check_field
from bayespde.solve.simulate import SimulationSpec, simulate
from bayespde.zoo import compare_with_reference, declaration_names, models_folder, read_declaration

NAMES = declaration_names()
SLOW = {"allen_cahn_front"}
WHOLE = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES]


@pytest.fixture(scope="module", params=NAMES)
def declaration(request):
    return read_declaration(request.param)


@pytest.fixture(scope="module")
def clean(declaration):
    spec = SimulationSpec.from_mapping(declaration.settings["simulate"])
    return simulate(dataclasses.replace(spec, noise=0.0))


def test_the_folder_holds_what_is_promised():
    assert {"allen_cahn_front", "burgers", "heat", "phase_field_front"} <= set(NAMES)
    folders = {f.name for f in models_folder().iterdir() if f.is_dir() and not f.name.startswith((".", "__"))}
    assert folders == set(NAMES)


def test_declaration_has_card_and_title(declaration):
    card = (declaration.folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {declaration.name}\n")
    headings = ("Physics", "What is identifiable", "What is not", "Reference", "Measured", "Known failure")
    assert [h for h in headings if f"**{h}.**" not in card] == []
    assert declaration.title != declaration.name


def test_reference_is_the_simulated_equation(declaration):
    reference = json.loads((declaration.folder / "reference.json").read_text(encoding="utf-8"))
    assert set(reference) == {"coefficients", "relative_tolerance", "sd_tolerance", "source"}
    assert 0 < reference["relative_tolerance"] <= 0.05
    assert 0 < reference["sd_tolerance"] <= 3
    simulated = Equation.from_string(declaration.settings["simulate"]["equation"]).as_dict()
    assert reference["coefficients"] == pytest.approx(simulated, rel=1e-12)


def test_settings_parse_and_library_holds_the_truth(declaration, clean):
    config, library = declaration.config, declaration.library(clean)
    assert len(library) <= config.exact_terms
    assert len(library) > len(declaration.reference["coefficients"])
    assert all(library.index(n) >= 0 for n in declaration.reference["coefficients"])


def test_field_is_the_clean_one_with_the_declared_noise(declaration, clean):
    settings, field = declaration.settings["simulate"], declaration.field()
    assert field.shape == clean.shape
    assert field.sizes["time"] == settings["times"]["frames"]
    assert {str(d): field[d].attrs["units"] for d in field.dims}.items() <= settings["units"].items()
    check_field(field)
    assert 0.01 <= settings["noise"] <= 0.10
    ratio = float((field - clean).std()) / (settings["noise"] * float(clean.std()))
    # The sample standard deviation of n normal values has a relative standard error of 1 / sqrt(2 n).
    assert abs(ratio - 1) < 5 / np.sqrt(2 * field.size)


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_way_meets_the_reference(name):
    declaration = read_declaration(name)
    found = declaration.run()
    assert compare_with_reference(found, declaration.reference) == []
    truth = [found.posterior.library[n].name for n in declaration.reference["coefficients"]]
    inclusion = found.posterior.inclusion_probability
    assert float(inclusion.sel(term=truth).min()) > 0.95
    assert float(inclusion.drop_sel(term=truth).max()) < 0.2


def test_a_wrong_reference_is_noticed():
    declaration = read_declaration("phase_field_front")
    found = declaration.run()
    wrong = dict(declaration.reference)
    wrong["coefficients"] = wrong["coefficients"] | {"u_xx": 12.0}
    assert [c.split()[0] for c in compare_with_reference(found, wrong)] == ["u_xx"]
    wrong["coefficients"] = {"u": -0.9, "u_xx": 10.0}
    assert "the true one u, u_xx" in compare_with_reference(found, wrong)[0]
