"""The penalty by hand, and the Pyro program against the density that the trainer optimises."""

import math

import numpy as np
import pyro
import pytest
import torch
from oracles import nested_derivatives
from pyro import poutine
from scipy.stats import norm, t

from bayespde.core.errors import ConfigError
from bayespde.smooth.network.network import Architecture, NeuralField
from bayespde.smooth.network.penalty import Penalty, penalty_indices, penalty_value
from bayespde.smooth.network.program import Batch, DensityConfig, log_density, neural_field_program

EXACT = {"rtol": 1e-12, "atol": 1e-14}


def small_problem(generator, *, activation="tanh", dimensions=2, pixels=30):
    """A float64 network, weights that are not its own, and random pixels and collocation points."""
    network = NeuralField(dimensions, Architecture(activation, 6, 2), generator=generator, dtype=torch.float64)
    uniform = [2 * torch.rand(n, dimensions, generator=generator, dtype=torch.float64) - 1 for n in (pixels, 17)]
    values = torch.randn(pixels, generator=generator, dtype=torch.float64)
    parameters = {
        name: value.detach() + 0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in network.named_parameters()
    }
    return network, parameters, Batch(uniform[0], values, uniform[1])


def traced_log_density(network, parameters, batch, config):
    data = {f"parameter.{name}": value for name, value in parameters.items()}
    return poutine.trace(poutine.condition(neural_field_program, data)).get_trace(network, batch, config)


def test_penalty_indices_are_the_derivatives_of_an_order():
    assert penalty_indices(2, 2) == ((2, 0), (0, 2))
    assert penalty_indices(3, 3) == ((3, 0, 0), (0, 3, 0), (0, 0, 3))
    assert penalty_indices(2, 2, mixed=True) == ((2, 0), (1, 1), (0, 2))
    assert [len(penalty_indices(k, 3, mixed=True)) for k in (1, 2, 3)] == [3, 6, 10]


def test_penalty_value_by_hand():
    table = torch.tensor([[3.0, -1.0], [0.0, 5.0], [-4.0, 0.0]], dtype=torch.float64)
    scales = torch.tensor([2.0, 4.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 0.5], dtype=torch.float64)
    rounded = lambda d: math.sqrt(d * d + 1e-6) - 1e-3  # noqa: E731
    sizes = [(rounded(1.5) + rounded(2.0)) / 3, (rounded(0.25) + rounded(1.25)) / 3]
    squares = [(1.5**2 + 2.0**2) / 3, (0.25**2 + 1.25**2) / 3]
    assert float(penalty_value(table, scales)) == pytest.approx(sum(sizes), rel=1e-12)
    assert float(penalty_value(table, scales, weights=weights)) == pytest.approx(sizes[0] + sizes[1] / 2, rel=1e-12)
    assert float(penalty_value(table, scales, kind="l2")) == pytest.approx(sum(squares), rel=1e-12)
    vectors = [(1.5, 0.25), (0.0, 1.25), (2.0, 0.0)]
    lengths = [rounded(math.hypot(a, b / 2)) / 3 for a, b in vectors]
    isotropic = penalty_value(table, scales, weights=weights, isotropic=True)
    assert float(isotropic) == pytest.approx(sum(lengths), rel=1e-12)


def test_an_isotropic_penalty_does_not_change_if_the_axes_are_turned(generator):
    """Of a polynomial whose axes have one scale: the coefficients of the turned one are those of f(R x)."""
    penalty = Penalty(order=3, mixed=True, isotropic=True)
    points = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    angle = 0.7
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)

    def function(p):
        return p[:, 0] ** 3 * p[:, 1] + torch.sin(p[:, 0] + 2 * p[:, 1])

    weights = torch.tensor(penalty.index_weights(2), dtype=torch.float64)
    values = [
        penalty_value(
            nested_derivatives(f, p, penalty.indices(2)), torch.ones_like(weights), weights=weights, isotropic=True
        )
        for f, p in ((function, points @ turn.T), (lambda p: function(p @ turn.T), points))
    ]
    torch.testing.assert_close(*values, rtol=1e-10, atol=0)


def test_penalty_is_dimensionless():
    table = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factor = torch.tensor([1e-3, 7.0, 1e4], dtype=torch.float64)
    scales = table.abs().mean(dim=0)
    torch.testing.assert_close(penalty_value(table * factor, scales * factor), penalty_value(table, scales), **EXACT)


def test_axis_weights_of_mixed_derivatives_are_geometric_means():
    penalty = Penalty(order=3, axis_weights=(8.0, 1.0), mixed=True)
    assert penalty.index_weights(2) == pytest.approx((8.0, 4.0, 2.0, 1.0))
    assert Penalty(order=2, axis_weights=(0.0, 1.0, 3.0)).index_weights(3) == pytest.approx((0.0, 1.0, 3.0))
    assert Penalty().index_weights(3) == (1.0, 1.0, 1.0)


def test_derivatives_to_penalise_can_be_chosen():
    penalty = Penalty(chosen=[[0, 2], [1, 1]], axis_weights=(4.0, 9.0))
    assert penalty.indices(2) == ((0, 2), (1, 1))
    assert penalty.index_weights(2) == pytest.approx((9.0, 6.0))
    with pytest.raises(ConfigError, match="does not fit"):
        penalty.indices(3)
    for bad in ((), ((0, 0),), ((0, 4),), ((1, -1),), ((0, 1.5),), ((0, 2), 3), 5):
        with pytest.raises(ConfigError, match="derivatives to penalise"):
            Penalty(chosen=bad)


@pytest.mark.parametrize("pixels", [30, 1234], ids=["full", "minibatch"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("activation", ["tanh", "sine"])
@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"mixed": True, "kind": "l2", "axis_weights": (0.5, 2.0)},
        {"chosen": ((0, 3), (1, 1), (1, 0)), "axis_weights": (0.5, 2.0)},
        {"mixed": True, "isotropic": True, "axis_weights": (0.5, 2.0)},
    ],
)
def test_program_and_objective_are_one_density(activation, order, pixels, variant, generator):
    network, parameters, batch = small_problem(generator, activation=activation)
    penalty = Penalty(order=order, weight=0.02, **variant)
    scales = tuple(np.linspace(0.5, 3.0, len(penalty.indices(2))))
    config = DensityConfig(pixels, noise_scale=0.3, prior_scale=0.7, penalty=penalty, penalty_scales=scales)
    trace = traced_log_density(network, parameters, batch, config)
    density = float(log_density(network, parameters, batch, config).detach())
    assert density == pytest.approx(float(trace.log_prob_sum().detach()), rel=1e-6)
    # The factor is part of the sum, with the value of its definition.
    found = nested_derivatives(lambda p: _at(network, parameters, p), batch.collocation, penalty.indices(2))
    value = penalty_value(
        found,
        found.new_tensor(scales),
        kind=penalty.kind,
        isotropic=penalty.isotropic,
        weights=found.new_tensor(penalty.index_weights(2)),
    )
    factor = float(trace.nodes["total_variation"]["log_prob_sum"].detach())
    assert factor == pytest.approx(-pixels * 0.02 * float(value.detach()) / (2 * 0.3**2), rel=1e-6)


def _at(network, parameters, points):
    return torch.func.functional_call(network, parameters, (points,))


def test_density_is_the_sum_of_normal_densities(generator):
    network, parameters, batch = small_problem(generator, dimensions=3)
    config = DensityConfig(300, noise_scale=0.4, prior_scale=1.3)
    residual = (batch.values - _at(network, parameters, batch.coordinates)).numpy()
    weights = torch.cat([p.ravel() for p in parameters.values()]).numpy()
    normal = lambda x, s: -(x**2) / (2 * s**2) - np.log(s) - np.log(2 * np.pi) / 2  # noqa: E731
    expected = normal(weights, 1.3).sum() + 10 * normal(residual, 0.4).sum()
    assert float(log_density(network, parameters, batch, config)) == pytest.approx(expected, rel=1e-12)
    assert float(traced_log_density(network, parameters, batch, config).log_prob_sum()) == pytest.approx(expected)


@pytest.mark.parametrize("freedom", [math.inf, 3.5])
def test_pixels_may_have_heavy_tails(freedom, generator):
    """Against scipy's densities."""
    network, parameters, batch = small_problem(generator)
    config = DensityConfig(30, noise_scale=0.4, freedom=freedom)
    mean = _at(network, parameters, batch.coordinates).numpy()
    own = 0.4 if math.isinf(freedom) else 0.4 * math.sqrt((freedom + 1) / (freedom + 3))
    pixels = norm(mean, own) if math.isinf(freedom) else t(freedom, mean, own)
    weights = torch.cat([p.ravel() for p in parameters.values()]).numpy()
    expected = pixels.logpdf(batch.values.numpy()).sum() + norm.logpdf(weights).sum()
    assert float(log_density(network, parameters, batch, config)) == pytest.approx(expected, rel=1e-10)
    assert float(traced_log_density(network, parameters, batch, config).log_prob_sum()) == pytest.approx(expected)


def test_the_program_is_that_of_one_network(generator):
    network, parameters, batch = small_problem(generator)
    config = DensityConfig(30, noise_scale=0.4, penalty=Penalty(weight=(0.1, 0.0)), penalty_scales=(1.0, 1.0))
    with pytest.raises(ConfigError, match="one network"):
        traced_log_density(network, parameters, batch, config)


def test_gradients_of_program_and_objective_agree(generator):
    network, parameters, batch = small_problem(generator)
    parameters = {name: value.requires_grad_() for name, value in parameters.items()}
    config = DensityConfig(90, 0.3, penalty=Penalty(order=3, weight=0.01), penalty_scales=(2.0, 3.0))
    fast = torch.autograd.grad(log_density(network, parameters, batch, config), list(parameters.values()))
    slow = traced_log_density(network, parameters, batch, config).log_prob_sum()
    for a, b in zip(fast, torch.autograd.grad(slow, list(parameters.values())), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_minibatches_estimate_the_full_density_without_bias(generator):
    network, parameters, batch = small_problem(generator, pixels=40)
    full = float(log_density(network, parameters, batch, DensityConfig(40, 0.5)))
    halves = [Batch(batch.coordinates[s], batch.values[s], batch.collocation) for s in (slice(20), slice(20, None))]
    parts = [float(log_density(network, parameters, half, DensityConfig(40, 0.5))) for half in halves]
    assert np.mean(parts) == pytest.approx(full, rel=1e-12)


def test_program_samples_fields_from_its_prior(generator):
    network, _, batch = small_problem(generator)
    with pyro.util.ignore_jit_warnings(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        trace = poutine.trace(neural_field_program).get_trace(network, batch, DensityConfig(30, 0.5))
    names = {f"parameter.{name}" for name, _ in network.named_parameters()}
    assert names <= set(trace.nodes)
    assert "total_variation" not in trace.nodes
    assert len(pyro.get_param_store()) == 0
    drawn = {name: trace.nodes[f"parameter.{name}"]["value"] for name, _ in network.named_parameters()}
    torch.testing.assert_close(trace.nodes["_RETURN"]["value"], _at(network, drawn, batch.coordinates), **EXACT)


@pytest.mark.parametrize(
    "change",
    [
        {"order": 0},
        {"order": 4},
        {"weight": -1.0},
        {"weight": math.nan},
        {"kind": "l3"},
        {"axis_weights": (-1.0, 1.0)},
        {"axis_weights": (0.0, 0.0)},
    ],
)
def test_impossible_penalties_are_refused(change):
    with pytest.raises(ConfigError):
        Penalty(**change)


def test_axis_weights_for_other_dimensions_are_refused():
    with pytest.raises(ConfigError, match="axis weights"):
        Penalty(axis_weights=(1.0, 1.0)).index_weights(3)


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": 0},
        {"noise_scale": 0.0},
        {"noise_scale": math.nan},
        {"freedom": 0.0},
        {"prior_scale": -1.0},
        {"penalty": Penalty(weight=1e-3)},
        {"penalty": Penalty(weight=1e-3), "penalty_scales": (1.0, 0.0)},
    ],
)
def test_impossible_densities_are_refused(change):
    with pytest.raises(ConfigError):
        DensityConfig(**({"pixels": 10, "noise_scale": 0.1} | change))
