"""Numbers and names -> checked settings of the samplers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bayespde.core.annotations import MANY, Count, CountOrZero, NonNegative, OneOf, Positive, Range, Share
from bayespde.core.checked import Checked
from bayespde.core.errors import ConfigError
from bayespde.smc.resampling import SCHEMES

# Names of kernels -> the modules that make them, imported on first use: each a `KernelModule` of `smc.kernels`.
KERNELS = {
    "barker": "bayespde.smc.kernels.locally_balanced",
    "gibbs": "bayespde.smc.kernels.gibbs",
}

# Most terms whose configurations are all enumerated, of a linear problem.
MOST_LINEAR_TERMS = 26


@dataclass(frozen=True)
class SMCConfig(Checked):
    """Settings of sequential Monte Carlo.

    Attributes:
        particles: Number of particles P per run.
        runs: Number of independent runs R.
        pilot_fraction: Chains from the prior before each run, as a share of `particles`; at least 128 where there are
            as many particles. What they find sets the reference distribution from which the run itself starts; 0 starts
            it from the prior.
        ess_fraction: Effective sample size at which the next inverse temperature is placed, as a fraction of the
            particles with positive likelihood.
        kernel: A name in `KERNELS`, such as `barker` (compiled, linear targets only) or `gibbs` (the plain reference,
            any target); or `auto`: `barker` where the target is linear, else `gibbs`.
        flips: Flips per particle that a pass aims at, added to half its number of terms, as far as its number of sweeps
            can be chosen.
        sweeps: Sweeps per pass, whatever the flips; None to follow `flips`.
        swaps: Swap moves per pass: one term leaves, another one enters.
        block_flips: Proposals, after each pass, to flip a set of spins by which modes differ; None for one
            for every 30 terms where they are cheap (compiled moves of more terms than are cached), from 3 to 16; else
            3. The sets are learnt from the particles where other moves leave some spins as they are; with a `schedule`
            given none are learnt.
        min_passes: Least number of passes per stage.
        max_passes: Largest number of passes per stage; `decorrelation_target` decides between the two.
        decorrelation_target: Passes end once the log likelihoods of the particles correlate less than this with those
            before the stage's moves.
        final_passes: Further passes at inverse temperature 1, over which the inclusion probabilities are averaged.
        resampling: One of systematic, stratified, residual, multinomial.
        schedule: Fixed increasing inverse temperatures ending at 1; empty for adaptive ones.
        workers: Runs at a time; None for as many as torch may use threads, where moves are compiled and take long (more
            terms than are cached), else one. The result does not depend on it.
        latent_moves: Moves of continuous latents, where a target has any: `hamiltonian`, by the gradient of the log
            density; `random_walk`; or `auto`: `hamiltonian` where there is a gradient, else `random_walk`.
        latent_steps: Largest number of leapfrog steps, or number of proposals, in each pass.
        latent_step_size: Of these moves, in units of the unconstrained latents; None to adapt it, and to scale it with
            the spread of the particles.
    """

    particles: Annotated[int, Range(2, MANY)] = 2048
    runs: Count = 4
    pilot_fraction: Annotated[float, Range(0, below=1)] = 1 / 32
    ess_fraction: Share = 0.5
    kernel: Annotated[str, OneOf(lambda: ("auto", *KERNELS))] = "auto"
    flips: Positive = 2.0
    sweeps: Positive | None = None
    swaps: CountOrZero = 1
    block_flips: CountOrZero | None = None
    min_passes: Count = 1
    max_passes: Count = 4
    decorrelation_target: Share = 0.5
    final_passes: Count = 8
    resampling: Annotated[str, OneOf(SCHEMES)] = "systematic"
    schedule: tuple[Positive, ...] = ()
    workers: Count | None = None
    latent_moves: Annotated[str, OneOf(("auto", "hamiltonian", "random_walk"))] = "auto"
    latent_steps: Count = 8
    latent_step_size: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = np.diff((0.0, *self.schedule))
        if self.schedule and not (self.schedule[-1] == 1 and (steps > 0).all()):
            raise ConfigError(
                "The schedule must rise to 1.",
                got=self.schedule,
                wanted="increasing inverse temperatures in (0, 1], the last one 1",
                fix="schedule=(0.1, 0.5, 1.0)",
            )


@dataclass(frozen=True)
class TemperedGibbsConfig(Checked):
    """Settings of tempered Gibbs sampling.

    Attributes:
        steps: Flips per chain that count.
        burn_in: Flips before them, as a fraction of `steps`.
        runs: Number of independent chains; the first starts from the empty configuration, the others from the prior.
        particles: Equally weighted draws that are kept of each chain.
        exploration: Weight of terms that are unlikely to be in the equation.
        workers: Chains at a time; the result does not depend on it.
    """

    steps: Count = 20000
    burn_in: NonNegative = 0.1
    runs: Count = 4
    particles: Count = 2048
    exploration: Positive = 5.0
    workers: Count = 1
