"""Libraries of candidate terms, and equations with coefficients."""

import numpy as np
import pytest

from bayespde.core.equation import Equation, Library
from bayespde.core.errors import TermError


def test_a_library_keeps_order_names_and_complexities():
    library = Library.from_strings({"u": 1.0, "u_x*u": 2.5})
    assert library.names == ("u", "u*u_x")
    assert list(library.complexities) == [1.0, 2.5]
    assert [t.name for t in library] == ["u", "u*u_x"]
    assert library["u_x*u"].complexity == 2.5
    assert library[0].name == "u"
    assert library.index("u_x*u") == 1
    assert list(library.spins(["u*u_x"])) == [False, True]
    assert library.target_term.name == "u_t"


@pytest.mark.parametrize(
    "terms",
    [
        ["u", "u"],
        ["u*u_x", "u_x*u"],
        ["u", "2*u"],
        ["u", "-0.5*u"],
        ["1", "3"],
        ["u + u_x", "2*u_x + 2*u"],
        ["0.1*u + 0.7*u_x", "u + 7*u_x"],
        ["u*(1-u)", "u**2 - u"],
        ["u_xy", "u_yx"],
        ["sin(u)", "-sin(u)"],
        ["(u+1)**2", "u**2 + 2*u + 1"],
    ],
)
def test_proportional_terms_are_refused(terms):
    with pytest.raises(TermError, match="the same up to a factor"):
        Library.from_strings(terms)


def test_similar_terms_that_are_not_proportional_are_kept():
    assert len(Library.from_strings(["u + u_x", "u - u_x", "u + 2*u_x", "u", "u_x", "sin(u)", "sin(2*u)"])) == 7


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"terms": []}, "at least one term"),
        ({"terms": "u"}, "'terms' is not usable"),
        ({"terms": ["u", "os.system('x')"]}, "not allowed"),
        ({"terms": ["u"], "target": "u_x"}, "not a time derivative"),
        ({"terms": ["u"], "target": "v_t"}, "not a time derivative"),
        ({"terms": ["u"], "target": "u_ttt"}, "not a time derivative"),
        ({"terms": {"u": -1.0}}, "complexity"),
    ],
)
def test_invalid_libraries_are_refused(arguments, what):
    with pytest.raises(TermError, match=what):
        Library.from_strings(arguments.pop("terms"), **arguments)


def test_a_term_outside_the_library_is_an_error():
    with pytest.raises(TermError, match="no such term"):
        Library.from_strings(["u"]).index("u_x")


def test_an_equation_is_parsed_and_formatted():
    equation = Equation.from_string("u_t = -u*u_x + 0.1*u_xx")
    assert equation.target == "u_t"
    assert equation.as_dict() == {"u*u_x": -1.0, "u_xx": pytest.approx(0.1, rel=1e-14)}
    assert str(equation) in ("u_t = 0.1 u_xx - 1 u*u_x", "u_t = -1 u*u_x + 0.1 u_xx")


def test_an_equation_is_expanded_and_like_terms_are_joined():
    found = Equation.from_string("u_t = -u*(1-u)*(1/2-u) - 0.4*u*(1-u) + 10*u_xx").as_dict()
    assert found == pytest.approx({"u": -0.9, "u**2": 1.9, "u**3": -1.0, "u_xx": 10.0})


def test_terms_with_coefficient_zero_are_dropped():
    for zero in ("0", "0.0", "-0.0", "0e3"):
        assert Equation.from_string(f"u_t = {zero}*u_x + 0.1*u_xx").as_dict() == {"u_xx": pytest.approx(0.1)}


@pytest.mark.parametrize("text", ["u_t", "u_t = ", "u_t = os.remove('x')", "u_t = u = 3", "", "u_t = u - u"])
def test_an_invalid_equation_is_a_term_error(text):
    with pytest.raises(TermError):
        Equation.from_string(text)


def test_an_equation_from_a_library_has_the_terms_with_nonzero_coefficients():
    library = Library.from_strings(["u", "u_x", "1", "u + u_xx"])
    equation = Equation.from_library(library, np.array([0.0, -2.0, 0.5, 3.0]))
    assert equation.names == ("u_x", "1", "u + u_xx")
    assert str(equation) == "u_t = -2 u_x + 0.5 + 3 (u + u_xx)"
    assert str(Equation.from_library(library, np.zeros(4))) == "u_t = 0"
