"""Terms + raw field + smooth field -> whitened weak rows, their equation settled: `SufficientStatistics`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.statistics import SufficientStatistics
from bayespde.library.assembler import Assembler
from bayespde.library.choose import Weak, dense_windows
from bayespde.library.constrain import GaussianSmoother
from bayespde.library.fit_record import fit_record
from bayespde.library.moments import weak_problem
from bayespde.library.pilot import Judge, Pilot, certain_of, settle
from bayespde.library.rescore import rescore

# Share of noise in the variance of the pilot's rows above which narrower test functions pay.
NOISE_MATTERS = 0.05


def weak_statistics(
    library: Library,
    field: xr.DataArray,
    smooth: GaussianSmoother,
    judge: Judge,
    *,
    options: Weak,
    progress: bool = False,
) -> SufficientStatistics:
    """Settle the pilot equation on wide test functions, then form dense rows from a field that obeys it.

    Args:
        library: The candidate terms.
        field: The raw, checked field.
        smooth: The spline made from it.
        judge: Posterior over configurations for given statistics.
        options: Settings.
        progress: Show a bar.

    Returns:
        The statistics at the last pilot; how it was found is in the provenance.
    """
    problem = weak_problem(library, field, smooth, options=options)
    start = np.zeros(len(library))
    pilot = settle(lambda _: problem, judge.average, start, rounds=options.pilots, progress=progress)
    assembler = Assembler(library, field, smooth, problem, problem.windows, bound=False)
    if not options.constrain or problem.noise.kind == "front":
        return _recorded(pilot, judge, assembler)
    # Without noise what is left are errors of quadrature and spline, which narrow windows feel most.
    if pilot.settled.expected.mean() > NOISE_MATTERS:
        windows = dense_windows(problem.windows, tuple(map(str, field.dims)), options)
        assembler = replace(assembler, windows=windows, bound=True)
        pilot = settle(assembler, judge.average, pilot.coefficients, rounds=options.pilots, progress=progress)
    if not options.rescored or not _preferred(pilot, judge).any():
        return _recorded(pilot, judge, assembler)
    return _judged_again(pilot, judge, assembler, progress)


def _judged_again(pilot: Pilot, judge: Judge, assembler: Assembler, progress: bool) -> SufficientStatistics:
    """Judge the leading configurations at their own pilots, and move the shared one to what proves better there."""
    options = assembler.first.options
    again = rescore(assembler, judge, pilot, options.rescored, progress=progress)
    record: dict[str, Any] = {"log_odds_change": again.change, "pilot_redone": 0}
    for i in again.suspects:
        other = _settled_at(assembler, again.spins[i], again.coefficients[i], options.pilots)
        found, former = judge.log_posterior(other.settled.statistics, again.spins[[i, 0]])
        if found > former:
            pilot, again = other, rescore(assembler, judge, other, options.rescored, progress=progress)
            record["pilot_redone"] = 1
            break
    record |= {"log_odds_change_left": again.change, "rescored": again.table(assembler.library.names)}
    statistics = _recorded(pilot, judge, assembler)
    return replace(statistics, provenance=dict(statistics.provenance) | record)


def _settled_at(assembler: Assembler, on: np.ndarray, start: np.ndarray, rounds: int) -> Pilot:
    """The fixed point of one configuration on all rows; an average could wander off to where it came from."""
    return settle(assembler, certain_of(on), start, rounds=rounds)


def _preferred(pilot: Pilot, judge: Judge) -> np.ndarray:
    """The most probable configuration on the rows at a pilot, `[K]`."""
    spins, probability = judge.average(pilot.settled.statistics)
    return np.asarray(spins[np.argmax(probability)])


def _recorded(pilot: Pilot, judge: Judge, assembler: Assembler) -> SufficientStatistics:
    rows = pilot.settled
    record = {
        "pilot_rounds": pilot.rounds,
        "pilot_change": pilot.change,
        "pilot_converged": int(pilot.converged),
        "fit": fit_record(rows, _preferred(pilot, judge), assembler),
    }
    return replace(rows.statistics, provenance=dict(rows.statistics.provenance) | record)
