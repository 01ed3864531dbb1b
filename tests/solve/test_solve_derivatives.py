"""Derivatives against calculus, and symbols in the modes against the differences that they represent."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

from bayespde.core.errors import ConfigError, FieldError
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import (
    Grid,
    dealias_mask,
    difference,
    difference_weights,
    symbol_of,
    transform,
)


def grid_1d(points, length=2 * np.pi):
    return Grid(("x",), (points,), (length / points,))


def positions(points, boundary, length):
    """Points and step of a grid on [0, length] for a boundary condition."""
    if boundary == "neumann":
        return (np.arange(points) + 0.5) * length / points, length / points
    if boundary == "dirichlet":
        return np.linspace(0, length, points), length / (points - 1)
    return np.arange(points) * length / points, length / points


def apply_symbol(values, grid, orders, method):
    modes = transform(grid, boundary=method.boundary)
    return modes.inverse(symbol_of(grid, orders, method=method) * modes.forward(values))


def test_fourier_derivatives_of_a_plane_wave_are_exact_in_2d_and_mixed():
    y, x = np.arange(18) * 0.5, np.arange(20) * 0.3
    k, m = 2 * np.pi * 2 / 6.0, 2 * np.pi * 3 / 9.0
    phase = k * x[None, :] + m * y[:, None]
    grid = Grid(("y", "x"), (18, 20), (0.5, 0.3))
    u = torch.as_tensor(np.sin(phase))
    expected = {
        (0, 1): k * np.cos(phase),
        (1, 0): m * np.cos(phase),
        (1, 1): -k * m * np.sin(phase),
        (0, 3): -(k**3) * np.cos(phase),
        (2, 1): -k * m**2 * np.cos(phase),
        (4, 0): m**4 * np.sin(phase),
    }
    for orders, truth in expected.items():
        found = apply_symbol(u, grid, orders, SolverConfig())
        np.testing.assert_allclose(found, truth, atol=1e-11 * np.abs(truth).max())


def test_fourier_symbol_of_an_odd_derivative_vanishes_at_the_highest_wavenumber():
    zigzag = torch.as_tensor((-1.0) ** np.arange(16))
    grid = grid_1d(16)
    assert apply_symbol(zigzag, grid, (1,), SolverConfig()).abs().max() < 1e-12
    torch.testing.assert_close(apply_symbol(zigzag, grid, (2,), SolverConfig()), -64.0 * zigzag)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("derivative", [1, 2, 3, 4])
def test_difference_weights_are_exact_on_polynomials_up_to_their_order(derivative, order):
    offsets, weights = difference_weights(derivative, order)
    for power in range(derivative + order):
        wanted = float(math.factorial(derivative)) if power == derivative else 0.0
        assert weights @ offsets**power == pytest.approx(wanted, abs=1e-9)
    assert abs(weights @ offsets ** (derivative + order)) > 0.1


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("derivative", [1, 2, 3, 4])
@pytest.mark.parametrize("boundary", ["periodic", "neumann", "dirichlet"])
def test_differences_converge_at_their_order(boundary, derivative, order):
    length, errors = 3.0, []
    k = {"periodic": 2, "neumann": 1, "dirichlet": 1}[boundary] * np.pi / length
    method = SolverConfig(space="difference", order=order, boundary=boundary)
    shift = 0.25 if boundary == "neumann" else 0.0  # cos under Neumann, sin under Dirichlet conditions
    for points in (41, 81):
        x, step = positions(points, boundary, length)
        u = torch.as_tensor(np.sin(k * x + 2 * np.pi * shift))
        truth = k**derivative * np.sin(k * x + 2 * np.pi * shift + derivative * np.pi / 2)
        found = difference(u, Grid(("x",), (points,), (step,)), (derivative,), method=method).numpy()
        errors.append((step, np.abs(found - truth).max()))
    (coarse, first), (fine, second) = errors
    assert np.log(first / second) / np.log(coarse / fine) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("boundary", ["periodic", "neumann", "dirichlet"])
def test_symbols_are_the_eigenvalues_of_the_differences(boundary, order, rng):
    grid = Grid(("y", "x"), (9, 12), (0.7, 0.4))
    method = SolverConfig(space="difference", order=order, boundary=boundary)
    u = torch.as_tensor(rng.standard_normal((3, 9, 12)))
    if boundary == "dirichlet":
        u[:, [0, -1]], u[:, :, [0, -1]] = 0.0, 0.0
    for orders in [(0, 2), (2, 0), (2, 2), (4, 0)] + ([(0, 1), (1, 1), (3, 0)] * (boundary == "periodic")):
        expected = difference(u, grid, orders, method=method)
        if boundary == "dirichlet":
            expected[:, [0, -1]], expected[:, :, [0, -1]] = 0.0, 0.0
        torch.testing.assert_close(apply_symbol(u, grid, orders, method), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("boundary", ["neumann", "dirichlet"])
def test_odd_derivatives_are_not_diagonal_without_a_periodic_boundary(boundary):
    method = SolverConfig(space="difference", boundary=boundary)
    assert symbol_of(grid_1d(8), (1,), method=method) is None
    assert symbol_of(Grid(("y", "x"), (8, 8), (1.0, 1.0)), (1, 1), method=method) is None


@pytest.mark.parametrize("boundary", ["periodic", "neumann", "dirichlet"])
@pytest.mark.parametrize("points", [(7,), (6, 9), (5, 6, 7)])
def test_transforms_are_invertible_and_act_on_each_draw(boundary, points, rng):
    dims = ("z", "y", "x")[-len(points) :]
    values = torch.as_tensor(rng.standard_normal((2, *points)))
    modes = transform(Grid(dims, points, (1.0,) * len(points)), boundary=boundary)
    torch.testing.assert_close(modes.inverse(modes.forward(values)), values)
    torch.testing.assert_close(modes.forward(values)[1], modes.forward(values[1]))


def test_neumann_differences_sum_to_zero_and_vanish_for_a_constant(rng):
    method = SolverConfig(space="difference", order=4, boundary="neumann")
    u = torch.as_tensor(rng.standard_normal(31))
    assert abs(float(difference(u, grid_1d(31), (2,), method=method).sum())) < 1e-10
    assert difference(torch.ones(31, dtype=torch.float64), grid_1d(31), (1,), method=method).abs().max() < 1e-12


def test_dealias_mask_keeps_wavenumbers_below_two_thirds():
    kept = dealias_mask(Grid(("y", "x"), (12, 24), (1.0, 1.0)))
    wavenumbers = np.abs(np.fft.fftfreq(12, 1 / 12))[:, None] / 4, np.arange(13)[None, :] / 8
    np.testing.assert_array_equal(kept, (wavenumbers[0] < 1) & (wavenumbers[1] < 1))


def frame(x, values=None):
    return xr.DataArray(np.zeros(len(x)) if values is None else values, dims="x", coords={"x": x})


@pytest.mark.parametrize(
    "start",
    [
        np.zeros(9),
        xr.DataArray(np.zeros((9, 9)), dims=("x", "y"), coords={"x": range(9), "y": range(9)}),
        xr.DataArray(np.zeros(9), dims="x"),
        frame(np.arange(4.0)),
        frame(np.arange(9.0) ** 2),
        frame(np.arange(9.0)[::-1]),
        frame(np.arange(9.0), np.full(9, np.nan)),
        frame(np.arange(9.0), np.full(9, 1j)),
    ],
)
def test_unusable_frames_are_refused(start):
    with pytest.raises(FieldError):
        Grid.of(start)


@pytest.mark.parametrize(
    "settings",
    [
        {"space": "spectral"},
        {"order": 3},
        {"order": 2.0},
        {"dealias": 1},
        {"boundary": "neumann"},
        {"scheme": "euler"},
        {"scheme": "imex"},
        {"rtol": 0},
        {"rtol": "1e-6"},
        {"atol": float("nan")},
        {"maximum_steps": 1.5},
        {"tolerance": 1e-6},
        [("rtol", 1e-6)],
    ],
)
def test_unusable_solver_settings_are_refused(settings):
    with pytest.raises(ConfigError):
        SolverConfig.from_mapping(settings)
