"""A table of a declaration -> the library of candidate terms that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayespde.core.equation import Library
from bayespde.core.settings import check_keys, wrong_type
from bayespde.library.candidates import named_library, polynomial_library, system_library


def library_from_mapping(settings: Mapping[str, Any], *, space: int, variable: str) -> Library:
    """Build the library that a declaration asks for.

    Args:
        settings: `terms = [...]` or a table of complexities, `name = "original_2d"`, or the arguments of
            `polynomial_library`; the default library of the field's dimension if empty.
        space: Number of space dimensions of the field.
        variable: Name of the field.

    Returns:
        The library.

    Raises:
        ConfigError: If keys are unknown or contradict each other.
        TermError: If a term does not parse.
    """
    check_keys(settings, {"terms", "name", "degree", "order", "mixed", "extra", "target"}, "library")
    target = settings.get("target", f"{variable}_t")
    if "terms" in settings:
        check_keys(settings, {"terms", "target"}, "library (with terms)")
        terms = settings["terms"]
        if not isinstance(terms, list | Mapping):
            raise wrong_type("list of terms or a table of complexities", terms, "library.terms", 'terms = ["u", "u_x"]')
        return Library.from_strings(terms, target=target, variable=variable, axes="xyz"[:space])
    if "name" in settings:
        check_keys(settings, {"name"}, "library (with a name)")
        return named_library(settings["name"])
    if not isinstance(settings.get("extra", []), list):
        raise wrong_type("list of terms", settings["extra"], "library.extra", 'extra = ["u_x**2"]')
    numbers = {k: settings[k] for k in ("degree", "order", "mixed", "extra") if k in settings}
    return polynomial_library(variable, space=space, target=target, **numbers)


def libraries_from_mapping(settings: Mapping[str, Any], *, space: int, variables: Sequence[str]) -> dict[str, Library]:
    """Build the libraries that a declaration asks for the equations of coupled fields.

    Args:
        settings: By variable a table with `terms`, a list or a table of complexities, or with arguments of
            `system_library`.
        space: Number of space dimensions of the fields.
        variables: Names of the fields.

    Returns:
        The libraries of those that are named.

    Raises:
        ConfigError: If keys are unknown or contradict each other.
        TermError: If a term does not parse.
    """
    check_keys(settings, set(variables), "library (of coupled fields)")
    found = {}
    for name, asked in settings.items():
        where, target = f"library.{name}", f"{name}_t"
        check_keys(asked, {"terms", "degree", "order", "extra"}, where)
        if "terms" not in asked:
            found[name] = system_library(variables, target, space=space, **asked)
            continue
        check_keys(asked, {"terms"}, f"{where} (with terms)")
        if not isinstance(asked["terms"], list | Mapping):
            raise wrong_type("list of terms or a table of complexities", asked["terms"], where, 'terms = ["u", "v_xx"]')
        coupled = [v for v in variables if v != name]
        found[name] = Library.from_strings(
            asked["terms"], target=target, variable=name, coupled_variables=coupled, axes="xyz"[:space]
        )
    return found
