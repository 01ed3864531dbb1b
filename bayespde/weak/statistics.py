"""Terms + raw field + smooth field -> whitened weak rows, their equation settled: `SufficientStatistics`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.statistics import SufficientStatistics
from bayespde.weak.assembler import Assembler
from bayespde.weak.config import WeakForm, dense_test_functions
from bayespde.weak.coupled_fields import CoupledField
from bayespde.weak.linearisation import LinearisationPoint, ModelPosterior, iterate, only_model
from bayespde.weak.moments import weak_problem
from bayespde.weak.relinearise import occam_window, relinearise
from bayespde.weak.residual_checks import residual_checks
from bayespde.weak.smoother import GaussianSmoother

# Share of noise in the variance of the pilot's rows above which narrower test functions pay.
NOISE_MATTERS = 0.05


class Leading(NamedTuple):
    """Configurations on the rows at a pilot, `[N, K]`, and their probabilities, `[N]`."""

    spins: np.ndarray
    probability: np.ndarray

    @classmethod
    def at(cls, pilot: LinearisationPoint, models: ModelPosterior) -> Leading:
        """Those on the rows at a settled pilot."""
        return cls(*models.average(pilot.settled.statistics))

    @property
    def best(self) -> np.ndarray:
        """The most probable, `[K]`."""
        return np.asarray(self.spins[np.argmax(self.probability)])


def weak_statistics(
    library: Library,
    field: xr.DataArray,
    smooth: GaussianSmoother,
    models: ModelPosterior,
    *,
    options: WeakForm,
    jitter: tuple[float, ...] = (),
    coupled_fields: tuple[CoupledField, ...] = (),
    progress: bool = False,
) -> SufficientStatistics:
    """Settle the pilot equation on wide test functions, then form dense rows from a field that obeys it.

    Args:
        library: The candidate terms.
        field: The raw, checked field.
        smooth: The spline made from it.
        models: Posterior over configurations for given statistics.
        options: Settings.
        jitter: Of frames that were put back where they belong, per axis of space, physical lengths.
        coupled_fields: The other fields of a system.
        progress: Show a bar.

    Returns:
        The statistics at the last pilot; how it was found is in the provenance.
    """
    problem = weak_problem(library, field, smooth, options=options, jitter=jitter, coupled_fields=coupled_fields)
    start = np.zeros(len(library))
    pilot = iterate(lambda _: problem, models.average, start, rounds=options.max_iterations, progress=progress)
    assembler = Assembler(library, field, smooth, problem, problem.windows, bound=False)
    if not options.condition_on_equation or problem.noise.patterns:
        return _recorded(pilot, Leading.at(pilot, models), assembler)
    # Without noise what is left are errors of quadrature and spline, which narrow windows feel most.
    if pilot.settled.expected.mean() > NOISE_MATTERS:
        windows = dense_test_functions(problem.windows, tuple(map(str, field.dims)), options)
        assembler = replace(assembler, windows=windows, bound=True)
        pilot = iterate(assembler, models.average, pilot.coefficients, rounds=options.max_iterations, progress=progress)
    leading = Leading.at(pilot, models)
    if not options.relinearised_models or not leading.best.any():
        return _recorded(pilot, leading, assembler)
    return _judged_again(pilot, leading, models, assembler, progress)


def _judged_again(
    pilot: LinearisationPoint, leading: Leading, models: ModelPosterior, assembler: Assembler, progress: bool
) -> SufficientStatistics:
    """ModelPosterior the leading configurations at their own pilots, and move the shared one to what proves better there."""
    options = assembler.first.options
    try:
        again = relinearise(
            assembler, models, pilot, occam_window(*leading, options.relinearised_models), progress=progress
        )
    except ConfigError:  # a small video with gaps may have too few rows left over when they are thinned
        statistics = _recorded(pilot, leading, assembler)
        return replace(statistics, provenance=dict(statistics.provenance) | {"rescored_skipped": 1})
    record: dict[str, Any] = {"log_odds_change": again.change, "pilot_redone": 0}
    for i in again.alternatives:
        other = _settled_at(assembler, again.spins[i], again.coefficients[i], options.max_iterations)
        found, former = models.log_posterior(other.settled.statistics, again.spins[[i, 0]])
        # What has no fixed point explains nothing.
        if other.converged and found > former:
            pilot, leading = other, Leading.at(other, models)
            again = relinearise(
                assembler, models, pilot, occam_window(*leading, options.relinearised_models), progress=progress
            )
            record["pilot_redone"] = 1
            break
    record |= {"log_odds_change_left": again.change, "rescored": again.table(assembler.library.names)}
    statistics = _recorded(pilot, leading, assembler)
    return replace(statistics, provenance=dict(statistics.provenance) | record)


def _settled_at(assembler: Assembler, on: np.ndarray, start: np.ndarray, rounds: int) -> LinearisationPoint:
    """The fixed point of one configuration on all rows; an average could wander off to where it came from."""
    return iterate(assembler, only_model(on), start, rounds=rounds)


def _recorded(pilot: LinearisationPoint, leading: Leading, assembler: Assembler) -> SufficientStatistics:
    rows = pilot.settled
    record = {
        "pilot_rounds": pilot.rounds,
        "pilot_change": pilot.change,
        "pilot_converged": int(pilot.converged),
        "fit": residual_checks(rows, leading.best, assembler),
    }
    return replace(rows.statistics, provenance=dict(rows.statistics.provenance) | record)
