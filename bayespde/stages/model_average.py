"""A prior and a library -> the posterior by which the pilot equation is averaged while rows are formed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from bayespde.core.equation import Library
from bayespde.core.statistics import SufficientStatistics
from bayespde.model.prior import Prior
from bayespde.model.priors import GPriorSlab, HyperGSlab
from bayespde.model.spin import SpinModel
from bayespde.smc.base import SMCConfig
from bayespde.smc.enumeration.enumerate import enumerate_exact
from bayespde.smc.run import run_all

EXACT_TERMS = 23
MODELS = 100


@dataclass(frozen=True, eq=False)
class ModelAverage:
    """The posterior over configurations while the pilot equation is sought: exact, or sampled for many terms.

    Attributes:
        library: The candidate terms.
        prior: That of the configurations; the slab is the g-prior, which is faster than a mixture.
        seed: Of the sampling.
    """

    library: Library
    prior: Prior
    seed: int = 0

    def average(self, statistics: SufficientStatistics) -> tuple[np.ndarray, np.ndarray]:
        """Leading configurations `[N, K]`, the most probable first, and their probabilities `[N]`."""
        model = self._model(statistics)
        if len(self.library) <= EXACT_TERMS:
            table = enumerate_exact(model, keep=MODELS, per_size=1)
            return table.spins, table.probability
        runs = run_all(model, config=SMCConfig(particles=512, runs=1), seed=self.seed)
        distinct, counts = np.unique(runs.spins.reshape(-1, len(self.library)), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return distinct[order], counts[order] / counts.sum()

    def log_posterior(self, statistics: SufficientStatistics, spins: np.ndarray) -> np.ndarray:
        """Log prior plus log evidence of configurations `[N, K]`: `[N]`; statistics may lack terms that are off.

        A mixture over g, because rows at different pilots differ in energy, which a fixed g would read as a difference.
        """
        present = [self.library.index(name) for name in statistics.names]
        likelihood = SpinModel(statistics, slab=HyperGSlab()).log_likelihood(torch.as_tensor(spins[:, present]))
        return np.asarray(self.prior.spins(self.library).log_density(spins) + likelihood.numpy())

    def _model(self, statistics: SufficientStatistics) -> SpinModel:
        return replace(self.prior, slab=GPriorSlab()).model(statistics, self.library)
