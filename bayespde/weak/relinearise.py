"""Leading configurations -> their log odds where each one's own equation is the pilot, beside those at the shared one.

Rows linearised and whitened at a wrong pilot can confirm it: where the smooth field is biased, the rows see what other
coefficients would do through that bias. So each leading configuration is judged once more as if it were the truth: on
rows from the field that obeys its own fixed point, with the covariance there, against the one that the shared pilot
prefers. Both see the same rows, so that what changes is due to the pilot and not to the noise.

Two equations may each be confirmed by their own rows. Then what counts is how well each explains the data from its own
field: half the difference of r' C(beta)^-1 r at the fixed points. The determinant is left out: the set of fields that
obey m moments, measured by its own surface, has the same weight for every equation, and the profile likelihood of an
unknown field under m constraints is that quadratic form alone [bortz2023]. The two forms see the noise through rows of
their own. That is a noise of the difference with a known spread, and where a term's signal is below the noise of its
derivative it favours the larger equation: a part is therefore preferred unless it is clearly worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from bayespde.core.distinct import distinct
from bayespde.weak.assembler import Assembler
from bayespde.weak.linearisation import LinearisationPoint, ModelPosterior, iterate, only_model
from bayespde.weak.whitening import WhitenedRows

ROUNDS = 3
ROWS = 500
# So many rows of prior weight make the variance a known number.
KNOWN = 1e8
WITHIN_REACH = 15.0
# Log odds below which a configuration does not matter, and by which it may lag on its own rows.
MATTERS = -5.0
LAG = 1.0


@dataclass(frozen=True, eq=False)
class Rescored:
    """Configurations judged at the shared pilot and at their own.

    Attributes:
        spins: Configurations, `[N, K]`, bool; the first is the one that all rows at the shared pilot prefer.
        shared: Log odds against the first at the shared pilot, `[N]`.
        own: Log odds against the first where the own fixed point is the pilot, `[N]`.
        lead: How much better each explains the data from its own field than the first from its own, nats, `[N]`.
        lead_sd: Standard deviation that noise alone gives the lead, `[N]`; infinite where it was not needed.
        coefficients: Own fixed points, `[N, K]`, physical units.
    """

    spins: np.ndarray
    shared: np.ndarray
    own: np.ndarray
    lead: np.ndarray
    lead_sd: np.ndarray
    coefficients: np.ndarray

    @property
    def change(self) -> float:
        """Largest change of the log odds of what contends with the first.

        That is what comes within 5 nats of it at the shared pilot, and what its own rows confirm as well without being
        clearly worse.
        """
        contends = (self.shared > MATTERS) | (self._is_confirmed & self._is_not_worse)
        return float(np.abs(self.own - self.shared)[contends].max())

    @property
    def alternatives(self) -> list[int]:
        """Configurations that their own rows confirm and that may be right, the smallest first, of these the best.

        Those that explain the data better than the preferred one, beyond noise, and those that lack a term of the
        preferred one and are not worse beyond noise: a pilot with a term too many can make itself believed.
        """
        is_part = ~np.any(self.spins & ~self.spins[0], axis=1) & np.any(self.spins != self.spins[0], axis=1)
        is_better = (self.own > 0) & (self.lead > LAG + 2 * self.lead_sd)
        is_enough = is_part & self._is_confirmed & self._is_not_worse
        found = np.flatnonzero(is_better | is_enough)
        return sorted(found.tolist(), key=lambda i: (int(self.spins[i].sum()), -self.lead[i]))

    @property
    def _is_confirmed(self) -> np.ndarray:
        return self.own > -LAG

    @property
    def _is_not_worse(self) -> np.ndarray:
        return self.lead > -2 * self.lead_sd

    def table(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """One entry per configuration: its terms and both log odds."""
        return [
            {"terms": [n for n, s in zip(names, on, strict=True) if s], "shared": float(a), "own": float(b)}
            for on, a, b in zip(self.spins, self.shared, self.own, strict=True)
        ]


def occam_window(spins: np.ndarray, probability: np.ndarray, count: int) -> np.ndarray:
    """Configurations worth another look, the most probable first: `[<= count, K]`, bool.

    Besides the most probable ones: those that lack one term of the best; the most probable that lacks it, which may
    hold another in its place; and the best of every size. A pilot with a term too many gives all its weight to
    configurations that hold it.

    Args:
        spins: Configurations `[N, K]`; where probabilities have underflown, the more probable first.
        probability: Theirs, `[N]`.
        count: Most of them.
    """
    ranked = spins[np.argsort(-probability, kind="stable")]
    ranked = ranked[ranked.any(axis=1)]
    best, sizes = ranked[0], ranked.sum(axis=1)
    fewer = best & ~np.eye(len(best), dtype=bool)[np.flatnonzero(best)]
    instead = [ranked[~ranked[:, k]][:1] for k in np.flatnonzero(best)]
    of_size = [ranked[sizes == s][:1] for s in range(1, best.sum() + 3)]
    wanted = np.vstack([ranked[:1], fewer, *instead, *of_size, ranked])
    wanted = wanted[wanted.any(axis=1)]
    return wanted[np.sort(distinct(wanted).first)][:count]


def relinearise(
    assembler: Assembler,
    models: ModelPosterior,
    pilot: LinearisationPoint,
    spins: np.ndarray,
    *,
    progress: bool = False,
) -> Rescored:
    """ModelPosterior the leading configurations at their own fixed points, on a part of the test functions.

    A wrong pilot is seen on a few hundred rows as well as on all. Every configuration is judged after one round; those
    that are then within reach of the best, and all parts of the preferred one, get the rounds they need.

    Args:
        assembler: Forms moments at an equation.
        models: Log posterior of configurations for given statistics.
        pilot: The shared one.
        spins: Configurations to models, `[N, K]`, none of them empty, the preferred one first.
        progress: Show a bar.

    Returns:
        Both log odds.
    """
    near = assembler.thinned(min(ROWS, len(pilot.rows.problem.kept))).starting_at(pilot.coefficients)
    shared = models.log_posterior(WhitenedRows(near(pilot.coefficients), pilot.coefficients).statistics, spins)
    # Sets of terms that are linearly dependent on this video are refused.
    spins, shared = spins[np.isfinite(shared)], shared[np.isfinite(shared)]
    starts = pilot.settled.instrumental_fits(spins)
    explained, found = np.empty(len(spins)), []
    for i, on in enumerate(tqdm(spins, desc="own covariance", unit="equation", disable=not progress)):
        found.append(_own_pilot(near, on, spins[0], starts[i], rounds=1))
        explained[i] = _explained(models, found[i].rows, on)
    is_part = ~np.any(spins & ~spins[0], axis=1)
    for i in np.flatnonzero(is_part | (explained > explained.max() - WITHIN_REACH)).tolist():
        if not found[i].converged:
            found[i] = _own_pilot(near, spins[i], spins[0], _whole(found[i], spins[i] | spins[0]), rounds=ROUNDS)
            explained[i] = _explained(models, found[i].rows, spins[i])
    rows = [f.rows for f in found]
    pairs = [models.log_posterior(r.statistics, np.stack([on, spins[0]])) for r, on in zip(rows, spins, strict=True)]
    own = np.array([a - b if np.isfinite(a) else -np.inf for a, b in pairs])
    sd = [_noise_of_difference(r, rows[0]) if o > -LAG else np.inf for r, o in zip(rows, own, strict=True)]
    coefficients = np.array([_whole(f, on | spins[0]) for f, on in zip(found, spins, strict=True)])
    return Rescored(spins, shared - shared[0], own, explained - explained[0], np.array(sd), coefficients)


def _own_pilot(
    near: Assembler, on: np.ndarray, beside: np.ndarray, start: np.ndarray, *, rounds: int
) -> LinearisationPoint:
    """The fixed point of a configuration, on rows that have the terms of another one as well."""
    terms = on | beside
    return iterate(near.restricted(terms), only_model(on[terms]), start[terms], rounds=rounds)


def _whole(pilot: LinearisationPoint, terms: np.ndarray) -> np.ndarray:
    """Coefficients of all terms of the library, `[K]`."""
    coefficients = np.zeros(len(terms))
    coefficients[terms] = pilot.coefficients
    return coefficients


def _noise_of_difference(one: WhitenedRows, other: WhitenedRows) -> float:
    """Standard deviation of half the difference of two r' C^-1 r: sqrt(m - |C_a^-1/2 C_ab C_b^-T/2|^2)."""
    shared = one.problem.noise_covariance(one.pilot, (other.problem, other.pilot)) + one.problem.allowance()
    overlap = float(np.sum(other.whiten(one.whiten(shared).T) ** 2))
    return float(np.sqrt(max(len(shared) - overlap, 0.0)))


def _explained(models: ModelPosterior, rows: WhitenedRows, on: np.ndarray) -> float:
    """Log posterior of a configuration on a scale that rows at different pilots share.

    The variance of the rows is held at what is known, their determinant left out, and of the squared residual only what
    exceeds its expectation counts: where the misfit floor has a share in the rows, that differs between pilots.
    """
    known = replace(rows.statistics, prior_rows=KNOWN, prior_variance=1.0)
    return float(models.log_posterior(known, on[None])[0] - known.log_jacobian.sum() + 0.5 * rows.expected.sum())
