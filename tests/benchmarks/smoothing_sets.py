"""Fields whose derivatives are known: fine periodic integrations of published equations, differentiated by Fourier."""

from functools import lru_cache

import numpy as np
import xarray as xr

import bayespde as bp
from bayespde.core.terms import derivative_orders, evaluate_expression
from bayespde.solve.config import SolverConfig

TOLERANCE = SolverConfig(rtol=1e-9, atol=1e-11)


def _line(length, points, left=0.0):
    return left + length * np.arange(points) / points


def _frame(values, **axes):
    return xr.DataArray(values, dims=tuple(axes), coords=axes, name="u")


def burgers():
    """A pulse that steepens: 101 frames of 256 pixels."""
    x = _line(16.0, 256, -8.0)
    return "u_t = -u*u_x + 0.1*u_xx", _frame(np.exp(-((x + 2) ** 2)), x=x), np.linspace(0, 10, 101), 1


def kdv():
    """Two solitons of speeds 5 and 1, the fast one behind: 201 frames of 512 pixels."""
    x = _line(60.0, 512, -30.0)

    def soliton(speed, centre):
        return 0.5 * speed / np.cosh(0.5 * np.sqrt(speed) * (x - centre)) ** 2

    return "u_t = -6*u*u_x - u_xxx", _frame(soliton(5.0, -20.0) + soliton(1.0, -8.0), x=x), np.linspace(0, 8, 201), 2


def ks(length=32.0):
    """A window of chaos: 126 frames of 256 pixels, after 50 units of time."""
    x = _line(length, 256)
    start = np.cos(4 * np.pi * x / length) * (1 + np.sin(2 * np.pi * x / length))
    return "u_t = -u*u_x - u_xx - u_xxxx", _frame(start, x=x), np.linspace(50, 100, 126), 1


def ks_wide():
    """The same with three times as many waves on as many pixels."""
    return ks(100.0)


def _plane(length, points=100):
    axis = _line(length, points)
    return axis, np.meshgrid(axis, axis, indexing="ij")


def advected_front():
    """A drop with a front of two pixels that moves: 61 frames of 100 x 100."""
    axis, (y, x) = _plane(10.0)
    distance = np.hypot(y - 3.0, x - 3.0) - 1.6
    start = _frame(0.5 * (1 - np.tanh(distance / 0.3)), y=axis, x=axis)
    return "u_t = -0.4*u_x - 0.16*u_y + 0.02*u_xx + 0.02*u_yy", start, np.linspace(0, 6, 61), 1


def _random_plane(length, seed, waves=6):
    axis, (y, x) = _plane(length)
    rng = np.random.default_rng(seed)
    field = np.zeros_like(x)
    for m in range(-waves, waves + 1):
        for n in range(waves + 1):
            size = rng.standard_normal() * np.exp(-(m**2 + n**2) / waves)
            field += size * np.cos(2 * np.pi * (m * y + n * x) / length + rng.uniform(0, 2 * np.pi))
    return axis, field / field.std()


def allen_cahn():
    """Domains that form from a random state: 61 frames of 100 x 100."""
    axis, field = _random_plane(20.0, 1)
    return "u_t = 0.1*u_xx + 0.1*u_yy + u - u**3", _frame(0.5 * field, y=axis, x=axis), np.linspace(0, 6, 61), 1


def fisher():
    """Patches that grow into each other: 61 frames of 100 x 100."""
    axis, field = _random_plane(20.0, 2)
    start = _frame(0.4 / (1 + np.exp(-3 * (field - 1))), y=axis, x=axis)
    return "u_t = 0.1*u_xx + 0.1*u_yy + u - u**2", start, np.linspace(0, 6, 61), 1


SETS = {f.__name__: f for f in (burgers, kdv, ks, ks_wide, advected_front, allen_cahn, fisher)}


@lru_cache(maxsize=4)
def clean(name):
    """The field without noise, on the grid of the data, and its spectral derivatives by orders, time first."""
    text, start, times, fine = SETS[name]()
    equation = bp.Equation.from_string(text)
    whole = times if times[0] == 0 else np.concatenate([[0.0], times])
    fine_start = _refined(start, fine)
    field = bp.integrate(equation, fine_start, whole, method=TOLERANCE)[-len(times) :]
    space = start.ndim
    orders = [o for o in np.ndindex(*(5,) * space) if sum(o) <= (4 if space == 1 else 2)]
    every = (slice(None), *(slice(None, None, fine),) * space)
    derivatives = {(0, *o): _spectral(field, o)[every] for o in orders}
    derivatives[(1,) + (0,) * space] = _right_hand_side(equation, field)[every]
    return bp.make_field(field.values[every], t=times, **{str(d): start[d].values for d in start.dims}), derivatives


def _refined(start, factor):
    if factor == 1:
        return start
    spectrum = np.fft.rfft(start.values)
    points = start.size * factor
    (dim,) = start.dims
    step = float(start[dim][1] - start[dim][0]) / factor
    return _frame(np.fft.irfft(spectrum, points) * factor, x=float(start[dim][0]) + step * np.arange(points))


def _right_hand_side(equation, field):
    def values(derivative):
        return _spectral(field, derivative_orders(derivative, field.dims)[1:])

    terms = zip(equation.terms, equation.coefficients, strict=True)
    return sum(c * evaluate_expression(t.expression, values) for t, c in terms)


def _spectral(field, orders):
    values = np.fft.fftn(field.values, axes=range(1, field.ndim))
    for axis, order in enumerate(orders, start=1):
        spacing = float(field[field.dims[axis]][1] - field[field.dims[axis]][0])
        numbers = 2j * np.pi * np.fft.fftfreq(field.shape[axis], d=spacing)
        values = values * (numbers**order).reshape([-1 if a == axis else 1 for a in range(field.ndim)])
    return np.fft.ifftn(values, axes=range(1, field.ndim)).real
