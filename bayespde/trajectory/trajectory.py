"""A fitted equation, its state posterior and how it was fitted -> `Trajectory`, <-> a dataset that netCDF can hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.one_line import one_line
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.files import read_parts, write_parts
from bayespde.trajectory.mode import Mode
from bayespde.trajectory.state_posterior import StatePosterior


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Posterior of one equation given all pixels, normal around its mode.

    Attributes:
        equation: With the coefficients at the mode.
        state: Joint posterior of coefficients and initial state, for draws.
        start: Initial state at the mode, dims of space.
        fitted: Predicted pixels at the mode, as the field; NaN where missing.
        displacements: Of the frames, `[time, axis]`, physical lengths; no axis where frames do not jitter.
        noise_scale: Standard deviation of a pixel, units of the field; root mean square where it varies.
        variance: Of the residuals, in units of the variance in the noise model.
        freedom: Number of pixels less that of fitted parameters.
        log_likelihood: Of the pixels at the mode, by the noise model.
        log_evidence: The same, all parameters integrated over, with a unit-information prior on the coefficients;
            comparable between equations fitted to the same data.
        cycle_skipping: Share of the information about coefficients that comes from the noise of waves of the state,
            which the covariance leaves out. Where it is large the likelihood has many modes, of which this is one.
        converged: Whether the objective had stopped changing.
        steps: Gauss-Newton steps that were taken.
        config: How it was fitted.
        mode: The whole least-squares problem at the mode, for `linearised_rows`; None when read from a file.
    """

    equation: Equation
    state: StatePosterior
    start: xr.DataArray
    fitted: xr.DataArray
    displacements: np.ndarray
    noise_scale: float
    variance: float
    freedom: float
    log_likelihood: float
    log_evidence: float
    cycle_skipping: float
    converged: bool
    steps: int
    config: TrajectoryConfig
    mode: Mode | None = None

    def __repr__(self) -> str:
        return one_line(
            self, equation=str(self.equation), noise_scale=float(self.noise_scale), converged=self.converged
        )

    @property
    def covariance(self) -> np.ndarray:
        """Of the coefficients, `[k, k]`, physical units; initial state and displacements integrated over."""
        return self.state.covariance

    @property
    def sd(self) -> np.ndarray:
        """Standard deviations of the coefficients, `[k]`, physical units."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def time(self) -> float:
        """Of the initial state."""
        return float(self.fitted["time"].values[0])

    def known_mode(self) -> Mode:
        """The least-squares problem at the mode.

        Raises:
            ConfigError: If the trajectory was read from a file.
        """
        if self.mode is None:
            raise ConfigError(
                "The trajectory was read from a file, which does not hold its least-squares problem.",
                got="mode=None",
                wanted="a trajectory that was fitted in this session",
                fix="fit_trajectories(posterior, smooth)",
            )
        return self.mode

    def to_dataset(self) -> xr.Dataset:
        """Everything but the mode, in a dataset that netCDF can hold."""
        return write_parts(self)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Trajectory:
        """Read back what `to_dataset` wrote: equal bit for bit, without the mode.

        Raises:
            FileError: If the dataset is no trajectory.
        """
        return cls(**read_parts(dataset))
