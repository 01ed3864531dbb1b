"""Maximum powers and orders -> a library of candidate terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement, product
from typing import Annotated

import xarray as xr

from bayespde.core.annotations import OneOf, Range
from bayespde.core.checked import check, validated
from bayespde.core.column import check_expressions
from bayespde.core.equation import Library
from bayespde.core.errors import TermError
from bayespde.core.terms import derivative_orders

# The two libraries of the method's first publication [seedrepo2020]: highest power of each variable; all products whose
# total degree stays at or below the largest of them are candidates.
NAMED = {
    "original_1d": {"u": 4, "u_x": 2, "u_xx": 1},
    "original_2d": {"u": 4, "u_x": 2, "u_y": 2, "u_xx": 1, "u_xy": 1, "u_yy": 1},
}


@validated
def polynomial_library(
    variable: str = "u",
    *,
    degree: Annotated[int, Range(1, 6)] = 3,
    space: Annotated[int, Range(1, 3)] = 1,
    order: Annotated[int, Range(1, 6)] | None = None,
    mixed: bool = True,
    extra: Sequence[str] = (),
    target: str | None = None,
) -> Library:
    """Powers of the field times its derivatives: `u^i d^k u`, `i <= degree`, `|k| <= order`, and `u ... u^degree`.

    In one space dimension the default (`degree=3`, `order=4`) has 19 terms, in two (`order=2`, mixed derivatives) 23.

    Args:
        variable: Name of the field.
        degree: Highest power of the undifferentiated field.
        space: Number of space dimensions, 1 to 3.
        order: Highest order of differentiation; by default 4 in one dimension, 2 in two or three.
        mixed: Whether mixed derivatives such as `u_xy` are candidates.
        extra: Further terms as text.
        target: Left-hand side; `<variable>_t` by default.

    Returns:
        The library; every complexity is 1.

    Raises:
        ConfigError: If a number is out of range.
        TermError: If an extra term does not parse or repeats another.
    """
    order = (4 if space == 1 else 2) if order is None else order
    axes = "xyz"[:space]
    powers = [variable if i == 1 else f"{variable}**{i}" for i in range(1, degree + 1)]
    subscripts = ["".join(c) for k in range(1, order + 1) for c in combinations_with_replacement(axes, k)]
    kept = [s for s in subscripts if mixed or len(set(s)) == 1]
    products = [f"{p}*{variable}_{s}" if p else f"{variable}_{s}" for p in ("", *powers) for s in kept]
    return Library.from_strings(
        [*powers, *products, *extra], target=target or f"{variable}_t", variable=variable, axes=axes
    )


@validated
def system_library(
    variables: Sequence[str],
    target: str,
    *,
    degree: Annotated[int, Range(1, 6)] = 3,
    space: Annotated[int, Range(1, 3)] = 1,
    order: Annotated[int, Range(0, 6)] = 2,
    extra: Sequence[str] = (),
) -> Library:
    """All products of powers of several fields up to a total degree, and the pure derivatives of each.

    For two fields in the plane (`degree=3`, `order=2`) 17 terms: reaction, drift, diffusion and cross-diffusion.

    Args:
        variables: Names of the fields, `[n]`.
        target: Left-hand side, the first or second time derivative of one of them.
        degree: Highest total degree of a product.
        space: Number of space dimensions, 1 to 3.
        order: Highest order of differentiation.
        extra: Further terms as text.

    Returns:
        The library; every complexity is 1.

    Raises:
        ConfigError: If a number is out of range, or the target is of none of the variables.
        TermError: If an extra term does not parse or repeats another.
    """
    names, variable = tuple(variables), target.partition("_")[0]
    if not names:
        raise TermError("A system needs fields.", got="none", wanted="names", fix="system_library(['u', 'v'], 'u_t')")
    check("target", target, Annotated[str, OneOf([f"{n}_{subscript}" for n in names for subscript in ("t", "tt")])])
    products = ["*".join(c) for k in range(1, degree + 1) for c in combinations_with_replacement(names, k)]
    axes = "xyz"[:space]
    derivatives = [f"{n}_{a * k}" for k in range(1, order + 1) for n in names for a in axes]
    others = tuple(n for n in names if n != variable)
    terms = [*products, *derivatives, *extra]
    return Library.from_strings(terms, target=target, variable=variable, coupled_variables=others, axes=axes)


def check_library(library: Library, field: xr.DataArray, coupled_fields: Sequence[xr.DataArray] = ()) -> None:
    """Check that the variables of a library are a field and those coupled with it, and its axes theirs.

    Raises:
        TermError: If its terms are columns of a table, it names another variable, or differentiates along an axis that
            the field lacks.
    """
    check_expressions(library)
    if library.variable != str(field.name):
        raise TermError(
            "The library has another variable than the field.",
            got=f"library of {library.variable!r}, field {str(field.name)!r}",
            wanted="one name",
            fix=f"field.rename({library.variable!r}), or variable={str(field.name)!r} for the library",
        )
    unknown = set(library.coupled_variables) - {str(f.name) for f in coupled_fields}
    if unknown:
        raise TermError(
            "The library names fields that are not given.",
            got=", ".join(sorted(unknown)),
            wanted=", ".join(str(f.name) for f in (field, *coupled_fields)),
            fix="discover(xarray.Dataset({'u': ..., 'v': ...}))",
        )
    for term in library:
        for name in term.symbols:
            derivative_orders(name, tuple(map(str, field.dims)))


@validated
def named_library(name: Annotated[str, OneOf(tuple(NAMED))]) -> Library:
    """One of the libraries of the method's first publication [seedrepo2020].

    Args:
        name: `original_1d` (maximum powers 4, 2, 1 of u, u_x, u_xx) or `original_2d` (4, 2, 2, 1, 1, 1 of u, u_x, u_y,
            u_xx, u_xy, u_yy); complexity is the total degree.

    Returns:
        All products of powers up to those maxima whose total degree is at most the largest of them.

    Raises:
        ConfigError: If there is no library of that name.
    """
    return monomial_library(NAMED[name])


def monomial_library(powers: Mapping[str, int], *, total_degree: int | None = None, target: str = "u_t") -> Library:
    """All products of powers of the named variables, up to a maximum each and in total.

    Args:
        powers: Highest power by symbol, such as `{"u": 4, "u_x": 2, "u_xx": 1}`.
        total_degree: Highest sum of powers; the largest single power by default.
        target: Left-hand side.

    Returns:
        The library without the constant; complexity is the total degree.
    """
    limit = max(powers.values()) if total_degree is None else total_degree
    terms: dict[str, float] = {}
    for exponents in product(*(range(p + 1) for p in powers.values())):
        if 0 < sum(exponents) <= limit:
            terms["*".join(f"{s}**{e}" for s, e in zip(powers, exponents, strict=True) if e)] = float(sum(exponents))
    variable = target.partition("_")[0]
    return Library.from_strings(dict(sorted(terms.items(), key=lambda item: item[1])), target=target, variable=variable)
