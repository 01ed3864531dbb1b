"""Markov moves of the particles: single-spin flips and swaps of two spins, compiled for linear targets.

`make_kernel` chooses one of two `Kernel`s: `GibbsFlips` (gibbs) needs a log density only, `LocallyBalancedJumps`
(locally_balanced) a `LinearTarget`. The latter tabulates the evidence once (evidence_table: `EvidenceTable`), keeps the
orthogonal factorisation of a configuration current (layout: `FactorisedRows`, `ActiveSet`; factorisation), reads the
odds of all flips and swaps from it (neighbour_odds: `Tempered`; pivot_rule) and runs the moves with them (jumps). With
at most 20 terms it caches every configuration that it has factored (cached_jumps: `ConfigurationCache`). Each particle
draws from a random stream of its own (stream).
"""

from __future__ import annotations

from bayespde.core.errors import ConfigError
from bayespde.smc.base import Kernel, LinearTarget, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.geometric_path import endpoint
from bayespde.smc.kernels.gibbs import GibbsFlips
from bayespde.smc.kernels.locally_balanced import LocallyBalancedJumps

__all__ = ["GibbsFlips", "LocallyBalancedJumps", "make_kernel"]


def make_kernel(target: Target, config: SMCConfig, *, threads: int = 1) -> Kernel:
    """The moves that a configuration asks for, prepared once for a target.

    Args:
        target: What to sample, or a `GeometricPath` to it; the kernel serves every path to that target.
        config: `kernel="auto"` takes the compiled kernel for a `LinearTarget`, and the plain one for any other.
        threads: Number of threads over particles; the result does not depend on it.

    Raises:
        ConfigError: If the compiled kernel is asked for and the target is not linear.
    """
    end = endpoint(target)
    if isinstance(end, LinearTarget) and config.kernel != "gibbs":
        return LocallyBalancedJumps(end, swaps=config.swaps, threads=threads)
    if config.kernel == "barker":
        raise ConfigError(
            "The compiled kernel serves linear models only.",
            got=type(end).__name__,
            wanted="a LinearTarget",
            fix="kernel='gibbs'",
        )
    return GibbsFlips(swaps=config.swaps)
