"""A function of rows of numbers in NumPy -> the same function where torch maps a program over all particles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

RowFunction = Callable[[torch.Tensor], torch.Tensor]


class _OverRows(torch.autograd.Function):
    """A function of `[..., K]`, which `torch.func.vmap` cannot look into."""

    generate_vmap_rule = False

    @staticmethod
    def forward(rows: torch.Tensor, function: RowFunction) -> torch.Tensor:
        return function(rows)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing is kept: there is no gradient."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], rows: torch.Tensor, function: RowFunction) -> tuple[Any, int]:
        return over_rows(function, rows.movedim(in_dims[0], 0)), 0


def over_rows(function: RowFunction, rows: torch.Tensor) -> torch.Tensor:
    """Apply a function to rows, also inside `torch.func.vmap`, where it gets the rows of all particles at once.

    Args:
        function: Of `[..., K]`; answers `[...]` or `[..., K]`, by code without a gradient, such as NumPy's.
        rows: `[..., K]`.

    Returns:
        What the function answers.
    """
    return _OverRows.apply(rows, function)  # type: ignore[no-untyped-call, no-any-return]
