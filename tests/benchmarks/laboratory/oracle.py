"""A known equation and noise -> what the pixels say at best, beside what rows and trajectories say.

The oracle knows the likelihood of the pixels: the equation integrated from an unknown state, which is integrated over.
It compares the true terms with every change of one term. The bound is that of Cramér and Rao at the true coefficients
and state.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

import bayespde as bp
from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.errors import BayespdeError
from bayespde.core.noise import NoiseModel
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.fit_trajectories import trajectory_data
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory, initial_state
from bayespde.trajectory.problem import TrajectoryProblem
from bayespde.trajectory.trajectory import Trajectory
from laboratory.experiments import LIBRARY
from laboratory.known import clean
from laboratory.measure import SAMPLER, SPLINE

CONFIG = TrajectoryConfig()


class Case:
    """One noisy field of a known equation, its rows, and trajectories of any terms.

    Attributes:
        truth: Coefficient by term.
        true: True spins.
        statistics: The rows.
    """

    def __init__(self, name: str, noise: float, seed: int) -> None:
        self.clean, self.truth = clean(name)
        self.field = bp.add_noise(self.clean, noise, seed=seed)
        self.true = LIBRARY.spins(list(self.truth))
        self.smooth: SmoothField = bp.fit_field(self.field, options=SPLINE)
        self.statistics = bp.assemble(LIBRARY, self.smooth)
        self.data = trajectory_data(self.smooth)

    @property
    def wanted(self) -> np.ndarray:
        """True coefficients in the order of the library."""
        return np.array([self.truth[n] for n in LIBRARY.names if n in self.truth])

    def trajectory(self, spins: np.ndarray) -> Trajectory | None:
        """Of a set of terms, begun at the coefficients that the rows give them; None if there is none."""
        begin = bp.Equation(LIBRARY.chosen(spins).terms, tuple(self.statistics.least_squares(spins)[spins]), "u_t", "u")
        try:
            return fit_trajectory(begin, self.data, config=CONFIG)
        except BayespdeError:
            return None

    def bound(self) -> np.ndarray:
        """Cramér-Rao bound of the standard deviations of the true coefficients."""
        equation = bp.Equation(LIBRARY.chosen(self.true).terms, tuple(self.wanted), "u_t", "u")
        return cramer_rao(self.data, equation, self.clean.values[0], noise=self.data.noise.rms)


def cramer_rao(data: TrajectoryData, equation: bp.Equation, first_frame: np.ndarray, *, noise: float) -> np.ndarray:
    """Standard deviations of coefficients by the Fisher information of all pixels at the true coefficients and state.

    The initial state has the prior of a fit; slopes are taken at all points.
    """
    _, basis = initial_state(data, CONFIG)
    problem = TrajectoryProblem.of(equation, replace(data, noise=NoiseModel(noise)), basis, CONFIG.method)
    while (finer := problem.finer()) is not None:
        problem = finer.with_own_slopes()
    curvature = problem.slopes(problem.start(first_frame)).curvature
    covariance = np.linalg.inv(curvature + np.diag(problem.prior()))
    return np.sqrt(np.diag(covariance))[: problem.terms] * problem.scale


def coefficients(name: str, noise: float, seed: int) -> dict[str, Any]:
    """Errors of rows and trajectory given the true terms, and the bound."""
    case = Case(name, noise, seed)
    by_rows = CoefficientPosterior.of(case.statistics, case.true)
    rows, rows_sd = by_rows.mean, by_rows.sd
    start = time.process_time()
    found = case.trajectory(case.true)
    seconds = time.process_time() - start
    result = {
        "terms": [n for n in LIBRARY.names if n in case.truth],
        "truth": case.wanted.tolist(),
        "rows": rows.tolist(),
        "rows_sd": rows_sd.tolist(),
        "bound": case.bound().tolist(),
        "seconds": seconds,
    }
    if found is None:
        return result | {"trajectory": None}
    return result | {
        "trajectory": list(found.equation.coefficients),
        "trajectory_sd": found.sd.tolist(),
        "converged": found.converged,
        "cycle_skipping": found.cycle_skipping,
    }


def odds(name: str, noise: float, seed: int) -> dict[str, Any]:
    """Log odds of every term given the others right: of its own trajectory, of all terms along one, and of the rows.

    The oracle fits every equation that differs from the truth in one term; one without a trajectory has no odds. Ours
    is what `discover` would say: by the pixels where they are trusted, else by the rows.
    """
    case = Case(name, noise, seed)
    rows = bp.sample(bp.SpinModel(case.statistics, LIBRARY), config=SAMPLER, enumerate_up_to=len(LIBRARY), seed=0)
    refined = bp.fit_trajectories(rows, case.smooth, search=bp.TrajectorySearchConfig(sampler=SAMPLER))
    ours = refined.posterior if refined.is_trusted else rows
    logits = bp.Prior().of_spins(LIBRARY.complexities).fields
    at_truth = case.trajectory(case.true)
    result = {}
    for k, term in enumerate(LIBRARY.names):
        flipped = case.true.copy()
        flipped[k] = not flipped[k]
        sign = 1 if case.true[k] else -1
        other = case.trajectory(flipped) if flipped.any() else None
        best = None
        if at_truth is not None and other is not None:
            best = sign * (at_truth.log_evidence - other.log_evidence) + float(logits[k])
        pair = np.stack([case.true, flipped])
        given = [bp.SpinModel(p.statistics, LIBRARY) for p in (rows, ours)]
        result[term] = {
            "true": bool(case.true[k]),
            "pixels": best,
            "rows": float(np.diff(_log_posterior(given[0], pair))[0]) * -sign,
            "ours": float(np.diff(_log_posterior(given[1], pair))[0]) * -sign,
            "inclusion": float(ours.inclusion_probability[k]),
            "by_rows": float(rows.inclusion_probability[k]),
        }
    chosen = ours.exact.spins[np.argmax(ours.exact.probability)]
    tpr = float((chosen & case.true).sum() / (chosen | case.true).sum())
    return {"terms": result, "tpr": tpr, "trusted": refined.is_trusted}


def _log_posterior(model: bp.SpinModel, spins: np.ndarray) -> np.ndarray:
    import torch

    given = torch.from_numpy(spins)
    return (model.log_prior(given) + model.log_likelihood(given)).numpy()
