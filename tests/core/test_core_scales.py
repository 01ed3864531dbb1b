"""Scales of a field, and units of coefficients."""

import numpy as np
import pytest

from bayespde.core.field import make_field
from bayespde.core.scales import Scales, coefficient_unit
from bayespde.core.terms import parse_term, symbol


def test_scales_map_to_the_unit_cube():
    times, places = np.linspace(3, 7, 9), np.linspace(-10, 40, 11)
    scales = Scales.of(make_field(np.sin(np.add.outer(times, places)), t=times, x=places))
    assert list(scales.to_unit("x", np.array([-10.0, 15.0, 40.0]))) == [0, 0.5, 1]
    assert list(scales.to_unit("time", np.array([3.0, 7.0]))) == [0, 1]
    assert scales.derivative_factor((1, 2)) == pytest.approx(1 / 4 / 50**2)


@pytest.mark.parametrize(
    ("term", "target", "unit"),
    [
        ("u_xx", "u_t", "nm^2 s^-1"),
        ("u", "u_t", "s^-1"),
        ("u*u_x", "u_t", "nm K^-1 s^-1"),
        ("u**3", "u_t", "K^-2 s^-1"),
        ("1", "u_t", "K s^-1"),
        ("u", "u_tt", "s^-2"),
        ("u_xy", "u_t", "um nm s^-1"),
        ("u + u_x", "u_t", "unknown"),
        ("sin(u)", "u_t", "unknown"),
    ],
)
def test_units_of_coefficients(term, target, unit):
    units = {"u": "K", "time": "s", "x": "nm", "y": "um"}
    target_term = type(parse_term("u"))(target, symbol(target))
    assert sorted(coefficient_unit(parse_term(term), target_term, units).split()) == sorted(unit.split())


def test_units_written_as_powers_cancel():
    target = type(parse_term("u"))("u_t", symbol("u_t"))
    units = {"u": "m s^-1", "time": "s", "x": "m"}
    assert coefficient_unit(parse_term("u*u_x"), target, units) == "1"
    assert sorted(coefficient_unit(parse_term("u_xx"), target, units).split()) == ["m^2", "s^-1"]
    assert coefficient_unit(parse_term("u_xx"), target, {}) == "1"
