"""Networks trained on arrays, with pixels held out at random."""

import numpy as np

from bayespde.core.random import spawn_seeds
from bayespde.noise.pixel_noise import PixelNoise
from bayespde.smooth.network.hold_out import HeldOut, held_out_mask
from bayespde.smooth.network.train import train
from bayespde.smooth.network.training_data import TrainingData


def training_data(coordinates, values, mask, *, noise=0.1, penalty_scales=()):
    """Training data, of which the mask is held out and scored."""
    held_out = HeldOut(mask, np.zeros(len(values), dtype=bool))
    return TrainingData(coordinates, values, PixelNoise(noise), held_out, tuple(penalty_scales))


def trained(coordinates, values, *, config, mask=None, noise=0.1, penalty_scales=(), seed=0, **settings):
    """A fit; the pixels held out are those of the mask, or drawn from the seed."""
    if mask is None:
        mask = held_out_mask(coordinates, config=config, seed=spawn_seeds(seed, 3)[0])
    data = training_data(coordinates, values, mask, noise=noise, penalty_scales=penalty_scales)
    return train(data, config=config, seed=seed, **settings)
