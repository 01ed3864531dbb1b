"""Settings that leave something open + target -> settings that leave nothing open."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from bayespde.core.annotations import Count, CountOrZero
from bayespde.smc.base import JointTarget, Target
from bayespde.smc.config import SMCConfig
from bayespde.smc.kernels import automatic_kernel
from bayespde.smc.kernels.cached_jumps import MOST_TERMS

# Proposals after each pass where each takes a density. Where small matrices reject most of them: terms per proposal, so
# that they take the same share of all passes, and the most proposals.
COSTLY, TERMS_PER_FLIP, MOST_FLIPS = 3, 30, 16


@dataclass(frozen=True)
class DecidedSettings(SMCConfig):
    """Settings that hold for one target."""

    workers: Count = 1
    block_flips: CountOrZero = COSTLY


def decided(config: SMCConfig | None, target: Target | JointTarget) -> DecidedSettings:
    """The settings with what they leave open chosen for a target; the defaults if None.

    Runs are made at a time where compiled code takes nearly all of it, since it leaves Python to others.
    """
    config = SMCConfig() if config is None else config
    kernel = automatic_kernel(target) if config.kernel == "auto" else config.kernel
    heavy = kernel == "barker" and target.terms > MOST_TERMS
    chosen = vars(config).copy()
    if config.workers is None:
        chosen["workers"] = min(config.runs, torch.get_num_threads()) if heavy else 1
    if config.block_flips is None:
        cheap = min(math.ceil(target.terms / TERMS_PER_FLIP), MOST_FLIPS) if heavy else 0
        chosen["block_flips"] = max(cheap, COSTLY)
    return DecidedSettings(**chosen)
