"""Terms + raw field + smooth field -> whitened weak rows, their equation settled: `SufficientStatistics`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.statistics import SufficientStatistics
from bayespde.library.assembler import Assembler
from bayespde.library.beside import Beside
from bayespde.library.choose import Weak, dense_windows
from bayespde.library.fit_record import fit_record
from bayespde.library.moments import weak_problem
from bayespde.library.pilot import Judge, Pilot, certain_of, settle
from bayespde.library.rescore import contenders, rescore
from bayespde.library.smoother import GaussianSmoother

# Share of noise in the variance of the pilot's rows above which narrower test functions pay.
NOISE_MATTERS = 0.05


class Leading(NamedTuple):
    """Configurations on the rows at a pilot, `[N, K]`, and their probabilities, `[N]`."""

    spins: np.ndarray
    probability: np.ndarray

    @classmethod
    def at(cls, pilot: Pilot, judge: Judge) -> Leading:
        """Those on the rows at a settled pilot."""
        return cls(*judge.average(pilot.settled.statistics))

    @property
    def best(self) -> np.ndarray:
        """The most probable, `[K]`."""
        return np.asarray(self.spins[np.argmax(self.probability)])


def weak_statistics(
    library: Library,
    field: xr.DataArray,
    smooth: GaussianSmoother,
    judge: Judge,
    *,
    options: Weak,
    jitter: tuple[float, ...] = (),
    beside: tuple[Beside, ...] = (),
    progress: bool = False,
) -> SufficientStatistics:
    """Settle the pilot equation on wide test functions, then form dense rows from a field that obeys it.

    Args:
        library: The candidate terms.
        field: The raw, checked field.
        smooth: The spline made from it.
        judge: Posterior over configurations for given statistics.
        options: Settings.
        jitter: Of frames that were put back where they belong, per axis of space, physical lengths.
        beside: The other fields of a system.
        progress: Show a bar.

    Returns:
        The statistics at the last pilot; how it was found is in the provenance.
    """
    problem = weak_problem(library, field, smooth, options=options, jitter=jitter, beside=beside)
    start = np.zeros(len(library))
    pilot = settle(lambda _: problem, judge.average, start, rounds=options.pilots, progress=progress)
    assembler = Assembler(library, field, smooth, problem, problem.windows, bound=False)
    if not options.constrain or problem.noise.patterns:
        return _recorded(pilot, Leading.at(pilot, judge), assembler)
    # Without noise what is left are errors of quadrature and spline, which narrow windows feel most.
    if pilot.settled.expected.mean() > NOISE_MATTERS:
        windows = dense_windows(problem.windows, tuple(map(str, field.dims)), options)
        assembler = replace(assembler, windows=windows, bound=True)
        pilot = settle(assembler, judge.average, pilot.coefficients, rounds=options.pilots, progress=progress)
    leading = Leading.at(pilot, judge)
    if not options.rescored or not leading.best.any():
        return _recorded(pilot, leading, assembler)
    return _judged_again(pilot, leading, judge, assembler, progress)


def _judged_again(
    pilot: Pilot, leading: Leading, judge: Judge, assembler: Assembler, progress: bool
) -> SufficientStatistics:
    """Judge the leading configurations at their own pilots, and move the shared one to what proves better there."""
    options = assembler.first.options
    try:
        again = rescore(assembler, judge, pilot, contenders(*leading, options.rescored), progress=progress)
    except ConfigError:  # a small video with gaps may have too few rows left over when they are thinned
        statistics = _recorded(pilot, leading, assembler)
        return replace(statistics, provenance=dict(statistics.provenance) | {"rescored_skipped": 1})
    record: dict[str, Any] = {"log_odds_change": again.change, "pilot_redone": 0}
    for i in again.suspects:
        other = _settled_at(assembler, again.spins[i], again.coefficients[i], options.pilots)
        found, former = judge.log_posterior(other.settled.statistics, again.spins[[i, 0]])
        # What has no fixed point explains nothing.
        if other.converged and found > former:
            pilot, leading = other, Leading.at(other, judge)
            again = rescore(assembler, judge, pilot, contenders(*leading, options.rescored), progress=progress)
            record["pilot_redone"] = 1
            break
    record |= {"log_odds_change_left": again.change, "rescored": again.table(assembler.library.names)}
    statistics = _recorded(pilot, leading, assembler)
    return replace(statistics, provenance=dict(statistics.provenance) | record)


def _settled_at(assembler: Assembler, on: np.ndarray, start: np.ndarray, rounds: int) -> Pilot:
    """The fixed point of one configuration on all rows; an average could wander off to where it came from."""
    return settle(assembler, certain_of(on), start, rounds=rounds)


def _recorded(pilot: Pilot, leading: Leading, assembler: Assembler) -> SufficientStatistics:
    rows = pilot.settled
    record = {
        "pilot_rounds": pilot.rounds,
        "pilot_change": pilot.change,
        "pilot_converged": int(pilot.converged),
        "fit": fit_record(rows, leading.best, assembler),
    }
    return replace(rows.statistics, provenance=dict(rows.statistics.provenance) | record)
