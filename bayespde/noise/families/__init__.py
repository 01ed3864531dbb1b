"""PIXELS + MEAN -> NOISE FAMILY: the distribution of a pixel given its mean, fitted and chosen by held-out log density.

A family is a module in the table `FAMILIES` of `choice`, such as `gaussian`, with a `NoiseFamily` (base) that it fits.
Student's t [lange1989] changes the mean: outliers have little weight. A variance that depends on the mean, as that of
counts, changes the intervals only: all pixels have equal weight in the mean, which stays consistent [liangzeger1986],
and training is a least-squares problem. The family is chosen by the log density of pixels that neither mean nor family
were fitted to.
"""

from bayespde.noise.families.base import NoiseFamily
from bayespde.noise.families.choice import (
    FAMILIES,
    MAX_RESIDUALS,
    check_family,
    choose_noise,
    fit_family,
    is_possible,
    thinned,
)

__all__ = [
    "FAMILIES",
    "MAX_RESIDUALS",
    "NoiseFamily",
    "check_family",
    "choose_noise",
    "fit_family",
    "is_possible",
    "thinned",
]
