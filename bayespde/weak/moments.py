"""Terms + raw field + smooth field -> the moments of all terms over all test functions: a `WeakProblem`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import uniform_filter

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, FieldError
from bayespde.core.field import spacings
from bayespde.core.terms import derivative_orders, evaluate_expression
from bayespde.noise.covariance import NoiseCovariance
from bayespde.weak.config import WeakForm, choose_test_functions
from bayespde.weak.coupled_fields import CoupledField, filled, noise_seen
from bayespde.weak.integration_by_parts import Orders, noise_kernels, weak_atoms
from bayespde.weak.problem import WeakProblem
from bayespde.weak.smoother import GaussianSmoother, Smoother, noise_gain
from bayespde.weak.test_functions import TestFunctions

ROUNDING = 1e-12
# A test function may have this share of its weight inside holes (most pixels missing in a box of this size).
MAXIMUM_GAP = 0.05
HOLE_SIZE = 5
MINIMUM_ROWS = 16


def weak_problem(
    library: Library,
    field: xr.DataArray,
    smooth: GaussianSmoother,
    *,
    options: WeakForm,
    noise: NoiseCovariance | None = None,
    jitter: tuple[float, ...] = (),
    windows: tuple[TestFunctions, ...] | None = None,
    fill: GaussianSmoother | None = None,
    coupled_fields: tuple[CoupledField, ...] = (),
) -> WeakProblem:
    """Compute all moments.

    Args:
        library: The candidate terms; they may hold space derivatives only.
        field: The raw, checked field.
        smooth: The smooth field made from it.
        options: Settings.
        noise: What the noise is made of; estimated from the residuals if absent.
        jitter: Of frames that were put back where they belong, known to that estimate.
        windows: The test functions; chosen from the data if absent.
        fill: The field from which missing pixels take their values, `smooth` if absent. It must not know the pilot
            equation: pixels that obey it by construction would be evidence for it.
        coupled_fields: The other fields of a system.

    Returns:
        The problem, still to be whitened at a pilot.

    Raises:
        TermError: If a term has a derivative along an axis that the field lacks.
        ConfigError: If a window does not fit, or a term needs smoother test functions.
        FieldError: If the field does not change in time.
    """
    dims, u, order = tuple(map(str, field.dims)), library.variable, library.target.count("t", len(library.variable))
    values = _kept_values({u: smooth} | {b.name: b.smooth for b in coupled_fields}, dims)
    missing, fill = np.isnan(field.values), fill or smooth
    raw = {u: filled(field, fill)} | {b.name: filled(b.field, b.fill or b.smooth) for b in coupled_fields}
    noise = noise or noise_seen(field, values, smooth.noise_scale, options.noise, jitter)
    coupled_fields = tuple(b.prepared(library, values, options.noise) for b in coupled_fields)
    capped: tuple[str, ...] = ()
    if windows is None:
        windows, capped = choose_test_functions(field, (smooth, *(b.smooth for b in coupled_fields)), options, noise)
    kernels = tuple(noise_kernels(t, u, dims) for t in library)
    _check_smoothness((*kernels, *(k for b in coupled_fields for k in b.kernels)), options)
    time = (order,) + (0,) * (len(dims) - 1)
    if missing.any():
        noise = replace(noise, kept=noise_gain(fill, windows, time))
    offset = values(u).mean()
    target = target_moments(raw[u] - offset, windows, order)
    design, correction = _columns(library, values, {n: v - values(n) for n, v in raw.items()}, windows, dims)
    scheme = np.zeros(len(target))
    if options.scheme_error:
        scheme = 0.5 * spacings(field)[0] * project(values(u) - offset, windows, (order + 1, *time[1:]))
    _check_finite(library, design)
    _check_motion(library, target, raw[u], windows, time)
    kept = np.all(
        [_away_from_gaps(np.isnan(f.values), windows) for f in (field, *(b.field for b in coupled_fields))], axis=0
    )
    _check_rows(kept, windows)
    return WeakProblem(
        library=library,
        options=options,
        windows=windows,
        design=design[kept],
        correction=correction[kept],
        target=target[kept],
        noise=noise,
        kernels=kernels,
        values=values,
        scheme=scheme[kept],
        kept=kept,
        capped=capped,
        coupled_fields=tuple(b.seen_through(windows) for b in coupled_fields),
    )


def _kept_values(smooths: Mapping[str, Smoother], dims: tuple[str, ...]) -> Callable[[str], np.ndarray]:
    """Derivatives of the smooth fields by name, each computed once."""
    kept: dict[str, np.ndarray] = {}

    def values(name: str) -> np.ndarray:
        if name not in kept:
            kept[name] = smooths[name.partition("_")[0]].evaluate(derivative_orders(name, dims))
        return kept[name]

    return values


def _columns(
    library: Library,
    values: Callable[[str], np.ndarray],
    residuals: Mapping[str, np.ndarray],
    windows: tuple[TestFunctions, ...],
    dims: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Moments A of the terms and D of their first variation towards the raw fields, `[m, K]` each."""
    design, correction = [], []
    shape = residuals[library.variable].shape
    for term in library:
        moment, variation = np.zeros((2, np.prod([len(w.centres) for w in windows])))
        for orders, expression in weak_atoms(term, dims):
            here = np.broadcast_to(evaluate_expression(expression, values), shape)
            # A derivative does not see a constant; its quadrature would.
            here = here - here.mean() if any(orders) else here
            moment += (-1) ** sum(orders) * project(here, windows, orders)
        for name, residual in residuals.items():
            for orders, kernel in noise_kernels(term, name, dims).items():
                variation += project(evaluate_expression(kernel, values) * residual, windows, orders)
        design.append(moment)
        correction.append(variation)
    return np.column_stack(design), np.column_stack(correction)


def _check_motion(
    library: Library, target: np.ndarray, raw: np.ndarray, windows: tuple[TestFunctions, ...], orders: Orders
) -> None:
    weights = [np.abs(w.matrix(o)).sum(axis=1).max() for w, o in zip(windows, orders, strict=True)]
    if np.abs(target).max() <= ROUNDING * np.abs(raw).max() * np.prod(weights):
        raise FieldError(
            "The field does not change in time.",
            got=f"all moments of {library.target} are zero up to rounding",
            wanted="frames that differ",
            fix="check that the frames were not copied from one image",
        )


def _check_rows(kept: np.ndarray, windows: tuple[TestFunctions, ...]) -> None:
    if kept.sum() < MINIMUM_ROWS:
        raise ConfigError(
            "Too few test functions fit into the field.",
            got=f"{int(kept.sum())}, half-widths {[w.half_width for w in windows]}; {int((~kept).sum())} lost to gaps",
            wanted=f"at least {MINIMUM_ROWS}",
            fix="WeakForm(support_radius={...}) with smaller values, or a longer video",
        )


def _check_finite(library: Library, design: np.ndarray) -> None:
    bad = [name for name, column in zip(library.names, design.T, strict=True) if not np.isfinite(column).all()]
    if bad:
        raise FieldError(
            "A term is not finite on this field.",
            got=", ".join(bad),
            wanted="terms that can be computed for every value of the field",
            fix="scale the field to values of order 1, or drop the term",
        )


def _away_from_gaps(missing: np.ndarray, windows: tuple[TestFunctions, ...]) -> np.ndarray:
    """Test functions that hardly see a hole: `[m_all]`, bool. Scattered missing pixels are no hole."""
    none = (0,) * len(windows)
    hole = missing & (uniform_filter(missing.astype(float), size=HOLE_SIZE, mode="nearest") > 0.5)
    return project(hole.astype(float), windows, none) <= MAXIMUM_GAP * project(np.ones(missing.shape), windows, none)


def _check_smoothness(kernels: tuple[dict[Orders, Any], ...], options: WeakForm) -> None:
    highest = max((max(q) for k in kernels for q in k), default=0)
    if highest >= options.space_power:
        raise ConfigError(
            "The test functions are not smooth enough for a term.",
            got=f"order {highest} on a bump of power {options.space_power}",
            wanted="a power above the highest order",
            fix=f"WeakForm(space_power={highest + 3})",
        )


def target_moments(values: np.ndarray, windows: tuple[TestFunctions, ...], order: int) -> np.ndarray:
    """Moments of the time derivative of a field, moved onto the test functions: `[m]`; constants belong taken out."""
    return np.asarray((-1) ** order * project(values, windows, (order,) + (0,) * (values.ndim - 1)))


def project(values: np.ndarray, windows: tuple[TestFunctions, ...], orders: Orders) -> np.ndarray:
    """Integrate a field against the given derivative of every test function: `[m]`, time slowest."""
    for axis, (window, order) in enumerate(zip(windows, orders, strict=True)):
        values = np.moveaxis(np.tensordot(window.matrix(order), values, axes=(1, axis)), 0, axis)
    return values.ravel()
