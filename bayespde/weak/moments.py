"""Terms + observed fields -> the moments of all terms over all test functions: a `WeakProblem`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import uniform_filter

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, FieldError
from bayespde.core.field import spacings
from bayespde.core.terms import derivative_orders, evaluate_expression
from bayespde.weak.config import WeakForm
from bayespde.weak.integration_by_parts import Kernels, Orders, integrate_by_parts, noise_kernels
from bayespde.weak.observed_field import NoiseTransfer, ObservedField, Values
from bayespde.weak.placement import choose_test_functions
from bayespde.weak.problem import WeakProblem, target_order
from bayespde.weak.smoother import GaussianSmoother
from bayespde.weak.test_functions import TestFunctions, project, target_moments

ROUNDING = 1e-12
# A test function may have this share of its weight inside holes (most pixels missing in a box of this size).
MAXIMUM_GAP = 0.05
HOLE_SIZE = 5
MINIMUM_ROWS = 16


def weak_problem(
    library: Library,
    fields: tuple[ObservedField, ...],
    *,
    options: WeakForm,
    test_functions: tuple[TestFunctions, ...] | None = None,
) -> WeakProblem:
    """Compute all moments.

    Args:
        library: The candidate terms; they may hold space derivatives only.
        fields: That of the target, then those coupled with it, on one grid.
        options: Settings.
        test_functions: One per dimension, time first; chosen from the data if absent.

    Returns:
        The problem, still to be whitened at a linearisation point.

    Raises:
        TermError: If a term has a derivative along an axis that the field lacks.
        ConfigError: If a test function does not fit, or a term needs smoother ones.
        FieldError: If the field does not change in time.
    """
    own, order = fields[0], target_order(library)
    dims = tuple(map(str, own.raw.dims))
    values = _cached_values({f.name: f.smooth for f in fields}, dims)
    transfers = tuple(NoiseTransfer.of(f, library, values, options.noise) for f in fields)
    capped: tuple[str, ...] = ()
    if test_functions is None:
        smooths = tuple(f.smooth for f in fields)
        test_functions, capped = choose_test_functions(own.raw, smooths, options, transfers[0].noise)
    _check_smoothness(tuple(k for t in transfers for k in t.kernels), options)
    filled, none = {f.name: f.filled() for f in fields}, (0,) * len(dims)
    target, scheme = _left_side(own, filled[own.name], values, test_functions, order, options)
    residuals = {n: v - values(n) for n, v in filled.items()}
    design, correction = _columns(library, values, residuals, test_functions, dims)
    _check_finite(library, design)
    _check_motion(library, target, filled[own.name], test_functions)
    kept = _away_from_gaps(fields, test_functions)
    return WeakProblem(
        library=library,
        options=options,
        fields=fields,
        transfers=tuple(
            t.with_fill_gain(f, test_functions, none if i else (order, *none[1:]))
            for i, (t, f) in enumerate(zip(transfers, fields, strict=True))
        ),
        test_functions=test_functions,
        design=design[kept],
        correction=correction[kept],
        target=target[kept],
        values=values,
        scheme=scheme[kept],
        kept=kept,
        capped=capped,
    )


def _cached_values(smooths: Mapping[str, GaussianSmoother], dims: tuple[str, ...]) -> Values:
    """Derivatives of the smoothed fields by name, each computed once."""
    cache: dict[str, np.ndarray] = {}

    def values(name: str) -> np.ndarray:
        if name not in cache:
            cache[name] = smooths[name.partition("_")[0]].evaluate(derivative_orders(name, dims))
        return cache[name]

    return values


def _left_side(
    own: ObservedField,
    filled: np.ndarray,
    values: Values,
    test_functions: tuple[TestFunctions, ...],
    order: int,
    options: WeakForm,
) -> tuple[np.ndarray, np.ndarray]:
    """Moments of the raw target and of (dt/2) u_tt, `[m]` each; the latter zero if no scheme error is allowed."""
    offset = values(own.name).mean()
    target = target_moments(filled - offset, test_functions, order)
    if not options.scheme_error:
        return target, np.zeros(len(target))
    orders = (order + 1,) + (0,) * (filled.ndim - 1)
    return target, 0.5 * spacings(own.raw)[0] * project(values(own.name) - offset, test_functions, orders)


def _columns(
    library: Library,
    values: Values,
    residuals: Mapping[str, np.ndarray],
    test_functions: tuple[TestFunctions, ...],
    dims: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Moments A of the terms and D of their first variation towards the raw fields, `[m, K]` each."""
    design, correction = [], []
    shape = residuals[library.variable].shape
    for term in library:
        moment, variation = np.zeros((2, np.prod([len(f.centres) for f in test_functions])))
        for orders, expression in integrate_by_parts(term, dims):
            here = np.broadcast_to(evaluate_expression(expression, values), shape)
            # The derivative of a constant is zero; its quadrature is not.
            here = here - here.mean() if any(orders) else here
            moment += (-1) ** sum(orders) * project(here, test_functions, orders)
        for name, residual in residuals.items():
            for orders, kernel in noise_kernels(term, name, dims).items():
                variation += project(evaluate_expression(kernel, values) * residual, test_functions, orders)
        design.append(moment)
        correction.append(variation)
    return np.column_stack(design), np.column_stack(correction)


def _away_from_gaps(fields: tuple[ObservedField, ...], test_functions: tuple[TestFunctions, ...]) -> np.ndarray:
    """Test functions that hardly overlap a hole of any field: `[m_all]`, bool. Scattered missing pixels are no hole."""
    kept, none = [], (0,) * len(test_functions)
    for missing in (f.missing for f in fields):
        hole = missing & (uniform_filter(missing.astype(float), size=HOLE_SIZE, mode="nearest") > 0.5)
        total = project(np.ones(missing.shape), test_functions, none)
        kept.append(project(hole.astype(float), test_functions, none) <= MAXIMUM_GAP * total)
    _check_rows(found := np.all(kept, axis=0), test_functions)
    return found


def _check_motion(
    library: Library, target: np.ndarray, raw: np.ndarray, test_functions: tuple[TestFunctions, ...]
) -> None:
    orders: Orders = (target_order(library),) + (0,) * (raw.ndim - 1)
    weights = [np.abs(f.matrix(o)).sum(axis=1).max() for f, o in zip(test_functions, orders, strict=True)]
    if np.abs(target).max() <= ROUNDING * np.abs(raw).max() * np.prod(weights):
        raise FieldError(
            "The field does not change in time.",
            got=f"all moments of {library.target} are zero up to rounding",
            wanted="frames that differ",
            fix="check that the frames were not copied from one image",
        )


def _check_rows(kept: np.ndarray, test_functions: tuple[TestFunctions, ...]) -> None:
    if kept.sum() < MINIMUM_ROWS:
        radii = [f.radius for f in test_functions]
        raise ConfigError(
            "Too few test functions fit into the field.",
            got=f"{int(kept.sum())}, support radius {radii}; {int((~kept).sum())} lost to gaps",
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


def _check_smoothness(kernels: tuple[Kernels, ...], options: WeakForm) -> None:
    highest = max((max(q) for k in kernels for q in k), default=0)
    if highest >= options.space_power:
        raise ConfigError(
            "The test functions are not smooth enough for a term.",
            got=f"order {highest} on a bump of power {options.space_power}",
            wanted="a power above the highest order",
            fix=f"WeakForm(space_power={highest + 3})",
        )
