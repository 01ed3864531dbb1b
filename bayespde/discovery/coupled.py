"""Discoveries of all equations of a system -> the system, and what it foretells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.core.random import spawn_seeds
from bayespde.discovery.discovery import Discovery
from bayespde.forecasting.coupled import forecast_coupled, select_field
from bayespde.forecasting.initial_conditions import ForecastConfig
from bayespde.results.forecast_verification import verify_forecast
from bayespde.smooth.frame_draws import mean_field


@dataclass(frozen=True, eq=False)
class CoupledDiscovery:
    """What `discover_system` found: `found["u"]` is the `Discovery` of the equation of `u`.

    Attributes:
        parts: The discovery of every equation, by the name of its field.
        folder: Where they are on disk, one folder each, if anywhere.
    """

    parts: Mapping[str, Discovery]
    folder: Path | None = None

    def __getitem__(self, field: str) -> Discovery:
        if field not in self.parts:
            raise ConfigError(
                "The system has no such field.",
                got=field,
                wanted=", ".join(self.parts),
                fix=f"found[{next(iter(self.parts))!r}]",
            )
        return self.parts[field]

    @property
    def posteriors(self) -> dict[str, Posterior]:
        """The posterior over each equation, by the name of its field."""
        return {name: part.posterior for name, part in self.parts.items()}

    def best(self) -> CoupledEquations:
        """The most probable equation of each field with posterior mean coefficients."""
        return CoupledEquations(tuple(part.best() for part in self.parts.values()))

    def forecast(
        self, times: Any, *, options: ForecastConfig | None = None, seed: int = 0, progress: bool = False
    ) -> xr.Dataset:
        """What comes: draws of the system integrated forward from draws of the smooth fields, see `forecast_coupled`."""
        smooths = {name: part.smooth for name, part in self.parts.items()}
        return forecast_coupled(self.posteriors, smooths, times, options=options, seed=seed, progress=progress)

    def forecast_holdout(
        self, *, options: ForecastConfig | None = None, seed: int = 0
    ) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
        """The frames that were held out, predicted, and the scores of each field.

        Raises:
            ConfigError: If no frames were held out.
        """
        held = {name: part.held_out() for name, part in self.parts.items()}
        seed, *noise_seeds = spawn_seeds(seed, 1 + len(held))
        prediction = self.forecast(next(iter(held.values()))["time"], options=options, seed=seed)
        scores = {
            name: verify_forecast(
                select_field(prediction, name), frames, before=mean_field(self[name].smooth), seed=noise_seed
            )
            for (name, frames), noise_seed in zip(held.items(), noise_seeds, strict=True)
        }
        return prediction, scores

    def __repr__(self) -> str:
        return "\n\n".join(f"{name}: {part!r}" for name, part in self.parts.items())
