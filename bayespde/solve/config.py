"""Settings -> a checked `SolverConfig`: how an equation is discretised in space and stepped in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bayespde.core.errors import ConfigError

CHOICES = {
    "space": ("fourier", "difference"),
    "order": (2, 4),
    "boundary": ("periodic", "neumann", "dirichlet"),
    "scheme": ("auto", "explicit", "etd", "imex", "rkc"),
    "dealias": (True, False),
}


@dataclass(frozen=True)
class SolverConfig:
    """How to integrate an equation.

    Attributes:
        space: Derivatives by "fourier" (periodic only) or by central "difference".
        order: Order of accuracy of the differences, 2 or 4.
        boundary: "periodic" (the point after the last one is the first); "neumann" (mirror, with the wall
            half a step outside the last point, so that the sum of u is what diffusion conserves); "dirichlet"
            (the edge values are held, and u is continued odd about them).
        scheme: "explicit" is Dormand-Prince 5(4); "etd" is ETDRK4 and "imex" is ARS(2,2,2), with the linear
            part that the grid's transform makes diagonal taken exactly or implicitly; "auto" is etd if that
            part is stiff, else explicit. "rkc" is Runge-Kutta-Chebyshev, compiled and without gradients: for
            differences, and equations that diffuse more than they carry.
        rtol: Tolerated error per step relative to the largest `|u|`.
        atol: Tolerated error per step, in the units of u, added to it.
        maximum_steps: Steps tried before giving up.
        dealias: Whether Fourier products drop the upper third of the wavenumbers (the 2/3 rule).
    """

    space: str = "fourier"
    order: int = 2
    boundary: str = "periodic"
    scheme: str = "auto"
    rtol: float = 1e-6
    atol: float = 1e-9
    maximum_steps: int = 100_000
    dealias: bool = True

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if not any(type(value) is type(a) and value == a for a in allowed):
                raise ConfigError(
                    f"The setting {name!r} of the method is unknown.",
                    got=repr(value),
                    wanted="one of " + ", ".join(map(repr, allowed)),
                    fix=f"{name}={allowed[0]!r}",
                )
        for name, lowest in (("rtol", 1e-13), ("atol", 1e-300), ("maximum_steps", 1)):
            check_number(name, getattr(self, name), lowest=lowest, integer=name == "maximum_steps")
        if self.space == "fourier" and self.boundary != "periodic":
            raise ConfigError(
                "Fourier derivatives need a periodic field.",
                got=f"boundary={self.boundary!r}",
                wanted="boundary='periodic'",
                fix="space='difference'",
            )

        if self.space == "fourier" and self.scheme == "rkc":
            raise ConfigError(
                "Chebyshev steps are compiled for differences only.",
                got="space='fourier', scheme='rkc'",
                wanted="space='difference'",
                fix="SolverConfig(space='difference', order=4, scheme='rkc')",
            )

    def within(self, boundary: str) -> SolverConfig:
        """The same with a boundary: Fourier where the field is periodic, differences of order 4 between edges."""
        if boundary == "periodic":
            return self
        return replace(self, space="difference", order=4, boundary=boundary)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> SolverConfig:
        """Build a method from plain settings, as read from a declaration.

        Raises:
            ConfigError: If a key is unknown or a value is not allowed.
        """
        check_keys(settings, known=[f.name for f in fields(cls)], where="method")
        return cls(**settings)


def check_keys(settings: Any, *, known: list[str], required: tuple[str, ...] = (), where: str) -> None:
    """Check that a mapping has only known keys and all required ones.

    Raises:
        ConfigError: If not, or if `settings` is no mapping.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(
            f"The {where} settings must be a table.",
            got=type(settings).__name__,
            wanted="a mapping from names to values",
            fix=f"write a table with {', '.join(required or known[:3])}",
        )
    unknown = [str(k) for k in settings if k not in known]
    absent = [k for k in required if k not in settings]
    if unknown or absent:
        raise ConfigError(
            f"The {where} settings are {'not known' if unknown else 'incomplete'}.",
            got="unknown " + repr(unknown)[:120] if unknown else "no " + ", ".join(absent),
            wanted="some of " + ", ".join(known),
            fix="remove or rename the unknown ones" if unknown else "add the missing ones",
        )


def check_number(name: str, value: Any, *, lowest: float = float("-inf"), integer: bool = False) -> None:
    """Check that `value` is a finite real number (or an int) of at least `lowest`.

    Raises:
        ConfigError: If not; booleans are no numbers here.
    """
    kinds = int if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not lowest <= value < float("inf"):
        bound = "" if lowest == float("-inf") else f" of at least {lowest:g}"
        raise ConfigError(
            f"The setting {name!r} is out of its range.",
            got=repr(value)[:60],
            wanted=("an integer" if integer else "a finite number") + bound,
            fix=f"change {name!r}",
        )
