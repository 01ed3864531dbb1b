"""Agreement with py-pde, an independent finite-difference solver, on the same equation and grid."""

import numpy as np
import pytest
import xarray as xr

from bayespde.core.equation import Equation
from bayespde.solve.config import SolverConfig
from bayespde.solve.integrate import integrate

pytestmark = pytest.mark.slow


def reference(formula, values, lengths, *, periodic, condition, until=1.0):
    import pde

    grid = pde.CartesianGrid([[0, length] for length in lengths], values.shape, periodic=periodic)
    equation = pde.PDE({"u": formula}, bc=condition)
    settings = {"solver": "scipy", "backend": "numpy", "tracker": None, "rtol": 1e-8, "atol": 1e-10}
    return equation.solve(pde.ScalarField(grid, values), t_range=until, **settings).data


def ours(text, values, lengths, *, until=1.0, **method):
    dims = ("y", "x")[-values.ndim :]
    pairs = zip(dims, values.shape, lengths, strict=True)
    axes = {d: (np.arange(n) + 0.5) * length / n for d, n, length in pairs}
    start = xr.DataArray(values, dims=dims, coords=axes)
    equation = Equation.from_string(text)
    return integrate(equation, start, [0.0, until], method=SolverConfig(space="difference", **method)).values[-1]


def test_burgers_on_a_periodic_domain():
    values = np.sin(2 * np.pi * (np.arange(64) + 0.5) / 64)
    expected = reference("-u*d_dx(u) + 0.1*laplace(u)", values, [10.0], periodic=True, condition="periodic")
    for scheme in ("auto", "explicit", "etd"):
        found = ours("u_t = -u*u_x + 0.1*u_xx", values, [10.0], scheme=scheme, rtol=1e-7)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_allen_cahn_under_neumann_conditions(rng):
    values = rng.random((16, 20))
    expected = reference("0.5*laplace(u) + u - u**3", values, [8.0, 5.0], periodic=False, condition={"derivative": 0})
    found = ours("u_t = 0.5*u_xx + 0.5*u_yy + u - u**3", values, [8.0, 5.0], boundary="neumann")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_chaotic_solutions_agree_for_two_lyapunov_times():
    """Kuramoto-Sivashinsky with period 22, whose largest exponent is .043 [edson2019]; errors grow by e^2."""
    equation, x = "u_t = -u*u_x - u_xx - u_xxxx", 22 * (np.arange(64) + 0.5) / 64
    transient = 0.1 * np.cos(2 * np.pi * x / 22) * (1 + np.sin(4 * np.pi * x / 22))
    start = ours(equation, transient, [22.0], until=150.0, rtol=1e-9)
    until = 2 / 0.043
    formula = "-u*d_dx(u) - laplace(u) - laplace(laplace(u))"
    expected = reference(formula, start, [22.0], periodic=True, condition="periodic", until=until)
    found = ours(equation, start, [22.0], until=until, rtol=1e-9, atol=1e-12)
    assert start.std() > 0.5
    assert np.sqrt(np.mean((expected - start) ** 2)) > 0.5
    assert np.abs(found - expected).max() < 1e-4 * start.std()
