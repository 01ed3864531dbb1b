"""Derivatives in one pass, by torch and compiled, against nested reverse differentiation and Cauchy's integral."""

import itertools
import math

import numpy as np
import pytest
import torch
from oracles import nested_derivatives
from saved_tensors import kept_bytes

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.evaluate_numba import network_derivatives
from bayespde.smooth.network.jets import jet_table
from bayespde.smooth.network.network import Architecture, NeuralField
from bayespde.smooth.network.penalty import penalty_indices
from bayespde.smooth.network.taylor import activated


def network_of(activation, dimensions, generator, *, width=9, depth=3, dtype=torch.float64):
    network = NeuralField(dimensions, Architecture(activation, width, depth, 1.7), generator=generator, dtype=dtype)
    with torch.no_grad():
        for layer in network.layers:
            layer.bias.uniform_(-0.5, 0.5, generator=generator)
    return network


def points_in(dimensions, generator, count=50, dtype=torch.float64):
    return 2 * torch.rand(count, dimensions, generator=generator, dtype=dtype) - 1


SETS = {
    "all to order 4": [i for i in itertools.product(range(5), repeat=2) if sum(i) <= 4],
    "all of order 4 in 3-D": list(penalty_indices(4, 3, mixed=True)),
    "pure axes of order 3 in 4-D": list(penalty_indices(3, 4)),
    "in any order, twice": [(0, 1, 2), (2, 0, 0), (0, 1, 2), (0, 0, 0)],
    "one dimension": [(5,), (1,)],
    "the value alone": [(0, 0)],
    "one axis of two": [(0, 2)],
}


@pytest.mark.parametrize("activation", ["tanh", "sine"])
@pytest.mark.parametrize("indices", SETS.values(), ids=SETS)
def test_derivatives_and_their_gradients_equal_nested_differentiation(activation, indices, generator):
    dimensions = len(indices[0])
    network, points = network_of(activation, dimensions, generator), points_in(dimensions, generator)
    taylor, nested = network(points, indices), nested_derivatives(network, points, indices)
    assert taylor.shape == (len(points), len(indices))
    scale = nested.detach().abs().amax(dim=0) + 1e-12
    assert ((taylor - nested).abs() / scale).max() < 1e-10
    weight = torch.randn(taylor.shape, generator=generator, dtype=torch.float64) / scale
    gradients = [
        torch.autograd.grad((weight * v).sum(), list(network.parameters()), allow_unused=True) for v in (taylor, nested)
    ]
    for one, other in zip(*gradients, strict=True):
        # The last bias has no part in a derivative.
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 41, 43, 200])
def test_points_are_independent(count, generator):
    """Compiled passes take points in blocks; the last one may be short."""
    network, points = network_of("tanh", 2, generator), points_in(2, generator, count)
    indices = [(1, 0), (0, 3)]
    one_by_one = torch.cat([network(p[None], indices) for p in points]).detach()
    torch.testing.assert_close(network(points, indices).detach(), one_by_one, rtol=1e-12, atol=1e-12)
    compiled = network_derivatives(network, points.numpy(), indices)
    np.testing.assert_allclose(compiled, one_by_one.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "sine"])
@pytest.mark.parametrize("indices", SETS.values(), ids=SETS)
def test_the_compiled_pass_gives_the_same(activation, indices, generator):
    dimensions = len(indices[0])
    network, points = network_of(activation, dimensions, generator), points_in(dimensions, generator, 300)
    found, wanted = network_derivatives(network, points.numpy(), indices), network(points, indices).detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize(("activation", "function"), [("tanh", np.tanh), ("sine", np.sin)])
def test_series_of_one_variable_agree_with_the_integral_of_cauchy(activation, function, generator):
    """Cauchy's integral by the trapezoid rule, exact to rounding for an analytic function."""
    table, order = jet_table([(6,)], 1), 6
    z = 0.3 * torch.randn(1, order + 1, 1, 8, generator=generator, dtype=torch.float64)
    found = activated(z, table, activation)[0, :, 0].numpy()
    angles = np.exp(2j * np.pi * np.arange(128) / 128)
    inside = sum(z[0, k, 0].numpy() * (0.5 * angles[:, None]) ** k for k in range(order + 1))
    wanted = np.stack([(function(inside) * angles[:, None] ** -k).mean(axis=0).real / 0.5**k for k in range(order + 1)])
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_only_the_needed_coefficients_are_carried():
    assert len(jet_table([(3, 0, 0), (0, 3, 0), (0, 0, 3)], 3)) == 1 + 3 * 3
    assert len(jet_table(penalty_indices(3, 3, mixed=True), 3)) == math.comb(6, 3)
    assert jet_table([(0, 1, 2)], 3).indices == (
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 0),
        (0, 0, 2),
        (0, 1, 1),
        (0, 1, 2),
    )


@pytest.mark.parametrize(("order", "mixed"), [(3, True), (4, False)])
def test_training_keeps_a_third_of_what_nested_differentiation_keeps(order, mixed, generator):
    dimensions = 3 if mixed else 2
    network = network_of("tanh", dimensions, generator, width=64, depth=6, dtype=torch.float32)
    points, indices = (
        points_in(dimensions, generator, 100, torch.float32),
        penalty_indices(order, dimensions, mixed=mixed),
    )

    ways = (lambda: network(points, indices), lambda: nested_derivatives(network, points, indices))
    taylor, nested = (kept_bytes(lambda w=way: w().square().mean()) for way in ways)
    assert 3 * taylor < nested


def test_single_precision_is_exact_to_its_rounding(generator):
    network, points = network_of("tanh", 2, generator, dtype=torch.float32), points_in(2, generator, 200, torch.float32)
    indices = penalty_indices(3, 2, mixed=True)
    found, exact = network(points, indices), network.double()(points.double(), indices)
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 1e-4 * exact.abs().max()


@pytest.mark.parametrize("activation", ["tanh", "sine"])
def test_gradients_can_be_differentiated_again(activation, generator):
    """In the points, where the answer is a derivative of higher order; and in the weights."""
    network, points = network_of(activation, 2, generator, depth=2), points_in(2, generator, 7)
    twice = nested_derivatives(lambda p: network(p, [(1, 0)])[:, 0], points, [(0, 2), (1, 1)])
    torch.testing.assert_close(twice, network(points, [(1, 2), (2, 1)]), rtol=1e-9, atol=1e-9)
    weight, found = network.hidden, []
    for value in (network(points, [(0, 2)]), nested_derivatives(network, points, [(0, 2)])):
        first = torch.autograd.grad(value.square().mean(), weight, create_graph=True)[0]
        found.append(torch.autograd.grad(first.square().sum(), weight)[0])
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)


def test_half_precision_is_supported(generator):
    network, points = network_of("tanh", 2, generator), points_in(2, generator)
    exact = network(points, [(0, 1), (1, 0)])
    found = network.bfloat16()(points.bfloat16(), [(0, 1), (1, 0)])
    assert (found - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize("index", [(1,), (1, -1), (1, 2, 3), (1.0, 0), 2, "ab", ()])
def test_multi_indices_that_do_not_fit_are_refused(index, generator):
    network = network_of("tanh", 2, generator)
    with pytest.raises(ConfigError, match="does not fit the points"):
        network(points_in(2, generator), [index])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same(generator):
    network, points = network_of("sine", 3, generator), points_in(3, generator, 500)
    indices = penalty_indices(3, 3, mixed=True)
    here = network(points, indices)
    gradient = torch.autograd.grad(here.square().mean(), network.hidden)[0]
    there = network.cuda()(points.cuda(), indices)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-9, atol=1e-9)
    again = torch.autograd.grad(there.square().mean(), network.hidden)[0]
    torch.testing.assert_close(again.cpu(), gradient, rtol=1e-8, atol=1e-10)
