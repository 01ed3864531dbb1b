"""Markov moves of the particles: single-spin flips and swaps of two spins, compiled for linear targets.

`make_kernel` makes the `Kernel` that a configuration names, by the table `KERNELS` of `smc.config`. `GibbsFlips`
(gibbs) needs a log density only, `LocallyBalancedJumps` (locally_balanced) a `LinearTarget`. The latter tabulates the
evidence once (evidence_table: `EvidenceTable`), keeps the orthogonal factorisation of a configuration current (layout:
`FactorisedRows`, `ActiveSet`; factorisation), reads the odds of all flips and swaps from it (neighbour_odds:
`TemperedTarget`; swap_odds; block_odds; barker; pivot_rule) and runs the moves with them (jumps, block_jumps). With at
most 20 terms it caches every configuration that it has factored (cached_jumps; configuration_cache:
`ConfigurationCache`). Each particle draws from a random stream of its own (stream). Block flips are learnt from the
particles of any target (block_flips); what moves by a log density share is in metropolis.
`LatentMoves` (latent_moves) adds moves of the real numbers of a `JointTarget`, by Hamiltonian dynamics (hamiltonian) or
random walks.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from bayespde.smc.base import JointTarget, Kernel, LinearTarget, Target, latent_dimension
from bayespde.smc.config import KERNELS, SMCConfig
from bayespde.smc.geometric_path import endpoint
from bayespde.smc.kernels.gibbs import GibbsFlips
from bayespde.smc.kernels.latent_moves import latent_moves
from bayespde.smc.kernels.locally_balanced import LocallyBalancedJumps

__all__ = ["GibbsFlips", "KernelModule", "LocallyBalancedJumps", "automatic_kernel", "make_kernel"]


class KernelModule(Protocol):
    """What the module of a kernel offers."""

    def make(self, target: Target, config: SMCConfig, *, threads: int = 1) -> Kernel:
        """Prepare the kernel for a target and all paths to it; a `ConfigError` if it does not serve the target."""
        ...


def automatic_kernel(target: Target | JointTarget) -> str:
    """Name of the kernel that serves a target best."""
    return "barker" if isinstance(endpoint(cast(Target, target)), LinearTarget) else "gibbs"


def make_kernel(target: Target | JointTarget, config: SMCConfig, *, threads: int = 1) -> Kernel:
    """The moves that a configuration asks for, prepared once for a target.

    Args:
        target: What to sample, or a `GeometricPath` to it; the kernel serves every path to that target.
        config: `kernel="auto"` takes the compiled kernel for a `LinearTarget`, and the plain one for any other.
        threads: Number of threads over particles; the result does not depend on it.

    Raises:
        ConfigError: If the kernel that is asked for does not serve the target.
    """
    end = endpoint(cast(Target, target))
    module = importlib.import_module(KERNELS[automatic_kernel(end) if config.kernel == "auto" else config.kernel])
    kernel = cast(KernelModule, module).make(end, config, threads=threads)
    return latent_moves(kernel, end, config) if latent_dimension(end) else kernel
