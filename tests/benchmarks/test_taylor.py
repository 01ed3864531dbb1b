"""A training step with a penalty on derivatives: Taylor series, compiled or not, against nested differentiation.

Seconds of all are taken in turn in one process; ratios go into the table of pytest-benchmark, and none is asserted.
"""

import statistics
import time

import numpy as np
import pytest
import torch
from oracles import nested_derivatives
from saved_tensors import kept_bytes

from bayespde.smooth.network.jets import index_factors, jet_table
from bayespde.smooth.network.network import Architecture, NeuralField
from bayespde.smooth.network.objective_numba import Passes
from bayespde.smooth.network.penalty import penalty_indices

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


def compiled_step(network, points, indices):
    """The same by passes that are written out, as a function without arguments; and the bytes that it keeps."""
    values, series = (Passes(network, jet_table(i, points.shape[1])) for i in ([(0,) * points.shape[1]], indices))
    parameters = tuple(p.detach().numpy() for p in network.parameters())
    wanted, places = list(series.table.wanted), points.numpy()
    factors = np.array(series.table.factorials) * index_factors(indices, network.input_scale)
    shares = (factors / (len(points) * len(indices))).astype(np.float32)[:, None]

    def run():
        values.sensitivity[:] = 2 / len(points) * values.forward(parameters, places)
        found = values.backward(parameters)
        signs = np.sign(series.forward(parameters, places)[0, wanted])
        series.sensitivity[:] = 0
        series.sensitivity[0, wanted] = shares * signs
        return [a + b for a, b in zip(found, series.backward(parameters), strict=True)]

    for passes in (values, series):
        passes.make_room(len(points))
    return run, sum(array.nbytes for array in series.room)


@pytest.mark.parametrize(("dimensions", "order", "mixed", "count", "width"), STEPS)
def test_training_step(benchmark, dimensions, order, mixed, count, width):
    generator = torch.Generator().manual_seed(0)
    network = NeuralField(dimensions, Architecture("tanh", width, 6, 2.0), generator=generator)
    points = 2 * torch.rand(count, dimensions, generator=generator) - 1
    indices = penalty_indices(order, dimensions, mixed=mixed)
    evaluate = {"taylor": lambda n, p: n(p, indices), "nested": lambda n, p: nested_derivatives(n, p, indices)}
    compiled, room = compiled_step(network, points, indices)
    ways = {w: lambda e=e: step(network, points, e) for w, e in evaluate.items()} | {"compiled": compiled}
    for one, other in zip(compiled(), ways["nested"](), strict=True):
        assert np.abs(one - other.numpy()).max() < 1e-3 * float(other.abs().max())
    seconds = {way: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way, run in ways.items():
            start = time.process_time()
            run()
            if turn:  # the first compiles
                seconds[way].append(time.process_time() - start)
    middle = {way: statistics.median(s) for way, s in seconds.items()}
    kept = {w: kept_bytes(lambda e=e: e(network, points).sum()) for w, e in evaluate.items()}
    benchmark.extra_info |= {f"nested_over_{way}": middle["nested"] / middle[way] for way in ("taylor", "compiled")}
    benchmark.extra_info |= {"kept_nested_over_taylor": kept["nested"] / kept["taylor"]}
    benchmark.extra_info |= {"kept_nested_over_compiled": kept["nested"] / room}
    benchmark.pedantic(compiled, rounds=ROUNDS)
