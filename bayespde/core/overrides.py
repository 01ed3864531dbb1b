"""A frozen settings object + keyword arguments -> the same settings with those fields replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from bayespde.core.errors import ConfigError

Config = TypeVar("Config")


def override(config: Config, settings: Mapping[str, Any]) -> Config:
    """Replace fields of a settings dataclass by keyword arguments.

    Args:
        config: A frozen dataclass of settings.
        settings: New values by name.

    Returns:
        The settings; validated again.

    Raises:
        ConfigError: If a name is not that of a setting, or a value is out of range.
    """
    known = {f.name for f in fields(config)}  # type: ignore[arg-type]
    unknown = sorted(set(settings) - known)
    if unknown:
        nearest = get_close_matches(unknown[0], known, n=1)
        raise ConfigError(
            "Unknown keyword arguments.",
            got=", ".join(unknown),
            wanted=f"settings of {type(config).__name__}: {', '.join(sorted(known))}",
            fix=f"{nearest[0]}=..." if nearest else "remove them",
        )
    return replace(config, **settings) if settings else config  # type: ignore[type-var]
