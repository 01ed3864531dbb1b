"""TRAINING DATA -> NETWORK ENSEMBLE: candidates compared on held-out pixels, and larger ones where they fall short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds
from bayespde.smooth.config import SmoothingConfig
from bayespde.smooth.network.architectures import alternative, enlarged, with_input_scale
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import NetworkEnsemble
from bayespde.smooth.network.fitted import NetworkFit
from bayespde.smooth.network.train import train
from bayespde.smooth.network.training_data import TrainingData

# One per member, so that members differ in roughness; those are kept whose held-out losses hardly differ.
PENALTY_WEIGHTS = (1e-4, 0.0)
TOLERANCE = 0.01
# Share of the spline's squared error by which networks have to reduce it; otherwise larger ones are tried.
SUFFICIENT_GAIN = 2 / 3


@dataclass(frozen=True, eq=False)
class NetworkSelection:
    """What all networks of one field have in common.

    Attributes:
        data: The pixels, those held out, and their noise.
        baseline_rmse: Root mean misfit of the spline at the pixels held out, standardised.
        excess: Squared error of the spline at a pixel, standardised, by its degrees of freedom.
        wave_numbers: Of the field, per axis.
        options: Settings of the smoother.
        progress: What is shown, and how long all networks may take.
    """

    data: TrainingData
    baseline_rmse: float
    excess: float
    wave_numbers: tuple[float, ...]
    options: SmoothingConfig
    progress: Progress

    def run(
        self, configs: list[NetworkConfig], *, may_grow: bool = True, seed: int
    ) -> tuple[NetworkEnsemble, dict[str, float]]:
        """Train networks, and others where these are not enough.

        Args:
            configs: The candidates.
            may_grow: Whether others may follow the candidates, once.
            seed: Non-negative integer.

        Returns:
            Those within one standard error of the best; and the root mean misfit of every architecture and of the mean,
            standardised.
        """
        configs = [self.completed(config) for config in configs]
        seeds = iter(spawn_seeds(seed, 2 * (len(configs) + 1)))
        # One share of the time is for those that may follow.
        fits = [self._trained(c, seeds, len(configs) - k + may_grow) for k, c in enumerate(configs)]
        mean = NetworkEnsemble(within_one_standard_error(fits))
        if may_grow and self.progress.left:
            is_short = self.baseline_rmse**2 - mean.held_out_rmse**2 < SUFFICIENT_GAIN * self.excess
            more = next_round(mean, configs, is_short=is_short)
            fits += [self._trained(self.completed(c), seeds, len(more) - k) for k, c in enumerate(more)]
            mean = NetworkEnsemble(within_one_standard_error(fits))
        scores = numbered([(fit.config.label, fit.held_out_rmse) for fit in fits])
        return mean, scores | {"mean of networks": mean.held_out_rmse}

    def completed(self, config: NetworkConfig) -> NetworkConfig:
        """A candidate with all settings that the candidates have in common."""
        options, automatic = self.options, tuple(islice(cycle(PENALTY_WEIGHTS), config.members))
        weight = automatic if isinstance(options.weight, str) else float(options.weight)
        config = with_input_scale(config, self.wave_numbers)
        return replace(config, steps=options.steps or config.steps, penalty=options.total_variation(weight))

    def _trained(self, config: NetworkConfig, seeds: Iterator[int], trainings: int) -> NetworkFit:
        """Train one architecture in its share of the time that is left for some trainings."""
        share = self.progress.within(self.progress.left / trainings)
        return train(self.data, config=config, device=self.options.device, seed=next(seeds), progress=share)


def next_round(mean: NetworkEnsemble, trained: list[NetworkConfig], *, is_short: bool) -> list[NetworkConfig]:
    """The networks to train next: if the mean falls short, larger ones of those kept; never one architecture alone."""
    labels = {fit.config.label for fit in mean.fits}
    kept = [config for config in trained if config.label in labels]
    more = [enlarged(config) for config in kept] if is_short else []
    return [*more, alternative((more or kept)[0])] if len(kept) == 1 and (is_short or len(mean.fits) == 1) else more


def within_one_standard_error(fits: list[NetworkFit]) -> tuple[NetworkFit, ...]:
    """The networks whose held-out loss is within 1 %, or one standard error, of the smallest."""
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


def numbered(pairs: list[tuple[str, float]]) -> dict[str, float]:
    """Numbers by name; a repeated name gets a number."""
    found: dict[str, float] = {}
    for name, value in pairs:
        times = sum(known == name or known.startswith(f"{name} (") for known in found)
        found[f"{name} ({times + 1})" if times else name] = value
    return found
