"""The optimiser against the reference library, matrix by matrix, and on a quadratic."""

import pytest
import torch
from pytorch_optimizer import SOAP

from bayespde.smooth.network.soap import Soap, _Stack


def gradient(matrices, target, curvature):
    return curvature @ torch.tanh(curvature.mT @ (matrices - target))


def setting(generator, *shape, dtype=torch.float64):
    start, target = (torch.randn(*shape, generator=generator, dtype=dtype) for _ in range(2))
    curvature = torch.randn(shape[-2], shape[-2], generator=generator, dtype=dtype)
    return start, target, curvature


def test_a_stack_takes_the_steps_that_the_library_takes_with_each_matrix(generator):
    """The library turns its bases in single precision, whatever it is given."""
    start, target, curvature = setting(generator, 2, 3, 6, 7)
    stack = start.clone()
    ours = Soap([stack])
    alone = [torch.nn.Parameter(m.clone()) for m in start.flatten(0, 1)]
    library = SOAP(alone, lr=1.0, weight_decay=0.0)
    for step in range(40):
        rate = 0.05 / (1 + step / 20)
        ours.step([gradient(stack, target, curvature)], rate)
        for parameter, goal in zip(alone, target.flatten(0, 1), strict=True):
            parameter.grad = gradient(parameter.detach(), goal, curvature)
        for group in library.param_groups:
            group["lr"] = rate
        library.step()
    moved = float((stack - start).abs().max())
    error = (stack.flatten(0, 1) - torch.stack([p.detach() for p in alone])).abs().max()
    assert float(error) < 1e-3 * moved


def test_matrices_side_by_side_are_independent(generator):
    start, target, curvature = setting(generator, 3, 5, 4)
    together, alone = start.clone(), start[1:2].clone()
    many, one = Soap([together]), Soap([alone])
    for _ in range(25):
        many.step([gradient(together, target, curvature)], 0.02)
        one.step([gradient(alone, target[1:2], curvature)], 0.02)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_quadratic_is_brought_to_its_minimum(generator, dtype):
    start, target, _ = setting(generator, 2, 6, 5, dtype=dtype)
    matrices = start.clone()
    optimiser, steps = Soap([matrices, torch.empty(2, 0, 6, 5, dtype=dtype)]), 400
    for step in range(steps):
        optimiser.step([matrices - target, torch.empty(2, 0, 6, 5, dtype=dtype)], 0.1 * (1 - step / steps))
    assert float((matrices - target).abs().max()) < 1e-2 * float((start - target).abs().max())


def test_steps_by_torch_are_the_same(generator, monkeypatch):
    start, target, curvature = setting(generator, 2, 3, 6, 7)
    found = []
    for by_torch in (False, True):
        if by_torch:
            monkeypatch.setattr(_Stack, "update", _Stack.update_by_torch)
        matrices = start.clone()
        optimiser = Soap([matrices])
        for _ in range(25):
            optimiser.step([gradient(matrices, target, curvature)], 0.02)
        found.append(matrices)
    # Rounding grows where a second moment is nearly zero.
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_takes_the_same_steps(generator):
    start, target, curvature = setting(generator, 2, 3, 6, 7)
    here, there = start.clone(), start.cuda()
    ours, theirs = Soap([here]), Soap([there])
    for _ in range(25):
        ours.step([gradient(here, target, curvature)], 0.02)
        theirs.step([gradient(there, target.cuda(), curvature.cuda())], 0.02)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-5)
