"""Terms + observed fields -> whitened rows of the weak form at their linearisation point: `SufficientStatistics`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bayespde.core.distinct import without_repeats
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.progress import Progress
from bayespde.core.statistics import SufficientStatistics
from bayespde.weak.assembler import Assembler
from bayespde.weak.config import WeakForm
from bayespde.weak.linearisation import LinearisationPoint, ModelPosterior, ModelWeights, iterate, only_model
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.placement import dense_test_functions
from bayespde.weak.relinearise import Relinearised, occam_window, relinearise
from bayespde.weak.residual_checks import residual_checks

# Share of noise in the variance of the first rows above which narrower test functions pay.
NOISE_MATTERS = 0.05


def weak_statistics(
    library: Library,
    fields: tuple[ObservedField, ...],
    models: ModelPosterior,
    *,
    options: WeakForm,
    progress: bool | Progress = False,
) -> SufficientStatistics:
    """Find the linearisation point on wide test functions, then form dense rows from fields conditioned on it.

    Args:
        library: The candidate terms.
        fields: That of the target, then those coupled with it.
        models: Posterior over models for given statistics.
        options: Settings.
        progress: Show a bar.

    Returns:
        The statistics at the last linearisation point; how it was found is in the provenance.
    """
    problem = weak_problem(library, fields, options=options)
    point = iterate(
        lambda _: problem,
        models.average,
        np.zeros(len(library)),
        max_iterations=options.max_iterations,
        progress=progress,
    )
    assembler = Assembler(library, problem, problem.test_functions, conditioned=False)
    if not options.condition_on_equation or problem.noise.jitter:
        return _recorded(point, ModelWeights.at(point, models), assembler)
    # Without noise what is left are errors of quadrature and spline, which are largest with narrow test functions.
    if point.final_rows.expected.mean() > NOISE_MATTERS:
        dense = dense_test_functions(problem.test_functions, tuple(map(str, fields[0].raw.dims)), options)
        assembler = replace(assembler, test_functions=dense, conditioned=True)
        first = point
        point = iterate(
            assembler, models.average, first.coefficients, max_iterations=options.max_iterations, progress=progress
        )
        point = replace(point, leaders=np.vstack([first.leaders, point.leaders]))
    weights = ModelWeights.at(point, models)
    if not options.relinearised_models or not weights.best.any():
        return _recorded(point, weights, assembler)
    return _relinearised(point, weights, models, assembler, progress)


def _relinearised(
    point: LinearisationPoint,
    weights: ModelWeights,
    models: ModelPosterior,
    assembler: Assembler,
    progress: bool | Progress,
) -> SufficientStatistics:
    """Compare the leading models at their own points, and move the shared one to the model that proves better there."""
    options = assembler.first.options

    def compared(point: LinearisationPoint, weights: ModelWeights) -> Relinearised:
        leading = occam_window(*weights, options.relinearised_models)
        # Where noise is large, every equation may lead at the point of another.
        leading = without_repeats(np.vstack([leading, point.leaders[point.leaders.any(axis=1)]]))
        return relinearise(assembler, models, point, leading, progress=progress)

    try:
        again = compared(point, weights)
    except ConfigError:  # a small video with gaps may have too few rows left over when they are thinned
        statistics = _recorded(point, weights, assembler)
        return replace(statistics, provenance=dict(statistics.provenance) | {"relinearised_skipped": 1})
    record: dict[str, Any] = {"log_odds_change": again.change, "linearisation_moved": 0}
    for i in again.alternatives:
        # The fixed point of this model alone, on all rows; an average could return to where it came from.
        only = only_model(again.spins[i])
        other = iterate(assembler, only, again.coefficients[i], max_iterations=options.max_iterations)
        found, former = models.log_posterior(other.final_rows.statistics, again.spins[[i, 0]])
        # A model without a fixed point explains nothing.
        if other.converged and found > former:
            point, weights = other, ModelWeights.at(other, models)
            again = compared(point, weights)
            record["linearisation_moved"] = 1
            break
    record["relinearised"] = again.table(assembler.library.names)
    statistics = _recorded(point, weights, assembler)
    return replace(
        statistics,
        provenance=dict(statistics.provenance) | record,
        records=(replace(statistics.record, log_odds_change_left=again.change),),
    )


def _recorded(point: LinearisationPoint, weights: ModelWeights, assembler: Assembler) -> SufficientStatistics:
    rows, made = point.final_rows, point.final_rows.statistics
    record = {"linearisation_iterations": point.iterations, "linearisation_converged": int(point.converged)}
    fit = residual_checks(rows, weights.best, assembler)
    return replace(
        made,
        provenance=dict(made.provenance) | record,
        records=(replace(made.record, linearisation_change=point.change, fit=fit),),
    )
