"""Which candidate terms a library holds."""

from collections import Counter

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError, TermError
from bayespde.library.candidates import check_library, monomial_library


def test_the_default_library_in_one_dimension_has_these_nineteen_terms():
    powers = {"u", "u**2", "u**3"}
    slopes = {"u_x", "u_xx", "u_xxx", "u_xxxx"}
    products = {f"{p}*{s}" for p in powers for s in slopes}
    library = bp.polynomial_library()
    assert len(library) == 19
    assert set(library.names) == powers | slopes | products
    assert np.all(library.complexities == 1)
    assert library.target == "u_t"


def test_the_default_library_in_two_dimensions_has_these_twenty_three_terms():
    slopes = {"u_x", "u_y", "u_xx", "u_xy", "u_yy"}
    powers = {"u", "u**2", "u**3"}
    library = bp.polynomial_library(space=2)
    assert len(library) == 23
    assert set(library.names) == powers | slopes | {f"{p}*{s}" for p in powers for s in slopes}


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"degree": 1, "order": 1}, 1 + 2),
        ({"degree": 2, "order": 3}, 2 + 3 * 3),
        ({"space": 2, "mixed": False}, 3 + 4 * 4),
        ({"space": 3}, 3 + 4 * (3 + 6)),
        ({"space": 3, "mixed": False, "degree": 1}, 1 + 2 * 6),
        ({"extra": ["u_x**2", "sin(u)"]}, 21),
    ],
)
def test_counts(arguments, count):
    assert len(bp.polynomial_library(**arguments)) == count


def test_other_names_and_targets():
    library = bp.polynomial_library("phi", degree=1, order=1, target="phi_tt")
    assert library.names == ("phi", "phi_x", "phi*phi_x")
    assert (library.variable, library.target) == ("phi", "phi_tt")


@pytest.mark.parametrize(
    "arguments", [{"degree": 0}, {"degree": 7}, {"space": 0}, {"space": 4}, {"order": 0}, {"order": 7}]
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match="out of range"):
        bp.polynomial_library(**arguments)


@pytest.mark.parametrize("extra", ["2*u*u_x", "u_y", "u_x^2", "__import__('os')"])
def test_extra_terms_are_checked_like_all_others(extra):
    with pytest.raises(TermError):
        bp.polynomial_library(extra=[extra])


def count_products(powers, limit):
    """Number of products by total degree, from multiplying (1 + z + ... + z^p) over the variables."""
    series = np.array([1])
    for p in powers:
        series = np.convolve(series, np.ones(p + 1, dtype=int))
    return series[1 : limit + 1]


@pytest.mark.parametrize(
    ("name", "powers", "total"),
    [
        ("original_1d", {"u": 4, "u_x": 2, "u_xx": 1}, 20),
        ("original_2d", {"u": 4, "u_x": 2, "u_y": 2, "u_xx": 1, "u_xy": 1, "u_yy": 1}, 114),
    ],
)
def test_the_original_libraries_hold_all_products_up_to_total_degree_four(name, powers, total):
    library = bp.named_library(name)
    by_degree = count_products(powers.values(), 4)
    assert len(library) == by_degree.sum() == total
    degrees = Counter()
    for term in library:
        found = term.monomial_powers()
        assert all(found[s] <= powers[s] for s in found)
        assert term.complexity == sum(found.values())
        degrees[sum(found.values())] += 1
    assert [degrees[d] for d in (1, 2, 3, 4)] == list(by_degree)
    assert list(library.complexities) == sorted(library.complexities)


def test_the_original_library_in_two_dimensions_has_this_many_terms():
    # Degree 2: pairs and squares; 3: triples, squares times one, a cube; 4: quadruples, squares times two, and so on.
    by_hand = [6, 15 + 3, 20 + 3 * 5 + 1, 15 + 3 * 10 + 3 + 5 + 1]
    assert list(count_products([4, 2, 2, 1, 1, 1], 4)) == by_hand
    assert len(bp.named_library("original_2d")) == sum(by_hand) == 114


def test_an_unknown_library_is_refused():
    with pytest.raises(ConfigError, match="'name' has an unknown value"):
        bp.named_library("original_3d")


def test_the_total_degree_can_be_chosen():
    assert set(monomial_library({"u": 2, "u_x": 1}, total_degree=3).names) == {"u", "u_x", "u**2", "u*u_x", "u**2*u_x"}


def test_a_library_must_have_the_variable_and_the_axes_of_the_field():
    field = bp.make_field(np.sin(np.arange(60.0)).reshape(6, 10), t=range(6), x=range(10))
    check_library(bp.polynomial_library(), field)
    with pytest.raises(TermError, match="another variable"):
        check_library(bp.polynomial_library("v"), field)
    with pytest.raises(TermError, match="axis that the field lacks"):
        check_library(bp.polynomial_library(space=2), field)
