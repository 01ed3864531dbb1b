"""bayespde: find the partial differential equation behind a video, and say how sure it is."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "add_noise": "bayespde.core.field",
    "check_field": "bayespde.core.field",
    "make_field": "bayespde.core.field",
    "read_field": "bayespde.core.field_files",
    "read_fields": "bayespde.core.field_files",
    "make_samples": "bayespde.core.samples",
    "samples_of": "bayespde.core.samples",
    "Equation": "bayespde.core.equation",
    "Library": "bayespde.core.equation",
    "SufficientStatistics": "bayespde.core.statistics",
    "Posterior": "bayespde.core.posterior",
    "BayespdeError": "bayespde.core.errors",
    "Smoothing": "bayespde.smooth.fit",
    "fit_field": "bayespde.smooth.fit",
    "differentiate": "bayespde.smooth.differentiate",
    "SmoothField": "bayespde.smooth.smooth_field",
    "polynomial_library": "bayespde.library.candidates",
    "named_library": "bayespde.library.candidates",
    "assemble": "bayespde.row_stage",
    "Weak": "bayespde.library.choose",
    "Strong": "bayespde.library.strong",
    "SpinModel": "bayespde.model.spin",
    "Prior": "bayespde.config",
    "HyperGSlab": "bayespde.model.priors",
    "GPriorSlab": "bayespde.model.priors",
    "IsotropicSlab": "bayespde.model.priors",
    "PlugInSlab": "bayespde.model.priors",
    "PyroTarget": "bayespde.model.pyro_target",
    "Coupling": "bayespde.model.couplings",
    "isotropic_couplings": "bayespde.model.couplings",
    "integrate": "bayespde.solve",
    "Method": "bayespde.solve.method",
    "TrajectoryConfig": "bayespde.solve.trajectory",
    "simulate": "bayespde.solve",
    "SimulationSpec": "bayespde.solve",
    "DiscoverConfig": "bayespde.config",
    "SMCConfig": "bayespde.smc",
    "TemperedGibbsConfig": "bayespde.smc",
    "sample": "bayespde.sampling",
    "enumerate_models": "bayespde.sampling",
    "discover": "bayespde.pipeline",
    "discover_system": "bayespde.pipeline",
    "SystemDiscovery": "bayespde.systems",
    "System": "bayespde.core.system",
    "system_library": "bayespde.library.candidates",
    "diagnose": "bayespde.results.diagnose",
    "run_agreement": "bayespde.results.diagnostics",
    "configuration_table": "bayespde.results.configurations",
    "co_inclusion": "bayespde.results.configurations",
    "tempering_ladder": "bayespde.results.ladder",
    "genealogy": "bayespde.results.ladder",
    "refine": "bayespde.refinement",
    "report": "bayespde.reporting",
    "predict": "bayespde.prediction",
    "predict_system": "bayespde.system_prediction",
    "one_of_system": "bayespde.system_prediction",
    "Forecast": "bayespde.starts",
    "score_prediction": "bayespde.results.foretold",
    "describe_scores": "bayespde.results.foretold",
    "score_front": "bayespde.results.foretold",
    "front_positions": "bayespde.results.foretold",
    "power_scaling": "bayespde.sensitivity",
    "Discovery": "bayespde.discovery",
    "equations": "bayespde.results.equations",
    "check_fit": "bayespde.results.checks",
    "second_estimate": "bayespde.results.second",
    "compare": "bayespde.results.compare",
    "format_comparison": "bayespde.results.compare",
    "log_posterior_odds": "bayespde.model.odds",
    "block_elpd": "bayespde.results.elpd",
    "inclusion_bayes_factors": "bayespde.results.bayes_factors",
    "pareto_front": "bayespde.results.pareto",
    "to_inference_data": "bayespde.results.arviz_bridge",
    "from_inference_data": "bayespde.results.inference_data",
    "figures": "bayespde.results.figures",
    "SpinSMC": "bayespde.inference",
    "smc": "bayespde.smc",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562), so that `import bayespde` costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'bayespde' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = getattr(module, name) if name not in ("figures", "smc") else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
