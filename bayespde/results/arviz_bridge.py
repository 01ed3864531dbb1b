"""Posterior -> the type of the installed ArviZ: a `DataTree` for ArviZ 1, an `InferenceData` for ArviZ 0.x."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from bayespde.core.annotations import MadeBy
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.results.inference_tree import SAMPLE, to_tree

AnyForecast = Annotated[
    xr.Dataset, MadeBy("bayespde.forecast(posterior, start, times)", ("noise_scale", "blow_up_time"))
]


@runtime_checkable
class HasTree(Protocol):
    """Samples that lay themselves out in the InferenceData schema, as a `SpinSMC` does."""

    def to_tree(self) -> xr.DataTree:
        """The groups."""
        ...


@validated
def to_inference_data(posterior: Posterior | HasTree, forecast: AnyForecast | None = None) -> Any:
    """Hand a posterior, or the samples of a Pyro program, to ArviZ [kumar2019arviz].

    Use ArviZ for coefficients, for `loo` per block and for files. For spins use `between_run_diagnostics` and
    `plot_inclusion`: effective sample sizes of a 0/1 variable measure the order of the particles, and R-hat
    of a term that is always on is not defined.

    Args:
        posterior: What sampling or enumeration returned, or a `SpinSMC` that has run: every latent site by its name.
        forecast: What `bayespde.forecast` returned for a posterior, for the groups `predictions` and
            `predictions_constant_data`.

    Returns:
        An `arviz.InferenceData` with ArviZ 0.x, an `xarray.DataTree` with ArviZ 1 or later.
    """
    if isinstance(posterior, Posterior):
        return _native(to_tree(posterior, forecast))
    if forecast is not None:
        raise ConfigError(
            "A forecast belongs to the posterior of an equation.",
            got=f"a forecast, and an object of type {type(posterior).__name__}",
            wanted="a bayespde.Posterior",
            fix="to_inference_data(posterior, forecast)",
        )
    return _native(posterior.to_tree())


def r_hat_and_ess(values: np.ndarray) -> tuple[float, float]:
    """Rank-normalised split R-hat and bulk effective sample size [vehtari2021] of draws `[chain, draw]`."""
    arviz = _arviz()
    # Runs of which 50 % are constant divide by 0; the answer is then infinite.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(arviz.rhat(values)), float(arviz.ess(values))


def psis_loo(density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave-one-out log predictive densities and Pareto k, `[B]` each, of log likelihoods `[chain, draw, B]`."""
    found = _loo(density)
    pointwise = found.elpd_i if hasattr(found, "elpd_i") else found.loo_i
    return np.asarray(pointwise, dtype=np.float64), np.asarray(found.pareto_k, dtype=np.float64)


def stacking_weights(densities: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Weights of the mixture of models that predicts best [yao2018]; log likelihoods `[chain, draw, B]` of each."""
    with warnings.catch_warnings():
        # `leave_block_out_elpd` reports unreliable blocks; other warnings are about libraries that ArviZ 0.x uses.
        warnings.simplefilter("ignore")
        found = {name: _loo(density) for name, density in densities.items()}
        table = _arviz().compare(found, method="stacking", **({} if _is_new() else {"ic": "loo", "scale": "log"}))
    return {name: float(table.loc[name, "weight"]) for name in densities}


def _loo(density: np.ndarray) -> Any:
    """ArviZ's PSIS-LOO of log likelihoods alone."""
    arviz = _arviz()
    coords = {d: np.arange(n) for d, n in zip((*SAMPLE, "block"), density.shape, strict=True)}
    groups = {
        "posterior": xr.Dataset({"placeholder": (SAMPLE, np.zeros(density.shape[:2]))}),
        "log_likelihood": xr.Dataset({"block_energy": ((*SAMPLE, "block"), density)}),
    }
    tree = xr.DataTree.from_dict(
        {k: g.assign_coords({str(d): coords[str(d)] for d in g.sizes}) for k, g in groups.items()}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        # Particles are taken as independent: their order is not that of a Markov chain.
        scale = {} if _is_new() else {"scale": "log"}
        return arviz.loo(_native(tree), pointwise=True, var_name="block_energy", reff=1.0, **scale)


def _native(tree: xr.DataTree) -> Any:
    """A tree in the type of the installed ArviZ."""
    return tree if _is_new() else _arviz().from_datatree(tree)


def _is_new() -> bool:
    """Whether ArviZ 1 or later is installed."""
    return int(_arviz().__version__.split(".")[0]) >= 1


def _arviz() -> Any:
    """The installed ArviZ, without the announcement of ArviZ 1 that 0.x makes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        import arviz
    return arviz
