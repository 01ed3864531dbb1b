"""Integrations against closed-form solutions and conservation laws, and schemes against each other."""

import numpy as np
import pytest
import torch
import xarray as xr

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError, FieldError, IntegrationError
from bayespde.core.field import validate_field
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.integrate import integrate
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.time_stepping import evolve

TIMES = np.linspace(0, 1, 6)


def frame(values, **axes):
    return xr.DataArray(values, dims=tuple(axes), coords=axes, name="u")


def solve(text, start, times=TIMES, **method):
    return integrate(Equation.from_string(text), start, times, method=SolverConfig(**method))


def periodic(points, length):
    return np.arange(points) * length / points


def burgers(x, time, viscosity):
    decay = np.exp(-viscosity * time)
    return 2 * viscosity * decay * np.sin(x) / (1.5 + decay * np.cos(x))


@pytest.mark.parametrize("scheme", ["explicit", "etd"])
def test_heat_in_three_dimensions_decays_at_its_rate(scheme):
    z, y, x = periodic(6, 2.0), periodic(8, 3.0), periodic(10, 4.0)
    k = 2 * np.pi / np.array([2.0, 3.0, 4.0])
    shape = np.cos(k[0] * z)[:, None, None] * np.sin(k[1] * y)[:, None] * np.cos(k[2] * x)
    found = solve("u_t = 0.1*u_zz + 0.2*u_yy + 0.3*u_xx", frame(shape, z=z, y=y, x=x), scheme=scheme, rtol=1e-8)
    rate = 0.1 * k[0] ** 2 + 0.2 * k[1] ** 2 + 0.3 * k[2] ** 2
    expected = np.exp(-rate * TIMES)[:, None, None, None] * shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_advection_moves_a_profile_in_two_dimensions():
    y, x = periodic(48, 6.0), periodic(40, 5.0)

    def blob(time):
        shape_y = np.exp(np.cos(2 * np.pi * (y - 0.7 * time) / 6.0))
        return shape_y[:, None] * np.exp(np.sin(2 * np.pi * (x + 1.3 * time) / 5.0))

    for scheme in ("explicit", "etd"):
        found = solve("u_t = 1.3*u_x - 0.7*u_y", frame(blob(0), y=y, x=x), scheme=scheme, rtol=1e-8)
        np.testing.assert_allclose(found, [blob(t) for t in TIMES], atol=2e-6)


def test_a_mixed_derivative_gives_its_closed_form():
    y, x = periodic(24, 6.0), periodic(20, 5.0)
    k, m = 2 * np.pi / 5.0, 2 * np.pi / 6.0
    phase = k * x[None, :] + m * y[:, None]
    rate = k**2 + m**2 + 1.5 * k * m
    expected = [np.exp(-rate * t) * np.cos(phase) for t in TIMES]
    text = "u_t = u_xx + u_yy + 1.5*u_xy"
    np.testing.assert_allclose(solve(text, frame(np.cos(phase), y=y, x=x)), expected, atol=1e-12)
    coarse = solve(text, frame(np.cos(phase), y=y, x=x), space="difference", order=4)
    np.testing.assert_allclose(coarse, expected, atol=2e-3)


@pytest.mark.parametrize("scheme", ["explicit", "etd"])
def test_burgers_equals_cole_hopf(scheme):
    x = periodic(64, 2 * np.pi)
    found = solve("u_t = 0.3*u_xx - u*u_x", frame(burgers(x, 0, 0.3), x=x), scheme=scheme)
    assert np.abs(found - [burgers(x, t, 0.3) for t in TIMES]).max() < 1e-5


@pytest.mark.parametrize("order", [2, 4])
def test_differences_converge_to_cole_hopf_at_their_order(order):
    errors = []
    for points in (48, 96):
        x = periodic(points, 2 * np.pi)
        start = frame(burgers(x, 0, 0.3), x=x)
        found = solve("u_t = 0.3*u_xx - u*u_x", start, space="difference", order=order, scheme="etd", rtol=1e-9)
        errors.append(np.abs(found.values[-1] - burgers(x, 1.0, 0.3)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_a_soliton_of_korteweg_and_de_vries_keeps_its_shape():
    x = periodic(128, 30.0)

    def soliton(time):
        distance = (x - 10 - 2 * time + 15) % 30.0 - 15
        return 1 / np.cosh(np.sqrt(0.5) * distance) ** 2

    times = np.linspace(0, 5, 6)
    found = solve("u_t = -6*u*u_x - u_xxx", frame(soliton(0), x=x), times, rtol=1e-8)
    assert np.abs(found - [soliton(t) for t in times]).max() < 2e-5


def test_a_front_of_fisher_moves_at_its_speed_and_keeps_its_shape():
    """The front in closed form [ablowitz1979], of speed 5 / sqrt(6), with its mirror image on a periodic domain."""
    x = periodic(400, 160.0)

    def front(time):
        ahead, behind = (x - 50 + 5 / np.sqrt(6) * time) / np.sqrt(6), (110 - x + 5 / np.sqrt(6) * time) / np.sqrt(6)
        return (1 + np.exp(-ahead)) ** -2 * (1 + np.exp(-behind)) ** -2

    times = np.linspace(0, 10, 6)
    found = solve("u_t = u_xx + u - u**2", frame(front(0), x=x), times, rtol=1e-8)
    assert np.abs(found - [front(t) for t in times]).max() < 1e-6


@pytest.mark.parametrize("order", [2, 4])
def test_a_driven_front_under_neumann_conditions_moves_at_its_speed(order):
    diffusion, drive = 2.0, 0.2
    width, speed = np.sqrt(2 * diffusion), drive * np.sqrt(2 * diffusion)
    errors = []
    for points in (120, 240):
        x = (np.arange(points) + 0.5) * 60 / points
        front = [1 / (1 + np.exp((x - 25 - speed * t) / width)) for t in (0.0, 10.0)]
        found = solve(
            "u_t = -0.3*u + 1.3*u**2 - u**3 + 2*u_xx",
            frame(front[0], x=x),
            [0.0, 10.0],
            space="difference",
            boundary="neumann",
            order=order,
            rtol=1e-8,
        )
        errors.append(np.abs(found.values[-1] - front[1])[points // 4 : -points // 4].max())
    assert errors[0] < (5e-3 if order == 2 else 1e-4)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_diffusion_under_dirichlet_conditions_tends_to_a_straight_line():
    x = np.linspace(0, 2, 21)
    start = frame(np.where(x < 1, 3.0, 0.0) + x, x=x)
    for scheme in ("auto", "explicit", "etd"):
        found = solve("u_t = u_xx", start, [0, 0.01, 8.0], space="difference", boundary="dirichlet", scheme=scheme)
        np.testing.assert_array_equal(found[:, [0, -1]], np.tile([3.0, 2.0], (3, 1)))
        np.testing.assert_allclose(found[-1], 3 - x / 2, atol=3e-5)


def test_diffusion_under_neumann_conditions_conserves_the_mean_in_two_dimensions(rng):
    y, x = np.arange(8) * 0.5, np.arange(10) * 0.4
    start = frame(rng.random((8, 10)), y=y, x=x)
    for scheme in ("explicit", "etd"):
        text = "u_t = u_xx + 0.5*u_yy"
        found = solve(text, start, [0, 0.2, 60.0], space="difference", boundary="neumann", scheme=scheme)
        np.testing.assert_allclose(found.mean(("y", "x")), float(start.mean()), rtol=1e-9)
        np.testing.assert_allclose(found[-1], float(start.mean()), atol=2e-5)


@pytest.mark.parametrize("space", ["fourier", "difference"])
def test_the_integral_of_a_conservation_law_is_constant(space, rng):
    x = periodic(64, 10.0)
    start = frame(1 + 0.5 * np.sin(2 * np.pi * x / 10 + rng.uniform(0, 6)), x=x)
    # The flux u^3 / 3 - u u_x + u_xx / 10, expanded; differences conserve only linear fluxes exactly.
    nonlinear = "u_t = -u**2*u_x + u_x**2 + u*u_xx - u_xxx/10"
    text = nonlinear if space == "fourier" else "u_t = 0.5*u_xx - u_xxx/10 + 2*u_x - u_xxxx/20"
    found = solve(text, start, space=space)
    np.testing.assert_allclose(found.sum("x"), float(start.sum()), rtol=1e-9)
    assert np.abs(found[-1] - found[0]).max() > 0.05


def test_the_energy_of_allen_cahn_never_grows(rng):
    y, x = periodic(32, 16.0), periodic(32, 16.0)
    start = frame(0.1 * rng.standard_normal((32, 32)), y=y, x=x)
    found = solve("u_t = u - u**3 + 0.3*u_xx + 0.3*u_yy", start, np.linspace(0, 10, 41))
    k = 2 * np.pi * np.fft.fftfreq(32, 0.5)
    modes = np.abs(np.fft.fft2(found.values)) ** 2 / 32**4
    gradient = (modes * (k[:, None] ** 2 + k[None, :] ** 2)).sum((1, 2))
    energy = 0.15 * gradient + ((1 - found.values**2) ** 2 / 4).mean((1, 2))
    assert np.diff(energy).max() < 1e-7
    assert energy[-1] < 0.6 * energy[0]


def test_schemes_agree_on_a_nonlinear_stiff_equation():
    x = periodic(40, 32.0)
    start = frame(np.cos(2 * np.pi * x / 32) * (1 + np.sin(2 * np.pi * x / 32)), x=x)
    text, times = "u_t = -u*u_x - u_xx - u_xxxx", np.linspace(0, 5, 6)
    found = {s: solve(text, start, times, scheme=s, rtol=1e-8) for s in ("etd", "explicit")}
    np.testing.assert_allclose(found["etd"], found["explicit"], atol=1e-6)


def test_tightening_the_tolerance_tightens_the_error():
    x = periodic(48, 2 * np.pi)
    start, errors = frame(burgers(x, 0, 0.3), x=x), []
    for tolerance in (1e-3, 1e-5, 1e-7):
        found = solve("u_t = 0.3*u_xx - u*u_x", start, scheme="etd", rtol=tolerance, atol=1e-12)
        errors.append(np.abs(found.values[-1] - burgers(x, 1.0, 0.3)).max())
        assert errors[-1] < 10 * tolerance
    assert errors[2] < errors[0]


@pytest.mark.parametrize("scheme", ["explicit", "etd"])
def test_blowing_up_raises_near_the_time_of_the_singularity(scheme):
    x = periodic(8, 1.0)
    start = frame(1 + 0.1 * np.cos(2 * np.pi * x), x=x)
    with pytest.raises(IntegrationError) as caught:
        solve("u_t = u**2", start, [0.0, 0.5, 3.0], scheme=scheme, dealias=False)
    time = float(str(caught.value).split("at time ")[1].split()[0].rstrip("."))
    assert time == pytest.approx(1 / 1.1, abs=1e-3)
    assert caught.value.time == pytest.approx(time, rel=1e-5)


def test_an_exploding_linear_equation_raises_instead_of_returning_infinities():
    x = periodic(32, 1.0)
    start = frame(np.random.default_rng(0).standard_normal(32), x=x)
    for scheme in ("explicit", "etd"):
        with pytest.raises(IntegrationError, match="at time"):
            solve("u_t = -u_xx", start, [0.0, 1.0], scheme=scheme, allow_ill_posed=True)


def test_steps_grow_again_after_a_fast_transient():
    x = periodic(8, 1.0)
    start, times = frame(1.5 + np.cos(2 * np.pi * x), x=x), np.arange(201.0)
    # The first interval needs many steps; if the later ones inherited their size, 400 would not be enough.
    settings = {"scheme": "explicit", "dealias": False, "maximum_steps": 400}
    found = solve("u_t = -20*u**3", start, times, **settings)
    expected = start.values / np.sqrt(1 + 40 * start.values**2 * times[-1])
    np.testing.assert_allclose(found[-1], expected, atol=1e-6)


def test_explicit_steps_damp_short_waves_below_the_tolerance():
    # Just beyond the stability limit a zigzag too small for the error estimate would grow until the estimate shows it.
    size, steps = 0.1, 60
    grid = Grid(("x",), (24,), (size,))
    method = SolverConfig(scheme="explicit", space="difference", order=2, boundary="neumann")
    wave, zigzag = np.cos(np.pi / 24 * np.outer([1, 23], np.arange(24) + 0.5))
    decay = 4 / size**2
    times = np.linspace(0, steps * 4 / decay, steps + 1)
    start = np.stack([wave, wave + 1e-9 * zigzag])
    compiled = right_hand_side(Equation.from_string("u_t = u_xx"), grid, method=method)
    frames = evolve(compiled, torch.from_numpy(start), times, method=method).numpy()
    difference = np.abs(frames[:, 1] - frames[:, 0]).max(axis=1)
    assert difference[1] < 0.2 * difference[0]
    assert difference[20:].max() < 1e-13


def test_the_number_of_steps_is_limited():
    x = periodic(64, 1.0)
    start = frame(np.sin(2 * np.pi * x), x=x)
    with pytest.raises(IntegrationError, match="after 20 steps"):
        solve("u_t = u_xx", start, scheme="explicit", maximum_steps=20)


def test_the_result_is_a_checked_field_with_units():
    x = xr.DataArray(periodic(16, 4.0), dims="x", attrs={"units": "nm"})
    start = frame(np.sin(np.pi * x.values / 2), x=x).assign_coords(time=0.0).rename("v")
    start.attrs["units"], start["time"].attrs["units"] = "mol", "s"
    found = integrate(Equation.from_string("v_t = v_xx", variable="v"), start, TIMES, progress=False)
    xr.testing.assert_identical(validate_field(found), found)
    assert (found.name, found.units, found.time.units, found.x.units) == ("v", "mol", "s", "nm")
    np.testing.assert_array_equal(found[0], start)
    np.testing.assert_array_equal(found.time, TIMES)
    np.testing.assert_array_equal(found.x, x)


def test_uneven_output_times_are_hit_exactly():
    x, times = periodic(16, 2 * np.pi), np.array([2.0, 2.001, 2.5, 4.0])
    for scheme in ("explicit", "etd"):
        found = solve("u_t = -0.5*u", frame(2 + np.sin(x), x=x), times, scheme=scheme, rtol=1e-8)
        expected = np.exp(-0.5 * (times - 2))[:, None] * (2 + np.sin(x))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_draws_share_one_integration_and_gradients_flow_through_it():
    grid, x = Grid(("x",), (16,), (2 * np.pi / 16,)), torch.arange(16, dtype=torch.float64) * 2 * np.pi / 16
    rates = torch.tensor([[0.3], [0.8]], dtype=torch.float64, requires_grad=True)
    equation = Equation.from_string("u_t = u_xx")
    for scheme in ("explicit", "etd"):
        method = SolverConfig(scheme=scheme, rtol=1e-9, atol=1e-12)
        compiled = right_hand_side(equation, grid, method=method, coefficients=rates)
        frames = evolve(compiled, torch.sin(x), np.array([0.0, 0.5]), method=method)
        assert frames.shape == (2, 2, 16)
        expected = torch.exp(-0.5 * rates) * torch.sin(x)
        torch.testing.assert_close(frames[-1], expected, atol=1e-6, rtol=0)
        (gradient,) = torch.autograd.grad(frames[-1, :, 4].sum(), rates)
        torch.testing.assert_close(gradient, -0.5 * torch.exp(-0.5 * rates.detach()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("times", [[0.0], [0, 1, 1], [1, 0], [[0, 1]], [0, np.nan]])
def test_unusable_times_are_refused(times):
    with pytest.raises(ConfigError):
        solve("u_t = u_xx", frame(np.zeros(8), x=np.arange(8.0)), times)


def test_problems_that_do_not_fit_together_are_refused():
    start = frame(np.zeros(8), x=np.arange(8.0))
    with pytest.raises(ConfigError, match="first order in time"):
        solve("u_tt = u_xx", start)
    with pytest.raises(ConfigError, match="periodic"):
        solve("u_t = u_xx", start, boundary="dirichlet")
    with pytest.raises(FieldError):
        solve("u_t = u_xx", start.values)
