"""Boundary conditions inferred from fields that satisfy known ones."""

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
def test_boundary_conditions_are_inferred(values, wanted):
    assert infer_boundary_conditions(values, values[None]) == wanted


def test_a_condition_must_hold_along_all_axes():
    wave, ramp = np.sin(2 * np.pi * X + 1), np.exp(X)
    both = np.exp(-T)[..., None] * np.multiply.outer(wave, wave)
    one = np.exp(-T)[..., None] * np.multiply.outer(wave, ramp)
    assert infer_boundary_conditions(both, both[None]) == ("periodic",)
    assert infer_boundary_conditions(one, one[None]) == ()


def test_violations_within_the_posterior_scatter_are_allowed(rng):
    values = np.sin(2 * np.pi * (X - T)) + 0.1 * X
    surer, unsure = (values + s * rng.standard_normal((4, *values.shape)) for s in (1e-3, 0.05))
    assert infer_boundary_conditions(values, surer) == ()
    assert "periodic" in infer_boundary_conditions(values, unsure)


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_slopes_of_a_window_are_no_neumann_boundary_however_noisy(rng, noise):
    """Slopes at the edges that exceed their scatter are as those elsewhere, and do not vanish."""
    wave = np.exp(-T) * np.cos(np.pi * WALLS)
    window = np.sin(9 * X - 4 * T)
    for values, wanted in ((wave, True), (window, False)):
        seen = values + noise * np.std(values) * rng.standard_normal(values.shape) / 5
        draws = seen + noise * np.std(values) * rng.standard_normal((8, *values.shape)) / 5
        assert ("neumann" in infer_boundary_conditions(seen, draws)) == wanted
