"""A value and its annotation -> the value, or an error that says what was got, what is wanted, and how to get it.

A `Checked` class checks its fields, a `validated` function its arguments.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from types import NoneType
from typing import Annotated, Any, TypeVar, cast, get_origin

import numpy as np

from bayespde.core.annotations import MadeBy, OneOf, Range, describe, fits, hints_of, name_of, parts_of
from bayespde.core.errors import BayespdeError, ConfigError, FieldError, StatisticsError, TermError

# Types whose values are shown in messages.
PLAIN = (bool, int, float, complex, str, tuple, list, dict, NoneType)
Function = TypeVar("Function", bound=Callable[..., Any])

# How an object of a class is got, and the error of what is none.
_ORIGINS: dict[str, tuple[type[BayespdeError], str]] = {
    "DataArray": (FieldError, "bayespde.make_field(values, t=t, x=x)"),
    "Dataset": (FieldError, "xarray.Dataset({'u': u, 'v': v})"),
    "Library": (TermError, "bayespde.Library.from_strings(['u', 'u_x', 'u_xx'])"),
    "Term": (TermError, "bayespde.Library.from_strings(['u_x']).terms"),
    "Equation": (TermError, "bayespde.Equation.from_string('u_t = -u*u_x + 0.1*u_xx')"),
    "SufficientStatistics": (StatisticsError, "bayespde.assemble(library, smooth)"),
    "SmoothField": (ConfigError, "bayespde.fit_field(field)"),
    "SpinModel": (ConfigError, "bayespde.SpinModel(statistics, library)"),
    "Posterior": (ConfigError, "bayespde.sample(model)"),
    "Sampled": (ConfigError, "bayespde.sample(model)"),
    "Discovery": (ConfigError, "bayespde.discover(field)"),
    "TrajectoryPosterior": (ConfigError, "bayespde.fit_trajectories(posterior, smooth)"),
    "SimulationSpec": (ConfigError, "bayespde.SimulationSpec.from_mapping(settings)"),
}


class Checked:
    """Base of dataclasses whose annotations say what every field may be; a list is taken for a tuple.

    Raises:
        ConfigError: If a field is not what its annotation asks for.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.init:
                hint = hints_of(cast(Any, type(self)))[field.name]
                value = check(field.name, getattr(self, field.name), hint, default=_default(field))
                object.__setattr__(self, field.name, value)


def validated(function: Function, *, error: type[BayespdeError] = ConfigError) -> Function:
    """Check the arguments of a function by its annotations before it begins.

    Args:
        function: The function.
        error: What is raised where its annotation names no error of its own.

    Raises:
        BayespdeError: If an argument is not what its annotation asks for.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound, hints = signature.bind(*args, **kwargs), hints_of(function)
        for name, value in bound.arguments.items():
            parameter = signature.parameters[name]
            if name in hints and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                default = dataclasses.MISSING if parameter.default is parameter.empty else parameter.default
                bound.arguments[name] = check(name, value, hints[name], default=default, error=error)
        return function(*bound.args, **bound.kwargs)

    return cast(Function, call)


def check(
    name: str,
    value: Any,
    hint: Any,
    *,
    default: Any = dataclasses.MISSING,
    error: type[BayespdeError] = ConfigError,
) -> Any:
    """Return a value as its annotation asks for it: numbers of NumPy become those of Python, a list a tuple.

    Args:
        name: Of the setting or argument, for the message.
        value: What was given.
        hint: Its annotation.
        default: What it is if it is not given, or the class that makes it, for the message.
        error: What is raised where the annotation names no error of its own.

    Raises:
        BayespdeError: If it is not what the annotation asks for: a `ConfigError`, unless a field, term or statistics
            are wanted.
    """
    found = value.item() if isinstance(value, np.generic) and value.dtype.kind in "biuf" else value
    if isinstance(found, list) and any(get_origin(part) is tuple for part in parts_of(hint)):
        found = tuple(found)
    if fits(found, hint):
        return found
    kinds = {type(rule) for part in parts_of(hint) for rule in getattr(part, "__metadata__", ())}
    kind, origin = next((_ORIGINS[n] for n in map(name_of, parts_of(hint)) if n in _ORIGINS), (error, ""))
    wanted = describe(hint)
    what = f"The setting {name!r} must be {wanted}."
    if Range in kinds or OneOf in kinds:
        what = f"The setting {name!r} " + ("is out of range." if Range in kinds else "has an unknown value.")
    elif any(get_origin(part) not in (None, Annotated) for part in parts_of(hint)):
        what = f"The setting {name!r} is not usable."
    made = next((r.call for p in parts_of(hint) for r in getattr(p, "__metadata__", ()) if isinstance(r, MadeBy)), "")
    usual = default.__name__ + "()" if isinstance(default, type) else repr(default)
    is_shown = isinstance(default, type) or (isinstance(default, PLAIN) and fits(default, hint))
    fix = made or origin or (f"{name}={usual}" if is_shown else f"set {name!r} to {wanted}")
    raise kind(what, got=_shown(value), wanted=wanted, fix=fix)


def _default(field: dataclasses.Field[Any]) -> Any:
    """The default of a field, or the class that makes it."""
    if field.default_factory is dataclasses.MISSING:
        return field.default
    return {} if field.default_factory is dict else field.default_factory


def _shown(value: Any) -> str:
    """A value for a message: plain ones as they are, others by their type."""
    is_plain = isinstance(value, PLAIN) or dataclasses.is_dataclass(value)
    try:
        return repr(value)[:80] if is_plain else f"an object of type {type(value).__name__}"
    except ValueError:  # an integer of more digits than Python writes
        return f"an integer of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
