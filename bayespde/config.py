"""A TOML declaration or keyword arguments -> validated, frozen settings, one dataclass per stage."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.files import existing_file
from bayespde.library.candidates import named_library, polynomial_library
from bayespde.library.choose import Weak
from bayespde.library.strong import Strong
from bayespde.model.priors import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.smc.base import SMCConfig
from bayespde.smooth.basis import SplineConfig
from bayespde.smooth.fit import Smoothing
from bayespde.smooth.train import NetworkConfig

SLABS = {"hyper-g": HyperGSlab, "g-prior": GPriorSlab, "isotropic": IsotropicSlab}
FORMS = {"weak": Weak, "strong": Strong}


@dataclass(frozen=True)
class Prior:
    """The prior of the spin model.

    Attributes:
        expected_terms: Prior mean number of terms in the equation; None means 3, or half the terms if that is fewer.
        slab: Prior of the coefficients that are in the equation.
        pivot_tolerance: Smallest squared distance of a unit column from those before it.
    """

    expected_terms: float | None = None
    slab: HyperGSlab | GPriorSlab | IsotropicSlab = field(default_factory=HyperGSlab)
    pivot_tolerance: float = 1e-10


@dataclass(frozen=True)
class DiscoverConfig:
    """All settings of a discovery.

    Attributes:
        smoothing: FIELD -> DERIVATIVES.
        form: TERMS + FIELD -> STATISTICS.
        prior: STATISTICS -> TARGET.
        sampler: TARGET -> PARTICLES.
        exact_terms: Largest library that is enumerated besides being sampled.
    """

    smoothing: Smoothing = field(default_factory=Smoothing)
    form: Weak | Strong = field(default_factory=Weak)
    prior: Prior = field(default_factory=Prior)
    sampler: SMCConfig = field(default_factory=SMCConfig)
    exact_terms: int = 23

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> DiscoverConfig:
        """Read the sections `smooth`, `form`, `prior`, `sample` and the key `exact_terms`.

        Raises:
            ConfigError: If a section or key is unknown, or a value is out of range.
        """
        check_keys(settings, {"smooth", "form", "prior", "sample", "exact_terms"}, "the declaration")
        form = dict(settings.get("form", {}))
        kind = form.pop("kind", "weak")
        prior = dict(settings.get("prior", {}))
        slab = dict(prior.pop("slab", {}))
        slab_kind = slab.pop("kind", "hyper-g")
        for name, table in ((kind, FORMS), (slab_kind, SLABS)):
            if name not in table:
                raise ConfigError("A kind is unknown.", got=name, wanted=", ".join(table), fix="check the spelling")
        return cls(
            smoothing=_smoothing(settings.get("smooth", {})),
            form=build(FORMS[kind], form, "form"),
            prior=dataclasses.replace(build(Prior, prior, "prior"), slab=build(SLABS[slab_kind], slab, "prior.slab")),
            sampler=build(SMCConfig, settings.get("sample", {}), "sample"),
            exact_terms=int(settings.get("exact_terms", 23)),
        )

    def as_json(self) -> str:
        """All settings as JSON, for provenance and to tell whether a finished stage can be reused."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)


def _smoothing(settings: Mapping[str, Any]) -> Smoothing:
    values = dict(settings)
    if "spline" in values:
        values["spline"] = build(SplineConfig, values["spline"], "smooth.spline")
    if "networks" in values:
        values["networks"] = tuple(build(NetworkConfig, n, "smooth.networks") for n in values["networks"])
    return build(Smoothing, values, "smooth")


def build(kind: type, settings: Any, where: str) -> Any:
    """Make a settings dataclass from a table, refusing keys it does not have.

    Raises:
        ConfigError: If a key is unknown or a value has the wrong type.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where} must be a table.", got=repr(settings), wanted="key = value pairs", fix=f"[{where}]")
    check_keys(settings, {f.name for f in dataclasses.fields(kind)}, where)
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    except TypeError as error:
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
        return Library.from_strings(settings["terms"], target=target, variable=variable, axes="xyz"[:space])
    if "name" in settings:
        return named_library(settings["name"])
    numbers = {k: settings[k] for k in ("degree", "order", "mixed", "extra") if k in settings}
    return polynomial_library(variable, space=space, target=target, **numbers)


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
