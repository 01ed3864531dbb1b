"""TARGET -> PARTICLES: tempered sequential Monte Carlo over spins, and the enumeration that checks it."""

from bayespde.smc.base import LinearTarget, SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.exact import ExactResult, enumerate_exact
from bayespde.smc.flips import GibbsFlips, Moves
from bayespde.smc.run import Run, Runs, log_mean_exp, run, run_all
from bayespde.smc.step import init, step

__all__ = [
    "ExactResult",
    "GibbsFlips",
    "LinearTarget",
    "Moves",
    "Run",
    "Runs",
    "SMCConfig",
    "SMCInfo",
    "SMCState",
    "Target",
    "enumerate_exact",
    "init",
    "log_mean_exp",
    "run",
    "run_all",
    "step",
]
