"""Leading configurations -> their log odds with each one's own field and covariance, beside those at the shared pilot.

Rows linearised and whitened at a wrong pilot can confirm it: where the smooth field is biased, the rows see what other
coefficients would do through that bias. So each leading configuration is judged once more as if it were the truth: its
own fixed point beta, the field that obeys it, and r' C(beta)^-1 r with the covariance there. Its determinant is left
out: the set of fields that obey m moments, measured by its own surface, has the same weight for every equation, and the
profile likelihood of an unknown field under m constraints is that quadratic form alone [bortz2023].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from bayespde.core.distinct import distinct
from bayespde.core.statistics import SufficientStatistics
from bayespde.library.assembler import Assembler
from bayespde.library.pilot import Judge, Pilot, settle
from bayespde.library.whiten import WhitenedRows

ROUNDS = 3
ROWS = 500
# So many rows of prior weight make the variance a known number.
KNOWN = 1e8
WITHIN_REACH = 15.0


@dataclass(frozen=True, eq=False)
class Rescored:
    """Configurations judged at the shared pilot and at their own.

    Attributes:
        spins: Configurations, `[N, K]`, bool; the first is the one that all rows at the shared pilot prefer.
        shared: Log posterior at the shared pilot, relative to the largest, `[N]`.
        own: Log posterior at the own fixed point, relative to the largest, `[N]`.
        own_sd: Standard deviation of its difference from the largest that the noise alone would give, `[N]`.
        coefficients: Own fixed points, `[N, K]`, physical units.
    """

    spins: np.ndarray
    shared: np.ndarray
    own: np.ndarray
    own_sd: np.ndarray
    coefficients: np.ndarray

    @property
    def change(self) -> float:
        """Largest change in log odds against the best that is not noise, within 5 nats of it under either."""
        best = int(np.argmax(self.own))
        matters = np.maximum(self.own, self.shared) > -5.0
        moved = np.abs((self.own - self.own[best]) - (self.shared - self.shared[best])) - 2 * self.own_sd
        return float(np.maximum(moved, 0.0)[matters].max())

    @property
    def suspects(self) -> list[int]:
        """Configurations that may be right although the shared pilot does not prefer them, the smallest first.

        Those whose own lead over the preferred one is more than noise, and those that lack a term of the preferred one
        and do not lag by more than noise: a pilot with a term too many can make itself believed.
        """
        lead, noise = self.own - self.own[0], 2 * np.hypot(self.own_sd, self.own_sd[0])
        is_part = ~np.any(self.spins & ~self.spins[0], axis=1) & np.any(self.spins != self.spins[0], axis=1)
        found = np.flatnonzero((lead > 1.0 + noise) | (is_part & (lead > -noise)))
        return sorted(found.tolist(), key=lambda i: int(self.spins[i].sum()))

    @property
    def average(self) -> np.ndarray:
        """Own fixed points averaged by their own posterior, `[K]`."""
        weight = np.exp(self.own - self.own.max())
        return np.asarray(weight / weight.sum() @ self.coefficients)

    def table(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """One entry per configuration: its terms and both log posteriors."""
        return [
            {
                "terms": [n for n, s in zip(names, on, strict=True) if s],
                "shared": float(a),
                "own": float(b),
                "own_sd": float(c),
            }
            for on, a, b, c in zip(self.spins, self.shared, self.own, self.own_sd, strict=True)
        ]


def contenders(spins: np.ndarray, probability: np.ndarray, count: int) -> np.ndarray:
    """Configurations worth another look, the most probable first: `[<= count, K]`, bool.

    Besides the most probable ones: those that lack one term of the best, and the best of every size. A pilot with a
    term too many gives all its weight to configurations that hold it.

    Args:
        spins: Configurations `[N, K]`.
        probability: Theirs, `[N]`.
        count: Most of them.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, sizes = spins[order], spins[order].sum(axis=1)
    best = ranked[0]
    fewer = best & ~np.eye(len(best), dtype=bool)[np.flatnonzero(best)]
    of_size = [ranked[np.flatnonzero(sizes == s)[0]] for s in range(1, best.sum() + 3) if (sizes == s).any()]
    wanted = np.vstack([ranked[:1], fewer, *of_size, ranked])
    wanted = wanted[wanted.any(axis=1)]
    return wanted[np.sort(distinct(wanted).first)][:count]


def rescore(assembler: Assembler, judge: Judge, pilot: Pilot, count: int, *, progress: bool = False) -> Rescored:
    """Judge the leading configurations at their own fixed points, on a part of the test functions.

    A wrong pilot is seen on a few hundred rows as well as on all. Every configuration is judged after one round; those
    that are then within reach of the best get the rounds they need.

    Args:
        assembler: Forms moments at an equation.
        judge: Log posterior of configurations for given statistics.
        pilot: The shared one.
        count: How many configurations at most.
        progress: Show a bar.

    Returns:
        Both log posteriors.
    """
    spins = contenders(*judge.average(pilot.settled.statistics), count)
    starts = pilot.settled.instrumental_fits(spins)
    near = assembler.thinned(min(ROWS, len(pilot.rows.problem.target))).starting_at(pilot.coefficients)
    rows = WhitenedRows(near(pilot.coefficients), pilot.coefficients)
    shared = _log_posterior(judge, rows, spins)
    own, found = np.empty(len(spins)), []
    for i, on in enumerate(tqdm(spins, desc="own covariance", unit="equation", disable=not progress)):
        found.append(settle(near.restricted(on), _every_term, starts[i, on], rounds=1))
        own[i] = _log_posterior(judge, found[i].rows, on[None])[0]
    for i in np.flatnonzero(own > own.max() - WITHIN_REACH).tolist():
        if not found[i].converged:
            here = near.restricted(spins[i])
            found[i] = settle(here, _every_term, found[i].coefficients, rounds=ROUNDS)
            own[i] = _log_posterior(judge, found[i].rows, spins[i, None])[0]
    coefficients = np.zeros(spins.shape)
    for row, on, one in zip(coefficients, spins, found, strict=True):
        row[on] = one.coefficients
    there, own_sd = _at_the_best(near, judge, spins, own, coefficients), _noise_of_differences(found, own)
    own, own_sd = np.maximum(own, there), np.where(there >= own, 0.0, own_sd)
    return Rescored(spins, shared - shared.max(), own - own.max(), own_sd, coefficients)


def _noise_of_differences(found: Sequence[Pilot], own: np.ndarray) -> np.ndarray:
    """Standard deviation of half the difference of two r' C^-1 r: sqrt(m - |C_a^-1/2 C_ab C_b^-T/2|^2).

    Each sees the noise through rows of its own. Where these span the same directions the difference is exact.
    """
    best = found[int(np.argmax(own))].rows
    spread = []
    for rows in (f.rows for f in found):
        shared = rows.problem.noise_covariance(rows.pilot, (best.problem, best.pilot)) + rows.problem.allowance()
        overlap = float(np.sum(best.whiten(rows.whiten(shared).T) ** 2))
        spread.append(max(len(shared) - overlap, 0.0))
    return np.sqrt(spread)


def _at_the_best(
    near: Assembler, judge: Judge, spins: np.ndarray, own: np.ndarray, coefficients: np.ndarray
) -> np.ndarray:
    """Log posterior of what holds the best configuration at the best one's pilot, `[N]`; -inf for the others.

    A useless term has its best coefficient near zero; rounds that started elsewhere need not get there.
    """
    best = int(np.argmax(own))
    holds = np.all(spins | ~spins[best], axis=1)
    rows = WhitenedRows(near(coefficients[best]), coefficients[best])
    return np.where(holds, _log_posterior(judge, rows, spins), -np.inf)


def _log_posterior(judge: Judge, rows: WhitenedRows, spins: np.ndarray) -> np.ndarray:
    """Log posterior on a scale that rows at different pilots share, `[N]`.

    The variance of the rows is held at what is known, their determinant left out, and of the squared residual only what
    exceeds its expectation counts: where the misfit floor has a share in the rows, that differs between pilots.
    """
    known = replace(rows.statistics, pilot_rows=KNOWN, pilot_variance=1.0)
    return judge.log_posterior(known, spins) - known.log_jacobian.sum() + 0.5 * rows.expected.sum()


def _every_term(statistics: SufficientStatistics) -> tuple[np.ndarray, np.ndarray]:
    """The average of somebody who is certain that every term is in the equation."""
    return np.ones((1, len(statistics.names)), dtype=bool), np.ones(1)
