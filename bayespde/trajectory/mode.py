"""A trajectory problem + parameters -> the mode of its posterior, and the same without the noise of its waves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayespde.trajectory.linearised import Linearised
from bayespde.trajectory.problem import TrajectoryProblem
from bayespde.trajectory.whiteness import whiteness_score


@dataclass(frozen=True, eq=False)
class Mode:
    """Where the posterior of a trajectory is largest.

    Attributes:
        problem: With slopes as accurate as they had to be.
        parameters: At the mode, `[n]`.
        residual: In units of the noise, `[time, pixels]`.
        around: The problem linearised there.
        converged: Whether the objective had stopped changing.
        steps: Gauss-Newton steps that were taken.
    """

    problem: TrajectoryProblem
    parameters: np.ndarray
    residual: np.ndarray
    around: Linearised
    converged: bool
    steps: int

    @cached_property
    def whiteness_score(self) -> float:
        """Score by which the residual is slower than noise."""
        return whiteness_score(self.residual, self.problem.observation.window)

    @cached_property
    def denoised_parameters(self) -> np.ndarray:
        """Parameters with waves of the state as large as they are without their noise, `[n]`.

        The information of a wave about coefficients grows with its square, and the square of a fitted wave is that of
        the wave plus the variance of its error. Where waves turn or decay quickly, many that are mostly noise would
        seem to hold more information than all others.
        """
        problem = self.problem
        # Where only a window is observed, the uncertainty of the state beyond it is no noise.
        whole = problem.whole_domain()
        curvature = self.around.curvature if whole is problem else whole.slopes(self.parameters).curvature
        variance = np.diag(np.linalg.inv(curvature + np.diag(problem.prior())))[problem.terms : problem.shared]
        return problem.denoised(self.parameters, variance)
