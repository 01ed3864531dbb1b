"""Numbers and names -> checked settings of the samplers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayespde.core.errors import ConfigError
from bayespde.smc.resampling import SCHEMES

# Names of kernels -> the modules that make them, imported on first use: each a `KernelModule` of `smc.kernels`.
KERNELS = {
    "barker": "bayespde.smc.kernels.locally_balanced",
    "gibbs": "bayespde.smc.kernels.gibbs",
}


@dataclass(frozen=True)
class SMCConfig:
    """Settings of sequential Monte Carlo.

    Attributes:
        particles: Number of particles P per run.
        runs: Number of independent runs R.
        pilot_fraction: Particles of four small pilot runs from the prior before each run, as a share of `particles`; at
            least 32 each, if that many are a quarter of `particles`. The inclusion probabilities that they find set the
            reference distribution from which the run itself starts; 0 starts it from the prior.
        ess_fraction: Effective sample size at which the next inverse temperature is placed, as a fraction of the
            particles with positive likelihood.
        kernel: A name in `KERNELS`, such as `barker` (compiled, linear targets only) or `gibbs` (the plain reference,
            any target); or `auto`: `barker` where the target is linear, else `gibbs`.
        flips: Flips per particle that a pass aims at, added to half its number of terms, as far as its number of sweeps
            can be chosen.
        sweeps: Sweeps per pass, whatever the flips; None to follow `flips`.
        swaps: Swap moves per pass: one term leaves, another one enters.
        min_passes: Least number of passes per stage.
        max_passes: Largest number of passes per stage; `decorrelation_target` decides between the two.
        decorrelation_target: Passes end once the log likelihoods of the particles correlate less than this with those
            before the stage's moves.
        final_passes: Further passes at inverse temperature 1, over which the inclusion probabilities are averaged.
        resampling: One of systematic, stratified, residual, multinomial.
        schedule: Fixed increasing inverse temperatures ending at 1; empty for adaptive ones.
        workers: Runs at a time; the result does not depend on it.
    """

    particles: int = 2048
    runs: int = 4
    pilot_fraction: float = 1 / 32
    ess_fraction: float = 0.5
    kernel: str = "auto"
    flips: float = 2.0
    sweeps: float | None = None
    swaps: int = 1
    min_passes: int = 1
    max_passes: int = 4
    decorrelation_target: float = 0.5
    final_passes: int = 8
    resampling: str = "systematic"
    schedule: tuple[float, ...] = ()
    workers: int = 1

    def __post_init__(self) -> None:
        least = {"particles": 2, "min_passes": 1, "max_passes": 1, "final_passes": 1}
        _check_counts(self, least | {"runs": 1, "swaps": 0, "workers": 1})
        self._check_shares()
        self._check_choices()

    def _check_shares(self) -> None:
        for name in ("flips", "sweeps"):
            value = getattr(self, name)
            if not (value is None and name == "sweeps") and not (isinstance(value, int | float) and 0 < value < np.inf):
                raise ConfigError(
                    f"The setting {name} is out of range.",
                    got=repr(value),
                    wanted="a positive number",
                    fix=f"{name}={getattr(type(self), name)}",
                )
        for name, sign in (("ess_fraction", "<"), ("decorrelation_target", "<"), ("pilot_fraction", "<=")):
            value = getattr(self, name)
            if not (0 < value < 1 or (value == 0 and sign == "<=")):
                raise ConfigError(
                    f"The setting {name} is out of range.",
                    got=value,
                    wanted=f"0 {sign} {name} < 1",
                    fix=f"{name}={getattr(type(self), name)}",
                )

    def _check_choices(self) -> None:
        kernels = ("auto", *KERNELS)
        if self.kernel not in kernels:
            raise ConfigError(
                "The kernel is not known.", got=self.kernel, wanted=", ".join(kernels), fix="kernel='auto'"
            )
        if self.resampling not in SCHEMES:
            raise ConfigError(
                "The resampling scheme is not known.",
                got=self.resampling,
                wanted=", ".join(SCHEMES),
                fix="resampling='systematic'",
            )
        steps = np.diff((0.0, *self.schedule))
        if self.schedule and not (self.schedule[-1] == 1 and (steps > 0).all()):
            raise ConfigError(
                "The schedule must rise to 1.",
                got=self.schedule,
                wanted="increasing inverse temperatures in (0, 1], the last one 1",
                fix="schedule=(0.1, 0.5, 1.0)",
            )


@dataclass(frozen=True)
class TemperedGibbsConfig:
    """Settings of tempered Gibbs sampling.

    Attributes:
        steps: Flips per chain that count.
        burn_in: Flips before them, as a fraction of `steps`.
        runs: Number of independent chains; the first starts from the empty configuration, the others from the prior.
        particles: Equally weighted draws that are kept of each chain.
        exploration: Weight of terms that are unlikely to be in the equation.
        workers: Chains at a time; the result does not depend on it.
    """

    steps: int = 20000
    burn_in: float = 0.1
    runs: int = 4
    particles: int = 2048
    exploration: float = 5.0
    workers: int = 1

    def __post_init__(self) -> None:
        _check_counts(self, {"steps": 1, "runs": 1, "particles": 1, "workers": 1})
        if not (0 <= self.burn_in < math.inf and 0 < self.exploration < math.inf):
            raise ConfigError(
                "A setting of tempered Gibbs sampling is out of range.",
                got=f"burn_in={self.burn_in!r}, exploration={self.exploration!r}",
                wanted="burn_in >= 0 and exploration > 0",
                fix="TemperedGibbsConfig()",
            )


def _check_counts(settings: Any, least: Mapping[str, int]) -> None:
    """Check that the named settings are integers of at least the given size.

    Raises:
        ConfigError: If one is not.
    """
    for name, bound in least.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise ConfigError(
                f"The setting {name} is out of range.",
                got=repr(value),
                wanted=f"an integer of at least {bound}",
                fix=f"{name}={getattr(type(settings), name)}",
            )
