"""A training step with a penalty on derivatives: one pass of Taylor series against nested reverse differentiation.

Seconds of both are taken in turn in one process; ratios go into the table of pytest-benchmark, and none is asserted.
"""

import statistics
import time

import pytest
import torch
from saved_tensors import kept_bytes

from bayespde.smooth.network import NeuralField, derivatives
from bayespde.smooth.penalty import penalty_indices

ROUNDS = 9
# Dimensions, order, mixed derivatives too, points, width.
STEPS = (
    (2, 2, True, 1000, 20),
    (3, 2, True, 1000, 20),
    (3, 3, True, 1000, 20),
    (3, 3, True, 500, 64),
    (3, 3, False, 512, 20),
    (3, 3, False, 512, 64),
    (2, 4, True, 1000, 20),
    (2, 4, False, 1000, 20),
    (2, 4, False, 500, 64),
    (3, 4, False, 300, 20),
)


def step(network, points, evaluate):
    """Gradient of a mean squared value and of the mean size of the derivatives."""
    loss = network(points).square().mean() + evaluate(network, points).abs().mean()
    return torch.autograd.grad(loss, list(network.parameters()))


@pytest.mark.parametrize(("dimensions", "order", "mixed", "count", "width"), STEPS)
def test_training_step(benchmark, dimensions, order, mixed, count, width):
    generator = torch.Generator().manual_seed(0)
    network = NeuralField(dimensions, width=width, depth=6, input_scale=2.0, generator=generator)
    points = 2 * torch.rand(count, dimensions, generator=generator) - 1
    indices = penalty_indices(order, dimensions, mixed=mixed)
    ways = {"taylor": lambda n, p: n(p, indices), "nested": lambda n, p: derivatives(n, p, indices)}
    seconds = {way: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way, evaluate in ways.items():
            start = time.process_time()
            step(network, points, evaluate)
            if turn:  # the first compiles
                seconds[way].append(time.process_time() - start)
    taylor, nested = (statistics.median(s) for s in seconds.values())
    kept = [kept_bytes(lambda w=way: w(network, points).sum()) for way in ways.values()]
    benchmark.extra_info |= {"nested_over_taylor": nested / taylor, "kept_nested_over_taylor": kept[1] / kept[0]}
    benchmark.pedantic(lambda: step(network, points, ways["taylor"]), rounds=ROUNDS)
