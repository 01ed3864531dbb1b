"""GRADIENTS OF MATRICES -> STEPS in the eigenbases of their second moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

DECAY = 0.95
FREQUENCY = 10
FLOOR = 1e-8


class Soap:
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner [vyas2024soap], for matrices side by side.

    Every parameter is a stack of matrices `[..., m, n]`. Each matrix has its own left and right basis, so that networks
    side by side take the steps that they would take alone.

    Args:
        parameters: Leaf tensors; changed in place by `step`.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._stacks = [_Stack(p.detach().flatten(0, -3)) for p in parameters if p.numel()]
        self._steps = 0

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Take one step; the first only accumulates the moments of the gradients.

        Args:
            gradients: One per parameter, in their order and shapes.
            rate: Learning rate.
        """
        kept = [g.flatten(0, -3) for g in gradients if g.numel()]
        correction = math.sqrt(1 - DECAY**self._steps) / (1 - DECAY**self._steps) if self._steps else 0.0
        for stack, gradient in zip(self._stacks, kept, strict=True):
            stack.update(gradient, rate * correction if self._steps else None)
            if not self._steps:
                stack.begin()
            elif self._steps % FREQUENCY == 0:
                stack.turn()
        self._steps += 1


class _Stack:
    """Matrices `[B, m, n]`, which share memory with a parameter, their moments and bases."""

    def __init__(self, matrices: Tensor) -> None:
        self.matrices = matrices
        self.mean, self.square = torch.zeros_like(matrices), torch.zeros_like(matrices)
        self.moments = [matrices.new_zeros(len(matrices), k, k) for k in matrices.shape[1:]]
        self.bases = [torch.zeros_like(moment) for moment in self.moments]

    def update(self, gradient: Tensor, rate: float | None) -> None:
        """Move the matrices, if there is a rate, and accumulate the moments of the gradient."""
        if gradient.device.type != "cpu":
            self.update_by_torch(gradient, rate)
            return
        state = self.matrices, self.mean, self.square, *self.moments, *self.bases
        arrays = _State(*(tensor.numpy() for tensor in state))
        _update(arrays, gradient.contiguous().numpy(), -1.0 if rate is None else rate)

    def update_by_torch(self, gradient: Tensor, rate: float | None) -> None:
        """The same by torch, for every device."""
        left, right = self.bases
        if rate is not None:
            self.mean.lerp_(gradient, 1 - DECAY)
            self.square.lerp_((left.mT @ gradient @ right).square(), 1 - DECAY)
            step = (left.mT @ self.mean @ right) / (self.square.sqrt() + FLOOR)
            self.matrices.sub_(rate * (left @ step @ right.mT))
        for moment, outer in zip(self.moments, (gradient @ gradient.mT, gradient.mT @ gradient), strict=True):
            moment.lerp_(outer, 1 - DECAY)

    def begin(self) -> None:
        """Take the eigenbases of the first moments, largest eigenvalue first."""
        self.bases = [torch.linalg.eigh(moment)[1].flip(-1).contiguous() for moment in self.moments]

    def turn(self) -> None:
        """One power iteration of both bases towards the eigenbases."""
        self.bases = [self._turned(axis).contiguous() for axis in (0, 1)]

    def _turned(self, axis: int) -> Tensor:
        basis, product = self.bases[axis], self.moments[axis] @ self.bases[axis]
        order = (basis * product).sum(dim=-2).argsort(dim=-1, descending=True)
        rows = order[:, :, None] if axis == 0 else order[:, None, :]
        self.square = self.square.take_along_dim(rows.expand_as(self.square), dim=axis + 1)
        return torch.linalg.qr(product.take_along_dim(order[:, None, :].expand_as(product), dim=-1))[0]


class _State(NamedTuple):
    """A stack as arrays, one matrix per row: the parameters, their moments and bases."""

    matrices: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    left_moment: np.ndarray
    right_moment: np.ndarray
    left_basis: np.ndarray
    right_basis: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def _update(state: _State, gradients: np.ndarray, rate: float) -> None:
    """As `_Stack.update`, matrix by matrix: they are so small that calls would cost more than sums."""
    matrices, mean, square, left_moment, right_moment, left_basis, right_basis = state
    real = gradients.dtype.type
    new, floor, length = real(1 - DECAY), real(FLOOR), real(rate)
    for k in range(len(matrices)):
        gradient = gradients[k]
        if rate >= 0:
            left, right = left_basis[k], right_basis[k]
            mean[k] += new * (gradient - mean[k])
            seen = np.dot(np.dot(left.T, gradient), right)
            square[k] += new * (seen * seen - square[k])
            step = np.dot(np.dot(left.T, mean[k]), right) / (np.sqrt(square[k]) + floor)
            matrices[k] -= length * np.dot(np.dot(left, step), right.T)
        left_moment[k] += new * (np.dot(gradient, gradient.T) - left_moment[k])
        right_moment[k] += new * (np.dot(gradient.T, gradient) - right_moment[k])
