"""PIXELS -> TRAINING DATA: arrays, the pixels held out, the noise, and the scales of the penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.network.hold_out import HeldOut


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What networks are trained on.

    Attributes:
        coordinates: Observed pixels, `[n, d]`, time first, in [-1, 1].
        values: `[n]`, finite, mean 0 and standard deviation 1.
        noise: Of the pixels, in units of `values`.
        held_out: The pixels that are not trained on.
        penalty_scales: Typical size of every penalised derivative in unit coordinates; needed if the penalty has a
            weight.
    """

    coordinates: np.ndarray
    values: np.ndarray
    noise: PixelNoise
    held_out: HeldOut
    penalty_scales: tuple[float, ...] = ()

    @property
    def trained(self) -> np.ndarray:
        """The pixels that are trained on, `[n]`, bool."""
        return ~(self.held_out.scored | self.held_out.around)
