"""Settings -> a checked `TrajectoryConfig`: how a trajectory is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from bayespde.core.annotations import Count, Positive, Range
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.core.settings import build
from bayespde.solve.config import SolverConfig

# Steps that one trajectory may take: a fit integrates hundreds.
MAXIMUM_STEPS = 2_000
MAXIMUM_PADDING = 10.0


@dataclass(frozen=True)
class TrajectoryConfig(Checked):
    """How a trajectory is fitted.

    Attributes:
        method: Space discretisation, boundary, tolerances, and how many steps a trajectory may take: by default few, as
            hundreds of trajectories are integrated.
        padding: For a window of a larger field: points beyond the window, per point of it, whose state influences the
            observed pixels. The same PDE holds there, the initial state is unknown, and the whole domain is periodic.
            0 for a field that is observed as a whole.
        most_modes: Most modes of the initial state; a search takes more than 300 only where these do not suffice.
        iterations: Most Gauss-Newton steps.
        tolerance: Change of the objective, in nats, below which it has converged, if coefficients would change by less
            than a tenth of their standard deviations.
    """

    method: SolverConfig = field(default_factory=lambda: SolverConfig(maximum_steps=MAXIMUM_STEPS))
    padding: Annotated[float, Range(0, MAXIMUM_PADDING)] = 0.0
    most_modes: Count = 600
    iterations: Count = 30
    tolerance: Positive = 0.1

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TrajectoryConfig:
        """The settings that `dataclasses.asdict` wrote out."""
        return build(cls, record, "config")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding and self.method.boundary != "periodic":
            raise ConfigError(
                "A window has no boundary condition of its own.",
                got=f"padding={self.padding}, boundary={self.method.boundary!r}",
                wanted="boundary='periodic', around window and padding",
                fix="TrajectoryConfig(padding=0.5), or padding=0",
            )

    @property
    def boundary(self) -> str:
        """Of the field: that of the method, or "open" for a window."""
        return "open" if self.padding else self.method.boundary
