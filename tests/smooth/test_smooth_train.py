"""Training on manufactured fields: accuracy, repeatability, early stopping, and what the penalty does."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import nested_derivatives
from training import trained

from bayespde.core.errors import ConfigError, FieldError
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.hold_out import held_out_mask
from bayespde.smooth.network.network import Architecture, NeuralField
from bayespde.smooth.network.objective_torch import AutomaticObjective
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.network.program import Batch, DensityConfig, log_density

SMALL = NetworkConfig(width=12, depth=2, steps=400, batch=512, collocation=64, learning_rate=1e-2)
INDICES = [(0, 0), (1, 0), (0, 1), (0, 2)]


def grid(frames=33, positions=47):
    axes = np.meshgrid(np.linspace(-1, 1, frames), np.linspace(-1, 1, positions), indexing="ij")
    return np.stack([a.ravel() for a in axes], axis=1)


def front(coordinates):
    """A travelling front, standardised, with its derivatives in the order of INDICES: [n, 4]."""
    t, x = coordinates.T
    tanh = np.tanh(3 * (x - 0.5 * t))
    slope = 3 * (1 - tanh**2)
    table = np.stack([tanh, -0.5 * slope, slope, -6 * tanh * slope], axis=1)
    table[:, 0] -= tanh.mean()
    return table / tanh.std()


def noisy_front(seed, noise=0.1):
    coordinates = grid()
    truth = front(coordinates)
    values = truth[:, 0] + noise * np.random.default_rng(seed).standard_normal(len(truth))
    return coordinates, values, truth


def relative_errors(fit, coordinates, truth, indices=INDICES):
    found = fit.evaluate(coordinates, indices)
    return np.linalg.norm(found - truth, axis=0) / np.linalg.norm(truth, axis=0)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, activation="sine", width=16, input_scale=4.0)])
def test_a_travelling_front_is_recovered_with_its_derivatives(config, seed):
    coordinates, values, truth = noisy_front(seed)
    fit = trained(coordinates, values, config=config, seed=seed)
    errors = relative_errors(fit, coordinates, truth)
    assert np.all(errors < [0.06, 0.2, 0.16, 0.4]), errors
    assert errors[0] < 0.6 * 0.1  # well below the noise
    assert fit.held_out_rmse == pytest.approx(0.1, abs=0.1 * 5 / math.sqrt(2 * fit.held_out.sum()) + 0.01)


def test_three_dimensions_are_fitted(seed):
    rng = np.random.default_rng(seed)
    coordinates = rng.uniform(-1, 1, (3000, 3))
    t, y, x = coordinates.T
    clean = math.sqrt(2) * np.sin(2 * x + y - t)
    values = clean + 0.1 * rng.standard_normal(3000)
    config = replace(SMALL, steps=300, activation="sine", input_scale=3.0)
    fit = trained(coordinates, values, config=config, seed=seed)
    slope = math.sqrt(2) * np.cos(2 * x + y - t)
    truth = np.stack([clean, -slope, slope, 2 * slope, -2 * clean], axis=1)
    errors = relative_errors(fit, coordinates, truth, [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)])
    assert np.all(errors < [0.05, 0.15, 0.15, 0.15, 0.3]), errors


def test_the_same_seed_gives_the_same_bits():
    coordinates, values, _ = noisy_front(0)
    config = replace(SMALL, steps=40, penalty=Penalty(weight=1e-3))
    settings = {"config": config, "penalty_scales": (5.0, 50.0)}
    state = torch.random.get_rng_state()
    first, again, other = (trained(coordinates, values, seed=s, **settings) for s in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    for name, value in first.parameters.items():
        assert torch.equal(value, again.parameters[name])
        assert not torch.equal(value, other.parameters[name])
    np.testing.assert_array_equal(first.held_out, again.held_out)
    np.testing.assert_array_equal(first.history.objective, again.history.objective)
    assert not np.array_equal(first.held_out, other.held_out)


def test_the_objective_is_minus_the_log_density_per_pixel():
    coordinates, values, _ = noisy_front(0)
    config = replace(SMALL, steps=1, batch=10**6, learning_rate=1e-30)
    fit = trained(coordinates, values, config=config, noise=0.2, seed=4)
    seen = ~fit.held_out
    batch = Batch(*(torch.as_tensor(a[seen], dtype=torch.float64) for a in (coordinates, values)), torch.empty(0, 2))
    for member in range(fit.members):
        network = fit.network(member)
        density = log_density(network, dict(network.named_parameters()), batch, DensityConfig(int(seen.sum()), 0.2))
        assert fit.history.objective[0, member] == pytest.approx(-float(density.detach()) / seen.sum(), rel=1e-5)


def test_members_are_independent_of_each_other():
    """To the rounding of a few steps; a third member leaves the others alone."""
    coordinates, values, _ = noisy_front(0)
    config = replace(SMALL, steps=5, check_every=1, penalty=Penalty(weight=(1e-3, 0.0)))
    settings = {"penalty_scales": (5.0, 50.0), "seed": 3}
    pair = trained(coordinates, values, config=config, **settings)
    penalty = Penalty(weight=(1e-3, 0.0, 1e-2))
    three = trained(coordinates, values, config=replace(config, members=3, penalty=penalty), **settings)
    for name, value in pair.parameters.items():
        torch.testing.assert_close(three.parameters[name][:2], value, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(value[0], value[1])
    np.testing.assert_allclose(three.history.objective[:, :2], pair.history.objective, rtol=1e-4)


def test_a_subset_of_the_members_is_a_fit():
    coordinates, values, _ = noisy_front(0)
    config = replace(SMALL, members=3, steps=20, penalty=Penalty(weight=(1e-3, 0.0, 1e-2)))
    fit = trained(coordinates, values, config=config, penalty_scales=(5.0, 50.0), seed=0)
    some = fit.subset(np.array([0, 2]))
    assert some.members == some.config.members == 2
    assert some.config.penalty.weight == (1e-3, 1e-2)
    np.testing.assert_array_equal(some.each(coordinates), fit.each(coordinates)[[0, 2]])
    np.testing.assert_allclose(fit.evaluate(coordinates), fit.each(coordinates).mean(axis=0), rtol=1e-14)
    np.testing.assert_array_equal(some.residuals, fit.residuals[[0, 2]])
    np.testing.assert_array_equal(some.history.objective, fit.history.objective[:, [0, 2]])


def test_evaluation_is_the_network_in_double_precision(generator):
    coordinates, values, _ = noisy_front(0)
    fit = trained(coordinates, values, config=replace(SMALL, steps=20), seed=0)
    indices = [(0, 0), (0, 1), (2, 1)]
    points = np.random.default_rng(0).uniform(-1, 1, (9001, 2))  # more than one chunk
    network = NeuralField(2, Architecture("tanh", 12, 2, 2.0), generator=generator, dtype=torch.float64)
    network.load_state_dict({name: value[1].double() for name, value in fit.parameters.items()})
    expected = nested_derivatives(network, torch.as_tensor(points), indices).detach().numpy()
    found = fit.each(points, indices)[1]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(fit.each(points)[1], found[:, :1])


def test_residuals_are_those_of_the_pixels_held_out():
    coordinates, values, _ = noisy_front(0)
    mask = np.random.default_rng(5).random(len(values)) < 0.2
    fit = trained(coordinates, values, config=replace(SMALL, steps=60), mask=mask, seed=0)
    residuals = values - fit.each(coordinates)[..., 0]
    np.testing.assert_array_equal(fit.held_out, mask)
    np.testing.assert_allclose(fit.residuals, residuals[:, mask], atol=1e-5)
    assert fit.held_out_rmse == pytest.approx(np.sqrt(np.mean(residuals[:, mask].mean(axis=0) ** 2)), rel=1e-5)
    np.testing.assert_allclose(fit.training_rmse, np.sqrt(np.mean(residuals[:, ~mask] ** 2, axis=1)), rtol=1e-5)


def test_held_out_pixels_do_not_influence_the_weights():
    coordinates, values, _ = noisy_front(0)
    mask = held_out_mask(coordinates, config=SMALL, seed=0)
    changed = np.where(mask, -values, values)
    config = replace(SMALL, steps=30, check_every=30)
    fits = [trained(coordinates, v, config=config, mask=mask, seed=0) for v in (values, changed)]
    for name, value in fits[0].parameters.items():
        assert torch.equal(value, fits[1].parameters[name])


def test_training_stops_early_on_noise_and_keeps_the_best_weights(seed):
    coordinates = grid(15, 15)
    values = np.random.default_rng(seed).standard_normal(len(coordinates))
    config = NetworkConfig(width=24, depth=3, steps=3000, batch=512, patience=150, check_every=10)
    fit = trained(coordinates, values, config=config, seed=seed)
    assert fit.history.step[-1] < 1500
    best = fit.history.held_out_rmse.argmin(axis=0)
    assert np.all(fit.history.step[-1] - fit.history.step[best] >= 150)
    kept = np.sqrt(np.mean(fit.residuals**2, axis=1))
    np.testing.assert_allclose(kept, fit.history.held_out_rmse.min(axis=0), rtol=1e-6)


@pytest.mark.parametrize(("order", "kind"), [(1, "l1"), (2, "l1"), (3, "l1"), (2, "l2")])
def test_a_heavy_penalty_flattens_the_derivative_of_its_order(order, kind):
    coordinates, values, _ = noisy_front(0)
    indices = [(order, 0), (0, order)]
    sizes = []
    for weight in (0.0, 10.0):
        config = replace(SMALL, steps=300, penalty=Penalty(order=order, weight=weight, kind=kind), patience=300)
        fit = trained(coordinates, values, config=config, penalty_scales=(1.0, 1.0), seed=0)
        sizes.append(np.abs(fit.evaluate(coordinates, indices)).mean())
    assert sizes[1] < 0.02 * sizes[0]


def test_axis_weights_penalise_one_axis_alone():
    coordinates, values, _ = noisy_front(0)
    sizes = []
    for axis_weights in ((1.0, 0.0), (0.0, 1.0)):
        penalty = Penalty(order=1, weight=10.0, axis_weights=axis_weights)
        config = replace(SMALL, steps=300, penalty=penalty)
        fit = trained(coordinates, values, config=config, penalty_scales=(1.0, 1.0), seed=0)
        sizes.append(np.abs(fit.evaluate(coordinates, [(1, 0), (0, 1)])).mean(axis=0))
    assert sizes[0][0] < 0.02 * sizes[1][0]
    assert sizes[1][1] < 0.02 * sizes[0][1]


def test_whole_frames_are_held_out_but_not_the_first_or_last():
    coordinates = grid(21, 9)
    config = replace(SMALL, hold_out="frames", hold_out_fraction=0.2)
    mask = held_out_mask(coordinates, config=config, seed=3).reshape(21, 9)
    assert np.all(mask.all(axis=1) == mask.any(axis=1))
    assert mask[:, 0].sum() == 4
    assert not mask[[0, -1]].any()


def test_a_share_of_the_pixels_is_held_out_at_random():
    coordinates = grid(21, 9)
    masks = [held_out_mask(coordinates, config=SMALL, seed=s) for s in (3, 3, 4)]
    assert [m.sum() for m in masks] == [19, 19, 19]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "relu"},
        {"width": 0},
        {"depth": -1},
        {"input_scale": 0.0},
        {"steps": 0},
        {"steps": 1.5},
        {"batch": True},
        {"collocation": 0},
        {"learning_rate": 0.0},
        {"prior_scale": math.inf},
        {"hold_out_fraction": 0.0},
        {"hold_out_fraction": 0.6},
        {"hold_out": "blocks"},
        {"patience": 0},
        {"check_every": 0},
        {"members": 0},
        {"members": 3, "penalty": Penalty(weight=(0.0, 1e-3))},
        {"input_scale": (1.0, -2.0)},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ConfigError):
        NetworkConfig(**change)


def test_impossible_arguments_are_refused():
    coordinates, values, _ = noisy_front(0)
    with pytest.raises(ConfigError, match="noise_scale"):
        trained(coordinates, values, config=SMALL, noise=0.0)
    with pytest.raises(ConfigError, match="scales"):
        trained(coordinates, values, config=replace(SMALL, penalty=Penalty(weight=1.0)))
    with pytest.raises(ConfigError, match="seed"):
        trained(coordinates, values, config=SMALL, mask=held_out_mask(coordinates, config=SMALL, seed=0), seed=-1)


def test_too_few_frames_to_hold_some_out_are_refused():
    with pytest.raises(FieldError, match="frames"):
        held_out_mask(grid(3, 5), config=replace(SMALL, hold_out="frames"), seed=0)


def test_a_device_that_is_not_there_is_refused():
    coordinates, values, _ = noisy_front(0)
    for device in ("abacus", "cuda:77"):
        with pytest.raises(ConfigError, match="device cannot be used"):
            trained(coordinates, values, config=SMALL, device=device)


def test_training_by_automatic_differentiation_ends_at_the_same_loss(monkeypatch):
    """Not step by step: rounding is another, and training is chaotic."""
    import bayespde.smooth.network.train as module

    coordinates, values, _ = noisy_front(0)
    settings = {"config": replace(SMALL, steps=300), "seed": 1}
    compiled = trained(coordinates, values, **settings)
    monkeypatch.setattr(module, "_objective", AutomaticObjective)
    automatic = trained(coordinates, values, **settings)
    assert automatic.held_out_rmse == pytest.approx(compiled.held_out_rmse, rel=0.1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_trains_as_well_as_a_cpu():
    coordinates, values, _ = noisy_front(0)
    settings = {"config": replace(SMALL, steps=300), "seed": 1}
    here, there = (trained(coordinates, values, device=device, **settings) for device in ("cpu", "cuda"))
    assert there.held_out_rmse == pytest.approx(here.held_out_rmse, rel=0.1)
    assert not there.parameters["first"].is_cuda
