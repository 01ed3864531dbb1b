"""PIXELS -> TRAINING DATA: checked arrays, the pixels held out, the noise, and the scales of the penalty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayespde.core.errors import FieldError
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

    Raises:
        FieldError: If the arrays do not fit together or hold values that are not finite.
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

    def __post_init__(self) -> None:
        coordinates, values = self.coordinates, self.values
        if coordinates.ndim != 2 or values.shape != coordinates.shape[:1] or len(values) < 2:
            raise FieldError(
                "The pixels do not fit together.",
                got=f"coordinates {coordinates.shape}, values {values.shape}",
                wanted="coordinates [n, d] and values [n]",
                fix="pass one row of coordinates per observed pixel",
            )
        if not (np.isfinite(values).all() and np.isfinite(coordinates).all()):
            raise FieldError(
                "The pixels hold values that are not finite.",
                got=f"{int((~np.isfinite(values)).sum())} of {len(values)} values",
                wanted="observed pixels only",
                fix="drop missing pixels before training",
            )
        if np.abs(coordinates).max() > 1 + 1e-6:
            raise FieldError(
                "The coordinates are outside the unit range.",
                got=f"up to {np.abs(coordinates).max():g}",
                wanted="every axis in [-1, 1]",
                fix="2 * (c - c.min()) / (c.max() - c.min()) - 1",
            )
        mask = self.held_out.scored
        if mask.shape != values.shape or mask.dtype != bool or not mask.any() or mask.all():
            raise FieldError(
                "The held-out mask does not fit the pixels.",
                got=f"{mask.dtype} {mask.shape}, {int(np.sum(mask))} held out",
                wanted=f"bool {values.shape}, some True and some False",
                fix="held_out_mask(coordinates, config=config, seed=0)",
            )
