"""Prior dependence between terms -> fields and couplings of the spins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bayespde.core.annotations import OneOf, Range
from bayespde.core.checked import Checked, validated
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.terms import Term, symbol

KINDS = ("ising", "heredity")
Strength = Annotated[float, Range(-1e3, 1e3)]


@dataclass(frozen=True)
class Coupling(Checked):
    """Two terms that are not independent under the prior.

    A configuration that breaks the rule of the coupling has prior odds smaller by the factor `exp(-strength)`. In the
    limit of large strength two spins are equal, or heredity is strict [chipman1996].

    Attributes:
        first: Name of a term.
        second: Name of another.
        strength: In nats, finite; negative to favour configurations that break the rule, as for interchangeable terms.
        kind: "ising": both terms are in the equation or neither is, an Ising coupling [ising1925]; "heredity": the
            first is in the equation only if the second is.
    """

    first: str
    second: str
    strength: Strength = 3.0
    kind: Annotated[str, OneOf(KINDS)] = "ising"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first == self.second:
            raise ConfigError(
                "A term is coupled with itself.",
                got=self,
                wanted="two terms",
                fix="Coupling('u_xx', 'u_yy', strength=3.0)",
            )


def interactions(names: Sequence[str], couplings: Sequence[Coupling]) -> tuple[np.ndarray, np.ndarray]:
    """Write couplings as additions to the log prior `h's + s'Js/2`.

    Args:
        names: Terms of the library, K of them.
        couplings: Couplings; several of one pair add up.

    Returns:
        Additions to h, `[K]`, and J, `[K, K]`, symmetric, float64, nats.

    Raises:
        ConfigError: If a coupling names a term that the library does not have.
    """
    fields, joint = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for one in couplings:
        unknown = [n for n in (one.first, one.second) if n not in names]
        if unknown:
            raise ConfigError(
                "A coupling names a term that is not in the library.",
                got=", ".join(unknown),
                wanted=f"two of {', '.join(names)}",
                fix="spell terms as library.names does",
            )
        i, j = names.index(one.first), names.index(one.second)
        # [s_i != s_j] = s_i + s_j - 2 s_i s_j, and s_i (1 - s_j) = s_i - s_i s_j
        is_symmetric = one.kind == "ising"
        fields[i] -= one.strength
        fields[j] -= one.strength if is_symmetric else 0.0
        joint[i, j] += (1 + is_symmetric) * one.strength
        joint[j, i] = joint[i, j]
    return fields, joint


@validated
def isotropic_couplings(library: Library, *, strength: Strength = 3.0) -> tuple[Coupling, ...]:
    """Couple terms that an exchange of two axes maps to each other, such as `u_xx` and `u_yy`.

    For equations that are expected to be similar in all directions. Single terms stay possible, and the coefficients of
    two terms may differ.

    Args:
        library: The candidate terms.
        strength: In nats; `math.log(20)` makes `u_xx` without `u_yy` twenty times less probable under the prior.

    Returns:
        A coupling for every such pair in the library.
    """
    names, found = library.names, {}
    for a, b in (("x", "y"), ("x", "z"), ("y", "z")):
        for first, term in enumerate(library.terms):
            other = _exchanged(term, a, b)
            # Every pair occurs twice, once from either term.
            if other in names and names.index(other) > first:
                found[term.name, other] = Coupling(term.name, other, strength=strength)
    return tuple(found.values())


def _exchanged(term: Term, a: str, b: str) -> str:
    """Name of a term with two axes exchanged."""
    swap = str.maketrans(a + b, b + a)
    exchanged = {}
    for name in term.symbols:
        variable, _, subscript = name.rpartition("_")
        if variable:
            exchanged[symbol(name)] = symbol(f"{variable}_{''.join(sorted(subscript.translate(swap)))}")
    return str(term.expression.xreplace(exchanged))
