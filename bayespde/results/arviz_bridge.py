"""Posterior -> what the installed ArviZ takes: a `DataTree` for ArviZ 1, an `InferenceData` before that."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

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
    arviz = _arviz()
    tree = to_tree(posterior)
    return tree if int(arviz.__version__.split(".")[0]) >= 1 else arviz.from_datatree(tree)


def r_hat_and_ess(values: np.ndarray) -> tuple[float, float]:
    """Rank-normalised split R-hat and bulk effective sample size [vehtari2021] of draws `[chain, draw]`."""
    arviz = _arviz()
    # Runs of which a half is constant divide by 0; infinite is then the answer.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(arviz.rhat(values)), float(arviz.ess(values))


def _arviz() -> Any:
    """The installed ArviZ; 0.x announces the next line once a day, which no user of ours can do anything about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        import arviz
    return arviz
