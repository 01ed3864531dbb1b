"""bayespde: find the partial differential equation behind a video, and say how sure it is.

A field (an `xarray.DataArray`) becomes a `SmoothField`, then `SufficientStatistics`, a `SpinModel`, a `Posterior`, and
answers: equations, inclusion probabilities, figures, forecasts. `discover` does all of it. Public names are imported on
first use, so that `import bayespde` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "bayespde.core.coupled": "CoupledEquations",
    "bayespde.core.equation": "Equation Library",
    "bayespde.core.errors": "BayespdeError",
    "bayespde.core.field": "add_noise make_field validate_field",
    "bayespde.core.posterior": "Posterior",
    "bayespde.core.progress": "Progress",
    "bayespde.core.scattered": "make_scattered scattered_from_video",
    "bayespde.core.statistics": "SufficientStatistics",
    "bayespde.discovery.config": "DiscoverConfig",
    "bayespde.discovery.coupled": "CoupledDiscovery",
    "bayespde.discovery.discover": "discover",
    "bayespde.discovery.discovery": "Discovery",
    "bayespde.discovery.report": "report",
    "bayespde.forecasting.coupled": "select_field",
    "bayespde.forecasting.forecast": "forecast",
    "bayespde.forecasting.config": "ForecastConfig",
    "bayespde.io.read": "read_field",
    "bayespde.library.candidates": "named_library polynomial_library system_library",
    "bayespde.library.regression": "regression_statistics",
    "bayespde.model.couplings": "Coupling isotropic_couplings",
    "bayespde.model.generalised_linear": "generalised_linear",
    "bayespde.model.odds": "log_posterior_odds",
    "bayespde.model.prior": "Prior",
    "bayespde.core.slabs": "GPriorSlab HyperGSlab IsotropicSlab ProfileLikelihood ZellnerSiowSlab",
    "bayespde.model.pyro_target": "PyroTarget",
    "bayespde.model.spin": "SpinModel",
    "bayespde.results.arviz_bridge": "to_inference_data",
    "bayespde.results.bayes_factors": "inclusion_bayes_factors",
    "bayespde.results.checks": "model_checks",
    "bayespde.results.compare": "compare format_comparison",
    "bayespde.results.diagnose": "diagnose",
    "bayespde.results.diagnostics": "between_run_diagnostics",
    "bayespde.results.elpd": "leave_block_out_elpd",
    "bayespde.results.equations": "equations",
    "bayespde.results.errors_in_variables": "errors_in_variables_estimate",
    "bayespde.results.forecast_verification": "format_scores verify_forecast",
    "bayespde.results.front_position": "track_front verify_front_position",
    "bayespde.results.inference_data": "from_inference_data",
    "bayespde.results.pareto": "pareto_front",
    "bayespde.results.power_scaling": "power_scaling_sensitivity",
    "bayespde.results.tempering_history": "genealogy tempering_history",
    "bayespde.results.top_models": "joint_inclusion top_models",
    "bayespde.smc.config": "SMCConfig TemperedGibbsConfig",
    "bayespde.smooth.config": "SmoothingConfig",
    "bayespde.smooth.differentiate": "differentiate",
    "bayespde.smooth.fit": "fit_field",
    "bayespde.smooth.smooth_field": "SmoothField",
    "bayespde.solve.config": "SolverConfig",
    "bayespde.solve.integrate": "integrate",
    "bayespde.solve.simulate": "SimulationSpec simulate",
    "bayespde.stages.assemble": "assemble",
    "bayespde.stages.fit_process_noise": "ProcessNoise fit_process_noise",
    "bayespde.stages.fit_trajectories": "TrajectoryPosterior TrajectorySearchConfig fit_trajectories",
    "bayespde.stages.sample": "enumerate_models sample",
    "bayespde.stages.spin_smc": "SpinSMC",
    "bayespde.trajectory.config": "TrajectoryConfig",
    "bayespde.weak.config": "WeakForm",
    "bayespde.weak.strong_form": "StrongForm",
}
_MODULES = {"figures": "bayespde.results.figures", "smc": "bayespde.smc"}
_NAMES = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted([*_NAMES, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    else:
        raise AttributeError(f"module 'bayespde' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
