"""Leading models -> their log odds, each linearised at its own equation, next to those at the shared point.

Rows linearised and whitened at a wrong equation can confirm it: where the smoothed field is biased, the rows contain
what other coefficients would do through that bias. So each leading model is compared once more as if it were true: on
rows from the field conditioned on its own fixed point, with the covariance there, against the model that the shared
point prefers. Both are on the same rows, so that what changes is due to the linearisation and not to the noise.

Two equations may each be confirmed by their own rows. Then what counts is how well each explains the data from its own
field: half the difference of r' C(beta)^-1 r at the fixed points. The determinant is left out: the set of fields that
satisfy m moments, measured by its own surface, has the same weight for every equation, and the profile likelihood of an
unknown field under m constraints is that quadratic form alone [bortz2023]. The two forms take the noise through rows of
their own. That is a noise of the difference with a known standard deviation, and where a term's signal is below the
noise of its derivative it favours the larger equation: a submodel is therefore preferred unless it is clearly worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayespde.core.distinct import without_repeats
from bayespde.core.progress import Progress
from bayespde.weak.assembler import Assembler
from bayespde.weak.linearisation import LinearisationPoint, ModelPosterior, iterate, only_model
from bayespde.weak.whitening import WhitenedRows

MAX_ITERATIONS = 3
MAX_ROWS = 500
# Rows of prior weight that make the variance a known number.
KNOWN = 1e8
# Distance from the best, in nats after one iteration, within which a model gets all iterations.
WITHIN_REACH = 15.0
# Log odds above which a model contends at the shared point, and the deficit that is tolerated on its own rows.
CONTENDING = -5.0
DEFICIT = 1.0


@dataclass(frozen=True, eq=False)
class Relinearised:
    """Models compared at the shared linearisation point and at their own.

    Attributes:
        spins: Models, `[N, K]`, bool; the first is the one that all rows at the shared point prefer.
        shared: Log odds against the first at the shared point, `[N]`.
        own: Log odds against the first where the own fixed point is the linearisation point, `[N]`.
        advantage: How much better each explains the data from its own field than the first from its own, nats, `[N]`.
        advantage_sd: Standard deviation that noise alone gives it, `[N]`; infinite where it was not needed.
        coefficients: Own fixed points, `[N, K]`, physical units.
    """

    spins: np.ndarray
    shared: np.ndarray
    own: np.ndarray
    advantage: np.ndarray
    advantage_sd: np.ndarray
    coefficients: np.ndarray

    @property
    def change(self) -> float:
        """Largest change of the log odds of a model that contends with the first.

        Those are within 5 nats of it at the shared point, or confirmed by their own rows without being clearly worse.
        """
        contends = (self.shared > CONTENDING) | (self._is_confirmed & self._is_not_worse)
        return float(np.abs(self.own - self.shared)[contends].max())

    @property
    def alternatives(self) -> list[int]:
        """Models that their own rows confirm and that may be true, the smallest first, of these the best.

        Those that explain the data better than the preferred one, beyond noise, and submodels of the preferred one that
        are not worse beyond noise: rows linearised with a term too many can confirm that term.
        """
        is_part = ~np.any(self.spins & ~self.spins[0], axis=1) & np.any(self.spins != self.spins[0], axis=1)
        is_better = (self.own > 0) & (self.advantage > DEFICIT + 2 * self.advantage_sd)
        is_enough = is_part & self._is_confirmed & self._is_not_worse
        found = np.flatnonzero(is_better | is_enough)
        return sorted(found.tolist(), key=lambda i: (int(self.spins[i].sum()), -self.advantage[i]))

    @property
    def _is_confirmed(self) -> np.ndarray:
        return self.own > -DEFICIT

    @property
    def _is_not_worse(self) -> np.ndarray:
        return self.advantage > -2 * self.advantage_sd

    def table(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """One entry per model: its terms and both log odds."""
        return [
            {"terms": [n for n, s in zip(names, on, strict=True) if s], "shared": float(a), "own": float(b)}
            for on, a, b in zip(self.spins, self.shared, self.own, strict=True)
        ]


def occam_window(spins: np.ndarray, probability: np.ndarray, count: int) -> np.ndarray:
    """Models to be compared further, the most probable first: `[<= count, K]`, bool [madigan1994].

    Next to the most probable ones: those that lack one term of the best; the most probable that lacks it, which may
    hold another in its place; and the best of every size. Rows linearised with a term too many give all their weight
    to models that hold it.

    Args:
        spins: Models `[N, K]`; where probabilities have underflown, the more probable first.
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
    return without_repeats(wanted[wanted.any(axis=1)])[:count]


def relinearise(
    assembler: Assembler,
    models: ModelPosterior,
    point: LinearisationPoint,
    spins: np.ndarray,
    *,
    progress: bool | Progress = False,
) -> Relinearised:
    """Compare the leading models at their own fixed points, on a part of the test functions.

    A wrong linearisation point shows on a few hundred rows as well as on all. Every model is compared after one
    iteration; those that are then within reach of the best, and all submodels of the preferred one, get the iterations
    they need.

    Args:
        assembler: Forms moments at an equation.
        models: Log posterior of models for given statistics.
        point: The shared one.
        spins: Models to compare, `[N, K]`, none of them empty, the preferred one first.
        progress: Show a bar.

    Returns:
        Both log odds.
    """
    near = assembler.thinned(min(MAX_ROWS, len(point.rows.problem.kept))).starting_at(point.coefficients)
    shared = models.log_posterior(WhitenedRows(near(point.coefficients), point.coefficients).statistics, spins)
    # Sets of terms that are linearly dependent on this video are refused.
    spins, shared = spins[np.isfinite(shared)], shared[np.isfinite(shared)]
    starts = point.final_rows.instrumental_fits(spins)
    explained, found = np.empty(len(spins)), []
    for i, on in enumerate(Progress.of(progress).bar(spins, desc="relinearisation", unit="model")):
        found.append(_own_point(near, on, spins[0], starts[i], max_iterations=1))
        explained[i] = _explained(models, found[i].rows, on)
    is_part = ~np.any(spins & ~spins[0], axis=1)
    for i in np.flatnonzero(is_part | (explained > explained.max() - WITHIN_REACH)).tolist():
        if not found[i].converged:
            start = _whole(found[i], spins[i] | spins[0])
            found[i] = _own_point(near, spins[i], spins[0], start, max_iterations=MAX_ITERATIONS)
            explained[i] = _explained(models, found[i].rows, spins[i])
    rows = [f.rows for f in found]
    pairs = [models.log_posterior(r.statistics, np.stack([on, spins[0]])) for r, on in zip(rows, spins, strict=True)]
    own = np.array([a - b if np.isfinite(a) else -np.inf for a, b in pairs])
    sd = [_noise_of_difference(r, rows[0]) if o > -DEFICIT else np.inf for r, o in zip(rows, own, strict=True)]
    coefficients = np.array([_whole(f, on | spins[0]) for f, on in zip(found, spins, strict=True)])
    return Relinearised(spins, shared - shared[0], own, explained - explained[0], np.array(sd), coefficients)


def _own_point(
    near: Assembler, on: np.ndarray, other: np.ndarray, start: np.ndarray, *, max_iterations: int
) -> LinearisationPoint:
    """The fixed point of a model, on rows that have the terms of another one as well."""
    terms = on | other
    return iterate(near.restricted(terms), only_model(on[terms]), start[terms], max_iterations=max_iterations)


def _whole(point: LinearisationPoint, terms: np.ndarray) -> np.ndarray:
    """Coefficients of all terms of the library, `[K]`."""
    coefficients = np.zeros(len(terms))
    coefficients[terms] = point.coefficients
    return coefficients


def _noise_of_difference(one: WhitenedRows, other: WhitenedRows) -> float:
    """Standard deviation of half the difference of two r' C^-1 r: sqrt(m - |C_a^-1/2 C_ab C_b^-T/2|^2)."""
    shared = one.problem.noise_covariance(one.point, (other.problem, other.point)) + one.problem.allowance()
    overlap = float(np.sum(other.whiten(one.whiten(shared).T) ** 2))
    return float(np.sqrt(max(len(shared) - overlap, 0.0)))


def _explained(models: ModelPosterior, rows: WhitenedRows, on: np.ndarray) -> float:
    """Log posterior of a model on a scale that rows at different linearisation points share.

    The variance of the rows is held at its known value, their determinant left out, and of the squared residual only
    what exceeds its expectation counts: where the misfit floor has a share in the rows, that differs between points.
    """
    known = replace(rows.statistics, prior_rows=KNOWN, prior_variance=1.0)
    return float(models.log_posterior(known, on[None])[0] - known.log_jacobian.sum() + 0.5 * rows.expected.sum())
