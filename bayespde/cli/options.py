"""Options that several verbs have, and what stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bayespde.core.posterior import Posterior

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Variable = Annotated[str | None, typer.Option(help="Variable to read from the file.")]
Method = Annotated[
    str | None,
    typer.Option(help="Smoothing: auto compares the spline with neural fields; spline, without these; network."),
]


def split_names(text: str) -> list[str]:
    """Of a list separated by commas."""
    return [name.strip() for name in text.split(",")]


def read_settings(config: Path | None, method: str | None) -> dict[str, Any]:
    """Of a file, with the method of smoothing from the command line."""
    from bayespde.config import read_toml

    settings = read_toml(config) if config else {}
    if method is not None:
        settings["smooth"] = settings.get("smooth", {}) | {"method": method}
    return settings


def load_posterior(path: Path) -> Posterior:
    """Of a run folder, or a file."""
    from bayespde.results.inference_data import load

    return load(path / "posterior.nc" if path.is_dir() else path)
