"""Equations of several coupled fields: parsing, and systems that are refused."""

import pytest

import bayespde as bp
from bayespde.core.errors import FieldError, TermError
from bayespde.core.field import validate_fields


def test_a_system_is_read_from_text_and_written_back():
    system = bp.CoupledEquations.from_strings(["u_t = u - u*v + 0.5*v_xx", "v_t = 0.1*u - v"])
    assert system.variables == ("u", "v")
    assert system.equations[0].as_dict() == {"u": 1.0, "u*v": -1.0, "v_xx": 0.5}
    assert [line.partition(" = ")[0] for line in str(system).splitlines()] == ["u_t", "v_t"]
    assert "0.5 v_xx" in str(system)


@pytest.mark.parametrize(
    "texts",
    [[], ["u_t = u", "u_t = 2*u"], ["u_t = v"], ["u_tt = u_xx", "v_t = v"], ["u_t = u_x", "v_t = w"], ["u = u_x"]],
    ids=["none", "twice", "unknown field", "second order", "unknown field of the second", "no derivative"],
)
def test_invalid_systems_are_refused(texts):
    with pytest.raises(TermError):
        bp.CoupledEquations.from_strings(texts)


def test_a_library_contains_terms_in_coupled_fields():
    library = bp.Library.from_strings(["v*u", "v_x", "u**2"], variable="u", coupled_variables=("v",))
    assert library.names == ("u*v", "v_x", "u**2")
    assert library.index("u*v") == 0
    with pytest.raises(TermError, match="unknown"):
        bp.Library.from_strings(["v*u"], variable="u")


def test_the_default_library_has_all_products_and_pure_derivatives():
    library = bp.system_library(("u", "v"), "v_t", space=2)
    powers = {"u", "v", "u**2", "u*v", "v**2", "u**3", "u**2*v", "u*v**2", "v**3"}
    derivatives = {f"{n}_{a}" for n in "uv" for a in ("x", "y", "xx", "yy")}
    assert set(library.names) == powers | derivatives
    assert (library.variable, library.coupled_variables, library.target) == ("v", ("u",), "v_t")


@pytest.mark.parametrize("wrong", [{"target": "w_t"}, {"degree": 0}, {"space": 4}, {"order": True}])
def test_a_default_library_out_of_range_is_refused(wrong):
    with pytest.raises(bp.BayespdeError):
        bp.system_library(("u", "v"), **({"target": "u_t"} | wrong))


def test_fields_of_a_system_share_one_grid():
    u = bp.make_field([[0.0, 1, 2, 3, 4]] * 5, t=range(5), x=range(5))
    assert [f.name for f in validate_fields(u.to_dataset().assign(v=u + 1))] == ["u", "v"]
    for wrong in (u, u.to_dataset(), u.to_dataset().assign(v=u.expand_dims(y=range(5)))):
        with pytest.raises(FieldError):
            validate_fields(wrong)
