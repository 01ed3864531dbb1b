"""Options that several verbs have, and what stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayespde.core.errors import ConfigError

if TYPE_CHECKING:
    from bayespde.core.posterior import Posterior

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Variable = Annotated[str | None, typer.Option(help="Variable to read from the file.")]
SolverConfig = Annotated[
    str | None,
    typer.Option(help="Smoothing: auto compares the spline with neural fields; spline, without these; network."),
]


def split_names(text: str) -> list[str]:
    """Of a list separated by commas."""
    return [name.strip() for name in text.split(",")]


def library_section(declared: Any, terms: str | None, extra: str | None) -> dict[str, Any]:
    """The library of a file, with the terms of the command line in its place or beside its own.

    Raises:
        ConfigError: If the library is no table, or one that takes no further terms.
    """
    from bayespde.core.settings import as_table

    section = dict(as_table(declared, "library")) if terms is None else {"terms": split_names(terms)}
    if extra is None:
        return section
    key = "terms" if "terms" in section else "extra"
    there = section.get(key, [])
    if "name" in section or not isinstance(there, list):
        raise ConfigError(
            "Further terms do not fit to this library.",
            got=f"--add-terms beside {'a name' if 'name' in section else f'a table of {key}'}",
            wanted="the default library, or a list of terms",
            fix="write all terms with --terms, or into the file",
        )
    return section | {key: [*there, *split_names(extra)]}


def read_settings(config: Path | None, method: str | None) -> dict[str, Any]:
    """Of a file, with the method of smoothing from the command line."""
    from bayespde.core.settings import read_toml

    settings = read_toml(config) if config else {}
    if method is not None:
        settings["smooth"] = settings.get("smooth", {}) | {"method": method}
    return settings


def load_posterior(path: Path) -> Posterior:
    """Of a run folder, or a file."""
    from bayespde.results.inference_data import load

    return load(path / "posterior.nc" if path.is_dir() else path)
