"""Posterior -> the Pareto front of complexity and leave-one-block-out error."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayespde.core.annotations import Count
from bayespde.core.checked import validated
from bayespde.core.distinct import without_repeats
from bayespde.core.errors import StatisticsError
from bayespde.core.posterior import Posterior
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.sums import format_sum
from bayespde.core.triangular import triangular_factor

MAXIMUM_PER_SIZE = 8
RANK_TOLERANCE = 1e-12


@validated
def pareto_front(posterior: Posterior, *, maximum_terms: Count = 8) -> xr.Dataset:
    """Compare candidate equations by complexity and leave-one-block-out error.

    Candidates: the empty equation, every single term, the most probable configurations of every size, and every
    submodel of the most probable one. For each block the coefficients are refitted by least squares to the joined
    triangular factor of the other blocks, so nothing depends on the size of the video.

    Blocks are consecutive whitened rows. Test functions of neighbouring blocks overlap, and the covariance was fixed at
    a linearisation point that depends on all rows: where the noise model is wrong the error is optimistic.

    Args:
        posterior: What sampling or enumeration returned.
        maximum_terms: Largest number of terms of a candidate, at least 1.

    Returns:
        Over `equation`, sorted by complexity, then error: `complexity`, `size`, `error` (in-sample) and
        `cross_validated_error` with `cross_validated_error_sd` (between blocks), all root mean squares
        relative to the target; `text`, `names`, `probability` (NaN where unknown), `on_front`, `selected`
        (the most probable); over `equation, term`: `spin` and `coefficient` (least squares, physical
        units). Attributes `probability_on_front` and `probability_listed`: posterior mass of the front and
        of all candidates.

    Raises:
        ConfigError: If `maximum_terms` is below 1.
        StatisticsError: If there is only one block.
    """
    spins, probability = _candidates(posterior, maximum_terms)
    factors = np.array([t.factor for t in posterior.library])
    return _described(_measured(posterior, spins, probability), factors)


def cross_validate(statistics: SufficientStatistics, spins: np.ndarray) -> np.ndarray:
    """Squared error on each block of the least-squares fit to all other blocks.

    Args:
        statistics: The compressed rows, at least two blocks.
        spins: Configurations, `[N, K]`, bool.

    Returns:
        `[N, B]`, float64, in units of the (whitened) target squared.

    Raises:
        StatisticsError: If there is only one block.
    """
    if statistics.blocks < 2:
        raise StatisticsError(
            "Cross-validation needs blocks to leave out.",
            got=f"{statistics.blocks} block",
            wanted="two or more",
            fix="SufficientStatistics.from_rows(..., blocks=16), or smaller test functions and so more rows",
        )
    scale = np.append(statistics.column_scale, 1.0)
    scaled = statistics.factors / scale
    size = scaled.shape[-1]
    rows = (np.delete(scaled, b, axis=0).reshape(-1, size) for b in range(statistics.blocks))
    others = np.stack([triangular_factor(r) for r in rows])
    errors = np.empty((len(spins), statistics.blocks))
    for row, configuration in enumerate(spins):
        on = np.flatnonzero(configuration)
        fitted = np.linalg.pinv(others[:, :, on], rcond=RANK_TOLERANCE) @ others[:, :, -1:]
        residual = scaled[:, :, -1] - (scaled[:, :, on] @ fitted)[..., 0]
        errors[row] = np.sum(residual**2, axis=1)
    return errors


def non_dominated(complexity: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Points that no other point dominates, by being at most as large in both and smaller in one. `[N]`, bool."""
    order = np.lexsort((error, complexity))
    best = np.minimum.accumulate(error[order])
    before = np.append(np.inf, best[:-1])
    front = np.zeros(len(order), dtype=bool)
    front[order] = error[order] < before
    for i in np.flatnonzero(front):
        front |= (complexity == complexity[i]) & (error == error[i])
    return front


def _measured(posterior: Posterior, spins: np.ndarray, probability: np.ndarray) -> xr.Dataset:
    """Complexity and errors of every candidate, sorted."""
    statistics, library = posterior.statistics, posterior.library
    coefficients = np.stack([statistics.least_squares(s) for s in spins])
    inside = np.array([statistics.block_residuals(c).sum() for c in coefficients])
    outside = cross_validate(statistics, spins)
    energy = max(statistics.energy, np.finfo(float).tiny)
    total = outside.sum(axis=1)
    error_of_total = np.sqrt(statistics.blocks) * outside.std(axis=1, ddof=1)
    variables = {
        "complexity": spins @ library.complexities,
        "size": spins.sum(axis=1),
        "error": np.sqrt(inside / energy),
        "cross_validated_error": np.sqrt(total / energy),
        "cross_validated_error_sd": error_of_total / (2 * np.sqrt(np.maximum(total, 1e-300) * energy)),
        "probability": probability,
        "selected": np.arange(len(spins)) == np.nanargmax(probability),
    }
    order = np.lexsort((variables["cross_validated_error"], variables["complexity"]))
    dataset = xr.Dataset(
        {name: (("equation",), np.asarray(values)[order]) for name, values in variables.items()},
        coords={"equation": np.arange(len(spins)), "term": list(library.names)},
        attrs={"target": library.target, "blocks": statistics.blocks},
    )
    dataset["spin"] = (("equation", "term"), spins[order].astype(np.int8))
    dataset["coefficient"] = (("equation", "term"), coefficients[order])
    return dataset


def _candidates(posterior: Posterior, maximum_terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct configurations `[N, K]` and probabilities `[N]`, NaN where the posterior lists none."""
    spins, probability = posterior.configurations()
    terms = spins.shape[1]
    # The most probable one is a candidate whatever its number of terms.
    within = spins[(spins.sum(axis=1) <= maximum_terms) | (np.arange(len(spins)) == 0)]
    sizes = within.sum(axis=1)
    first = np.sort(np.concatenate([np.flatnonzero(sizes == n)[:MAXIMUM_PER_SIZE] for n in np.unique(sizes)]))
    simple = [np.zeros((1, terms), dtype=bool), np.eye(terms, dtype=bool), _submodels(within[0])]
    found = without_repeats(np.concatenate([within[first], *simple]))
    known = {s.tobytes(): float(p) for s, p in zip(spins, probability, strict=True)}
    return found, np.array([known.get(s.tobytes(), np.nan) for s in found])


def _submodels(best: np.ndarray) -> np.ndarray:
    """Every submodel of a configuration, `[2^k, K]`; of more than ten terms, those that lack one term."""
    on = np.flatnonzero(best)
    if on.size > 10:
        nested = np.repeat(best[None], on.size, axis=0)
        nested[np.arange(on.size), on] = False
        return nested
    patterns = (np.arange(2**on.size)[:, None] >> np.arange(on.size)) & 1
    nested = np.zeros((len(patterns), best.size), dtype=bool)
    nested[:, on] = patterns.astype(bool)
    return nested


def _described(dataset: xr.Dataset, factors: np.ndarray) -> xr.Dataset:
    """Add the front and the texts."""
    names = np.array([str(n) for n in dataset["term"].values])
    spins, coefficients = dataset["spin"].values.astype(bool), dataset["coefficient"].values
    sums = [format_sum(list(factors[s]), list(c[s])) for s, c in zip(spins, coefficients, strict=True)]
    dataset["text"] = (("equation",), [f"{dataset.attrs['target']} = {text}" for text in sums])
    dataset["names"] = (("equation",), [", ".join(names[s]) for s in spins])
    front = non_dominated(dataset["complexity"].values, dataset["cross_validated_error"].values)
    dataset["on_front"] = (("equation",), front)
    dataset.attrs["probability_on_front"] = float(np.nansum(dataset["probability"].values[front]))
    dataset.attrs["probability_listed"] = float(np.nansum(dataset["probability"].values))
    for name in ("error", "cross_validated_error", "cross_validated_error_sd"):
        dataset[name].attrs["units"] = "1"
        dataset[name].attrs["long_name"] = f"{name.replace('_', ' ')}, root mean square relative to the target"
    dataset["complexity"].attrs["long_name"] = "complexity"
    return dataset
