"""Pixels that no network has seen -> which networks count, and larger ones while these fall short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from bayespde.core.random import spawn_seeds
from bayespde.noise.families import PixelNoise
from bayespde.smooth.network.architectures import alternative, enlarged, with_input_scale
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import NetworkEnsemble
from bayespde.smooth.network.fitted import NetworkFit
from bayespde.smooth.network.hold_out import HeldOut
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.network.train import train
from bayespde.smooth.spline.fitted import SplineFit

# With one weight each, networks side by side differ in their roughness; where pixels cannot tell, all count.
PENALTY_WEIGHTS = (1e-4, 0.0)
TOLERANCE = 0.01
# Share of the spline's squared error that networks have to take off before larger ones are not tried.
ENOUGH = 2 / 3


@dataclass(frozen=True, eq=False)
class NetworkSelection:
    """What all networks of one field share.

    Attributes:
        coordinates: Observed pixels, `[n, d]`, in [-1, 1].
        values: `[n]`, standardised.
        noise: Of the pixels.
        held_out: What they do not see.
        baseline_rmse: Root mean misfit of the spline at the pixels held out, standardised.
        excess: Squared error of the spline at a pixel, standardised, by its degrees of freedom.
        wave_numbers: Of the field, per axis.
        penalty: Order, kind and axes of the penalty.
        penalty_scales: Typical size of every penalised derivative in unit coordinates.
        weight: Of the penalty, or None for one of each kind.
        steps: Most steps, or None for those of the networks' settings.
        device: Where networks are trained.
        progress: Show bars.
    """

    coordinates: np.ndarray
    values: np.ndarray
    noise: PixelNoise
    held_out: HeldOut
    baseline_rmse: float
    excess: float
    wave_numbers: tuple[float, ...]
    penalty: Penalty
    penalty_scales: list[float]
    weight: float | None
    steps: int | None
    device: str
    progress: bool

    def run(
        self, configs: list[NetworkConfig], *, may_grow: bool = True, seed: int
    ) -> tuple[NetworkEnsemble, dict[str, float]]:
        """Train networks, and others where these are not enough.

        Args:
            configs: The candidates.
            may_grow: Whether others may follow the candidates, once.
            seed: Non-negative integer.

        Returns:
            Those that count, and the root mean misfit of all shapes and of the mean, standardised.
        """
        configs = [self.completed(config) for config in configs]
        seeds = iter(spawn_seeds(seed, 2 * (len(configs) + 1)))
        fits = [self._trained(config, seeds) for config in configs]
        mean = NetworkEnsemble(within_one_standard_error(fits))
        if may_grow:
            is_short = self.baseline_rmse**2 - mean.held_out_rmse**2 < ENOUGH * self.excess
            more = next_round(mean, configs, is_short=is_short)
            fits += [self._trained(self.completed(config), seeds) for config in more]
            mean = NetworkEnsemble(within_one_standard_error(fits))
        scores = named([(fit.config.label, fit.held_out_rmse) for fit in fits])
        return mean, scores | {"mean of networks": mean.held_out_rmse}

    def completed(self, config: NetworkConfig) -> NetworkConfig:
        """A candidate with everything that is decided for all of them together."""
        automatic = tuple(islice(cycle(PENALTY_WEIGHTS), config.members))
        penalty = replace(self.penalty, weight=automatic if self.weight is None else self.weight)
        config = with_input_scale(config, self.wave_numbers)
        return replace(config, steps=self.steps or config.steps, penalty=penalty)

    def _trained(self, config: NetworkConfig, seeds: Iterator[int]) -> NetworkFit:
        return train(
            self.coordinates,
            self.values,
            config=config,
            noise=self.noise,
            penalty_scales=self.penalty_scales,
            held_out=self.held_out.scored,
            around=self.held_out.around,
            device=self.device,
            seed=next(seeds),
            progress=self.progress,
        )


def next_round(mean: NetworkEnsemble, trained: list[NetworkConfig], *, is_short: bool) -> list[NetworkConfig]:
    """What to train after these: larger ones if the mean falls short, of those that count; never one shape alone."""
    labels = {fit.config.label for fit in mean.fits}
    kept = [config for config in trained if config.label in labels]
    more = [enlarged(config) for config in kept] if is_short else []
    return [*more, alternative((more or kept)[0])] if len(kept) == 1 and (is_short or len(mean.fits) == 1) else more


def within_one_standard_error(fits: list[NetworkFit]) -> tuple[NetworkFit, ...]:
    """The networks that the pixels held out do not tell from the best one, or hardly."""
    losses = [fit.noise.misfit(fit.residuals) for fit in fits]
    best = min((loss for group in losses for loss in group), key=np.mean)
    kept = []
    for fit, group in zip(fits, losses, strict=True):
        excess = group - best
        error = excess.std(axis=1) / np.sqrt(excess.shape[1])
        near = excess.mean(axis=1) <= np.maximum(TOLERANCE * best.mean(), error)
        if near.any():
            kept.append(fit.subset(np.flatnonzero(near)))
    return tuple(kept)


def named(pairs: list[tuple[str, float]]) -> dict[str, float]:
    """Numbers by name; a name that comes again is counted."""
    found: dict[str, float] = {}
    for name, value in pairs:
        times = sum(known == name or known.startswith(f"{name} (") for known in found)
        found[f"{name} ({times + 1})" if times else name] = value
    return found


def penalty_scales(spline: SplineFit, penalty: Penalty) -> list[float]:
    """Mean absolute derivative of the spline in the network's coordinates [-1, 1] and standardised amplitude."""
    scales, result = spline.scales, []
    for index in penalty.indices(len(spline.bases)):
        physical = float(np.mean(np.abs(spline.evaluate(index))))
        unit = physical / scales.derivative_factor(index) / 2.0 ** sum(index) / scales.amplitude
        result.append(max(unit, 1e-6))
    return result
