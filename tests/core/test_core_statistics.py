"""Sufficient statistics and groups against the raw rows they were made from; scales, units, seeds and files."""

import os
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from bayespde.core.collinear import collinear_groups
from bayespde.core.errors import ConfigError, FieldError, FileError, StatisticsError
from bayespde.core.field import make_field
from bayespde.core.files import atomic_path, existing_file
from bayespde.core.random import forked_torch_seed, spawn_seeds, torch_generator
from bayespde.core.scales import Scales, coefficient_unit
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.terms import parse_term, symbol

ROWS, TERMS, BLOCKS = 203, 5, 7


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


def test_halves_add_up_to_the_whole(rows):
    design, target = rows
    halves = [SufficientStatistics.from_rows(design[s], target[s], blocks=3) for s in (slice(90), slice(90, None))]
    whole = halves[0] + halves[1]
    assert whole.blocks == 6
    assert whole.rows == ROWS
    assert close_gram(whole.factor.T @ whole.factor, both(rows).T @ both(rows))
    assert whole.prior_variance == pytest.approx(np.mean([h.prior_variance for h in halves]))
    assert whole.target_hash not in {h.target_hash for h in halves}


@pytest.mark.parametrize("change", [{"names": list("abcde")}, {"target_name": "u_t"}, {"power": 0.5}])
def test_different_problems_are_not_added(rows, statistics, change):
    with pytest.raises(StatisticsError, match="cannot be added"):
        statistics + SufficientStatistics.from_rows(*rows, **change)
    with pytest.raises(TypeError):
        statistics + 1


@pytest.mark.parametrize("block", range(BLOCKS))
def test_leaving_out_a_block_leaves_out_its_rows(rows, statistics, block):
    edges = np.concatenate([[0], np.cumsum(statistics.effective_rows)]).astype(int)
    kept = np.delete(both(rows), slice(edges[block], edges[block + 1]), axis=0)
    left = statistics.leave_out(block)
    assert left.blocks == BLOCKS - 1
    assert left.rows == len(kept)
    assert close_gram(left.factor.T @ left.factor, kept.T @ kept)


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


def test_the_pilot_variance_is_the_residual_variance_of_all_terms(rows, statistics):
    design, target = rows
    residual = target - design @ np.linalg.lstsq(design, target, rcond=1e-14)[0]
    assert statistics.prior_variance == pytest.approx(residual @ residual / (ROWS - TERMS), rel=1e-9)


def test_the_floor_bounds_the_pilot_variance(rows):
    design, _ = rows
    target = design @ np.ones(TERMS)
    exact = SufficientStatistics.from_rows(design, target, floor=1e-3)
    assert exact.prior_variance == pytest.approx(1e-6 * target @ target / ROWS, rel=1e-9)


def test_power_scales_rows_energy_and_jacobian(rows):
    whole = SufficientStatistics.from_rows(*rows, log_jacobian=-7.0)
    half = SufficientStatistics.from_rows(*rows, power=0.5, log_jacobian=-7.0)
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


def test_fewer_rows_than_terms_still_have_a_square_factor(rng):
    few = SufficientStatistics.from_rows(rng.normal(size=(3, 6)), rng.normal(size=3))
    assert few.factors.shape == (3, 7, 7)
    assert few.prior_variance > 0


def test_everything_survives_netcdf(tmp_path, rows):
    given = SufficientStatistics.from_rows(
        *rows,
        names=["u", "u_x", "u*u_x", "u**2", "1"],
        power=0.3,
        log_jacobian=2.0,
        provenance={"form": "weak", "n": [1]},
    )
    given.to_dataset().to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as dataset:
        back = SufficientStatistics.from_dataset(dataset.load())
    for name in ("factors", "effective_rows", "log_jacobian"):
        assert np.array_equal(getattr(back, name), getattr(given, name))
    for name in ("names", "target", "power", "target_hash", "prior_variance", "prior_rows", "provenance"):
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
        (GOOD, np.ones(4), {"power": 0}, "power"),
        (GOOD, np.ones(4), {"power": 1.5}, "power"),
        (GOOD, np.ones(4), {"power": float("nan")}, "power"),
        (GOOD, np.ones(4), {"names": list("abc")}, "Names do not match"),
        (GOOD, np.ones(4), {"names": list("abca")}, "Names do not match"),
    ],
)
def test_bad_rows_are_refused(design, target, more, what):
    with pytest.raises(StatisticsError, match=what):
        SufficientStatistics.from_rows(design, target, **more)


# groups


def test_an_exact_duplicate_is_a_group_with_its_ratio(rng):
    a, b = rng.normal(size=(2, 300))
    statistics = SufficientStatistics.from_rows(np.column_stack([a, b, -2 * a]), a + b, names=["a", "b", "c"])
    groups = {g.single: g for g in collinear_groups(statistics)}
    assert set(groups) == {"a", "c"}
    assert groups["a"].replacements == (("c",),)
    assert groups["a"].ratios[0] == pytest.approx((-0.5,))
    assert groups["c"].ratios[0] == pytest.approx((-2.0,))
    assert groups["a"].distances[0] < 1e-12
    assert groups["a"].describe() == "a | c"
    assert groups["a"].members == ("a", "c")


def test_an_exact_sum_is_a_group_of_one_against_two(rng):
    a, b, d = rng.normal(size=(3, 300))
    statistics = SufficientStatistics.from_rows(np.column_stack([a, b, 3 * a - b, d]), d, names=["a", "b", "c", "d"])
    groups = {g.single: g for g in collinear_groups(statistics, tolerance=1e-9)}
    assert set(groups) == {"a", "b", "c"}
    assert groups["c"].replacements == (("a", "b"),)
    assert groups["c"].ratios[0] == pytest.approx((3.0, -1.0))
    spins = np.array([[0, 0, 1, 0], [1, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool)
    assert list(groups["c"].covers(spins, statistics.names)) == [True, True, False, False]


def test_independent_columns_have_no_groups(rows, statistics):
    assert collinear_groups(statistics) == ()


def test_the_tolerance_is_the_squared_sine_between_columns(rng):
    a, b = np.linalg.qr(rng.normal(size=(300, 2)))[0].T
    near = np.cos(0.02) * a + np.sin(0.02) * b
    statistics = SufficientStatistics.from_rows(np.column_stack([a, 1e5 * near]), b, names=["a", "near"])
    assert collinear_groups(statistics, tolerance=0.99 * np.sin(0.02) ** 2) == ()
    found = collinear_groups(statistics, tolerance=1.01 * np.sin(0.02) ** 2)
    assert found[0].distances[0] == pytest.approx(np.sin(0.02) ** 2, rel=1e-6)


def test_what_counts_as_a_group_follows_the_noise(rng):
    a, b = np.linalg.qr(rng.normal(size=(300, 2)))[0].T
    design = np.column_stack([a, np.cos(0.1) * a + np.sin(0.1) * b])
    quiet, loud = (
        SufficientStatistics.from_rows(design, 10 * a + 3 * b, prior_variance=v, names=["a", "near"]) for v in (1e-4, 1)
    )
    # Replacing a by its neighbour costs 100 sin(0.1)^2 = 1 in squared residuals: 10^4 or 1 noise variances.
    assert collinear_groups(quiet) == ()
    assert {g.single for g in collinear_groups(loud)} == {"a", "near"}


# scales and units


def test_scales_map_to_the_unit_cube():
    times, places = np.linspace(3, 7, 9), np.linspace(-10, 40, 11)
    scales = Scales.of(make_field(np.sin(np.add.outer(times, places)), t=times, x=places))
    assert list(scales.to_unit("x", np.array([-10.0, 15.0, 40.0]))) == [0, 0.5, 1]
    assert list(scales.to_unit("time", np.array([3.0, 7.0]))) == [0, 1]
    assert scales.derivative_factor((1, 2)) == pytest.approx(1 / 4 / 50**2)


@pytest.mark.parametrize(
    ("term", "target", "unit"),
    [
        ("u_xx", "u_t", "nm^2 s^-1"),
        ("u", "u_t", "s^-1"),
        ("u*u_x", "u_t", "nm K^-1 s^-1"),
        ("u**3", "u_t", "K^-2 s^-1"),
        ("1", "u_t", "K s^-1"),
        ("u", "u_tt", "s^-2"),
        ("u_xy", "u_t", "um nm s^-1"),
        ("u + u_x", "u_t", "unknown"),
        ("sin(u)", "u_t", "unknown"),
    ],
)
def test_units_of_coefficients(term, target, unit):
    units = {"u": "K", "time": "s", "x": "nm", "y": "um"}
    target_term = type(parse_term("u"))(target, symbol(target))
    assert sorted(coefficient_unit(parse_term(term), target_term, units).split()) == sorted(unit.split())


def test_units_cancel_where_they_are_written_as_powers():
    target = type(parse_term("u"))("u_t", symbol("u_t"))
    units = {"u": "m s^-1", "time": "s", "x": "m"}
    assert coefficient_unit(parse_term("u*u_x"), target, units) == "1"
    assert sorted(coefficient_unit(parse_term("u_xx"), target, units).split()) == ["m^2", "s^-1"]
    assert coefficient_unit(parse_term("u_xx"), target, {}) == "1"


# seeds


def test_seeds_are_stable_distinct_and_grow_by_appending():
    assert spawn_seeds(7, 3) == spawn_seeds(7, 3)
    assert spawn_seeds(7, 3) == spawn_seeds(7, 10)[:3]
    seeds = [s for parent in range(50) for s in spawn_seeds(parent, 20)]
    assert len(set(seeds)) == 1000
    assert all(0 <= s < 2**63 for s in seeds)
    wanted = np.random.SeedSequence(7).spawn(2)[1].generate_state(1, np.uint64)[0]
    assert spawn_seeds(7, 2)[1] == int(wanted) // 2


def test_spawned_streams_are_uncorrelated(seed):
    streams = np.stack([np.random.default_rng(s).standard_normal(4000) for s in spawn_seeds(seed, 12)])
    correlation = np.corrcoef(streams)[np.triu_indices(12, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("seed_value", [-1, 1.0, "3", None, True])
def test_what_is_not_a_seed_is_refused(seed_value):
    with pytest.raises(ConfigError, match="seed"):
        spawn_seeds(seed_value, 2)


def test_generators_leave_the_global_state_alone():
    import torch

    before = torch.get_rng_state()
    first = torch.rand(3, generator=torch_generator(5))
    with forked_torch_seed(5):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)


# files


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a" / "b" / "result.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == ["result.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, FieldError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "result.txt"
    target.write_text("old")
    arguments = {"got": 1, "wanted": "2", "fix": "3"} if error is FieldError else {}

    def write():
        with atomic_path(target) as temporary:
            temporary.write_text("new")
            raise error("stop", **arguments)

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_an_unwritable_path_is_a_file_error_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot be written"), atomic_path(tmp_path / "file" / "result.nc"):
        pytest.fail("the block was entered")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_way_of_the_file_is_a_file_error(tmp_path):
    (tmp_path / "result.nc").mkdir()
    with pytest.raises(FileError, match="cannot be written"), atomic_path(tmp_path / "result.nc"):
        pytest.fail("the block was entered")
    assert os.listdir(tmp_path) == ["result.nc"]


def test_only_a_file_is_an_existing_file(tmp_path):
    (tmp_path / "f").write_text("x")
    assert existing_file(str(tmp_path / "f")) == tmp_path / "f"
    for path in (tmp_path, tmp_path / "g"):
        with pytest.raises(FileError, match="cannot be read"):
            existing_file(path)
