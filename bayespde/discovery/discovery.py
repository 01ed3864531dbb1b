"""Everything that a discovery found -> its answers: equations, fronts, predictions."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from bayespde.core.equation import Equation
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.core.random import spawn_seeds
from bayespde.core.statistics import SufficientStatistics
from bayespde.discovery.report import report
from bayespde.forecasting.forecast import forecast_discovery, pareto_front_with_forecast_error
from bayespde.forecasting.initial_conditions import ForecastConfig
from bayespde.model.spin import SpinModel
from bayespde.results.diagnose import diagnose
from bayespde.results.diagnostics import squared_residual_per_row
from bayespde.results.equations import RankedEquation, equations
from bayespde.results.errors_in_variables import format_estimates
from bayespde.results.forecast_verification import verify_forecast
from bayespde.results.judged import judged_by
from bayespde.results.pareto import pareto_front
from bayespde.smooth.frame_draws import mean_field
from bayespde.smooth.smooth_field import SmoothField
from bayespde.smooth.spline.fit import fit_spline


@dataclass(frozen=True, eq=False)
class Discovery:
    """What `discover` found, with everything on the way to it.

    Attributes:
        smooth: The smooth field.
        posterior: The posterior over equations: by the pixels where they could be asked, else by the rows;
            `posterior.provenance["refinement"]` says which, and why.
        rows: The posterior by the rows.
        model: The target that the posterior is of.
        folder: Where it is on disk, if anywhere.
        holdout: Last frames, which nothing of this has seen; None if there are none.
    """

    smooth: SmoothField
    posterior: Posterior
    rows: Posterior
    model: SpinModel
    folder: Path | None = None
    holdout: xr.DataArray | None = None

    @property
    def statistics(self) -> SufficientStatistics:
        """The compressed rows that the posterior is of, of test functions or along a trajectory."""
        return self.posterior.statistics

    def equations(self, *, top: int = 10, level: float = 0.9) -> tuple[RankedEquation, ...]:
        """The most probable equations, best first, with intervals in physical units."""
        return equations(self.posterior, top=top, level=level)

    def pareto_front(self) -> xr.Dataset:
        """Complexity against block-cross-validated error, and `prediction_error` where frames were held out.

        That is of the equations of the front with least-squares coefficients, from the last frame of the smooth field,
        over the standard deviation of the held-out frames; NaN off the front, and where one does not come so far.
        """
        if self.holdout is None:
            return pareto_front(self.posterior)
        return pareto_front_with_forecast_error(self.posterior, self.smooth, self.holdout)

    def best(self) -> Equation:
        """The most probable equation with posterior mean coefficients."""
        return self.equations(top=1)[0].equation(self.posterior.library)

    def forecast(
        self,
        times: Any,
        *,
        boundary_data: xr.DataArray | None = None,
        options: ForecastConfig | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> xr.Dataset:
        """What comes: draws of the law integrated forward, see `bayespde.forecast`.

        Where equations were judged by pixels it starts at the first frame, from draws of law and state together, along
        the trajectories of the leading equations; these are fitted once more, in seconds. Else it starts at the last
        frame of the smooth field before `times`.

        Args:
            times: Strictly increasing, in the unit of the field.
            boundary_data: Frames at whose boundary_data the field is held, as for `bayespde.forecast`.
            options: How.
            seed: Of all draws.
            progress: Show bars.

        Returns:
            The prediction.
        """
        return forecast_discovery(
            self.posterior,
            self.smooth,
            times,
            boundary_data=boundary_data,
            options=options,
            seed=seed,
            progress=progress,
        )

    def forecast_holdout(
        self, *, boundary_data: bool = False, options: ForecastConfig | None = None, seed: int = 0
    ) -> tuple[xr.Dataset, xr.Dataset]:
        """The frames that were held out, predicted, and the scores of that beside frames that stay or move on.

        Args:
            boundary_data: Whether their boundary_data, smoothed, are known to the prediction, see `bayespde.forecast`.
            options: How.
            seed: Of all draws.

        Returns:
            Prediction and scores.

        Raises:
            ConfigError: If no frames were held out.
        """
        held = self.held_out()
        seed, noise_seed = spawn_seeds(seed, 2)
        known = held.copy(data=fit_spline(held).evaluate((0,) * held.ndim)) if boundary_data else None
        prediction = self.forecast(held["time"], boundary_data=known, options=options, seed=seed)
        return prediction, verify_forecast(prediction, held, before=mean_field(self.smooth), seed=noise_seed)

    def report(self, path: str | PathLike[str] | None = None, *, title: str | None = None) -> Path:
        """Write one HTML page about all of it, which needs nothing else to be read: see `bayespde.report`."""
        return report(self, path, title=title)

    def held_out(self) -> xr.DataArray:
        """The frames that were held out.

        Raises:
            ConfigError: If none were.
        """
        if self.holdout is None:
            raise ConfigError(
                "No frames were held out.",
                got="holdout_frames=0",
                wanted="frames that the discovery has not seen",
                fix="discover(field, holdout_frames=20)",
            )
        return self.holdout

    def to_inference_data(self) -> Any:
        """The posterior as what the installed ArviZ takes."""
        from bayespde.results.arviz_bridge import to_inference_data

        return to_inference_data(self.posterior)

    def __repr__(self) -> str:
        inclusion = (
            self.posterior.inclusion_probability.to_series().round(9).sort_values(ascending=False, kind="stable")
        )
        lines = [f"{name:>14} {value:.3f}" for name, value in inclusion.items() if value >= 0.01]
        found, expected = squared_residual_per_row(self.posterior)
        return "\n".join(
            [
                f"Discovery by {judged_by(self.posterior)}",
                format_estimates(self.posterior, self.equations(top=3)),
                "inclusion probability",
                *lines,
                f"squared residual per row {found:.2f} ({expected:.2f} expected of a correct equation)",
                str(diagnose(self.posterior)),
            ]
        )
