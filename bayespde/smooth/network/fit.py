"""OBSERVATIONS + SPLINE -> NETWORKS under the noise family of the held-out pixels, and all held-out scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bayespde.core.progress import Progress
from bayespde.noise.families import MAX_RESIDUALS, NoiseFamily, choose_noise, fit_family, thinned
from bayespde.noise.families.gaussian import Gaussian
from bayespde.smooth.config import SmoothingConfig
from bayespde.smooth.network.architectures import candidate_configs, wave_numbers
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.ensemble import NetworkEnsemble
from bayespde.smooth.network.hold_out import HeldOut, held_out_blocks, held_out_mask
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.network.selection import NetworkSelection
from bayespde.smooth.network.training_data import TrainingData
from bayespde.smooth.observations import Observations
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fitted import SplineFit

MIN_NOISE = 1e-3
MIN_PENALTY_SCALE = 1e-6


@dataclass(frozen=True, eq=False)
class FittedNetworks:
    """Spline and networks under one noise family.

    Attributes:
        spline: The spline; under Student's t it is another one than under normal noise.
        spline_config: Its settings.
        networks: Those that are kept.
        noise: Family of the noise, units of the field.
        scores: Held-out rmse of the spline, every architecture and the mean of networks, units of the field.
        observed: Values of the held-out pixels, `[n]`.
        mean: The mean of the networks at them, `[n]`.
        log_density: Mean log density of a held-out pixel under every family that was compared.
        cut_short: Whether the CPU time ended the training of some, or kept others from being tried.
    """

    spline: SplineFit
    spline_config: SplineConfig
    networks: NetworkEnsemble
    noise: NoiseFamily
    scores: Mapping[str, float]
    observed: np.ndarray
    mean: np.ndarray
    log_density: Mapping[str, float] = field(default_factory=dict)
    cut_short: bool = False


@dataclass(frozen=True, eq=False)
class NetworkFitter:
    """How networks are fitted to some observations.

    Attributes:
        data: The observations.
        options: Settings of the smoother.
        seed: Non-negative integer.
        progress: What is shown, and how long all networks may take.
    """

    data: Observations
    options: SmoothingConfig
    seed: int
    progress: Progress

    def fit(self, spline: SplineFit, config: SplineConfig) -> FittedNetworks:
        """Train networks under normal noise, or Student's t if asked for, and choose the family on held-out pixels.

        For Student's t all are trained again, and those kept that predict better.
        """
        first = self._train(self._initial_noise(spline), spline, config)
        noise, densities = self._family(first)
        first = replace(first, log_density=densities)
        if noise.family in ("gaussian", first.noise.family):
            return first
        if noise.family == "student_t":
            if not self.progress.left:
                return replace(first, cut_short=True)
            config = replace(config, noise="student_t")
            second = self._train(noise, self.data.fit(config), config)
            _, again = choose_noise(second.observed, second.mean, seed=self.seed)
            return replace(second, log_density=again) if again["student_t"] > densities["student_t"] else first
        scales = spline.scales
        coordinates, _ = self.data.standardised(scales)
        mean = first.networks.evaluate(coordinates)[:, 0] * scales.amplitude + scales.offset
        networks = first.networks.with_noise(noise.pixel_noise(mean, scales.amplitude))
        return replace(first, noise=noise, networks=networks)

    def _initial_noise(self, spline: SplineFit) -> NoiseFamily:
        if self.options.noise != "student_t":
            return Gaussian(self.data.noise_scale(spline))
        arrays = self.data.values, self.data.residual(spline)
        observed, residual = (thinned(values, MAX_RESIDUALS) for values in arrays)
        return fit_family("student_t", observed, observed - residual)

    def _family(self, fitted: FittedNetworks) -> tuple[NoiseFamily, dict[str, float]]:
        """The noise family of the held-out pixels, and the log densities that were compared."""
        if self.options.noise != "auto":
            return fit_family(self.options.noise, fitted.observed, fitted.mean), {}
        if fitted.spline.hold_out != "pixels":
            # All families are of independent pixels; frames that are displaced would be taken for heavy tails.
            return fitted.noise, {}
        return choose_noise(fitted.observed, fitted.mean, seed=self.seed)

    def _train(self, noise: NoiseFamily, spline: SplineFit, config: SplineConfig) -> FittedNetworks:
        """Train the candidates under a noise family."""
        scales, options = spline.scales, self.options
        coordinates, values = self.data.standardised(scales)
        pixels = noise.pixel_noise(None, scales.amplitude)
        pixels = replace(pixels, scale=max(pixels.scale, MIN_NOISE))
        unit: Literal["pixels", "frames"] = "frames" if spline.hold_out == "frames" else "pixels"
        configs = [replace(c, hold_out=unit) for c in options.networks or candidate_configs(coordinates.shape[1])]
        held_out = _held_out(coordinates, spline, configs[0], self.seed)
        hidden = held_out.scored | held_out.around
        residual = self.data.held_out_residual(spline, config, hidden)[held_out.scored[hidden]] / scales.amplitude
        of_penalty = penalty_scales(spline, options.total_variation())
        selection = NetworkSelection(
            data=TrainingData(coordinates, values, pixels, held_out, tuple(of_penalty)),
            baseline_rmse=float(np.sqrt(np.mean(pixels.misfit(residual)))),
            excess=pixels.scale**2 * spline.degrees_of_freedom / len(values),
            wave_numbers=wave_numbers(spline),
            options=options,
            progress=self.progress,
        )
        networks, scores = selection.run(configs, may_grow=not options.networks, seed=self.seed)
        scores = {
            name: rmse * scales.amplitude for name, rmse in ({"spline": selection.baseline_rmse} | scores).items()
        }
        observed = self.data.values[held_out.scored]
        mean = observed - networks.residuals * scales.amplitude
        cut_short = not self.progress.left or any(fit.cut_short for fit in networks.fits)
        return FittedNetworks(spline, config, networks, noise, scores, observed, mean, cut_short=cut_short)


def penalty_scales(spline: SplineFit, penalty: Penalty) -> list[float]:
    """Mean absolute derivative of the spline in the network's coordinates [-1, 1] and standardised amplitude."""
    scales, result = spline.scales, []
    for index in penalty.indices(len(spline.bases)):
        physical = float(np.mean(np.abs(spline.evaluate(index))))
        unit = physical / scales.derivative_factor(index) / 2.0 ** sum(index) / scales.amplitude
        result.append(max(unit, MIN_PENALTY_SCALE))
    return result


def _held_out(coordinates: np.ndarray, spline: SplineFit, config: NetworkConfig, seed: int) -> HeldOut:
    """The pixels that are held out of spline and networks when they are compared."""
    if spline.hold_out != "blocks":
        mask = held_out_mask(coordinates, config=config, seed=seed)
        return HeldOut(mask, np.zeros_like(mask))
    # Blocks end between samples; an axis from -1 to 1 has len(grid) - 1 steps between them.
    reach = tuple((2 * h + 1) / (len(g) - 1) for h, g in zip(spline.block, spline.grids, strict=True))
    return held_out_blocks(coordinates, reach, share=config.hold_out_fraction, seed=seed)
