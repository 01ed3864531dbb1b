"""Sufficient statistics against the raw rows that they compress."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from bayespde.core.assembly_record import AssemblyRecord, FitRecord, ResidualMap, TrajectoryRecord
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics

ROWS, TERMS, BLOCKS = 203, 5, 7


RECORD = AssemblyRecord(
    "weak",
    noise="correlated",
    correlation=((1.0,), (1.0, 0.2)),
    expected_residual=0.9,
    fit=FitRecord(ResidualMap((1, 2), (0.3, -1.0), 0.1), {"x": 0.01}),
    along=("u", "u_xx"),
    trajectory=TrajectoryRecord(True, 0.1, 1.0, 0.2, 0.0, float("inf")),
)


@pytest.fixture
def rows(rng):
    design = rng.normal(size=(ROWS, TERMS)) @ np.diag([1, 1e-4, 1e5, 3, 0.2])
    return design, design @ np.array([1.0, 0, 2e-5, 0, -3]) + 0.1 * rng.normal(size=ROWS)


@pytest.fixture
def statistics(rows):
    return SufficientStatistics.from_rows(*rows, blocks=BLOCKS)


def both(rows):
    return np.column_stack(rows)


def close_gram(a, b):
    scale = np.sqrt(np.diagonal(b))
    return np.allclose(a / np.outer(scale, scale), b / np.outer(scale, scale), atol=1e-13)


def test_the_factor_has_the_gram_matrix_of_all_rows(rows, statistics):
    assert statistics.blocks == BLOCKS
    assert statistics.rows == ROWS
    assert np.all(np.tril(statistics.factor, -1) == 0)
    assert np.all(np.diagonal(statistics.factor) >= 0)
    assert close_gram(statistics.factor.T @ statistics.factor, both(rows).T @ both(rows))


def test_every_block_has_the_gram_matrix_of_its_rows(rows, statistics):
    edges = np.concatenate([[0], np.cumsum(statistics.effective_rows)]).astype(int)
    assert edges[-1] == ROWS
    assert np.ptp(np.diff(edges)) <= 1
    for block, (a, b) in enumerate(pairwise(edges)):
        part = both(rows)[a:b]
        assert close_gram(statistics.factors[block].T @ statistics.factors[block], part.T @ part)


def test_the_factor_is_the_triangle_of_a_qr_of_the_raw_rows(rows, statistics):
    triangle = np.linalg.qr(both(rows))[1]
    assert np.allclose(np.abs(statistics.factor), np.abs(triangle), rtol=1e-9, atol=1e-9 * np.abs(triangle).max(axis=0))


def test_scales_and_energy(rows, statistics):
    design, target = rows
    assert statistics.column_scale == pytest.approx(np.sqrt(np.sum(design**2, axis=0)), rel=1e-12)
    assert statistics.energy == pytest.approx(target @ target, rel=1e-12)
    empty = SufficientStatistics.from_rows(np.column_stack([design, np.zeros(ROWS)]), target)
    assert empty.column_scale[-1] == 1


def test_the_sum_of_two_halves_is_the_whole(rows):
    design, target = rows
    halves = [SufficientStatistics.from_rows(design[s], target[s], blocks=3) for s in (slice(90), slice(90, None))]
    whole = halves[0] + halves[1]
    assert whole.blocks == 6
    assert whole.rows == ROWS
    assert close_gram(whole.factor.T @ whole.factor, both(rows).T @ both(rows))
    assert whole.prior_variance == pytest.approx(np.mean([h.prior_variance for h in halves]))
    assert whole.target_hash not in {h.target_hash for h in halves}


@pytest.mark.parametrize("change", [{"names": list("abcde")}, {"target_name": "u_t"}, {"model": RowModel(power=0.5)}])
def test_different_problems_are_not_added(rows, statistics, change):
    with pytest.raises(StatisticsError, match="cannot be added"):
        statistics + SufficientStatistics.from_rows(*rows, **change)
    with pytest.raises(TypeError):
        statistics + 1


@pytest.mark.parametrize("spins", [[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
def test_least_squares_and_residuals_are_those_of_the_raw_rows(rows, statistics, spins):
    design, target = rows
    on = np.flatnonzero(spins)
    found = statistics.least_squares(np.array(spins, dtype=bool))
    scale = np.linalg.norm(design, axis=0)
    direct = np.zeros(TERMS)
    if on.size:
        direct[on] = np.linalg.lstsq(design[:, on] / scale[on], target, rcond=None)[0] / scale[on]
    assert np.allclose(found * scale, direct * scale, rtol=1e-10, atol=1e-10)
    edges = np.concatenate([[0], np.cumsum(statistics.effective_rows)]).astype(int)
    squares = (target - design @ direct) ** 2
    wanted = [squares[a:b].sum() for a, b in pairwise(edges)]
    assert statistics.block_residuals(direct) == pytest.approx(wanted, rel=1e-9)


def test_the_prior_variance_is_the_residual_variance_of_all_terms(rows, statistics):
    design, target = rows
    residual = target - design @ np.linalg.lstsq(design, target, rcond=1e-14)[0]
    assert statistics.prior_variance == pytest.approx(residual @ residual / (ROWS - TERMS), rel=1e-9)


def test_the_floor_bounds_the_prior_variance(rows):
    design, _ = rows
    target = design @ np.ones(TERMS)
    exact = SufficientStatistics.from_rows(design, target, model=RowModel(floor=1e-3))
    assert exact.prior_variance == pytest.approx(1e-6 * target @ target / ROWS, rel=1e-9)


def test_power_scales_rows_energy_and_jacobian(rows):
    whole = SufficientStatistics.from_rows(*rows, model=RowModel(log_jacobian=-7.0))
    half = SufficientStatistics.from_rows(*rows, model=RowModel(power=0.5, log_jacobian=-7.0))
    assert half.rows == pytest.approx(0.5 * ROWS)
    assert half.energy == pytest.approx(0.5 * whole.energy, rel=1e-12)
    assert (whole.log_jacobian.sum(), half.log_jacobian.sum()) == pytest.approx((-7.0, -3.5), rel=1e-12)
    assert half.prior_variance == pytest.approx(whole.prior_variance, rel=0.06)
    assert half.least_squares(np.ones(TERMS, bool)) == pytest.approx(whole.least_squares(np.ones(TERMS, bool)))
    assert half.target_hash != whole.target_hash


def test_scaling_a_column_scales_its_coefficient_inversely(rows, statistics):
    design, target = rows
    factors = np.array([1e-6, 3.0, 1e4, 7.0, 1e9])
    scaled = SufficientStatistics.from_rows(design * factors, target)
    spins = np.array([True, True, True, False, True])
    assert scaled.least_squares(spins) * factors == pytest.approx(statistics.least_squares(spins), rel=1e-9)


def test_the_order_of_columns_does_not_matter(rows, statistics):
    design, target = rows
    order = np.array([3, 0, 4, 1, 2])
    names = [f"x{i}" for i in order]
    permuted = SufficientStatistics.from_rows(design[:, order], target, names=names, blocks=BLOCKS)
    on = np.array([True, False, True, True, True])
    assert permuted.least_squares(on[order]) == pytest.approx(statistics.least_squares(on)[order], rel=1e-9)
    assert permuted.prior_variance == pytest.approx(statistics.prior_variance, rel=1e-9)


def test_fewer_rows_than_terms_have_a_square_factor(rng):
    few = SufficientStatistics.from_rows(rng.normal(size=(3, 6)), rng.normal(size=3))
    assert few.factors.shape == (3, 7, 7)
    assert few.prior_variance > 0


def test_statistics_are_the_same_after_netcdf(tmp_path, rows):
    given = SufficientStatistics.from_rows(
        *rows,
        names=["u", "u_x", "u*u_x", "u**2", "1"],
        model=RowModel(power=0.3, log_jacobian=2.0, provenance={"n": [1]}, record=RECORD),
    )
    given.to_dataset().to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as dataset:
        back = SufficientStatistics.from_dataset(dataset.load())
    for name in ("factors", "effective_rows", "log_jacobian"):
        assert np.array_equal(getattr(back, name), getattr(given, name))
    for name in ("names", "target", "power", "target_hash", "prior_variance", "prior_rows", "provenance", "records"):
        assert getattr(back, name) == getattr(given, name)


GOOD = np.eye(4)


@pytest.mark.parametrize(
    ("design", "target", "more", "what"),
    [
        (GOOD, np.ones(3), {}, "do not fit"),
        (GOOD[0], np.ones(4), {}, "do not fit"),
        (np.zeros((0, 3)), np.zeros(0), {}, "do not fit"),
        (np.zeros((3, 0)), np.zeros(3), {}, "do not fit"),
        (GOOD * 1j, np.ones(4), {}, "must be real"),
        (GOOD * np.nan, np.ones(4), {}, "must be finite"),
        (GOOD, np.full(4, np.inf), {}, "must be finite"),
        (GOOD, np.ones(4), {"names": list("abc")}, "Names do not match"),
        (GOOD, np.ones(4), {"names": list("abca")}, "Names do not match"),
    ],
)
def test_invalid_rows_are_refused(design, target, more, what):
    with pytest.raises(StatisticsError, match=what):
        SufficientStatistics.from_rows(design, target, **more)


@pytest.mark.parametrize("power", [0, 1.5, float("nan")])
def test_powers_out_of_range_are_refused(power):
    with pytest.raises(ConfigError, match="power"):
        RowModel(power=power)
