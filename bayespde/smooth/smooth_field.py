"""A noisy field made smooth -> any derivative and its standard deviation, on its grid or at points; and its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field
from bayespde.core.random import checked_seed
from bayespde.core.scattered import validate_scattered
from bayespde.noise.families import PixelNoise
from bayespde.smooth.field_draw import FieldDraw, NetworkDraw
from bayespde.smooth.network.bootstrap import calibrated
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import EnsemblePosterior, NetworkEnsemble, ensemble_posterior
from bayespde.smooth.network.fitted import NetworkFit, TrainingHistory
from bayespde.smooth.network.laplace import LaplaceConfig
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.network.selection import penalty_scales
from bayespde.smooth.observations import GridObservations, Observations, ScatteredObservations
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fitted import SplineFit

Orders = tuple[int, ...]
# Grid points at which networks are evaluated at a time.
SLAB = 500_000


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A noisy field made smooth: the spline always, the neural field where trained, and which of them to believe.

    Attributes:
        data: What was observed.
        spline: The penalised spline: noise level, exact posterior.
        spline_config: Its settings.
        network: The neural fields, if any were trained; their mean is the smoother.
        chosen: `spline` or `network`: the one with the lower held-out error, unless asked for by name.
        choice: How the choice was made: what was held out, and the held-out rmse of every candidate.
    """

    data: Observations
    spline: SplineFit
    spline_config: SplineConfig
    network: NetworkEnsemble | None
    chosen: str
    choice: Mapping[str, Any]

    @property
    def field(self) -> xr.DataArray:
        """The raw field, on whose grid the smooth one is evaluated; of samples their means at the nodes of a grid."""
        return self.data.field

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the pixel noise, units of the field, from the spline."""
        return self.data.noise_scale(self.spline)

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimension names, time first."""
        return tuple(map(str, self.field.dims))

    def evaluate(self, orders: Orders) -> np.ndarray:
        """Derivative of the chosen smoother on the grid of the data: field shape, float64, physical units."""
        return self.spline.evaluate(orders) if self.chosen == "spline" else self.evaluate_all([orders])[0]

    def evaluate_all(self, orders: Sequence[Orders]) -> np.ndarray:
        """Several derivatives on the grid of the data, `[len(orders), *field shape]`: networks pass over it once."""
        if self.chosen == "spline":
            return self._one_by_one(orders, self.spline.evaluate)
        return self._on_grid(list(orders), self._network_at)

    def evaluate_frames(self, orders: Sequence[Orders], frames: Sequence[int]) -> np.ndarray:
        """Several derivatives at some frames only, by index: `[len(orders), len(frames), *space]`."""
        times, *axes = (self.field[d].values for d in self.dims)
        chosen = times[list(frames)]
        if self.chosen == "spline":
            return np.stack([self.spline.evaluate(o, (chosen, *axes)) for o in orders])
        return self._on_grid(list(orders), self._network_at, chosen)

    def standard_deviation(self, orders: Sequence[Orders]) -> np.ndarray:
        """What belongs to `evaluate_all`; networks take some milliseconds per pixel, and do not know of gaps."""
        if self.chosen == "spline":
            return self._one_by_one(orders, self.spline.standard_deviation)
        return self._on_grid(list(orders), self._network_deviation_at)

    def at_points(self, orders: Orders, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivative of the chosen smoother at scattered points.

        Args:
            orders: Order of differentiation per dimension, time first.
            points: `[n, dimensions]`, physical units.

        Returns:
            Mean `[n]` and standard deviation `[n]`: exact for the spline; for neural fields that of the noise through
            their linearised mean (`EnsemblePosterior`), at the first call in twice the time of the fit.
        """
        if self.chosen == "spline":
            return self.spline.at_points(orders, points)
        points = np.asarray(points, dtype=np.float64)
        return self._network_at(points, [orders])[:, 0], self._network_deviation_at(points, [orders])[:, 0]

    def draws_at(self, orders: Orders, points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
        """Draws of a derivative of the neural fields at scattered points `[n, dimensions]`: `[count, n]`, float64."""
        unit = self._unit_points(np.asarray(points, dtype=np.float64))
        drawn = self.network_posterior.draws(unit, [orders], count=count, seed=seed)[..., 0]
        return drawn * self._network_factors([orders])[0] + (0.0 if any(orders) else self.spline.scales.offset)

    def draw(self, seed: int) -> FieldDraw:
        """One field of the posterior of the chosen smoother, on the grid of the data.

        Args:
            seed: Non-negative integer; another seed, another field.

        Returns:
            The draw: exact for the spline; for neural fields the mean of the networks, changed as one draw of the noise
            changes it (`EnsemblePosterior`).

        Raises:
            ConfigError: If the seed is not a non-negative integer.
        """
        if self.chosen == "spline":
            spline = self.spline.draw(np.random.default_rng(checked_seed(seed)))
            return FieldDraw(self.field, lambda orders: self._one_by_one(orders, spline.evaluate))
        change = NetworkDraw(self.network_posterior, seed)

        def at(points: np.ndarray, orders: list[Orders]) -> np.ndarray:
            moved = change(self._unit_points(points), orders) * self._network_factors(orders)
            return self._network_at(points, orders) + moved

        return FieldDraw(self.field, lambda orders: self._on_grid(list(orders), at))

    @cached_property
    def network_posterior(self) -> EnsemblePosterior:
        """Linearisation of the neural fields around the end of training, in their own standardised coordinates.

        Networks are trained once more to find how much of the noise they follow (`bootstrap.calibrated`); a field that
        was read from a file knows it.

        Raises:
            ConfigError: If no neural field was trained.
        """
        networks, (coordinates, _) = self._trained(), self.data.standardised(self.spline.scales)
        posterior = ensemble_posterior(networks, coordinates, config=LaplaceConfig(), seed=0)
        if "shrinkage" in self.choice:
            return replace(posterior, shrinkage=self.choice["shrinkage"])
        scales = penalty_scales(self.spline, networks.fits[0].config.penalty)
        return calibrated(posterior, coordinates, penalty_scales=scales, seed=0)

    def summary(self) -> str:
        """What was chosen and why, in a few lines."""
        scores = ", ".join(f"{name} {value:.5g}" for name, value in self.choice["held_out_rmse"].items())
        lines = [
            f"{self.chosen} chosen for derivatives ({self.choice['reason']}); weak rows use the spline",
            f"held out: {self.choice['hold_out']}, rmse {scores}",
            *(f"counts: {fit.describe()}" for fit in (self.network.fits if self.network else ())),
            f"pixel noise {self.noise_scale:.4g}, {self.spline.degrees_of_freedom:.0f} degrees of freedom",
            *self._about_the_samples(),
            *self._about_the_noise(),
        ]
        return "\n".join(lines)

    def _about_the_samples(self) -> list[str]:
        """How many scattered samples there are, and on which grid the spline sees them."""
        if not isinstance(self.data, ScatteredObservations):
            return []
        shape = " x ".join(map(str, self.field.shape))
        return [
            f"{self.data.samples.size} samples, for the spline on {shape} nodes; {self.data.left_out:.1%} were left "
            "out, in margins that only some of the frames have seen"
        ]

    def _about_the_noise(self) -> list[str]:
        """Its family, and how much of it is a displacement of frames."""
        lines = []
        if "noise" in self.choice:
            densities = self.choice.get("log_density", {})
            scores = ", ".join(f"{name} {value:.4g}" for name, value in densities.items())
            lines.append(
                f"noise {self.choice['noise']}" + (f" (log density of a pixel held out: {scores})" * bool(scores))
            )
        if "displacement" in self.choice:
            share, sizes = self.choice["displacement"]["share"], self.choice["displacement"]["scale"]
            shifts = ", ".join(f"{s:.3g} along {d}" for s, d in zip(sizes, self.dims[1:], strict=True))
            lines.append(f"{share:.0%} of the squared residuals are shifts of whole frames: rms {shifts}")
        return lines

    def to_dataset(self) -> xr.Dataset:
        """Write everything that cannot be recomputed in a second into a dataset that netCDF can hold."""
        dataset = xr.Dataset({"u": self.field})
        if isinstance(self.data, ScatteredObservations):
            samples = self.data.samples
            columns = {f"sample_{d}": samples[d] for d in self.dims} | {"sample_values": samples}
            dataset = dataset.assign({name: ("sample", c.values, c.attrs) for name, c in columns.items()})
            dataset = dataset.assign(sample_node=("sample", self.data.nodes), sample_moved=("sample", self.data.moved))
            dataset.attrs["left_out"] = self.data.left_out
        dataset.attrs["variable"] = str(self.field.name)
        dataset.attrs["spline_config"] = json.dumps(asdict(self.spline_config))
        dataset.attrs["held_out_by"] = json.dumps([self.spline.hold_out, list(self.spline.block)])
        dataset.attrs["chosen"] = self.chosen
        known = self.__dict__.get("network_posterior")
        dataset.attrs["choice"] = json.dumps({**self.choice, **({"shrinkage": known.shrinkage} if known else {})})
        if self.network is not None:
            dataset.attrs["networks"] = json.dumps([asdict(fit.config) for fit in self.network.fits])
            noise = self.network.fits[0].noise
            dataset.attrs["network_noise"] = json.dumps([noise.scale, noise.freedom])
            if noise.deviation is not None:
                dataset["deviation"] = (("pixel",), noise.deviation)
            dataset["held_out"] = (("pixel",), self.network.held_out.astype(np.int8))
            for position, fit in enumerate(self.network.fits):
                for name, array in _arrays(fit).items():
                    key = f"network{position}_{name}"
                    dataset[key] = (tuple(f"{key}_{i}" for i in range(array.ndim)), array)
        return dataset

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> SmoothField:
        """Read back what `to_dataset` wrote; the spline is fitted again, which gives the same numbers."""
        data = _read_observations(dataset)
        config = SplineConfig(**json.loads(dataset.attrs["spline_config"]))
        network = _read_networks(dataset, data.field.ndim) if "networks" in dataset.attrs else None
        chosen, choice = dataset.attrs["chosen"], json.loads(dataset.attrs["choice"])
        return cls(data, data.fit(_as_found(dataset, config)), config, network, chosen, choice)

    def _one_by_one(self, orders: Sequence[Orders], of: Callable[[Orders], np.ndarray]) -> np.ndarray:
        # Of a long video there is no room for a list of arrays and their stack.
        found = np.empty((len(orders), *self.field.shape))
        for k, order in enumerate(orders):
            found[k] = of(order)
        return found

    def _on_grid(
        self,
        orders: list[Orders],
        at: Callable[[np.ndarray, list[Orders]], np.ndarray],
        times: np.ndarray | None = None,
    ) -> np.ndarray:
        clock, *axes = (self.field[d].values for d in self.dims)
        times = clock if times is None else times
        found = np.empty((len(orders), len(times), *self.field.shape[1:]))
        some = max(1, SLAB * len(clock) // self.field.size)
        for k in range(0, len(times), some):
            points = np.stack(np.meshgrid(times[k : k + some], *axes, indexing="ij"), axis=-1)
            values = at(points.reshape(-1, points.shape[-1]), orders)
            found[:, k : k + some] = values.T.reshape(-1, *points.shape[:-1])
        return found

    def _network_deviation_at(self, points: np.ndarray, orders: list[Orders]) -> np.ndarray:
        unit = self._unit_points(points)
        return self.network_posterior.standard_deviation(unit, orders) * self._network_factors(orders)

    def _network_at(self, points: np.ndarray, orders: list[Orders]) -> np.ndarray:
        offset = np.array([0.0 if any(o) else self.spline.scales.offset for o in orders])
        return self._trained().evaluate(self._unit_points(points), orders) * self._network_factors(orders) + offset

    def _network_factors(self, orders: list[Orders]) -> np.ndarray:
        scales = self.spline.scales
        return np.array([scales.amplitude * scales.derivative_factor(o) * 2.0 ** sum(o) for o in orders])

    def _unit_points(self, points: np.ndarray) -> np.ndarray:
        return np.column_stack([2 * self.spline.scales.to_unit(d, points[:, i]) - 1 for i, d in enumerate(self.dims)])

    def _trained(self) -> NetworkEnsemble:
        if self.network is None:
            raise ConfigError(
                "No neural field was trained.",
                got="spline only",
                wanted="a neural field",
                fix="fit_field(field, method='network')",
            )
        return self.network


def _arrays(fit: NetworkFit) -> dict[str, np.ndarray]:
    """What a fit learnt, by name."""
    learnt = {f"parameter_{name}": value.numpy() for name, value in fit.parameters.items()}
    history = {f"history_{name}": series for name, series in fit.history._asdict().items()}
    return {**learnt, **history, "residuals": fit.residuals, "training_rmse": fit.training_rmse}


def _as_found(dataset: xr.Dataset, config: SplineConfig) -> SplineConfig:
    """With what was held out, so that it need not be found again; robust fits find it anew on the way."""
    if config.noise == "student_t" or "held_out_by" not in dataset.attrs:
        return config
    hold_out, block = json.loads(dataset.attrs["held_out_by"])
    return replace(config, hold_out=hold_out, block=tuple(block) or None)


def _read_observations(dataset: xr.Dataset) -> Observations:
    field = validate_field(dataset["u"].rename(dataset.attrs["variable"]))
    if "sample_values" not in dataset:
        return GridObservations(field)
    positions = {str(d): dataset[f"sample_{d}"].variable for d in field.dims}
    samples = validate_scattered(dataset["sample_values"].rename(field.name).assign_coords(positions))
    nodes, moved = (dataset[f"sample_{name}"].values for name in ("node", "moved"))
    return ScatteredObservations(samples, field, nodes, moved, float(dataset.attrs["left_out"]))


def _read_networks(dataset: xr.Dataset, dimensions: int) -> NetworkEnsemble:
    import torch

    scale, freedom = json.loads(dataset.attrs["network_noise"])
    noise = PixelNoise(scale, freedom, dataset["deviation"].values if "deviation" in dataset else None)
    fits = []
    for position, settings in enumerate(json.loads(dataset.attrs["networks"])):
        prefix = f"network{position}_"
        arrays = {str(k)[len(prefix) :]: v.values for k, v in dataset.data_vars.items() if str(k).startswith(prefix)}
        learnt = "parameter_"
        fits.append(
            NetworkFit(
                parameters={k[len(learnt) :]: torch.as_tensor(v) for k, v in arrays.items() if k.startswith(learnt)},
                config=_read_config(settings),
                dimensions=dimensions,
                noise=noise,
                history=TrainingHistory(*(arrays[f"history_{name}"] for name in TrainingHistory._fields)),
                held_out=dataset["held_out"].values.astype(bool),
                residuals=arrays["residuals"],
                training_rmse=arrays["training_rmse"],
            )
        )
    return NetworkEnsemble(tuple(fits))


def _read_config(settings: dict[str, Any]) -> NetworkConfig:
    def plain(values: dict[str, Any]) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}

    return NetworkConfig(**{**plain(settings), "penalty": Penalty(**plain(settings["penalty"]))})
