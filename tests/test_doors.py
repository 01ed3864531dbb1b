"""Every public function and class: wrong values of each argument, all others right, are refused by our errors alone.

A new public name joins by one line in the table of right arguments.
"""

import dataclasses
import inspect
import math
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from test_settings import leaves

import bayespde as bp
from bayespde.core.annotations import fits, hints_of
from bayespde.core.checked import Checked
from bayespde.results import figures

T, X = np.linspace(0, 3, 31), 2 * np.pi * np.arange(32) / 32


class World:
    """One small problem, from its field to a forecast."""

    def __init__(self):
        x = X[None]
        clean = sum(np.exp(-0.3 * k**2 * T[:, None]) * np.sin(k * x + k) for k in (1, 2))
        self.field = bp.make_field(clean + 0.01 * np.random.default_rng(0).standard_normal(clean.shape), t=T, x=X)
        self.library = bp.Library.from_strings(["u", "u_x", "u_xx", "u*u_x"])
        self.smooth = bp.fit_field(self.field)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.statistics = bp.assemble(self.library, self.smooth, form=bp.StrongForm(power=0.1))
        self.model = bp.SpinModel(self.statistics, self.library)
        self.posterior = bp.sample(self.model, particles=64, runs=2, seed=1, enumerate_up_to=10)
        self.discovery = bp.Discovery(self.smooth, self.posterior, self.posterior, self.model)
        self.frame = self.field.isel(time=0, drop=True)
        self.times = [0.0, 0.1, 0.2]
        self.ahead = bp.forecast(self.posterior, self.smooth, T[-4:], draws=4, boundary="periodic")
        self.scores = bp.verify_forecast(self.ahead, self.field)
        self.equation = bp.Equation.from_string("u_t = 0.3*u_xx")


@cache
def world():
    return World()


def program(data=None):
    import pyro
    import pyro.distributions as dist

    spins = pyro.sample("spins", dist.Bernoulli(torch.full((2,), 0.5)).to_event(1))
    pyro.factor("fit", spins.sum(-1))


VIDEO = {"values": np.random.default_rng(0).random((8, 9)), "t": np.arange(8.0), "x": np.arange(9.0)}
SCATTERED = {"values": np.random.default_rng(0).random(120), "t": np.arange(120.0), "x": np.arange(120.0)}
TABLE = {"a": np.random.default_rng(1).random(40), "b": np.arange(40.0), "y": np.arange(40) % 3 == 0}
ROWS = {"design": np.random.default_rng(0).random((40, 3)), "target": np.arange(40.0)}
# Right arguments by public name; those that are left out have defaults. "!" marks what takes long once it begins.
RIGHT = {
    "CoupledDiscovery!": lambda w: {"parts": {}},
    "CoupledEquations": lambda w: {"equations": (w.equation,)},
    "Coupling": lambda w: {"first": "u", "second": "u_x"},
    "DiscoverConfig": lambda w: {},
    "Discovery": lambda w: {
        "smooth": w.smooth,
        "posterior": w.posterior,
        "weak_posterior": w.posterior,
        "model": w.model,
    },
    "Equation": lambda w: {"terms": w.equation.terms, "coefficients": (0.3,)},
    "ForecastConfig": lambda w: {},
    "GPriorSlab": lambda w: {},
    "HyperGSlab": lambda w: {},
    "IsotropicSlab": lambda w: {},
    "Library": lambda w: {"terms": w.library.terms},
    "Posterior": lambda w: {f.name: getattr(w.posterior, f.name) for f in dataclasses.fields(w.posterior)},
    "Prior": lambda w: {},
    "ProcessNoise": lambda w: {
        "equation": w.equation,
        "covariance": np.eye(1),
        "size": 0.1,
        "interval": (0.0, 0.2),
        "share": 0.01,
        "log_evidence_gain": 0.0,
        "states": w.field,
        "converged": True,
        "steps": 3,
    },
    "ProfileLikelihood": lambda w: {},
    "Progress": lambda w: {},
    "PyroTarget": lambda w: {"program": program},
    "SMCConfig": lambda w: {},
    "SimulationSpec": lambda w: {
        "equation": "u_t = u_xx",
        "extent": {"x": 6.0},
        "points": {"x": 16},
        "initial": {"kind": "sine_waves"},
        "times": {"start": 0.0, "stop": 1.0, "frames": 5},
    },
    "SmoothField": lambda w: {f.name: getattr(w.smooth, f.name) for f in dataclasses.fields(w.smooth)},
    "SmoothingConfig": lambda w: {},
    "SolverConfig": lambda w: {},
    "SpinModel": lambda w: {"statistics": w.statistics, "library": w.library},
    "SpinSMC": lambda w: {"program": program},
    "StrongForm": lambda w: {},
    "SufficientStatistics": lambda w: {f.name: getattr(w.statistics, f.name) for f in dataclasses.fields(w.statistics)},
    "TemperedGibbsConfig": lambda w: {},
    "TrajectoryConfig": lambda w: {},
    "TrajectoryPosterior": lambda w: {
        "posterior": w.posterior,
        "trajectories": (),
        "probability": np.zeros(0),
        "failed": (),
        "config": bp.TrajectoryConfig(),
        "noise": bp.core.noise.NoiseModel(0.1),
    },
    "TrajectorySearchConfig": lambda w: {},
    "WeakForm": lambda w: {},
    "ZellnerSiowSlab": lambda w: {},
    "add_noise": lambda w: {"field": w.field, "level": 0.1, "seed": 0},
    "assemble!": lambda w: {"library": w.library, "smooth": w.smooth},
    "between_run_diagnostics": lambda w: {"posterior": w.posterior},
    "compare": lambda w: {"posteriors": {"a": w.posterior}},
    "diagnose": lambda w: {"posterior": w.posterior},
    "differentiate": lambda w: {"smooth": w.smooth},
    "discover!": lambda w: {"field": w.field},
    "enumerate_models": lambda w: {"model": w.model},
    "equations": lambda w: {"posterior": w.posterior},
    "errors_in_variables_estimate": lambda w: {"posterior": w.posterior},
    "fit_field!": lambda w: {"field": w.field},
    "fit_process_noise!": lambda w: {"equation": w.equation, "data": w.smooth},
    "fit_trajectories!": lambda w: {"posterior": w.posterior, "data": w.smooth},
    "forecast": lambda w: {"posterior": w.posterior, "start": w.frame, "times": w.times},
    "format_comparison": lambda w: {"table": bp.compare({"a": w.posterior})},
    "format_scores": lambda w: {"scores": w.scores},
    "from_inference_data": lambda w: {"source": bp.to_inference_data(w.posterior)},
    "genealogy": lambda w: {"posterior": w.posterior},
    "generalised_linear": lambda w: {"data": TABLE, "formula": "y"},
    "inclusion_bayes_factors": lambda w: {"posterior": w.posterior},
    "integrate": lambda w: {"equation": w.equation, "start": w.frame, "times": w.times},
    "isotropic_couplings": lambda w: {"library": w.library},
    "joint_inclusion": lambda w: {"posterior": w.posterior},
    "leave_block_out_elpd": lambda w: {"posterior": w.posterior},
    "log_posterior_odds": lambda w: {"model": w.model, "first": ["u_xx"], "second": ["u"]},
    "make_field": lambda w: VIDEO,
    "make_scattered": lambda w: SCATTERED,
    "model_checks": lambda w: {"posterior": w.posterior},
    "named_library": lambda w: {"name": "original_1d"},
    "pareto_front": lambda w: {"posterior": w.posterior},
    "polynomial_library": lambda w: {},
    "power_scaling_sensitivity": lambda w: {"posterior": w.posterior},
    "read_field": lambda w: {"path": "no_such_file.nc"},
    "regression_statistics": lambda w: {"data": TABLE, "formula": "y"},
    "report!": lambda w: {"found": "no_such_folder"},
    "sample!": lambda w: {"model": w.model},
    "scattered_from_video": lambda w: {"video": w.field},
    "select_field": lambda w: {"forecast": w.ahead.assign_attrs(fields=["u"], noise_scale=[0.1]), "field": "u"},
    "simulate!": lambda w: {"spec": bp.SimulationSpec(**RIGHT["SimulationSpec"](w))},
    "system_library": lambda w: {"variables": ["u", "v"], "target": "u_t"},
    "tempering_history": lambda w: {"posterior": w.posterior},
    "to_inference_data": lambda w: {"posterior": w.posterior},
    "top_models": lambda w: {"posterior": w.posterior},
    "track_front": lambda w: {"frames": w.field},
    "validate_field": lambda w: {"field": w.field},
    "verify_forecast": lambda w: {"forecast": w.ahead, "observed": w.field},
    "verify_front_position": lambda w: {"forecast": w.ahead, "observed": w.field},
    "figures.animate_forecast!": lambda w: {"forecast": w.ahead, "path": "no/such/folder.gif"},
    "figures.figure_bytes": lambda w: {"figure": figures.plot_inclusion(w.posterior), "kind": "png"},
    "figures.middle_slice": lambda w: {"values": w.field.values[None]},
    "figures.plot_coefficients": lambda w: {"posterior": w.posterior},
    "figures.plot_derivatives": lambda w: {"derivatives": bp.differentiate(w.smooth), "field": w.field},
    "figures.plot_field": lambda w: {"field": w.field, "derivatives": bp.differentiate(w.smooth)},
    "figures.plot_forecast": lambda w: {"forecast": w.ahead},
    "figures.plot_genealogy": lambda w: {"posterior": w.posterior},
    "figures.plot_inclusion": lambda w: {"posterior": w.posterior},
    "figures.plot_joint_inclusion": lambda w: {"posterior": w.posterior},
    "figures.plot_pareto": lambda w: {"front": bp.pareto_front(w.posterior)},
    "figures.plot_runs": lambda w: {"posterior": w.posterior},
    "figures.plot_scores": lambda w: {"scores": w.scores},
    "figures.plot_smoothing": lambda w: {"observed": w.field, "smooth": w.field},
    "figures.plot_tempering_history": lambda w: {"posterior": w.posterior},
    "figures.plot_top_models": lambda w: {"posterior": w.posterior},
    "figures.save_figure": lambda w: {"figure": figures.plot_inclusion(w.posterior), "path": "no/such/folder.png"},
}
SLAB_METHODS = ("mixture", "ridge")
# Objects whose methods are called.
OBJECTS = {
    "CoupledDiscovery": lambda w: bp.CoupledDiscovery(parts={"u": w.discovery}),
    "Discovery": lambda w: w.discovery,
    "Library": lambda w: w.library,
    "Posterior": lambda w: w.posterior,
    "Progress": lambda w: bp.Progress(),
    "PyroTarget": lambda w: bp.PyroTarget(program),
    "SmoothField": lambda w: w.smooth,
    "SmoothingConfig": lambda w: bp.SmoothingConfig(),
    "SolverConfig": lambda w: bp.SolverConfig(),
    "SpinModel": lambda w: w.model,
    "SpinSMC": lambda w: bp.SpinSMC(program),
    "SufficientStatistics": lambda w: w.statistics,
}
# Right arguments of methods and of constructors by class methods.
METHODS = {
    "CoupledDiscovery.forecast": lambda w: {"times": w.times},
    "CoupledDiscovery.forecast_holdout!": lambda w: {},
    "CoupledEquations.from_strings": lambda w: {"texts": ["u_t = u_xx"]},
    "DiscoverConfig.from_mapping": lambda w: {"settings": {}},
    "Discovery.derivatives!": lambda w: {},
    "Discovery.equations": lambda w: {},
    "Discovery.forecast": lambda w: {"times": w.times},
    "Discovery.forecast_holdout!": lambda w: {},
    "Discovery.report!": lambda w: {},
    "Discovery.smoothed_by!": lambda w: {"smoother": "spline"},
    "Equation.from_library": lambda w: {"library": w.library, "coefficients": np.arange(4.0)},
    "Equation.from_string": lambda w: {"text": "u_t = u_xx"},
    "Library.chosen": lambda w: {"on": np.array([True, False, False, True])},
    "Library.columns": lambda w: {"names": ["age", "dose"]},
    "Library.from_strings": lambda w: {"terms": ["u", "u_x"]},
    "Library.index": lambda w: {"name": "u_x"},
    "Library.spins": lambda w: {"names": ["u_x"]},
    "Posterior.inclusion_estimate": lambda w: {"estimator": "rao_blackwell"},
    "Progress.of": lambda w: {"progress": True},
    "Progress.say": lambda w: {"line": "a line"},
    "Progress.within": lambda w: {"seconds": 3.0},
    "PyroTarget.log_likelihood": lambda w: {"spins": torch.ones(3, 2, dtype=torch.bool)},
    "PyroTarget.log_prior": lambda w: {"spins": torch.ones(3, 2, dtype=torch.bool)},
    "PyroTarget.values": lambda w: {"spins": torch.ones(3, 2, dtype=torch.bool)},
    "PyroTarget.sample_prior": lambda w: {"particles": 3, "generator": torch.Generator()},
    "SimulationSpec.from_mapping": lambda w: {"settings": RIGHT["SimulationSpec"](w)},
    "SmoothField.at_points": lambda w: {"orders": (0, 1), "points": np.ones((3, 2))},
    "SmoothField.draw": lambda w: {"seed": 0},
    "SmoothField.evaluate": lambda w: {"orders": (0, 1)},
    "SmoothField.evaluate_all": lambda w: {"orders": [(0, 1)]},
    "SmoothField.evaluate_frames": lambda w: {"orders": [(0, 1)], "frames": [0]},
    "SmoothField.standard_deviation": lambda w: {"orders": [(0, 1)]},
    "SmoothingConfig.total_variation": lambda w: {},
    "SolverConfig.from_mapping": lambda w: {"settings": {}},
    "SolverConfig.with_boundary": lambda w: {"boundary": "periodic"},
    "SpinModel.draw": lambda w: {"spins": torch.ones(3, 4, dtype=torch.bool), "generator": torch.Generator()},
    "SpinModel.log_likelihood": lambda w: {"spins": torch.ones(3, 4, dtype=torch.bool)},
    "SpinModel.log_prior": lambda w: {"spins": torch.ones(3, 4, dtype=torch.bool)},
    "SpinModel.sample_prior": lambda w: {"particles": 3, "generator": torch.Generator()},
    "SpinSMC.get_samples!": lambda w: {},
    "SufficientStatistics.block_residuals": lambda w: {"coefficients": np.ones(4)},
    "SufficientStatistics.from_dataset": lambda w: {"dataset": w.statistics.to_dataset()},
    "SufficientStatistics.from_rows": lambda w: ROWS,
    "SufficientStatistics.least_squares": lambda w: {"spins": np.array([True, False, False, True])},
    "SufficientStatistics.select": lambda w: {"names": ["u"]},
}
# Methods that the package calls with values of its own.
OF_THE_PACKAGE = {
    *(
        f"{slab}.{m}"
        for slab in ("GPriorSlab", "HyperGSlab", "IsotropicSlab", "ProfileLikelihood", "ZellnerSiowSlab")
        for m in SLAB_METHODS
    ),
    *("DiscoverConfig.recorded_smoothing", "ForecastConfig.method", "Prior.of_spins", "Progress.bar", "SpinSMC.run"),
    *("SpinModel.log_evidence_given", "SpinModel.solve", "TrajectoryConfig.from_record"),
}
NOT_CALLED = {"BayespdeError", "__version__", "figures", "smc"}
WRONG = [None, "no such thing", 3, -1, 2.5, math.nan, [], ["a"], [None], {}, {"a": 1}, (), object(), 1j, True, b"u"]
WRONG += [np.ones(3), np.ones((2, 2)), np.array("u"), pd.DataFrame({"a": [1.0]}), xr.Dataset(), xr.DataArray(1.0)]
WRONG += [lambda: None, int, np.datetime64("2020"), 10**400]


def public(name):
    """A public function, class or bound method."""
    first, _, second = name.rstrip("!").partition(".")
    if first in OBJECTS and second and name in METHODS:
        return getattr(OBJECTS[first](world()), second)
    return getattr(getattr(bp, first), second) if second else getattr(bp, first)


def test_every_public_name_has_its_right_arguments():
    callables = {n for n in bp.__all__ if n not in NOT_CALLED}
    plots = {f"figures.{n}" for n in figures.__all__ if callable(getattr(figures, n))}
    assert {name.rstrip("!") for name in RIGHT} == callables | plots


def test_every_public_method_has_its_right_arguments():
    with_arguments = {
        f"{name}.{method}"
        for name in bp.__all__
        if isinstance(getattr(bp, name), type) and name != "BayespdeError"
        for method, found in inspect.getmembers(getattr(bp, name), callable)
        if not method.startswith("_") and found.__module__.startswith("bayespde.")
        if set(inspect.signature(found).parameters) - {"self"}
    }
    assert {name.rstrip("!") for name in METHODS} == with_arguments - OF_THE_PACKAGE


def hints(found):
    return hints_of(found.__init__ if isinstance(found, type) and not issubclass(found, Checked) else found)


def parameters(found):
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [n for n, p in inspect.signature(found).parameters.items() if p.kind not in kinds]


def assert_refused_or_taken(found, arguments, is_accepted, call):
    """Our error with all of its parts, or no error if the annotation allows the value; never another error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found(**arguments)
        except bp.BayespdeError as error:
            parts = (error.what, error.wanted, error.fix)
        except Exception as error:
            raise AssertionError(f"{call}: {type(error).__name__}: {error}") from error
        else:
            assert is_accepted, f"{call} was accepted"
            return
    assert all(parts), call
    assert parts[0].endswith("."), call


@pytest.mark.parametrize("name", RIGHT | METHODS)
def test_wrong_arguments_are_refused_at_the_door(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, right = public(name), (RIGHT | METHODS)[name](world())
    annotations, tried = hints(found), 0
    for parameter in parameters(found):
        for value in WRONG:
            same = tuple(value) if isinstance(value, list) else value
            is_accepted = parameter in annotations and any(fits(v, annotations[parameter]) for v in (value, same))
            if is_accepted and name.endswith("!"):
                continue
            assert_refused_or_taken(found, right | {parameter: value}, is_accepted, f"{name}({parameter}={value!r})")
            tried += 1
    assert tried >= len(parameters(found))


def test_numbers_of_public_functions_have_ranges():
    """But seeds, which are checked where they are used."""
    bare = [
        (name, parameter)
        for name in RIGHT | METHODS
        for parameter, hint in hints(public(name)).items()
        if parameter not in ("return", "seed") and not isinstance(public(name), type)
        for leaf, rules in leaves(hint)
        if leaf in (int, float) and not rules
    ]
    assert bare == []
