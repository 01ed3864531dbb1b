"""CITATION.cff -> how to cite the package, as a sentence and as BibTeX."""

from __future__ import annotations

import re
from pathlib import Path

FILE = "CITATION.cff"


def citation() -> dict[str, str]:
    """How to cite bayespde: `text` and `bibtex`.

    The file is inside the installed package, or at the top of a checkout. Only the part of YAML that this file uses is
    read: a key and a value per line.
    """
    package = Path(__file__).resolve().parents[2]
    file = next(p for p in (package / FILE, package.parent / FILE) if p.is_file())
    lines = file.read_text(encoding="utf-8").splitlines()
    found = {m[1]: m[2] for m in (re.fullmatch(r"(\w[\w-]*): \"?(.+?)\"?", line) for line in lines) if m}
    authors = [m[1] for m in (re.fullmatch(r"\s+- name: \"?(.+?)\"?", line) for line in lines) if m]
    title, version, names = found["title"], found["version"], " and ".join(authors)
    bibtex = [
        "@software{bayespde,",
        f"  author  = {{{{{names}}}}},",
        f"  title   = {{{title}}},",
        f"  version = {{{version}}},",
        f"  license = {{{found['license']}}},",
        "}",
    ]
    return {"text": f"{names}. {title}. Version {version}.", "bibtex": "\n".join(bibtex)}
