"""Standard deviations, correlations and displacements -> one noise model, read by the weak form and by trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bayespde.core.annotations import Finite, NonNegative
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError


@dataclass(frozen=True, eq=False)
class NoiseModel(Checked):
    """Noise of an observed field. Frames are independent of each other, but for the random walk of a front.

    Attributes:
        sd: Standard deviation of the noise per pixel, a number or of field shape, units of the field; at missing
            pixels that of their neighbourhood.
        correlation: Per axis of space, correlation of the noise of two pixels at lag 0, 1, ... up to the first that
            counts as 0; `[1.]` where pixels are independent. Empty if all are.
        jitter: Standard deviation of the displacement of a frame, per axis of space, physical lengths; empty if frames
            do not jitter.
        walk: Standard deviation of the step of a front's random walk per frame, physical length; 0 if there is none.
        variance_function: Name of the one by which `sd` differs between pixels, such as `shot`; empty if there is none.
        parameters: Of that function, by name.
        seen_share: Share of observed pixels around each pixel, field shape, in (0, 1]; None if none is missing.

    Raises:
        ConfigError: If a number is negative or not finite.
    """

    sd: NonNegative | np.ndarray
    correlation: tuple[np.ndarray, ...] = ()
    jitter: tuple[NonNegative, ...] = ()
    walk: NonNegative = 0.0
    variance_function: str = ""
    parameters: Mapping[str, Finite] = field(default_factory=dict)
    seen_share: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = np.concatenate([np.ravel(self.sd), self.jitter, [self.walk]])
        if not (np.isfinite(numbers) & (numbers >= 0)).all():
            raise ConfigError(
                "The noise model is not usable.",
                got=f"standard deviations from {np.min(self.sd):g} to {np.max(self.sd):g}, jitter {self.jitter}, "
                f"walk {self.walk:g}",
                wanted="finite numbers, 0 or more",
                fix="NoiseModel(smooth.noise_scale)",
            )

    @property
    def kind(self) -> str:
        """`white`, the name of the variance function, `correlated`, `frame_jitter` or `front_jitter`."""
        if self.jitter:
            return "front_jitter" if self.walk else "frame_jitter"
        if self.is_correlated:
            return "correlated"
        return self.variance_function or "white"

    @property
    def is_correlated(self) -> bool:
        """Whether the noise of neighbouring pixels is correlated."""
        return any(len(lags) > 1 for lags in self.correlation)

    @property
    def rms(self) -> float:
        """Root mean square of the standard deviations of the pixels."""
        return float(np.sqrt(np.mean(np.square(self.sd))))

    def __str__(self) -> str:
        names = ["correlated"] * self.is_correlated + [self.variance_function] * bool(self.variance_function)
        parts = [
            f"{' '.join(names) or 'white'} noise, sd {self.rms:.4g}{' (root mean square)' * bool(np.ptp(self.sd))}"
        ]
        if self.is_correlated:
            nearest = ", ".join(f"{lags[1] if len(lags) > 1 else 0.0:.2f}" for lags in self.correlation)
            parts.append(f"correlation of neighbours {nearest}")
        parts += [f"{name} {value:.3g}" for name, value in self.parameters.items()]
        if self.jitter:
            moving = "front" if self.walk else "frame"
            parts.append(f"{moving} jitter, sd {', '.join(f'{j:.3g}' for j in self.jitter)}")
        if self.walk:
            parts.append(f"random walk of the front, sd {self.walk:.3g} per frame")
        return "; ".join(parts)
