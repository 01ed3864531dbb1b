"""FIELD + LIBRARY + SETTINGS -> what each stage may cost, in words, before it begins."""

from __future__ import annotations

import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.progress import Progress
from bayespde.discovery.config import DiscoverConfig
from bayespde.smooth.config import SmoothingConfig

# CPU seconds on one core, as measured: of the spline per million pixels; of rows at least, per million pixels, and per
# million pixels and term; of a run per squared term; of enumerating 2^20 configurations; of networks at least, and per
# million pixels.
SPLINE = 2.0
FEWEST_ROWS, ROWS, TERM = 3.0, 20.0, 1.0
RUN, ENUMERATED = 2e-4, 0.5
FEWEST_NETWORKS, NETWORKS = 10.0, 1000.0


def smoothing(field: xr.DataArray, config: SmoothingConfig) -> str:
    """Of the spline, and of networks where they are trained."""
    pixels = field.size / 1e6
    seconds = 0.5 + SPLINE * pixels
    if config.smoother != "spline":
        seconds += FEWEST_NETWORKS + NETWORKS * pixels
    return f"{field.size} pixels, {_about(seconds)}"


def rows(library: Library, field: xr.DataArray) -> str:
    """Of the rows of all terms."""
    seconds = FEWEST_ROWS + (ROWS + TERM * len(library)) * field.size / 1e6
    return f"{len(library)} terms, {_about(seconds)}"


def sampling(library: Library, config: DiscoverConfig) -> str:
    """Of the enumeration, where the library is small, and of all runs of the sampler."""
    terms, sampler = len(library), config.sampler
    seconds = sampler.runs * (0.1 + RUN * terms**2 * sampler.particles / 2048)
    seconds += ENUMERATED * 2.0 ** (terms - 20) if terms <= config.enumerate_up_to else 0.0
    return f"{sampler.runs} runs, {_about(seconds)}"


def trajectories(progress: Progress) -> str:
    """Of the search, which takes what is left at most."""
    return f"at most {progress.left:.0f} CPU s, what is left of the budget"


def _about(seconds: float) -> str:
    digits = max(0, 1 - len(f"{seconds:.0f}"))
    return f"about {seconds:.{digits}f} CPU s"
