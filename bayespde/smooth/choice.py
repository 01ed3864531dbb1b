"""HELD-OUT SCORES -> SMOOTHING CHOICE: which smoother is used, why, and the noise that it rests on; with its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bayespde.noise.frame_jitter import FrameShift


@dataclass(frozen=True)
class SmoothingChoice:
    """Which smoother is used, and the scores on which that rests.

    Attributes:
        smoother: `spline` or `network`.
        reason: Why.
        hold_out: The unit that was held out: `pixels`, `frames` or `blocks`.
        held_out_rmse: Held-out rmse of every candidate, units of the field.
        noise: Family of the noise of the networks with its parameters, as text; empty if none were trained.
        log_density: Mean log density of a held-out pixel under every family that was compared, nats.
        displacement: How much of the noise is a shift of whole frames; where frames were held out.
        networks: Architectures of the networks that are kept.
        stopped_by: `budget` where the CPU time ended the training of networks; empty otherwise.
    """

    smoother: str
    reason: str
    hold_out: str
    held_out_rmse: Mapping[str, float]
    noise: str = ""
    log_density: Mapping[str, float] = field(default_factory=dict)
    displacement: FrameShift | None = None
    networks: tuple[str, ...] = ()
    stopped_by: str = ""

    def to_json(self) -> str:
        """As text for a file; every number is kept exactly."""
        record = asdict(self)
        return json.dumps(record | {"displacement": self.displacement and self.displacement._asdict()})

    @classmethod
    def from_json(cls, text: str) -> SmoothingChoice:
        """Read what `to_json` wrote."""
        record = json.loads(text)
        shift = record["displacement"]
        displacement = None if shift is None else FrameShift(shift["share"], tuple(shift["scale"]))
        return cls(**record | {"displacement": displacement, "networks": tuple(record["networks"])})

    def describe(self) -> list[str]:
        """Smoother, reason and scores, in two lines."""
        scores = ", ".join(f"{name} {value:.5g}" for name, value in self.held_out_rmse.items())
        reason = f"{self.reason}; the {self.stopped_by} ended training" if self.stopped_by else self.reason
        return [
            f"{self.smoother} chosen for derivatives ({reason}); the weak form uses the spline",
            f"held out: {self.hold_out}, rmse {scores}",
        ]

    def describe_noise(self, axes: Sequence[str]) -> list[str]:
        """Family of the noise, and its share of displacements along the axes of space, in up to two lines."""
        lines = []
        if self.noise:
            scores = ", ".join(f"{name} {value:.4g}" for name, value in self.log_density.items())
            compared = f" (log density of a held-out pixel: {scores})" if scores else ""
            lines.append(f"noise {self.noise}{compared}")
        if self.displacement is not None:
            share, sizes = self.displacement
            shifts = ", ".join(f"{s:.3g} along {d}" for s, d in zip(sizes, axes, strict=True))
            lines.append(f"{share:.0%} of the squared residuals are shifts of whole frames: rms {shifts}")
        return lines
