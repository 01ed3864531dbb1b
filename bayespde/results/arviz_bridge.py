"""Posterior -> what the installed ArviZ takes: a `DataTree` for ArviZ 1, an `InferenceData` before that."""

from __future__ import annotations

from typing import Any

from bayespde.core.posterior import Posterior
from bayespde.results.inference_data import to_tree


def to_inference_data(posterior: Posterior) -> Any:
    """Hand a posterior to ArviZ [kumar2019arviz].

    Use ArviZ for coefficients, for `loo` per block and for files. For spins use `run_agreement` and
    `plot_inclusion`: effective sample sizes of a 0/1 variable measure the order of the particles, and R-hat
    of a term that is always on is not defined.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        An `arviz.InferenceData` with ArviZ 0.x, an `xarray.DataTree` with ArviZ 1 or later.
    """
    import arviz

    tree = to_tree(posterior)
    return tree if int(arviz.__version__.split(".")[0]) >= 1 else arviz.from_datatree(tree)
