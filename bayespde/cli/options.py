"""Options that several verbs share, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayespde.core.annotations import MAXIMUM_ORDER
from bayespde.core.errors import ConfigError
from bayespde.core.files import existing_file
from bayespde.discovery.finished import posterior_file
from bayespde.io.formats import readable
from bayespde.zoo.shipped import declaration_file

if TYPE_CHECKING:
    from bayespde.core.posterior import Posterior


def existing(path: Path | None) -> Path | None:
    """The path of an option if it is a readable file, or None if the option was left out."""
    return None if path is None else existing_file(path)


def _finished(folder: Path) -> Path:
    posterior_file(folder)
    return folder


def _known(model: str) -> str:
    declaration_file(model)
    return model


# What does not exist is said at once, before a verb imports what it needs.
FieldFile = Annotated[Path, typer.Argument(callback=existing_file, help=f"{readable()}; values over t, (z, y,) x.")]
RunFolder = Annotated[Path, typer.Argument(callback=_finished, help="The folder of a discovery.")]
Model = Annotated[
    str, typer.Argument(callback=_known, help="A shipped model's name, a folder with a model.toml, or that file.")
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(callback=existing, help="TOML: library, smooth, form, prior, sample, trajectory_matching."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Variable = Annotated[str | None, typer.Option(help="Variable to read from the file.")]
Smoother = Annotated[
    str | None,
    typer.Option(help="spline (fast), network (neural fields), or auto: the better of both."),
]
SpaceOrder = Annotated[int, typer.Option(min=0, max=MAXIMUM_ORDER, help="Highest order of space derivatives.")]
TimeOrder = Annotated[int, typer.Option(min=0, max=MAXIMUM_ORDER, help="Highest order of time derivatives.")]
Workers = Annotated[int | None, typer.Option(help="Sampler runs at a time; by default as many as pay.")]


def split_names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",")]


def library_section(declared: Any, terms: str | None, add_terms: str | None) -> dict[str, Any]:
    """The library of a file, replaced by the terms of the command line or with terms added to it.

    Raises:
        ConfigError: If the library is no table, or one that takes no further terms.
    """
    from bayespde.core.settings import as_table

    section = dict(as_table(declared, "library")) if terms is None else {"terms": split_names(terms)}
    if add_terms is None:
        return section
    key = "terms" if "terms" in section else "extra"
    there = section.get(key, [])
    if "name" in section or not isinstance(there, list):
        raise ConfigError(
            "Terms cannot be added to this library.",
            got=f"--add-terms with {'a named library' if 'name' in section else f'a table of {key}'}",
            wanted="the default library, or a list of terms",
            fix="write all terms with --terms, or into the file",
        )
    return section | {key: [*there, *split_names(add_terms)]}


def read_settings(config: Path | None, smoother: str | None) -> dict[str, Any]:
    """Settings of a file, with the smoother of the command line."""
    from bayespde.core.settings import as_table, read_toml

    settings = read_toml(config) if config else {}
    if smoother is not None:
        settings["smooth"] = {**as_table(settings.get("smooth", {}), "smooth"), "smoother": smoother}
    return settings


def load_posterior(path: Path) -> Posterior:
    """The posterior of a run folder, or of a file."""
    file = posterior_file(path) if path.is_dir() else existing_file(path)
    from bayespde.results.inference_data import load

    return load(file)
