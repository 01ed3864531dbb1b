"""Log weights -> ancestors: four unbiased schemes with one signature [chopinpapaspiliopoulos2020]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch


class Scheme(Protocol):
    """A resampling scheme."""

    def __call__(self, log_weights: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
        """Draw P sorted ancestors, `[P]`, int64, whose expected counts are P times the normalised weights."""
        ...


def systematic(log_weights: torch.Tensor, *, generator: torch.Generator, count: int | None = None) -> torch.Tensor:
    """One uniform number shifts a regular grid over the cumulated weights.

    Args:
        log_weights: Unnormalised, `[P]`, float64; -inf for particles without weight.
        generator: Source of randomness.
        count: Number of ancestors; P if None.

    Returns:
        Ancestors, `[count]`, int64, sorted.
    """
    count = len(log_weights) if count is None else count
    shift = torch.rand(1, generator=generator, dtype=torch.float64)
    return _invert(log_weights.softmax(0), (torch.arange(count) + shift) / count)


def stratified(log_weights: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """One uniform number in each of P equal strata; arguments and result as in `systematic`."""
    count = len(log_weights)
    shift = torch.rand(count, generator=generator, dtype=torch.float64)
    return _invert(log_weights.softmax(0), (torch.arange(count) + shift) / count)


def multinomial(log_weights: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """P independent draws, sorted; arguments and result as in `systematic`."""
    uniform = torch.rand(len(log_weights), generator=generator, dtype=torch.float64)
    return _invert(log_weights.softmax(0), uniform.sort().values)


def residual(log_weights: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """`floor(P w)` certain copies, the rest multinomially; arguments and result as in `systematic`."""
    expected = log_weights.softmax(0) * len(log_weights)
    # an expected count that is an integer up to rounding must not lose a copy
    certain = torch.floor(expected + 1e-9)
    rest = (expected - certain).clamp(min=0)
    copies = certain.to(torch.int64)
    missing = len(log_weights) - int(copies.sum())
    if missing > 0:
        uniform = torch.rand(missing, generator=generator, dtype=torch.float64)
        drawn = _invert(rest / rest.sum(), uniform)
        copies += torch.bincount(drawn, minlength=len(copies))
    return torch.repeat_interleave(torch.arange(len(copies)), copies)


def _invert(weights: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Index of the cumulated weight that first exceeds each point; never one of weight zero."""
    cumulated = weights.cumsum(0)
    found = torch.searchsorted(cumulated, points * cumulated[-1], right=True)
    last = int(torch.nonzero(weights)[-1])
    return found.clamp(max=last)


SCHEMES: Mapping[str, Scheme] = {
    "systematic": systematic,
    "stratified": stratified,
    "residual": residual,
    "multinomial": multinomial,
}
