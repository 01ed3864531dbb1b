"""Whatever holds numbers -> a real array, masked values as NaN, or an error with the line that makes it one."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayespde.core.errors import BayespdeError, ConfigError, FieldError


def as_array(values: Any, name: str, *, error: type[BayespdeError] = FieldError) -> np.ndarray:
    """Values as an array of their own dtype, in which masked ones are NaN.

    Args:
        values: An array, masked or not, or what NumPy makes one of.
        name: Of the values, for the message.
        error: What is raised.

    Raises:
        BayespdeError: If they are not an array.
    """
    try:
        if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
            return np.asarray(values)
        return np.asarray(np.ma.filled(values.astype(np.result_type(values.dtype, np.float32)), np.nan))
    except (ValueError, TypeError, RuntimeError, OverflowError) as fault:
        raise error(
            f"The values of {name!r} are not an array.",
            got=str(fault)[:80],
            wanted="rows of equal length",
            fix="numpy.array(...)",
        ) from fault


def real_array(values: Any, name: str, *, error: type[BayespdeError] = FieldError) -> np.ndarray:
    """Values as float64, masked ones as NaN.

    Raises:
        BayespdeError: If they are not an array of real numbers.
    """
    array = as_array(values, name, error=error)
    check_real(array, name, error=error)
    return array.astype(np.float64)


def finite_array(
    values: Any, name: str, shape: tuple[int, ...], *, error: type[BayespdeError] = ConfigError
) -> np.ndarray:
    """Finite values of a shape as float64.

    Args:
        values: What NumPy makes an array of.
        name: Of the values, for the message.
        shape: Their shape; -1 is any length.
        error: What is raised.

    Raises:
        BayespdeError: If the shape is another, or a value is not a finite real number.
    """
    array = real_array(values, name, error=error)
    if array.ndim == len(shape) and all(n in (-1, found) for n, found in zip(shape, array.shape, strict=True)):
        if np.isfinite(array).all():
            return array
        wanted, got, fix = "finite numbers", "NaN or infinity", f"{name}=numpy.nan_to_num({name})"
    else:
        lengths = ", ".join("any" if n == -1 else str(n) for n in shape)
        wanted, got, fix = (
            f"an array of shape ({lengths})",
            f"shape {array.shape}",
            f"{name}=numpy.zeros({tuple(map(abs, shape))})",
        )
    raise error(f"The values of {name!r} cannot be used.", got=got, wanted=wanted, fix=fix)


def configuration(spins: Any, terms: int, *, error: type[BayespdeError] = ConfigError) -> np.ndarray:
    """Which terms are on: `[K]`, bool, of truth values or of numbers 0 and 1.

    Raises:
        BayespdeError: If they are not.
    """
    array = as_array(spins, "spins", error=error)
    if array.shape == (terms,) and array.dtype.kind in "biuf" and ((array == 0) | (array == 1)).all():
        return array.astype(bool)
    raise error(
        "This is not a configuration of spins.",
        got=f"shape {array.shape}, dtype {array.dtype}",
        wanted=f"{terms} truth values, one for each term",
        fix=f"library.spins(['u_x']), or numpy.zeros({terms}, dtype=bool)",
    )


def check_real(array: Any, name: str, *, error: type[BayespdeError] = FieldError) -> None:
    """Check that an array holds integers or floating-point numbers: no truth values, text, dates or complex numbers.

    Raises:
        BayespdeError: If it does not.
    """
    kind = array.dtype.kind
    if kind in "iuf":
        return
    if kind == "c":
        is_real = not np.any(np.imag(array))
        fix = f"{name}.real, for every imaginary part is 0"
        if not is_real:
            fix = f"two coupled fields: xarray.Dataset({{'p': {name}.real, 'q': {name}.imag}})"
    elif kind in "mM":
        fix = f"({name} - {name}[0]) / numpy.timedelta64(1, 's')"
    else:
        fix = f"{name}.astype(float), if these are numbers"
    raise error(f"The values of {name!r} must be real numbers.", got=array.dtype, wanted="a real dtype", fix=fix)
