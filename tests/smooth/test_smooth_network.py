"""Neural fields: derivatives against closed forms and symbolic differentiation, and initial weights."""

import itertools
import math

import numpy as np
import pytest
import sympy
import torch
from oracles import nested_derivatives

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.network import Architecture, NeuralField

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
    architecture = Architecture(activation, **({"width": 2, "depth": 2, "input_scale": 1.7} | kwargs))
    network = NeuralField(dimensions, architecture, generator=generator, dtype=torch.float64)
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
    torch.testing.assert_close(network(points, indices), torch.stack(expected, dim=1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("activation", ["tanh", "sine"])
def test_every_derivative_to_order_three_equals_the_symbolic_one(activation, dimensions, generator):
    network = tiny_network(activation, dimensions, generator)
    points, indices = points_in(dimensions, generator), indices_to(3, dimensions)
    expected = symbolic_derivatives(network_expression(network, SYMBOLS[:dimensions]), indices, points)
    for found in (network(points, indices), nested_derivatives(network, points, indices)):
        np.testing.assert_allclose(found.detach(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("activation", "spread"), [("tanh", 1 / 50), ("sine", 2 / 50)])
def test_first_weights_have_the_published_variance(activation, spread, generator):
    network = NeuralField(3, Architecture(activation, 50, 4), generator=generator)
    weights = torch.cat([layer.weight.detach().ravel() for layer in network.layers[1:-1]]).double()
    # Normal weights have kurtosis 3, uniform ones 1.8, which sets the error of a sample variance.
    kurtosis = 3 if activation == "tanh" else 1.8
    error = spread * math.sqrt((kurtosis - 1) / len(weights))
    assert abs(float(weights.var()) - spread) < 5 * error
    assert abs(float(weights.mean())) < 5 * math.sqrt(spread / len(weights))


def test_building_a_network_does_not_change_the_global_generator():
    before = torch.random.get_rng_state()
    built = [NeuralField(2, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(before, torch.random.get_rng_state())
    first = [network.layers[0].weight for network in built]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


@pytest.mark.parametrize(
    "change", [{"activation": "relu"}, {"width": 0}, {"depth": 0}, {"input_scale": -1.0}, {"input_scale": math.nan}]
)
def test_impossible_architectures_are_refused(change):
    with pytest.raises(ConfigError):
        Architecture(**change)


def test_input_scales_that_do_not_fit_are_refused(generator):
    with pytest.raises(ConfigError, match="input scales"):
        NeuralField(2, Architecture(input_scale=(1.0, 2.0, 3.0)), generator=generator)
