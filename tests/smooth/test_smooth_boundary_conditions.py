"""What the edges of a field look like: fields whose boundary is known."""

import numpy as np
import pytest

from bayespde.smooth.boundary_conditions import infer_boundary_conditions

T = np.linspace(0, 1, 20)[:, None]
X = np.arange(64) / 64
WALLS = (np.arange(64) + 0.5) / 64


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.sin(2 * np.pi * (X - T)) + 3, ("periodic",)),
        (np.exp(-T) * np.cos(np.pi * WALLS) + np.exp(-4 * T) * np.cos(2 * np.pi * WALLS), ("neumann",)),
        (1 + X + np.exp(-T) * np.sin(np.pi * np.linspace(0, 1, 64)), ("dirichlet",)),
        (np.exp(X - T), ()),
        (np.ones((20, 64)), ("periodic", "neumann", "dirichlet")),
    ],
)
def test_boundaries_are_told_by_their_edges(values, wanted):
    assert infer_boundary_conditions(values, values[None]) == wanted


def test_all_axes_must_look_alike():
    wave, ramp = np.sin(2 * np.pi * X), np.exp(X)
    both = np.exp(-T)[..., None] * np.multiply.outer(wave, wave)
    one = np.exp(-T)[..., None] * np.multiply.outer(wave, ramp)
    assert infer_boundary_conditions(both, both[None]) == ("periodic",)
    assert infer_boundary_conditions(one, one[None]) == ()


def test_what_the_field_does_not_know_is_not_held_against_it(rng):
    values = np.sin(2 * np.pi * (X - T)) + 0.1 * X
    surer, unsure = (values + s * rng.standard_normal((4, *values.shape)) for s in (1e-3, 0.05))
    assert infer_boundary_conditions(values, surer) == ()
    assert "periodic" in infer_boundary_conditions(values, unsure)
