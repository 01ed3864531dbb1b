"""Derivatives of neural fields against closed forms and symbolic differentiation."""

import itertools
import math

import numpy as np
import pytest
import sympy
import torch

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.network import NeuralField, derivatives

SYMBOLS = sympy.symbols("a b c")


def points_in(dimensions, generator, count=40):
    return 2 * torch.rand(count, dimensions, generator=generator, dtype=torch.float64) - 1


def indices_to(order, dimensions):
    return [i for i in itertools.product(range(order + 1), repeat=dimensions) if sum(i) <= order]


def symbolic_derivatives(expression, indices, points):
    symbols = SYMBOLS[: points.shape[1]]
    columns = []
    for index in indices:
        derivative = sympy.diff(expression, *zip(symbols, index, strict=True))
        function = sympy.lambdify(symbols, derivative, "numpy")
        columns.append(np.broadcast_to(function(*points.numpy().T), len(points)))
    return np.stack(columns, axis=1)


def network_expression(network, symbols):
    """The same network written out as a formula, from its weights."""
    function = sympy.tanh if network.activation == "tanh" else sympy.sin
    values = [f * s for f, s in zip(network.input_scale, symbols, strict=True)]
    for position, layer in enumerate(network.layers, start=1):
        sums = [
            sum(float(w) * v for w, v in zip(row, values, strict=True)) + float(b)
            for row, b in zip(layer.weight.detach(), layer.bias.detach(), strict=True)
        ]
        values = [function(s) for s in sums] if position < len(network.layers) else sums
    return values[0]


def tiny_network(activation, dimensions, generator, **kwargs):
    settings = {"width": 2, "depth": 2, "input_scale": 1.7} | kwargs
    network = NeuralField(dimensions, activation=activation, generator=generator, dtype=torch.float64, **settings)
    with torch.no_grad():
        for layer in network.layers:
            layer.bias.uniform_(-0.5, 0.5, generator=generator)
    return network


def test_one_hidden_unit_has_the_derivatives_of_a_scaled_sine(generator):
    network = tiny_network("sine", 2, generator, width=1, depth=1, input_scale=2.0)
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.tensor([[0.4, -1.1]], dtype=torch.float64))
        network.layers[0].bias.fill_(0.3)
        network.layers[1].weight.fill_(1.5)
        network.layers[1].bias.fill_(-0.2)
    points, indices = points_in(2, generator), indices_to(3, 2)
    phase = 0.8 * points[:, 0] - 2.2 * points[:, 1] + 0.3
    expected = [
        1.5 * 0.8**i * (-2.2) ** j * torch.sin(phase + (i + j) * math.pi / 2) - 0.2 * (i + j == 0) for i, j in indices
    ]
    torch.testing.assert_close(
        derivatives(network, points, indices), torch.stack(expected, dim=1), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("activation", ["tanh", "sine"])
def test_every_derivative_to_order_three_equals_the_symbolic_one(activation, dimensions, generator):
    network = tiny_network(activation, dimensions, generator)
    points, indices = points_in(dimensions, generator), indices_to(3, dimensions)
    expected = symbolic_derivatives(network_expression(network, SYMBOLS[:dimensions]), indices, points)
    np.testing.assert_allclose(
        derivatives(network, points, indices, create_graph=False), expected, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_known_composite_function_is_differentiated_exactly(dimensions, generator):
    a, b, c = SYMBOLS
    expression = sympy.exp(-a * b) * sympy.sin(2 * a + b**2) + (a**3 * c if dimensions == 3 else 0)

    def function(p):
        third = p[:, 0] ** 3 * p[:, 2] if dimensions == 3 else 0
        return torch.exp(-p[:, 0] * p[:, 1]) * torch.sin(2 * p[:, 0] + p[:, 1] ** 2) + third

    points, indices = points_in(dimensions, generator), indices_to(3, dimensions)
    np.testing.assert_allclose(
        derivatives(function, points, indices).detach(),
        symbolic_derivatives(expression, indices, points),
        rtol=1e-10,
        atol=1e-10,
    )


def test_derivatives_of_a_polynomial_vanish_beyond_its_degree(generator):
    points = points_in(2, generator)
    found = derivatives(lambda p: p[:, 0] * p[:, 1], points, [(1, 1), (2, 0), (0, 3), (2, 2)])
    np.testing.assert_array_equal(found.detach(), np.tile([1.0, 0.0, 0.0, 0.0], (len(points), 1)))


@pytest.mark.parametrize(("activation", "spread"), [("tanh", 1 / 50), ("sine", 2 / 50)])
def test_first_weights_have_the_published_variance(activation, spread, generator):
    network = NeuralField(3, activation=activation, width=50, depth=4, generator=generator)
    weights = torch.cat([layer.weight.detach().ravel() for layer in network.layers[1:-1]]).double()
    # Normal weights have kurtosis 3, uniform ones 1.8, which sets the error of a sample variance.
    kurtosis = 3 if activation == "tanh" else 1.8
    error = spread * math.sqrt((kurtosis - 1) / len(weights))
    assert abs(float(weights.var()) - spread) < 5 * error
    assert abs(float(weights.mean())) < 5 * math.sqrt(spread / len(weights))


def test_building_a_network_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    built = [NeuralField(2, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(before, torch.random.get_rng_state())
    first = [network.layers[0].weight for network in built]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


@pytest.mark.parametrize(
    "change", [{"activation": "relu"}, {"width": 0}, {"depth": 0}, {"input_scale": -1.0}, {"input_scale": math.nan}]
)
def test_impossible_networks_are_refused(change, generator):
    with pytest.raises(ConfigError):
        NeuralField(2, generator=generator, **change)


@pytest.mark.parametrize("index", [(1,), (1, 0, 0), (-1, 1)])
def test_multi_indices_that_do_not_fit_are_refused(index, generator):
    with pytest.raises(ConfigError, match="multi-index"):
        derivatives(NeuralField(2, generator=generator), torch.zeros(3, 2), [index])
