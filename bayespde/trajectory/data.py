"""A field + first estimates of its noise and initial state -> checked `TrajectoryData`, shared by all equations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel


@dataclass(frozen=True, eq=False)
class TrajectoryData:
    """What the trajectories of one field are fitted to, and where their initial states begin.

    Attributes:
        field: Checked field; NaN are missing.
        noise: Noise of the pixels, whose overall scale is estimated once more, and jitter of the frames.
        first_frame: Smoothed first frame, dims of space: where the search begins, and how rough the state may be.
        draws: Of the first frame, from the smoother's posterior, `[n, *space]`; if absent, all its waves are taken as
            exact.

    Raises:
        ConfigError: If a standard deviation of pixels or of jitter is not positive.
    """

    field: xr.DataArray
    noise: NoiseModel
    first_frame: xr.DataArray
    draws: np.ndarray | None = None

    def __post_init__(self) -> None:
        least, jitter = float(np.min(self.noise.sd)), self.noise.jitter
        if not (least > 0 and all(j > 0 for j in jitter)):
            raise ConfigError(
                "The noise of the observation is not usable.",
                got=f"standard deviations from {least:g} to {np.max(self.noise.sd):g}, jitter {jitter}",
                wanted="numbers above 0",
                fix="NoiseModel(smooth.noise_scale), or leave the jitter out",
            )
