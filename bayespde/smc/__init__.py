"""TARGET -> PARTICLES: tempered sequential Monte Carlo over spins (inclusion indicators), and exact enumeration.

A `Target` gives log prior and log likelihood of configurations; a `LinearTarget` also the factor that compiled code
reads. `init` draws an `SMCState` at inverse temperature 0, `step` takes it to the next one by a `Kernel` and reports an
`SMCInfo`, and `run` repeats that up to 1: a `Run`. Before it, `pilot_run` replaces the prior by a tuned reference, on a
`GeometricPath`; after each step `learn_block_flips` adds `BlockFlips` between modes. `run_all` makes independent runs,
`run_chains` tempered Gibbs chains: both return `Runs`. Particles of a `JointTarget` also hold real numbers, which its
kernel moves.
`enumerate_exact` returns the `ExactTable` of a small target. Moves are in kernels/, branch and bound in enumeration/.
"""

from bayespde.smc.base import BlockFlips, JointTarget, Kernel, LinearTarget, Moves, SMCInfo, SMCState, Target
from bayespde.smc.collect import Run, Runs, log_mean_exp
from bayespde.smc.config import SMCConfig, TemperedGibbsConfig
from bayespde.smc.enumeration.enumerate import enumerate_exact
from bayespde.smc.geometric_path import GeometricPath
from bayespde.smc.kernels import GibbsFlips, LocallyBalancedJumps, make_kernel
from bayespde.smc.kernels.block_flips import learn_block_flips
from bayespde.smc.pilot_runs import pilot_run
from bayespde.smc.run import run
from bayespde.smc.several_runs import run_all
from bayespde.smc.step import init, step
from bayespde.smc.tempered_gibbs import run_chains

__all__ = [
    "BlockFlips",
    "GeometricPath",
    "GibbsFlips",
    "JointTarget",
    "Kernel",
    "LinearTarget",
    "LocallyBalancedJumps",
    "Moves",
    "Run",
    "Runs",
    "SMCConfig",
    "SMCInfo",
    "SMCState",
    "Target",
    "TemperedGibbsConfig",
    "enumerate_exact",
    "init",
    "learn_block_flips",
    "log_mean_exp",
    "make_kernel",
    "pilot_run",
    "run",
    "run_all",
    "run_chains",
    "step",
]
