"""TARGET -> PARTICLES: tempered sequential Monte Carlo over spins, and the enumeration that checks it."""

from bayespde.smc.base import Kernel, LinearTarget, Moves, SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.collect import Run, Runs, log_mean_exp
from bayespde.smc.enumeration.enumerate import ExactResult, enumerate_exact
from bayespde.smc.geometric_path import GeometricPath
from bayespde.smc.kernels.gibbs import GibbsFlips
from bayespde.smc.kernels.locally_balanced import LocallyBalancedJumps
from bayespde.smc.run import pilot_run, run, run_all
from bayespde.smc.step import init, make_kernel, step
from bayespde.smc.tempered_gibbs import TemperedGibbsConfig, run_chains

__all__ = [
    "ExactResult",
    "GeometricPath",
    "GibbsFlips",
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
    "log_mean_exp",
    "make_kernel",
    "pilot_run",
    "run",
    "run_all",
    "run_chains",
    "step",
]
