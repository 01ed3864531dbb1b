"""Frames + their displacements -> the displaced frames, or their derivative in the displacement."""

from __future__ import annotations

import numpy as np


def displaced(
    frames: np.ndarray,
    displacements: np.ndarray,
    spacing: tuple[float, ...],
    boundary: str,
    derivative: int | None = None,
    transpose: bool = False,
) -> np.ndarray:
    """Frames u(x + d), by Fourier series; between walls, by that of the frame and its mirror image.

    Args:
        frames: `[..., time, *space]`.
        displacements: `[time, axis]`, physical lengths.
        spacing: Of the pixels per axis, physical lengths.
        boundary: "periodic", or anything else.
        derivative: An axis along which the derivative in the displacement is wanted instead of the value.
        transpose: Whether the transposed map is wanted.

    Returns:
        The same shape.
    """
    dims = len(spacing)
    for axis, step in enumerate(spacing):
        place = frames.ndim - dims + axis
        points = frames.shape[place]
        values = np.moveaxis(frames, place, -1)
        if boundary != "periodic":
            mirrored = np.zeros_like(values) if transpose else values[..., ::-1]
            values = np.concatenate([values, mirrored], axis=-1)
        waves = 2j * np.pi * np.fft.rfftfreq(values.shape[-1], d=step)
        phase = np.exp(waves * displacements[:, axis, None]) * (waves if derivative == axis else 1.0)
        # Time is the axis before those of space, of which one was moved to the end.
        phase = (phase.conj() if transpose else phase).reshape(len(displacements), *(1,) * (dims - 1), -1)
        moved = np.fft.irfft(phase * np.fft.rfft(values, axis=-1), values.shape[-1], axis=-1)
        if transpose and boundary != "periodic":
            moved[..., :points] += moved[..., points:][..., ::-1]
        frames = np.moveaxis(moved[..., :points], -1, place)
    return frames
