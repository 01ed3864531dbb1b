"""All results of a discovery -> equations, Pareto front, derivatives, forecasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from bayespde.core.annotations import Count, Order, Share
from bayespde.core.checked import Checked, validated
from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.one_line import one_line
from bayespde.core.posterior import Posterior
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds
from bayespde.core.statistics import SufficientStatistics
from bayespde.discovery.config import DiscoverConfig
from bayespde.discovery.report import report
from bayespde.forecasting.forecast import forecast_discovery
from bayespde.forecasting.skill import pareto_front_with_forecast_error
from bayespde.model.spin import SpinModel
from bayespde.results.diagnose import diagnose
from bayespde.results.diagnostics import squared_residual_per_row
from bayespde.results.equations import RankedEquation, equations
from bayespde.results.errors_in_variables import format_estimates
from bayespde.results.forecast_verification import verify_forecast
from bayespde.results.pareto import pareto_front
from bayespde.smooth.config import Smoother
from bayespde.smooth.differentiate import differentiate
from bayespde.smooth.fit import fit_field
from bayespde.smooth.frame_draws import mean_field
from bayespde.smooth.scattered_observations import ScatteredObservations
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline.fit import fit_spline
from bayespde.stages.fit_trajectories import TrajectoryPosterior
from bayespde.stages.run_folder import RunFolder

# Inclusion probability from which a term is shown.
SHOWN = 0.01


@dataclass(frozen=True, eq=False)
class Discovery(Checked):
    """What `discover` found, with everything on the way to it.

    Attributes:
        smooth: The smoothed field.
        posterior: The posterior over equations, by the observation likelihood where that could be had, else by the weak
            form: `posterior.likelihood` says which, and why.
        weak_posterior: The posterior by the weak (or strong) form.
        model: The target that the posterior is of.
        trajectories: Trajectories of the leading equations; None where equations were compared by the weak form.
        folder: Where it is on disk, if anywhere.
        holdout: The held-out last frames; None if there are none.
    """

    smooth: SmoothField
    posterior: Posterior
    weak_posterior: Posterior
    model: SpinModel
    trajectories: TrajectoryPosterior | None = None
    folder: Path | None = None
    holdout: xr.DataArray | None = None

    @property
    def statistics(self) -> SufficientStatistics:
        """The sufficient statistics that the posterior is of."""
        return self.posterior.statistics

    def equations(self, *, top: Count = 10, level: Share = 0.9) -> tuple[RankedEquation, ...]:
        """The most probable equations, best first, with intervals in physical units."""
        return equations(self.posterior, top=top, level=level)

    def pareto_front(self) -> xr.Dataset:
        """Complexity against block-cross-validated error, and `forecast_error` where frames were held out.

        The forecasts are of least-squares coefficients, from the last frame of the smoothed field; the error is
        relative to the standard deviation of the held-out frames; NaN off the front, and where one blows up.
        """
        if self.holdout is None:
            return pareto_front(self.posterior)
        return pareto_front_with_forecast_error(self.posterior, self.smooth, self.holdout)

    def best(self) -> Equation:
        """The most probable equation with posterior mean coefficients."""
        return self.equations(top=1)[0].equation(self.posterior.library)

    @validated
    def derivatives(
        self,
        *,
        smoother: Smoother | None = None,
        space: Order = 2,
        time: Order = 1,
        seed: int = 0,
        progress: bool | Progress = False,
    ) -> xr.Dataset:
        """Derivatives of the field on the grid of the data, see `bayespde.differentiate`.

        Args:
            smoother: "spline" costs nothing; "network" fits the DLTVR network, which takes tens of seconds for a line
                and minutes for a plane, and gives derivatives whose error is about a third. By default the smoother of
                the discovery. In a run folder the network is kept.
            space: Highest total order of space derivatives, mixed ones included.
            time: Highest order of time derivatives.
            seed: Of the training.
            progress: Show bars.

        Returns:
            `u`, `u_t`, `u_x`, `u_xx`, ... and `<name>_sd` where they cost nothing.
        """
        return differentiate(self.smoothed_by(smoother, seed=seed, progress=progress), space=space, time=time)

    @validated
    def smoothed_by(
        self, smoother: Smoother | None, *, seed: int = 0, progress: bool | Progress = False
    ) -> SmoothField:
        """The field smoothed by another smoother, see `derivatives`; kept in the run folder if there is one."""
        chosen = smoother or self.smooth.chosen
        return smoothed_by(chosen, self.smooth, self.posterior, folder=self.folder, seed=seed, progress=progress)

    def forecast(self, times: Any, **settings: Any) -> xr.Dataset:
        """Integrate draws of the equation forward, see `bayespde.forecast`.

        With trajectories it starts at the first frame, from draws of equation and state together; else at the last
        frame of the smoothed field before `times`, and also where boundary data are given.

        Args:
            times: Strictly increasing, in the unit of the field.
            settings: Further arguments of `bayespde.forecast`: `boundary_data`, `options`, `seed`, `progress`.

        Returns:
            The forecast.
        """
        return forecast_discovery(self.posterior, self.smooth, self.trajectories, times, **settings)

    @validated
    def forecast_holdout(
        self, *, boundary_data: bool = False, seed: int = 0, **settings: Any
    ) -> tuple[xr.Dataset, xr.Dataset]:
        """Forecast the held-out frames, and verify the forecast against them, persistence and constant velocity.

        Args:
            boundary_data: Whether the smoothed edges of the held-out frames are given to the forecast.
            seed: Of all draws.
            settings: Further arguments of `bayespde.forecast`: `options`, `progress`.

        Returns:
            Forecast and scores.

        Raises:
            ConfigError: If no frames were held out.
        """
        held = self.held_out()
        seed, noise_seed = spawn_seeds(seed, 2)
        if boundary_data:
            settings["boundary_data"] = held.copy(data=fit_spline(held).evaluate((0,) * held.ndim))
        ahead = self.forecast(held["time"], seed=seed, **settings)
        return ahead, verify_forecast(ahead, held, before=mean_field(self.smooth), seed=noise_seed)

    def report(self, path: str | PathLike[str] | None = None, *, title: str | None = None) -> Path:
        """Write a self-contained HTML page: see `bayespde.report`."""
        return report(self, path, title=title)

    def held_out(self) -> xr.DataArray:
        """The held-out frames.

        Raises:
            ConfigError: If there are none.
        """
        if self.holdout is None:
            raise ConfigError(
                "No frames were held out.",
                got="holdout_frames=0",
                wanted="frames that the discovery has not used",
                fix="discover(field, holdout_frames=20)",
            )
        return self.holdout

    def to_inference_data(self) -> Any:
        """The posterior as what the installed ArviZ takes."""
        from bayespde.results.arviz_bridge import to_inference_data

        return to_inference_data(self.posterior)

    def __repr__(self) -> str:
        runs, draws, terms = self.posterior.spins.shape
        target, kind = self.posterior.library.target, self.posterior.likelihood.kind
        folder = None if self.folder is None else str(self.folder)
        facts = {"terms": terms, "runs": runs, "draws": draws, "likelihood": kind, "folder": folder}
        return one_line(self, target=target, **facts, stopped_by=self.posterior.stopped_by or None)

    def __str__(self) -> str:
        inclusion = self.posterior.inclusion_probability.to_series().round(9)
        shown = inclusion.sort_values(ascending=False, kind="stable")
        found, expected = squared_residual_per_row(self.posterior)
        return "\n".join(
            [
                f"Discovery by {self.posterior.likelihood}",
                format_estimates(self.posterior, self.equations(top=3)),
                "inclusion probability",
                *(f"{name:>14} {value:.3f}" for name, value in shown.items() if value >= SHOWN),
                f"squared residual per row {found:.2f} ({expected:.2f} expected of a correct equation)",
                str(diagnose(self.posterior)),
            ]
        )


def smoothed_by(
    smoother: str,
    smooth: SmoothField,
    posterior: Posterior,
    *,
    folder: Path | None,
    seed: int,
    progress: bool | Progress,
) -> SmoothField:
    """A field by another smoother, with the other settings that the posterior records; kept in the run folder."""
    if smoother == smooth.chosen:
        return smooth
    options = replace(DiscoverConfig.recorded_smoothing(posterior.provenance), smoother=smoother)
    source = smooth.data.samples if isinstance(smooth.data, ScatteredObservations) else smooth.field
    run = RunFolder(folder)
    return run.smooth(
        run.key(smooth.field, options, seed),
        lambda: fit_field(source, options=options, seed=seed, progress=progress),
        name=f"smooth_{smoother}.nc",
    )
