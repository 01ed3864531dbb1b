"""Hand-written gradients against automatic differentiation, and the activations that they use."""

import math

import numpy as np
import pytest
import torch
from oracles import nested_derivatives

from bayespde.smooth.network.activation import activate
from bayespde.smooth.network.evaluate_numba import parameter_gradients
from bayespde.smooth.network.network import Architecture, NeuralField
from bayespde.smooth.network.objective_numba import CompiledObjective
from bayespde.smooth.network.objective_torch import AutomaticObjective
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.network.program import Batch, DensityConfig, log_density


def values_of(function, numbers, *, is_exact):
    y, slope = np.empty_like(numbers), np.empty_like(numbers)
    activate(numbers, function is np.tanh, is_exact, y, slope)
    return y, slope


@pytest.mark.parametrize(("function", "reach", "error"), [(np.tanh, 20, 4e-7), (np.sin, 30, 2e-7), (np.sin, 900, 3e-7)])
def test_activations_are_right_to_single_precision(function, reach, error):
    numbers = np.linspace(-reach, reach, 100_003, dtype=np.float32)
    exact = numbers.astype(np.float64)
    slopes = 1 - np.tanh(exact) ** 2 if function is np.tanh else np.cos(exact)
    for found, wanted in zip(values_of(function, numbers, is_exact=False), (function(exact), slopes), strict=True):
        assert np.abs(found - wanted).max() < error * (2 if function is np.tanh else 1)
    for found, wanted in zip(values_of(function, exact, is_exact=True), (function(exact), slopes), strict=True):
        assert np.abs(found - wanted).max() < 1e-14


def test_nan_stays_nan():
    for function in (np.tanh, np.sin):
        found, _ = values_of(function, np.array([np.nan, 0.5], dtype=np.float32), is_exact=False)
        assert np.isnan(found[0])
        assert np.isfinite(found[1])
    assert values_of(np.tanh, np.array([np.inf, -np.inf], dtype=np.float32), is_exact=False)[0] == pytest.approx(
        [1, -1]
    )


def problem(generator, activation, dimensions, *, width=12, depth=3, members=2, pixels=70, points=33):
    architecture = Architecture(activation, width, depth, (1.5, 3.0, 2.0)[:dimensions])
    network = NeuralField(dimensions, architecture, members=members, generator=generator)
    with torch.no_grad():
        for layer in network.layers:
            layer.bias.uniform_(-0.5, 0.5, generator=generator)
    coordinates = 2 * torch.rand(members, pixels, dimensions, generator=generator) - 1
    collocation = 2 * torch.rand(members, points, dimensions, generator=generator) - 1
    return network, Batch(coordinates, torch.randn(members, pixels, generator=generator), collocation)


@pytest.mark.parametrize("activation", ["tanh", "sine"])
@pytest.mark.parametrize(
    ("dimensions", "depth", "penalty"),
    [
        (2, 3, Penalty(order=3, weight=(1e-3, 0.0))),
        (2, 1, Penalty(order=2, weight=1e-2, kind="l2")),
        (3, 2, Penalty(order=2, weight=(0.0, 1e-2), mixed=True)),
        (3, 3, Penalty(order=1, weight=1e-2, axis_weights=(0.0, 1.0, 2.0))),
        (3, 2, Penalty(order=2, weight=(1e-2, 1e-3), mixed=True, isotropic=True, axis_weights=(0.5, 1.0, 2.0))),
        (2, 4, Penalty()),
    ],
)
@pytest.mark.parametrize("freedom", [math.inf, 2.7])
def test_the_compiled_objective_is_the_log_density_of_the_program(
    activation, dimensions, depth, penalty, freedom, generator
):
    """To the rounding of single precision, against the program's own density in double precision."""
    network, batch = problem(generator, activation, dimensions, depth=depth)
    scales = tuple(3.0 + k for k in range(len(penalty.indices(dimensions)))) if any(penalty.weights) else ()
    density = DensityConfig(
        pixels=500,
        noise_scale=0.3,
        freedom=freedom,
        prior_scale=0.7,
        penalty=penalty,
        penalty_scales=scales,
    )
    found, gradients = CompiledObjective(network, density)(dict(network.named_parameters()), batch)
    exact = network.double()
    wanted = (
        -log_density(exact, dict(exact.named_parameters()), Batch(*(b.double() for b in batch)), density)
        / density.pixels
    )
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=0)
    for one, other in zip(gradients, torch.autograd.grad(wanted.sum(), list(exact.parameters())), strict=True):
        assert one.shape == other.shape
        if other.numel():
            assert (one - other).abs().max() < 1e-4 * other.abs().max()


@pytest.mark.parametrize("freedom", [math.inf, 2.7])
@pytest.mark.parametrize("weight", [(1e-3, 0.0), 0.0])
def test_the_objective_of_a_gpu_is_that_of_a_cpu(weight, freedom, generator):
    network, batch = problem(generator, "sine", 3)
    penalty = Penalty(order=2, weight=weight, mixed=True)
    density = DensityConfig(500, 0.3, penalty=penalty, penalty_scales=(2.0,) * 6, freedom=freedom)
    parameters = dict(network.named_parameters())
    results = [kind(network, density)(parameters, batch) for kind in (AutomaticObjective, CompiledObjective)]
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=0)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert (one - other).abs().max() < 1e-4 * other.abs().max()


def test_arrays_are_allocated_again_when_the_size_of_a_batch_changes(generator):
    network, batch = problem(generator, "tanh", 2)
    objective = CompiledObjective(network, DensityConfig(pixels=70, noise_scale=1.0))
    part = Batch(batch.coordinates[:, :50], batch.values[:, :50], batch.collocation)
    parameters = dict(network.named_parameters())
    first, *_ = objective(parameters, batch)
    objective(parameters, part)
    assert torch.equal(objective(parameters, batch)[0], first)


@pytest.mark.parametrize("activation", ["tanh", "sine"])
@pytest.mark.parametrize("indices", [[(0, 0)], [(0, 4), (1, 0), (0, 0)], [(1, 1, 0), (0, 0, 3)]])
def test_gradients_of_derivatives_equal_automatic_ones(activation, indices, generator):
    dimensions = len(indices[0])
    network = NeuralField(dimensions, Architecture(activation, 7, 3, 1.7), generator=generator, dtype=torch.float64)
    points = 2 * torch.rand(5, dimensions, generator=generator, dtype=torch.float64) - 1
    found = parameter_gradients(network, points.numpy(), indices)
    for k, point in enumerate(points):
        for j, value in enumerate(nested_derivatives(network, point[None], indices)[0]):
            wanted = torch.autograd.grad(value, list(network.parameters()), retain_graph=True)
            wanted = torch.cat([w.flatten() for w in wanted]).numpy()
            np.testing.assert_allclose(found[k, j], wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
