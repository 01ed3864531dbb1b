"""Terms + derivatives -> rows at grid points, their likelihood raised to a power because neighbours are correlated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import xarray as xr

from bayespde.core.annotations import CountOrZero, NonNegative, OneOf, Range
from bayespde.core.assembly_record import AssemblyRecord
from bayespde.core.checked import Checked
from bayespde.core.equation import Library
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.terms import derivative_orders, evaluate_expression

SMOOTHERS = ("auto", "spline", "network")
# Rows of prior weight for an unknown noise variance.
UNKNOWN_NOISE = 1e-6


@dataclass(frozen=True)
class StrongForm(Checked):
    """How the rows of the strong form are made.

    Attributes:
        power: Exponent on the likelihood; None: independent rows by number, estimated from the autocorrelation of
            the residual of all terms together; "mean": one over the number of rows, a mean likelihood without prior
            knowledge of the noise, which together with `ProfileLikelihood` is that of [seedrepo2020].
        trim: Share of the samples dropped at each end of every axis, where smoothing is worst.
        floor: Relative residual amplitude allowed.
        smoother: Smoother of the field, as in `SmoothingConfig`; that of the settings of smoothing if None.
        field_draws: Number of draws of the smoothed field over which the posterior is averaged; 0 for its mean alone.
    """

    power: Annotated[float, Range(above=0, highest=1)] | Annotated[str, OneOf(("mean",))] | None = None
    trim: Annotated[float, Range(0, below=0.4)] = 0.05
    floor: NonNegative = 1e-3
    smoother: Annotated[str, OneOf(SMOOTHERS)] | None = None
    field_draws: CountOrZero = 0


class StrongFormWarning(UserWarning):
    """The strong form on smoothed data selects wrong terms where there is noise."""


def strong_statistics(
    library: Library,
    field: xr.DataArray,
    evaluate_all: Callable[[Sequence[tuple[int, ...]]], np.ndarray],
    *,
    options: StrongForm,
) -> SufficientStatistics:
    """Evaluate terms and target at the grid points and compress them.

    Args:
        library: The candidate terms.
        field: The checked field, for its dims.
        evaluate_all: Several derivatives of the smoothed field on its grid, by orders, `[len(orders), *field shape]`.
            It is called once: a pass over networks is expensive, whatever it evaluates.
        options: Settings.

    Returns:
        The statistics, with the power recorded.
    """
    warnings.warn(
        "rows at grid points inherit the bias of the smoother, and with noise they select wrong terms; "
        "prefer WeakForm()",
        StrongFormWarning,
        stacklevel=3,
    )
    rows, target, shape = _rows(library, field, evaluate_all, options.trim)
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0] = 1.0
    left = target - rows / scale @ np.linalg.lstsq(rows / scale, target, rcond=1e-10)[0]
    times = [autocorrelation_time(left.reshape(shape), axis) for axis in range(len(shape))]
    power = min(1.0, 1.0 / float(np.prod(times))) if options.power is None else options.power
    prior_rows, prior_variance = 1.0, None
    if power == "mean":
        power, prior_rows, prior_variance = 1.0 / len(rows), UNKNOWN_NOISE, float(np.mean(target**2))
    return SufficientStatistics.from_rows(
        rows,
        target,
        names=library.names,
        target_name=library.target,
        model=RowModel(
            power=float(power),
            floor=options.floor,
            prior_rows=prior_rows,
            prior_variance=prior_variance,
            provenance={"rows": len(rows), "power": float(power), "autocorrelation_times": times},
            record=AssemblyRecord("strong"),
        ),
    )


def _rows(
    library: Library,
    field: xr.DataArray,
    evaluate_all: Callable[[Sequence[tuple[int, ...]]], np.ndarray],
    trim: float,
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Terms `[n, K]` and target `[n]` at the points that are not trimmed, and the shape of their grid."""
    dims = tuple(map(str, field.dims))
    inner = tuple(slice(int(trim * n), n - int(trim * n)) for n in field.shape)
    names = sorted({library.target, *(name for term in library for name in term.symbols)})
    derivatives = evaluate_all([derivative_orders(name, dims) for name in names])
    values = {name: derivative[inner] for name, derivative in zip(names, derivatives, strict=True)}
    target = values[library.target]
    design = np.stack(
        [np.broadcast_to(evaluate_expression(t.expression, values.__getitem__), target.shape) for t in library],
        axis=-1,
    )
    return design.reshape(-1, len(library)), target.ravel(), target.shape


def autocorrelation_time(values: np.ndarray, axis: int) -> float:
    """Integrated autocorrelation time along an axis in samples, summed up to the first negative correlation."""
    centred = np.moveaxis(values - values.mean(), axis, -1)
    size = 2 * centred.shape[-1]
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    covariance = np.fft.irfft(spectrum, size)[..., : size // 2].reshape(-1, size // 2).sum(axis=0)
    correlation = covariance / covariance[0] if covariance[0] > 0 else np.eye(1, size // 2)[0]
    negative = np.flatnonzero(correlation < 0)
    stop = negative[0] if negative.size else len(correlation)
    return float(max(1.0, 1 + 2 * correlation[1:stop].sum()))
