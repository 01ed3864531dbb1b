"""A table of settings -> a checked, frozen dataclass, or an error that names the key and what it may be."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import tomllib
from collections.abc import Collection, Mapping
from os import PathLike
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from bayespde.core.errors import ConfigError
from bayespde.core.files import existing_file

T = TypeVar("T")
# Of tables and lists in a file.
MOST_LEVELS = 64


def build(kind: type[T], settings: Any, where: str, *, withheld: Collection[str] = ()) -> T:
    """Make a settings dataclass from a table and the tables in it; its annotations say what each key may be.

    Args:
        kind: The dataclass.
        settings: The table. A value that is a dataclass already is taken as it is.
        where: Path of the table, for messages.
        withheld: Paths of keys, from this table on, that cannot be set here: `{"penalty.order"}`.

    Raises:
        ConfigError: If a key is unknown or missing, a value has the wrong type, or the dataclass refuses it.
    """
    fields, hints = dataclasses.fields(kind), get_type_hints(kind)  # type: ignore[arg-type]
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    table = check_keys(settings, [f.name for f in fields if f.name not in withheld], where, required=required)
    values = {}
    for name, value in table.items():
        inner = [rest for first, _, rest in (path.partition(".") for path in withheld) if first == name]
        values[name] = _convert(hints[name], value, f"{where}.{name}", inner)
    return kind(**values)


def build_kind(kinds: Mapping[str, type], settings: Any, where: str, *, default: str) -> Any:
    """Make the dataclass that the key `kind` of a table names, from its other keys.

    Raises:
        ConfigError: If there is no such kind, or as `build`.
    """
    values = dict(as_table(settings, where))
    kind = values.pop("kind", default)
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(
            f"The kind of {where} is unknown.",
            got=repr(kind),
            wanted=", ".join(map(repr, kinds)),
            fix=f"kind = {default!r}",
        )
    return build(kinds[kind], values, where)


def override(config: T, settings: Mapping[str, Any]) -> T:
    """Replace fields of a settings dataclass by keyword arguments.

    Args:
        config: A frozen dataclass of settings.
        settings: New values by name.

    Returns:
        The settings; validated again.

    Raises:
        ConfigError: If a name is not that of a setting, or a value is out of range.
    """
    names = [f.name for f in dataclasses.fields(config)]  # type: ignore[arg-type]
    check_keys(settings, names, f"the keyword arguments (settings of {type(config).__name__})")
    return dataclasses.replace(config, **settings) if settings else config  # type: ignore[type-var]


def as_table(settings: Any, where: str) -> Mapping[str, Any]:
    """Return a section of a declaration if it is a table.

    Raises:
        ConfigError: If it is anything else.
    """
    if not isinstance(settings, Mapping):
        raise wrong_type("table", settings, where, f"[{where}]")
    return settings


def check_keys(
    settings: Any, known: Collection[str], where: str, *, required: Collection[str] = ()
) -> Mapping[str, Any]:
    """Return a section of a declaration if it is a table with known keys only, and with all required ones.

    Raises:
        ConfigError: If it is not; for an unknown key it names the nearest known one.
    """
    table = as_table(settings, where)
    unknown = sorted(str(key) for key in table if key not in known)
    absent = [key for key in required if key not in table]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise ConfigError(
            f"Unknown keys in {where}.",
            got=", ".join(unknown)[:120],
            wanted=", ".join(sorted(known)),
            fix=f"write {near[0]!r} for {unknown[0]!r}" if near else "remove them or check the spelling",
        )
    if absent:
        raise ConfigError(
            f"Keys are missing in {where}.",
            got=", ".join(map(str, table)) or "an empty table",
            wanted=", ".join(required),
            fix=f"add {', '.join(absent)}",
        )
    return table


def wrong_type(wanted: str, got: object, where: str, fix: str) -> ConfigError:
    """The error of a setting that is not a `wanted`, with the line that sets it as `fix`."""
    return ConfigError(f"{where} must be a {wanted}.", got=repr(got)[:80], wanted=f"a {wanted}", fix=fix)


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: If it is not valid TOML, is nested too deeply, or has an integer of more than 64 bits.
        FileError: If it cannot be read.
    """
    file = existing_file(path)
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
        _check_values(settings, MOST_LEVELS)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            "The declaration is not valid TOML.",
            got=f"{file}: {error}",
            wanted="TOML",
            fix="correct that line",
        ) from error
    return settings


def _check_values(value: Any, levels: int) -> None:
    """Refuse what TOML allows but neither messages nor JSON can hold."""
    if levels == 0:
        raise ValueError(f"tables and lists are nested in more than {MOST_LEVELS} levels")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("an integer has more than 64 bits")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_values(inner, levels - 1)


def _convert(hint: Any, value: Any, where: str, withheld: Collection[str] = ()) -> Any:
    """A value as its annotation asks: tables become dataclasses, lists tuples; anything else keeps its type."""
    inner: Any = next((h for h in (hint, *get_args(hint)) if dataclasses.is_dataclass(h)), None)
    if inner is not None and get_origin(hint) is tuple:
        tables = _convert(tuple[Any, ...], value, where)
        return tuple(_convert(inner, one, f"{where}[{i}]", withheld) for i, one in enumerate(tables))
    if inner is not None:
        return value if dataclasses.is_dataclass(value) else build(inner, value, where, withheld=withheld)
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"The setting {where} is not usable.",
            got=repr(value)[:80],
            wanted=inspect.formatannotation(hint).replace("collections.abc.", ""),
            fix=f"change {where}",
        ) from error
