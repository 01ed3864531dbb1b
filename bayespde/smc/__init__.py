"""TARGET -> PARTICLES: tempered sequential Monte Carlo over spins, and the enumeration that checks it."""

from bayespde.smc.barker import BarkerFlips
from bayespde.smc.base import Kernel, LinearTarget, Moves, SMCConfig, SMCInfo, SMCState, Target
from bayespde.smc.bridge import Bridge
from bayespde.smc.collect import Run, Runs, log_mean_exp
from bayespde.smc.exact import ExactResult, enumerate_exact
from bayespde.smc.flips import GibbsFlips
from bayespde.smc.run import run, run_all, scout
from bayespde.smc.step import init, make_kernel, step
from bayespde.smc.tempered_gibbs import TemperedGibbsConfig, run_chains

__all__ = [
    "BarkerFlips",
    "Bridge",
    "ExactResult",
    "GibbsFlips",
    "Kernel",
    "LinearTarget",
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
    "run",
    "run_all",
    "run_chains",
    "scout",
    "step",
]
