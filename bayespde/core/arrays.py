"""Whatever holds numbers -> a real array, masked values as NaN, or an error with the line that makes it one."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayespde.core.errors import BayespdeError, FieldError


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
