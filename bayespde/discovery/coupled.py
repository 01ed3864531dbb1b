"""Discoveries of coupled equations -> the equations together, and their forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from bayespde.core.checked import Checked, validated
from bayespde.core.coupled import CoupledEquations
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.core.random import spawn_seeds
from bayespde.discovery.discovery import Discovery
from bayespde.forecasting.coupled import select_field
from bayespde.forecasting.forecast import forecast
from bayespde.results.forecast_verification import verify_forecast
from bayespde.smooth.frame_draws import mean_field


@dataclass(frozen=True, eq=False)
class CoupledDiscovery(Checked):
    """What `discover` found for coupled fields: `found["u"]` is the `Discovery` of the equation of `u`.

    Attributes:
        parts: The discovery of every equation, by the name of its field.
        folder: Where they are on disk, one folder each, if anywhere.
    """

    parts: Mapping[str, Discovery]
    folder: Path | None = None

    def __getitem__(self, field: str) -> Discovery:
        if field not in self.parts:
            raise ConfigError(
                "There is no such field.",
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

    def forecast(self, times: Any, **settings: Any) -> xr.Dataset:
        """Integrate draws of the equations forward together, from draws of the smoothed fields.

        Args:
            times: Strictly increasing, in the unit of the fields.
            settings: Further arguments of `bayespde.forecast`: `options`, `seed`, `progress`.
        """
        smooths = {name: part.smooth for name, part in self.parts.items()}
        return forecast(self.posteriors, smooths, times, **settings)

    @validated
    def forecast_holdout(self, *, seed: int = 0, **settings: Any) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
        """Forecast the held-out frames, and verify the forecast of each field against them.

        Args:
            seed: Of all draws.
            settings: Further arguments of `bayespde.forecast`: `options`, `progress`.

        Returns:
            The forecast, and scores by the name of the field.

        Raises:
            ConfigError: If no frames were held out.
        """
        held = {name: part.held_out() for name, part in self.parts.items()}
        seed, *noise_seeds = spawn_seeds(seed, 1 + len(held))
        ahead = self.forecast(next(iter(held.values()))["time"], seed=seed, **settings)
        scores = {
            name: verify_forecast(
                select_field(ahead, name), frames, before=mean_field(self[name].smooth), seed=noise_seed
            )
            for (name, frames), noise_seed in zip(held.items(), noise_seeds, strict=True)
        }
        return ahead, scores

    def __repr__(self) -> str:
        return f"CoupledDiscovery({', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"

    def __str__(self) -> str:
        return "\n\n".join(f"{name}: {part}" for name, part in self.parts.items())
