"""A model's name or path -> its declaration file; nothing is read but TOML, so that listing models takes no time."""

from __future__ import annotations

from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

from bayespde.core.errors import FileError
from bayespde.core.settings import read_toml


def models_folder() -> Path:
    """The folder of declarations: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "models"
    return shipped if shipped.is_dir() else package.parent / "models"


def declaration_names() -> list[str]:
    """Names of the shipped declarations, sorted."""
    return sorted(p.parent.name for p in models_folder().glob("*/model.toml"))


def declaration_file(name_or_path: str | PathLike[str]) -> Path:
    """The TOML file of a declaration, by name, by its folder, or by its own path; an existing path wins.

    Raises:
        FileError: If there is no such declaration; it names the nearest shipped one.
    """
    given, names = Path(name_or_path), declaration_names()
    candidates = [given, given / "model.toml", models_folder() / given.name / "model.toml"]
    file = next((c for c in candidates if _is_file(c)), None)
    if file is None:
        near = get_close_matches(given.name, names, n=1)
        raise FileError(
            "There is no such model.",
            got=str(name_or_path)[:120],
            wanted="a folder with a model.toml, or one of: " + ", ".join(names),
            fix=f"write {near[0]!r} for {given.name!r}" if near else "bayespde models list",
        )
    return file


def declaration_title(file: Path, settings: dict[str, Any] | None = None) -> str:
    """The title of a declaration: one line for people."""
    read = read_toml(file) if settings is None else settings
    return str(read.get("title", file.parent.name))


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that the system refuses is none."""
    try:
        return path.is_file()
    except OSError:
        return False
