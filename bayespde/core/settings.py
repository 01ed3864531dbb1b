"""A table of settings -> a checked, frozen dataclass, or an error that names the key and what it may be."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from os import PathLike
from typing import Any

from bayespde.core.errors import BayespdeError, ConfigError
from bayespde.core.files import existing_file


def build_each(kind: type, settings: Any, where: str, allowed: set[str] | None = None) -> tuple[Any, ...]:
    """One object of settings from each table of a list."""
    if not isinstance(settings, list):
        raise wrong_type("list of tables", settings, where, f"[[{where}]]")
    for one in settings:
        check_keys(as_table(one, where), allowed or {f.name for f in dataclasses.fields(kind)}, where)
    return tuple(build(kind, one, where) for one in settings)


def build_kind(settings: Any, kinds: Mapping[str, type], default: str, where: str) -> Any:
    values = dict(as_table(settings, where))
    kind = values.pop("kind", default)
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(f"The kind of {where} is unknown.", got=repr(kind), wanted=", ".join(kinds), fix="kind = ...")
    return build(kinds[kind], values, where)


def as_table(settings: Any, where: str) -> Mapping[str, Any]:
    """Return a section of a declaration if it is a table.

    Raises:
        ConfigError: If it is anything else.
    """
    if not isinstance(settings, Mapping):
        raise wrong_type("table", settings, where, f"[{where}]")
    return settings


def wrong_type(wanted: str, got: object, where: str, fix: str) -> ConfigError:
    return ConfigError(f"{where} must be a {wanted}.", got=repr(got), wanted=f"a {wanted}", fix=fix)


def build(kind: type, settings: Any, where: str) -> Any:
    """Make a settings dataclass from a table, refusing keys it does not have.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    check_keys(as_table(settings, where), {f.name for f in dataclasses.fields(kind)}, where)
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    except (TypeError, ValueError) as error:
        if isinstance(error, BayespdeError):
            raise
        raise ConfigError(
            f"A value in {where} has the wrong type.",
            got=f"{dict(settings)}: {error}",
            wanted=f"the types of {kind.__name__}",
            fix="see the reference of " + kind.__name__,
        ) from error


def check_keys(settings: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuse unknown keys.

    Raises:
        ConfigError: If there are any.
    """
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(
            f"Unknown keys in {where}.",
            got=", ".join(unknown),
            wanted=", ".join(sorted(known)),
            fix="remove them or check the spelling",
        )


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: If it is not valid TOML.
        FileError: If it cannot be read.
    """
    file = existing_file(path)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            "The declaration is not valid TOML.",
            got=f"{file}: {error}",
            wanted="TOML",
            fix="correct that line",
        ) from error
