"""An annotation and a value -> whether the value fits; an annotation -> what it asks for, in words.

Annotations are the declaration: `Annotated[int, Range(1, 26)]`, `Annotated[str, OneOf(("l1", "l2"))]`, `SpinModel`.
Numbers are finite wherever nothing else is said, and a truth value is no number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

# Numbers whose square, and whose inverse squared, can still be computed with margin.
SMALLEST, LARGEST = 1e-100, 1e100
# Largest count of anything.
MANY = 2**31 - 1
# Highest order of a derivative along one axis.
MAXIMUM_ORDER = 6


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number: `lowest <= number <= highest`, and where they are given `above < number < below`."""

    lowest: float = -LARGEST
    highest: float = LARGEST
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: Any) -> bool:
        is_inside = (self.above is None or value > self.above) and (self.below is None or value < self.below)
        return bool(is_inside and self.lowest <= value <= self.highest)

    def __str__(self) -> str:
        bounds = (
            ("above", self.above),
            ("of at least", self.lowest),
            ("below", self.below),
            ("of at most", self.highest),
        )
        shown = [f"{word} {b:.10g}" for word, b in bounds if b is not None and abs(b) not in (LARGEST, MANY)]
        return " and ".join(shown) or "that is finite"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """A value that is one of several, and of its type; of a table that may grow a function that reads it."""

    values: Collection[Any] | Callable[[], Collection[Any]]

    def __contains__(self, value: Any) -> bool:
        return any(type(value) is type(one) and value == one for one in self._all())

    def __str__(self) -> str:
        return " or ".join(", ".join(map(repr, self._all())).rsplit(", ", 1))

    def _all(self) -> Collection[Any]:
        return self.values() if callable(self.values) else self.values


@dataclasses.dataclass(frozen=True)
class MadeBy:
    """What a call returns; it has these variables, dims or attributes."""

    call: str
    parts: tuple[str, ...] = ()

    def __contains__(self, value: Any) -> bool:
        known = {*value.dims, *value.coords, *value.attrs, *getattr(value, "data_vars", ())}
        return known.issuperset(self.parts)

    def __str__(self) -> str:
        return f"as {self.call.partition('(')[0]} returns it"


Finite = Annotated[float, Range()]
Positive = Annotated[float, Range(SMALLEST)]
NonNegative = Annotated[float, Range(0)]
# Above 0 and below 1.
Share = Annotated[float, Range(above=0, below=1)]
Count = Annotated[int, Range(1, MANY)]
CountOrZero = Annotated[int, Range(0, MANY)]
Order = Annotated[int, Range(0, MAXIMUM_ORDER)]
# Of a derivative, one order for each dimension, time first.
Orders = tuple[Order, ...]


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation asks for."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_instance(value, args[0]) and all(value in rule for rule in args[1:])
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in args)
    if origin is Literal:
        return value in OneOf(args)
    if hint in (int, float):
        return _is_instance(value, hint) and value in Range()
    return _is_instance(value, hint)


def _is_instance(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, and its parts are; a number need not be finite."""
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, TypeVar):
        return any(_is_instance(value, one) for one in hint.__constraints__ or (hint.__bound__ or Any,))
    if hint is Any:
        return True
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    if origin is None:
        return isinstance(value, NoneType if hint is None else hint)
    if origin in (Union, UnionType, Annotated, Literal):
        return fits(value, hint)
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, tuple) and len(value) == len(args) and all(map(fits, value, args))
    if origin is type or not issubclass(origin, Iterable):
        return isinstance(value, origin)
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(k, args[0]) and fits(v, args[1]) for k, v in value.items())
    # Not by its class: what only prints must not import NumPy.
    is_array = hasattr(value, "__array_interface__")
    is_list = isinstance(value, origin) or (is_array and origin is not tuple)
    if not is_list or isinstance(value, str | bytes) or getattr(value, "ndim", 1) != 1:
        return False
    return not isinstance(value, Collection) or all(fits(one, args[0]) for one in value)


def describe(hint: Any) -> str:
    """An annotation in words, such as "an integer from 1 up to 26, or None"."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        rules = " and ".join(map(str, args[1:]))
        return rules if isinstance(args[1], OneOf) else f"{describe(args[0])} {rules}"
    if origin in (Union, UnionType):
        return ", or ".join(map(describe, args))
    if origin is Literal:
        return str(OneOf(args))
    if hint in (int, float):
        return "an integer" if hint is int else "a number"
    if origin is None or not issubclass(origin, Iterable):
        name = "None" if hint in (None, NoneType) else name_of(hint)
        named = {"str": "a text", "bool": "True or False", "None": "None", "PathLike": "a path"}
        return named.get(name) or f"{'an' if name[0] in 'AEIO' else 'a'} {name}".replace("a Data", "an xarray.Data")
    if issubclass(origin, Mapping):
        return f"a mapping from {describe(args[0])} to {describe(args[1])}"
    if origin is tuple and args[-1] is not Ellipsis:
        return f"a tuple of {len(args)}: " + "; ".join(map(describe, args))
    return f"a {'tuple' if origin is tuple else 'list'}, each of it {describe(args[0])}" if args else name_of(hint)


def parts_of(hint: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation, or itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def name_of(hint: Any) -> str:
    """Name of the class that an annotation asks for."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return str(getattr(get_origin(inner) or inner, "__name__", inner))


class _ByName(type):
    """Of a class that stands for another one of its name."""

    def __instancecheck__(cls, value: Any) -> bool:
        return cls.__name__ in {kind.__name__ for kind in type(value).__mro__}


@cache
def hints_of(annotated: Any) -> dict[str, Any]:
    """Annotations of a class or function; classes that are imported for type checkers only are known by their names."""
    unknown: dict[str, Any] = {}
    while True:
        try:
            return get_type_hints(annotated, localns=unknown, include_extras=True)
        except NameError as error:
            unknown[str(error.name)] = _ByName(str(error.name), (), {})
