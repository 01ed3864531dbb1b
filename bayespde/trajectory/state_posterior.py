"""Normal posterior of a trajectory -> draws of its coefficients and initial state, in memory or read from a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import xarray as xr


@dataclass(frozen=True, eq=False)
class StatePosterior:
    """Joint posterior of the coefficients and the initial state of one equation, normal around the mode.

    Coefficients have the covariance of the trajectory, from which the noise of its waves is left out; given them, modes
    and displacements are normal as in the problem linearised at the mode.

    Attributes:
        parameters: At the mode, `[n]`, standardised: coefficients first, then modes of the state, then displacements.
        scale: Of the coefficients, `[k]`, physical units.
        covariance: Of the coefficients, `[k, k]`, physical units.
        precision: Of all parameters at the mode, standardised, `[n, n]`.
        modes: Of the initial state times their prior deviations, `[points, m]`, units of the field.
        shape: Points of the domain per dimension of space.
    """

    parameters: np.ndarray
    scale: np.ndarray
    covariance: np.ndarray
    precision: np.ndarray
    modes: np.ndarray
    shape: tuple[int, ...]

    def draw(self, draws: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw coefficients and initial states together.

        Args:
            draws: Number of draws.
            random: Source of randomness.

        Returns:
            Coefficients `[draws, k]`, physical units, and states over the whole domain `[draws, *domain]`.
        """
        terms, waves = len(self.scale), self.modes.shape[1]
        moved = random.multivariate_normal(np.zeros(terms), self.covariance, size=draws, method="cholesky") / self.scale
        others = scipy.linalg.cholesky(self.precision[terms:, terms:], lower=True)
        mean = -scipy.linalg.cho_solve((others, True), self.precision[terms:, :terms] @ moved.T)
        deviation = scipy.linalg.solve_triangular(others.T, random.standard_normal((len(others), draws)))
        drawn = self.parameters[terms:, None] + mean + deviation
        states = (self.modes @ drawn[:waves]).T.reshape(draws, *self.shape)
        return (self.parameters[:terms] + moved) * self.scale, states

    def to_dataset(self) -> xr.Dataset:
        """A dataset that netCDF can hold."""
        return xr.Dataset(
            {
                "parameters": ("parameter", self.parameters),
                "scale": ("coefficient", self.scale),
                "covariance": (("coefficient", "coefficient_other"), self.covariance),
                "precision": (("parameter", "parameter_other"), self.precision),
                "modes": (("mode", "point"), self.modes.T),
            },
            attrs={"domain": np.array(self.shape)},
        )

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> StatePosterior:
        """Read back what `to_dataset` wrote, bit for bit."""
        arrays = {name: dataset[name].values for name in ("parameters", "scale", "covariance", "precision")}
        # Transposed as it was written: products of one draw differ in the last bit with the order in memory.
        modes, shape = dataset["modes"].values.T, np.atleast_1d(dataset.attrs["domain"])
        return cls(**arrays, modes=modes, shape=tuple(map(int, shape)))
