"""Initial states against their formulas, point by point."""

import math

import numpy as np
import pytest

from bayespde.core.errors import ConfigError
from bayespde.solve.initial import (
    KINDS,
    Nucleus,
    gaussian_pulses,
    initial_state,
    nuclei,
    planar_front,
    random_waves,
    sine_modes,
    solitons,
    spiral,
)

AXES = {"y": np.arange(12) * 0.5, "x": np.arange(20) * 0.8}


def test_nuclei_follow_the_product_formula_with_periodic_distances():
    discs = [Nucleus(1.0, 5.5, 2.0, 0.9, 0.3), Nucleus(15.0, 1.0, 1.0, 0.4, 0.8)]
    found = nuclei(AXES, nuclei=discs)
    for row, column in [(0, 0), (11, 1), (11, 19), (5, 10), (2, 18)]:
        left = 1.0
        for x, y, radius, order, width in discs:
            dx, dy = abs(AXES["x"][column] - x), abs(AXES["y"][row] - y)
            r = math.hypot(min(dx, 16 - dx), min(dy, 6 - dy))
            left *= 1 - order / (1 + math.exp((r - radius) / width))
        assert float(found[row, column]) == pytest.approx(1 - left, rel=1e-12)
    assert found.dims == ("y", "x")


def test_nuclei_can_be_written_in_three_ways():
    entries = [Nucleus(1, 2, 3, 0.5, 1), (1, 2, 3, 0.5, 1), {"width": 1, "x": 1, "y": 2, "radius": 3, "order": 0.5}]
    frames = [nuclei(AXES, nuclei=[e]).values for e in entries]
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], frames[2])


def test_gaussian_pulses_are_periodic_sums():
    axes = {"x": np.arange(50) * 0.2}
    found = gaussian_pulses(axes, centres=[0.5, 7.0], heights=[2.0, -1.0], widths=[0.4, 3.0], offset=0.1)
    for i in (0, 3, 20, 49):
        total = 0.1
        for centre, height, width in [(0.5, 2.0, 0.4), (7.0, -1.0, 3.0)]:
            images = (axes["x"][i] - centre + 10 * k for k in range(-20, 21))
            total += height * sum(math.exp(-(d**2) / (2 * width**2)) for d in images)
        assert float(found[i]) == pytest.approx(total, rel=1e-10)


def test_solitons_are_periodic_sums():
    axes = {"x": np.arange(50) * 0.2}
    found = solitons(axes, centres=[0.5, 7.0], heights=[2.0, -1.0], widths=[0.4, 2.0], offset=0.1)
    for i in (0, 3, 20, 49):
        total = 0.1
        for centre, height, width in [(0.5, 2.0, 0.4), (7.0, -1.0, 2.0)]:
            total += height * sum(math.cosh((axes["x"][i] - centre + 10 * k) / width) ** -2 for k in range(-10, 11))
        assert float(found[i]) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("names", [("x",), ("y", "x"), ("z", "y", "x")])
def test_random_waves_are_band_limited_and_scaled(names, seed):
    axes = {d: np.linspace(0, 1, n) for d, n in zip("zyx", (16, 18, 20), strict=True) if d in names}
    found = random_waves(axes, seed=seed, modes=3, amplitude=0.7, offset=2.0)
    assert float(found.mean()) == pytest.approx(2.0)
    assert float(found.std()) == pytest.approx(0.7)
    spectrum = np.abs(np.fft.fftn(found.values))
    wavenumbers = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in found.shape), indexing="ij")
    inside = sum(w**2 for w in wavenumbers) <= 9
    assert spectrum[~inside].max() < 1e-9
    assert (spectrum[inside] > 1e-9).all()


def test_random_waves_depend_on_the_seed_alone(seed):
    fields = [random_waves(AXES, seed=s, modes=3).values for s in (seed, seed, seed + 1)]
    np.testing.assert_array_equal(fields[0], fields[1])
    assert np.abs(fields[0] - fields[2]).max() > 0.1


def test_a_planar_front_is_a_hyperbolic_tangent():
    axes = {"x": np.linspace(0, 20, 2001)}
    found = planar_front(axes, position=8.0, width=0.5, left=3.0, right=1.0)
    np.testing.assert_allclose(found, 2 - np.tanh((axes["x"] - 8.0) / 0.5), atol=1e-12)
    band = planar_front(AXES, position=4.0, width=0.3, back_position=12.0)
    np.testing.assert_allclose(band.isel(x=[0, 10, 19]), [[1.0, 0.0, 1.0]] * 12, atol=1e-9)


def test_sine_modes_equal_the_sum_of_sines():
    found = sine_modes(AXES, amplitudes=[1.0, 0.5], wavenumbers=[2, [1, 3]], phases=[0.0, 0.7], offset=-1.0)
    x, y = AXES["x"][None, :] / 16.0, AXES["y"][:, None] / 6.0
    expected = -1 + np.sin(4 * np.pi * x) + 0.5 * np.sin(2 * np.pi * (x + 3 * y) + 0.7)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_spiral_rotates_with_its_phase_and_vanishes_at_its_centre():
    """A rotation by 90 degrees shifts the phase by pi / 2, one pitch outwards by none; the amplitude is a tanh."""
    axis = np.linspace(-10, 10, 81)
    axes, settings = {"y": axis, "x": axis}, {"x": 0.0, "y": 0.0, "core": 2.0, "pitch": 5.0}
    first, second = (spiral(axes, phase=p, **settings) for p in (0.0, np.pi / 2))
    np.testing.assert_allclose(np.rot90(first.values, -1), second.values, atol=1e-12)
    radius = np.hypot(*np.meshgrid(axis, axis))
    np.testing.assert_allclose(np.hypot(first, second), np.tanh(radius / 2), atol=1e-12)
    along = first.sel(y=0.0)
    amplitude = np.tanh(np.array([2.5, 7.5]) / 2)
    np.testing.assert_allclose(along.sel(x=[2.5, 7.5]) / amplitude, -1, atol=1e-9)
    assert float(along.sel(x=0.0)) == 0.0
    with pytest.raises(ConfigError, match="spiral"):
        initial_state("spiral", {"x": axis}, **settings)


def test_every_kind_is_built_by_name():
    axes = {"x": np.arange(32.0)}
    parameters = {
        "gaussian_pulses": {"centres": [3.0], "heights": [1.0], "widths": [2.0]},
        "solitons": {"centres": [3.0], "heights": [1.0], "widths": [2.0]},
        "random_waves": {"seed": 3},
        "planar_front": {"position": 10.0, "width": 2.0},
        "sine_modes": {"amplitudes": [1.0], "wavenumbers": [1]},
    }
    assert set(parameters) | {"nuclei", "spiral"} == set(KINDS)
    for kind, values in parameters.items():
        np.testing.assert_array_equal(initial_state(kind, axes, **values), KINDS[kind](axes, **values))


X = {"x": np.arange(32.0)}
PULSE = {"centres": [3.0], "heights": [1.0], "widths": [2.0]}


@pytest.mark.parametrize(
    ("kind", "axes", "parameters"),
    [
        ("square", X, {}),
        ("__class__", X, {}),
        ("gaussian_pulses", X, {**PULSE, "hight": 2.0}),
        ("gaussian_pulses", X, {"centres": [3.0]}),
        ("gaussian_pulses", X, {**PULSE, "widths": [0.0]}),
        ("gaussian_pulses", X, {**PULSE, "widths": [1e9]}),
        ("gaussian_pulses", X, {**PULSE, "heights": [1.0, 2.0]}),
        ("gaussian_pulses", X, {**PULSE, "centres": "abc"}),
        ("gaussian_pulses", X, {**PULSE, "heights": [float("nan")]}),
        ("gaussian_pulses", AXES, PULSE),
        ("nuclei", X, {"nuclei": [(1, 2, 3, 0.5, 1)]}),
        ("nuclei", AXES, {"nuclei": []}),
        ("nuclei", AXES, {"nuclei": [(1, 2, 3)]}),
        ("nuclei", AXES, {"nuclei": [(1, 2, 3, 0.5, 0)]}),
        ("nuclei", AXES, {"nuclei": [{"x": 1, "colour": 2}]}),
        ("random_waves", X, {"seed": -1}),
        ("random_waves", X, {"seed": 1, "modes": 10**9}),
        ("random_waves", X, {"seed": 1, "modes": 1.5}),
        ("planar_front", X, {"position": 1.0, "width": -1.0}),
        ("planar_front", X, {"position": 1.0, "width": 1.0, "back_position": 0.5}),
        ("sine_modes", X, {"amplitudes": [1.0], "wavenumbers": [[1, 2]]}),
        ("sine_modes", X, {"amplitudes": [1.0], "wavenumbers": [1, 2]}),
        ("sine_modes", {"q": np.arange(5.0)}, {"amplitudes": [1.0], "wavenumbers": [1]}),
    ],
)
def test_unusable_initial_states_are_refused(kind, axes, parameters):
    with pytest.raises(ConfigError):
        initial_state(kind, axes, **parameters)
