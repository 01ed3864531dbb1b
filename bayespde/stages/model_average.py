"""A prior and a library -> the model average that gives the linearisation point of the weak form [hoeting1999]."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from bayespde.core.equation import Library
from bayespde.core.slabs import GPriorSlab, HyperGSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model.prior import Prior
from bayespde.model.spin import SpinModel
from bayespde.smc.config import SMCConfig
from bayespde.smc.enumeration.enumerate import enumerate_exact
from bayespde.smc.several_runs import run_all

ENUMERATE_UP_TO = 23
MODELS = 100


@dataclass(frozen=True, eq=False)
class ModelAverage:
    """The posterior over configurations while the weak form is iterated: exact, or sampled for many terms.

    Attributes:
        library: The candidate terms.
        prior: Prior of the configurations; its slab is replaced by the g-prior, which is faster than a mixture.
        seed: Of the sampling.
    """

    library: Library
    prior: Prior
    seed: int = 0

    def average(self, statistics: SufficientStatistics) -> tuple[np.ndarray, np.ndarray]:
        """Leading configurations `[N, K]`, the most probable first, and their probabilities `[N]`."""
        model = SpinModel(statistics, self.library, prior=replace(self.prior, slab=GPriorSlab()))
        if len(self.library) <= ENUMERATE_UP_TO:
            table = enumerate_exact(model, keep=MODELS, per_size=1)
            return table.spins, table.probability
        runs = run_all(model, config=SMCConfig(particles=512, runs=1), seed=self.seed)
        distinct, counts = np.unique(runs.spins.reshape(-1, len(self.library)), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return distinct[order], counts[order] / counts.sum()

    def log_posterior(self, statistics: SufficientStatistics, spins: np.ndarray) -> np.ndarray:
        """Log prior plus log evidence of configurations `[N, K]`: `[N]`; statistics may lack terms that are off.

        The slab is a mixture over g: rows linearised at different points differ in energy, to which a fixed g is
        sensitive.
        """
        present = [self.library.index(name) for name in statistics.names]
        mixture = SpinModel(statistics, prior=Prior(slab=HyperGSlab()))
        likelihood = mixture.log_likelihood(torch.as_tensor(spins[:, present]))
        prior = self.prior.of_spins(self.library.complexities, self.library.names)
        return np.asarray(prior.log_density(spins) + likelihood.numpy())
