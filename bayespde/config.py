"""A TOML declaration or keyword arguments -> validated, frozen settings, one dataclass per stage."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from bayespde.core.equation import Library
from bayespde.core.errors import BayespdeError, ConfigError
from bayespde.core.files import existing_file
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.statistics import SufficientStatistics
from bayespde.library.candidates import named_library, polynomial_library, system_library
from bayespde.library.choose import Weak
from bayespde.library.strong import Strong
from bayespde.model.couplings import Coupling
from bayespde.model.priors import GPriorSlab, HyperGSlab, IsotropicSlab, PlugInSlab, Slab, complexity_prior
from bayespde.model.spin import SpinModel
from bayespde.smc.base import SMCConfig
from bayespde.smooth.basis import SplineConfig
from bayespde.smooth.fit import Smoothing
from bayespde.smooth.network_config import NetworkConfig
from bayespde.smooth.penalty import Penalty

SLABS = {"hyper-g": HyperGSlab, "g-prior": GPriorSlab, "isotropic": IsotropicSlab, "plug-in": PlugInSlab}
REFINE = ("auto", "always", "never")
FORMS = {"weak": Weak, "strong": Strong}
PENALTY_KEYS = {"kind", "axis_weights", "mixed", "isotropic", "chosen"}


@dataclass(frozen=True)
class Prior:
    """The prior of the spin model.

    Attributes:
        expected_terms: Prior mean number of terms in the equation; None means 3, or half the terms if that is fewer.
        slab: Prior of the coefficients that are in the equation.
        pivot_tolerance: Smallest squared distance of a unit column from those before it.
        couplings: Pairs of terms that are not independent before the data, such as `isotropic_couplings(library)`.
    """

    expected_terms: float | None = None
    slab: Slab = field(default_factory=HyperGSlab)
    pivot_tolerance: float = 1e-10
    couplings: tuple[Coupling, ...] = ()

    def model(self, statistics: SufficientStatistics, library: Library) -> SpinModel:
        """The spin model of rows under this prior."""
        return SpinModel(statistics, library, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    def spins(self, library: Library) -> PairwiseSpins:
        """The distribution of the spins of a library's terms under this prior.

        Raises:
            ConfigError: If the number of terms is impossible, or a coupling names a term that is not in the library.
        """
        return complexity_prior(
            library.complexities, expected_terms=self.expected_terms, names=library.names, couplings=self.couplings
        )

    def __post_init__(self) -> None:
        if not isinstance(self.couplings, tuple) or not all(isinstance(c, Coupling) for c in self.couplings):
            raise ConfigError(
                "Couplings must be a tuple of couplings.",
                got=repr(self.couplings)[:80],
                wanted="Coupling objects",
                fix="couplings=(Coupling('u_xx', 'u_yy'),)",
            )
        numbers = [self.pivot_tolerance, 1.0 if self.expected_terms is None else self.expected_terms]
        if not all(isinstance(n, int | float) and n > 0 for n in numbers):
            raise ConfigError(
                "A setting of the prior is not a positive number.",
                got=f"expected_terms={self.expected_terms!r}, pivot_tolerance={self.pivot_tolerance!r}",
                wanted="numbers > 0",
                fix="Prior()",
            )


@dataclass(frozen=True)
class DiscoverConfig:
    """All settings of a discovery.

    Attributes:
        smoothing: FIELD -> DERIVATIVES.
        form: TERMS + FIELD -> STATISTICS.
        prior: STATISTICS -> TARGET.
        sampler: TARGET -> PARTICLES.
        exact_terms: Largest library that is enumerated besides being sampled.
        refine: Whether equations are judged by the pixels themselves at the end (`bayespde.refine`): "auto", where that
            is affordable and the field has a boundary that can be integrated; "always"; or "never".
    """

    smoothing: Smoothing = field(default_factory=Smoothing)
    form: Weak | Strong = field(default_factory=Weak)
    prior: Prior = field(default_factory=Prior)
    sampler: SMCConfig = field(default_factory=SMCConfig)
    exact_terms: int = 23
    refine: str = "auto"

    def __post_init__(self) -> None:
        if self.refine not in REFINE:
            raise ConfigError(
                "Whether to refine is not known.",
                got=repr(self.refine),
                wanted=", ".join(map(repr, REFINE)),
                fix="refine='auto'",
            )
        if (
            isinstance(self.exact_terms, bool)
            or not isinstance(self.exact_terms, int)
            or not 0 <= self.exact_terms <= 26
        ):
            raise ConfigError(
                "The number of terms to enumerate is out of range.",
                got=repr(self.exact_terms),
                wanted="an int from 0 to 26",
                fix="exact_terms=23",
            )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> DiscoverConfig:
        """Read the sections `smooth`, `form`, `prior`, `sample` and the keys `exact_terms` and `refine`.

        Raises:
            ConfigError: If a section or key is unknown, or a value is out of range.
        """
        check_keys(settings, {"smooth", "form", "prior", "sample", "exact_terms", "refine"}, "the declaration")
        prior = dict(as_table(settings.get("prior", {}), "prior"))
        slab = _of_kind(prior.pop("slab", {}), SLABS, "hyper-g", "prior.slab")
        prior["couplings"] = _each(Coupling, prior.get("couplings", []), "prior.couplings")
        return cls(
            smoothing=_smoothing(settings.get("smooth", {})),
            form=_of_kind(settings.get("form", {}), FORMS, "weak", "form"),
            prior=dataclasses.replace(build(Prior, prior, "prior"), slab=slab),
            sampler=build(SMCConfig, settings.get("sample", {}), "sample"),
            exact_terms=settings.get("exact_terms", 23),
            refine=settings.get("refine", "auto"),
        )

    def as_json(self) -> str:
        """All settings as JSON, for provenance and to tell whether a finished stage can be reused."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)


def _smoothing(settings: Any) -> Smoothing:
    values = dict(as_table(settings, "smooth"))
    if "spline" in values:
        values["spline"] = build(SplineConfig, values["spline"], "smooth.spline")
    if "penalty" in values:
        # Order and weight belong to the stage.
        check_keys(as_table(values["penalty"], "smooth.penalty"), PENALTY_KEYS, "smooth.penalty")
        values["penalty"] = build(Penalty, values["penalty"], "smooth.penalty")
    if "networks" in values:
        # Steps, penalty and hold-out are those of the whole stage, so that candidates can be compared.
        allowed = {f.name for f in dataclasses.fields(NetworkConfig)} - {"steps", "penalty", "hold_out"}
        values["networks"] = _each(NetworkConfig, values["networks"], "smooth.networks", allowed)
    return build(Smoothing, values, "smooth")


def _each(kind: type, settings: Any, where: str, allowed: set[str] | None = None) -> tuple[Any, ...]:
    """One object of settings from each table of a list."""
    if not isinstance(settings, list):
        raise _not_a("list of tables", settings, where, f"[[{where}]]")
    for one in settings:
        check_keys(as_table(one, where), allowed or {f.name for f in dataclasses.fields(kind)}, where)
    return tuple(build(kind, one, where) for one in settings)


def _of_kind(settings: Any, kinds: Mapping[str, type], default: str, where: str) -> Any:
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
        raise _not_a("table", settings, where, f"[{where}]")
    return settings


def _not_a(wanted: str, got: object, where: str, fix: str) -> ConfigError:
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
    check_keys(
        as_table(settings, "library"), {"terms", "name", "degree", "order", "mixed", "extra", "target"}, "library"
    )
    target = settings.get("target", f"{variable}_t")
    if "terms" in settings:
        check_keys(settings, {"terms", "target"}, "library (with terms)")
        terms = settings["terms"]
        if not isinstance(terms, list | Mapping):
            raise _not_a("list of terms or a table of complexities", terms, "library.terms", 'terms = ["u", "u_x"]')
        return Library.from_strings(terms, target=target, variable=variable, axes="xyz"[:space])
    if "name" in settings:
        check_keys(settings, {"name"}, "library (with a name)")
        return named_library(settings["name"])
    if not isinstance(settings.get("extra", []), list):
        raise _not_a("list of terms", settings["extra"], "library.extra", 'extra = ["u_x**2"]')
    numbers = {k: settings[k] for k in ("degree", "order", "mixed", "extra") if k in settings}
    return polynomial_library(variable, space=space, target=target, **numbers)


def libraries_from_mapping(settings: Mapping[str, Any], *, space: int, variables: Sequence[str]) -> dict[str, Library]:
    """Build the libraries that a declaration asks for the equations of a system.

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
    check_keys(as_table(settings, "library"), set(variables), "library (of a system)")
    found = {}
    for name, asked in settings.items():
        where, target = f"library.{name}", f"{name}_t"
        check_keys(as_table(asked, where), {"terms", "degree", "order", "extra"}, where)
        if "terms" not in asked:
            found[name] = system_library(variables, target, space=space, **asked)
            continue
        check_keys(asked, {"terms"}, f"{where} (with terms)")
        if not isinstance(asked["terms"], list | Mapping):
            raise _not_a("list of terms or a table of complexities", asked["terms"], where, 'terms = ["u", "v_xx"]')
        others = [v for v in variables if v != name]
        found[name] = Library.from_strings(
            asked["terms"], target=target, variable=name, others=others, axes="xyz"[:space]
        )
    return found


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
