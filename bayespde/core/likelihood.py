"""What the equations of a posterior were compared by, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bayespde.core.statistics import SufficientStatistics

Kind = Literal["weak_form", "strong_form", "observation", "rows"]
# Form of the statistics -> kind of the likelihood.
KINDS: Mapping[str, Kind] = {"weak": "weak_form", "strong": "strong_form", "trajectory": "observation"}
WORDS = {"weak_form": "the weak form", "strong_form": "the strong form", "rows": "a given linear regression"}


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a posterior over equations.

    Attributes:
        kind: "weak_form" or "strong_form", a quasi-likelihood of rows; "observation", the likelihood of the pixels
            along a trajectory; or "rows", a linear regression from elsewhere.
        reason: Why the observation likelihood was not used, if it was asked for; empty otherwise.
        along: Terms of the trajectory around which all equations are linearised, for "observation".
        boundary: Boundary condition in space along which trajectories were integrated; None if there is none.
        padding: Padding of the integrated domain, as a multiple of the width of the window.
        budget_exhausted: Whether the CPU time ended the search for trajectories, or the training of the networks that
            the rows are of.
    """

    kind: Kind = "rows"
    reason: str = ""
    along: tuple[str, ...] = ()
    boundary: str | None = None
    padding: float = 0.0
    budget_exhausted: bool = False

    @classmethod
    def of(cls, statistics: SufficientStatistics) -> Likelihood:
        """The likelihood that sufficient statistics hold."""
        return cls(KINDS.get(statistics.record.form, "rows"), along=statistics.record.along)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Likelihood:
        """The likelihood that `record` described."""
        return cls(**{**record, "along": tuple(record["along"])})

    def record(self) -> dict[str, Any]:
        """All fields as JSON takes them."""
        return asdict(self)

    @property
    def is_observation(self) -> bool:
        """Whether equations were compared by the likelihood of the pixels."""
        return self.kind == "observation"

    def __str__(self) -> str:
        if self.is_observation:
            where = f", boundary {self.boundary}" if self.boundary else ""
            return f"the observation likelihood along a trajectory of {' + '.join(self.along)}{where}"
        return WORDS[self.kind] + (f" ({self.reason})" if self.reason else "")
