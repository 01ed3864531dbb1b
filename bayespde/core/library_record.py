"""A library <-> its names and complexities as JSON takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayespde.core.equation import Library


def library_record(library: Library) -> dict[str, Any]:
    """All names and complexities."""
    return {
        "terms": {t.name: t.complexity for t in library},
        "target": library.target,
        "variable": library.variable,
        "coupled_variables": library.coupled_variables,
    }


def library_from_record(record: Mapping[str, Any]) -> Library:
    """The library that `library_record` described; terms of a field are read by the whitelisting parser.

    Raises:
        TermError: If a term does not parse.
    """
    terms, target, variable = record["terms"], record["target"], record["variable"]
    if variable == "":
        return Library.columns(list(terms), target=target, complexities=terms)
    others = record["coupled_variables"]
    return Library.from_strings(terms, target=target, variable=variable, coupled_variables=others)
