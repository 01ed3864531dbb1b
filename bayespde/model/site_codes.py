"""Spins -> values of the discrete sites of a program, with the number of codes of each; and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

# Up to this many spins code a variable that can go to any level in one move; of more, two of them flip together.
MOST_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class SiteCode:
    """How spins code a discrete site of a program.

    With C levels each variable takes `ceil(log2 C)` spins. They are a binary number c, highest digit first, that stands
    for level `c mod C`. Some levels so have two codes, which share the level's probability equally: all configurations
    of spins are possible, and sums over them are sums over levels. A binary variable is its spin.

    Attributes:
        name: Of the site.
        blank: A value of it, in the shape and type that the program draws.
        lowest: Its lowest level.
        levels: Number of levels C.
    """

    name: str
    blank: torch.Tensor
    lowest: int
    levels: int

    @property
    def is_binary(self) -> bool:
        """Whether the site is of 0 and 1, so that each variable is a spin."""
        return self.levels == 2 and self.lowest == 0

    @property
    def bits(self) -> int:
        """Number of spins of a variable."""
        return max(1, (self.levels - 1).bit_length())

    @property
    def has_synonyms(self) -> bool:
        """Whether some levels have two codes."""
        return self.levels < 2**self.bits

    @property
    def variables(self) -> int:
        """Number of variables."""
        return self.blank.numel()

    @property
    def terms(self) -> int:
        """Number of spins."""
        return self.variables * self.bits

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variables: `site[k]`, or `site[i,j]`; the name of the site alone where it is a number."""
        if self.blank.ndim == 0:
            return (self.name,)
        places = torch.cartesian_prod(*(torch.arange(n) for n in self.blank.shape)).reshape(self.variables, -1)
        return tuple(f"{self.name}[{','.join(map(str, place))}]" for place in places.tolist())

    def values(self, spins: torch.Tensor) -> torch.Tensor:
        """Values `[P, *shape]` of the site for its spins, `[P, terms]`, bool."""
        level = self._code(spins) % self.levels + self.lowest
        return level.reshape(len(spins), *self.blank.shape).to(self.blank)

    def spins(self, values: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Spins `[P, terms]` for values `[P, *shape]`; a uniform number in [0, 1) chooses of two codes."""
        level = (values.cpu().double() - self.lowest).round().long().reshape(len(values), self.variables)
        code = level + self.levels * (uniform < 0.5) * (level + self.levels < 2**self.bits)
        return (code[..., None] & self._places > 0).reshape(len(values), self.terms)

    def log_multiplicity(self, spins: torch.Tensor) -> torch.Tensor:
        """Log of the number of codes of the same values, `[P]`, float64."""
        twice = self._code(spins) % self.levels + self.levels < 2**self.bits
        return twice.sum(dim=1) * torch.tensor(2.0, dtype=torch.float64).log()

    def level_of_variables(self, spins: torch.Tensor) -> torch.Tensor:
        """Level of each variable counted from 0, `[P, variables]`, int64."""
        return self._code(spins) % self.levels

    @property
    def blocks(self) -> list[list[int]]:
        """Sets of spins of one variable: flips of them, with those of single spins, join all of its levels."""
        sizes = range(2, self.bits + 1) if self.bits <= MOST_AT_ONCE else [2]
        inside = [set_ for size in sizes for set_ in combinations(range(self.bits), size)]
        return [[v * self.bits + k for k in set_] for v in range(self.variables) for set_ in inside]

    @property
    def _places(self) -> torch.Tensor:
        return 2 ** torch.arange(self.bits - 1, -1, -1)

    def _code(self, spins: torch.Tensor) -> torch.Tensor:
        digits = spins.reshape(len(spins), self.variables, self.bits)
        return digits[..., 0].long() if self.bits == 1 else (digits * self._places).sum(dim=2)


class SiteCodes(tuple[SiteCode, ...]):
    """The codes of all discrete sites of a program, whose spins are joined in this order."""

    @property
    def terms(self) -> int:
        """Number of spins K."""
        return sum(code.terms for code in self)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all variables."""
        return tuple(name for code in self for name in code.names)

    def spin_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Of the spins, from those of the variables: binary ones as they are, of others each digit of the code."""
        bits = [1 if code.is_binary else code.bits for code in self for _ in range(code.variables)]
        return tuple(
            name if bit == 1 else f"{name}.bit{k}" for name, bit in zip(names, bits, strict=True) for k in range(bit)
        )

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """The sets of spins by which variables change their levels, apart from single spins."""
        starts = torch.tensor([0, *(code.terms for code in self)]).cumsum(0).tolist()
        return tuple(
            tuple(start + k for k in block) for code, start in zip(self, starts, strict=False) for block in code.blocks
        )

    def split(self, spins: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The spins of each site, `[P, terms]`, of all, `[P, K]`."""
        return spins.split([code.terms for code in self], dim=1)

    def values(self, spins: torch.Tensor) -> dict[str, torch.Tensor]:
        """Values of each site, `[P, *shape]`, for configurations, `[P, K]`, bool."""
        return {code.name: code.values(part) for code, part in zip(self, self.split(spins), strict=True)}

    def spins(self, values: Mapping[str, torch.Tensor], *, generator: torch.Generator) -> torch.Tensor:
        """Configurations `[P, K]`, bool, for values of each site; levels of two codes get either."""
        parts = []
        for code in self:
            shape = (len(values[code.name]), code.variables)
            uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
            parts.append(code.spins(values[code.name], uniform))
        return torch.cat(parts, dim=1)

    def log_multiplicity(self, spins: torch.Tensor) -> torch.Tensor:
        """Log of the number of configurations of the same values, `[P]`, float64."""
        several = [c.log_multiplicity(part) for c, part in zip(self, self.split(spins), strict=True) if c.has_synonyms]
        return sum(several, torch.zeros(len(spins), dtype=torch.float64))
