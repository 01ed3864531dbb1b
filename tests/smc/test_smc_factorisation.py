"""The updated factorisation and its neighbours, against refactorisation and extended precision."""

from dataclasses import replace

import compiled
import numpy as np
import pytest
import torch
from oracles import codes, random_rows

from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.prior import Prior
from bayespde.smc.kernels.evidence_table import TOLERANCE, _error, read_all, tabulate
from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.jumps import flip
from bayespde.smc.kernels.layout import LOG_LIKELIHOOD, NEIGHBOUR, PRODUCT, RESIDUAL, RSS
from bayespde.smc.kernels.neighbour_odds import refresh
from bayespde.smc.kernels.pivot_rule import _inflation_allows, is_allowed
from bayespde.smc.kernels.swap_odds import swap_weights

ROWS = 30000


def collinear(condition, terms=20, rng=None):
    """Columns in near-duplicate pairs whose Gram matrix has about the wanted condition number, and a target."""
    rng = np.random.default_rng(int(np.log10(condition))) if rng is None else rng
    half = rng.normal(size=(400, terms // 2))
    distance = 2 / np.sqrt(condition)
    design = np.hstack([half, half + distance * rng.normal(size=half.shape)])
    return design, design[:, :3] @ [1.0, -0.5, 0.3] + 0.3 * rng.normal(size=400)


def strong_model(design, target, slab=None):
    """As if there were 30000 rows: errors of the residuals are multiplied by half of that."""
    statistics = SufficientStatistics.from_rows(
        np.vstack([design] * (ROWS // len(design))),
        np.tile(target, ROWS // len(target)),
        model=RowModel(prior_rows=2.0),
    )
    return SpinModel(statistics, prior=Prior(slab=slab or HyperGSlab(), pivot_tolerance=1e-16))


def extended_rss(factor, spins):
    """Residual sum of squares from the factor by Gram-Schmidt, twice, in extended precision."""
    columns = factor.astype(np.longdouble)
    basis = []
    target = columns[:, -1].copy()
    for column in np.flatnonzero(spins):
        vector = columns[:, column].copy()
        for _ in range(2):
            for direction in basis:
                vector -= direction * (direction @ vector)
        vector /= np.sqrt(vector @ vector)
        basis.append(vector)
        target -= vector * (vector @ target)
        target -= vector * (vector @ target)
    return target @ target


def walk(model, flips, rng, *, largest=12):
    """Random flips of a factored configuration that never hold more than `largest` terms."""
    problem, tempered, state = compiled.prepared(model, 1.0)
    spins = np.zeros(model.terms, dtype=bool)
    build(state, problem, spins)
    refresh(state, problem, tempered)
    for _ in range(flips):
        allowed = np.flatnonzero(spins | (np.isfinite(state.vectors[NEIGHBOUR, :-1]) & (spins.sum() < largest)))
        column = rng.choice(allowed)
        flip(state, problem, tempered, column)
        spins[column] = ~spins[column]
    return problem, tempered, state, spins


def nats(model, size, rss):
    """Log likelihood at a residual sum of squares known in extended precision."""
    return float(model.log_evidence_given(np.array([size]), np.array([float(rss)]), np.zeros(1))[0])


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="extended precision is not extended here")
@pytest.mark.parametrize(("condition", "bound"), [(1e4, 1e-9), (1e9, 1e-8), (1e13, 1e-6)])
def test_two_thousand_flips_lose_no_digits(condition, bound, seed):
    """Log likelihood, and that of every neighbour, against extended precision on the same factor."""
    rng = np.random.default_rng(seed)
    model = strong_model(*collinear(condition))
    assert 0.01 < np.linalg.cond(model.regression.factor[:, :-1]) ** 2 / condition < 1000
    _, _, state, spins = walk(model, 2000, rng)
    rss = extended_rss(model.regression.factor, spins)
    assert abs(state.number[RSS] / rss - 1) < 1e-10
    assert abs(state.number[LOG_LIKELIHOOD] - nats(model, spins.sum(), rss)) < bound
    for column in range(model.terms):
        neighbour = spins ^ (np.arange(model.terms) == column)
        got = state.vectors[NEIGHBOUR, column]
        wanted = nats(model, neighbour.sum(), extended_rss(model.regression.factor, neighbour))
        if np.isfinite(got):
            # the change by a flip is accurate to nine of its digits
            assert abs(got - wanted) < bound + 1e-9 * abs(wanted - state.number[LOG_LIKELIHOOD])


@pytest.mark.parametrize("terms", [8, 14])
def test_monomials_stay_accurate_along_the_whole_path(terms, seed):
    """Columns that are collinear all together, not in pairs: errors where triangle and basis differ would grow."""
    rng = np.random.default_rng(seed)
    design = np.vander(np.linspace(0.5, 1.0, 200), terms)
    target = design[:, :2] @ [1.0, -1.0] + 0.1 * rng.normal(size=200)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    problem, tempered, state = compiled.prepared(model, 1.0)
    spins = np.zeros(terms, dtype=bool)
    build(state, problem, spins)
    refresh(state, problem, tempered)
    visited, kept = [], []
    for _ in range(2000):
        column = rng.choice(np.flatnonzero(spins | np.isfinite(state.vectors[NEIGHBOUR, :-1])))
        flip(state, problem, tempered, column)
        spins[column] = ~spins[column]
        visited.append(spins.copy())
        kept.append(state.number[LOG_LIKELIHOOD])
    library = np.empty((2000, terms), dtype=bool)
    library[:, model.regression.order] = visited
    wanted = model.log_likelihood(torch.as_tensor(library)).numpy()
    np.testing.assert_allclose(kept, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("slab", [HyperGSlab(), IsotropicSlab(5.0)])
def test_neighbours_equal_refactorisation(slab, seed):
    rng = np.random.default_rng(seed)
    design, target = random_rows(np.random.default_rng(3), 300, 25, noise=2.0, mixing=0.3)
    model = SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(slab=slab))
    for _ in range(5):
        _, _, state, spins = walk(model, 2000, rng, largest=20)
        flipped = spins ^ np.eye(model.terms, dtype=bool)
        library = np.empty_like(flipped)
        library[:, model.regression.order] = flipped
        wanted = model.log_likelihood(torch.as_tensor(library)).numpy()
        wanted[~spins & (spins.sum() >= model.terms)] = -np.inf
        np.testing.assert_allclose(state.vectors[NEIGHBOUR, :-1], wanted, rtol=0, atol=1e-9)


def test_impossible_neighbours_are_those_of_the_model(seed):
    """Duplicates, a zero column and columns near the pivot tolerance, in canonical order."""
    rng = np.random.default_rng(seed)
    design, target = random_rows(np.random.default_rng(4), 200, 10)
    design[:, 4], design[:, 7], design[:, 9] = 3.0 * design[:, 2], 0.0, design[:, 1] + design[:, 3]
    design[:, 8] = design[:, 0] + 3e-3 * design[:, 5] + 3e-3 * rng.normal(size=200)
    model = SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(pivot_tolerance=1e-6))
    impossible = 0
    for _ in range(30):
        _, _, state, spins = walk(model, 25, rng)
        flipped = spins ^ np.eye(model.terms, dtype=bool)
        library = np.empty_like(flipped)
        library[:, model.regression.order] = flipped
        wanted = np.isneginf(model.log_likelihood(torch.as_tensor(library)).numpy())
        assert np.array_equal(np.isneginf(state.vectors[NEIGHBOUR, :-1]), wanted)
        impossible += wanted.sum()
    assert impossible > 30


@pytest.mark.parametrize("slab", [HyperGSlab(), HyperGSlab(nodes=2), IsotropicSlab(0.1)])
@pytest.mark.parametrize("noise", [1e-6, 1e-2, 3.0])
def test_the_table_is_the_evidence(slab, noise):
    design, target = random_rows(np.random.default_rng(5), 30000, 12, noise=noise)
    model = SpinModel(SufficientStatistics.from_rows(design, target), prior=Prior(slab=slab))
    table = tabulate(model, sizes=13)
    points, sizes = np.geomspace(table.smallest, table.largest, 200), np.array([0, 1, 5, 12])
    wanted = np.array([[nats(model, size, s - table.offset) for s in points] for size in sizes])
    assert np.all(np.abs(read_all(table, sizes, points) - wanted) < 1e-9 * np.maximum(1.0, np.abs(wanted) * 1e-4))


@pytest.mark.parametrize(("relative", "allowed"), [(5e-14, True), (3e-13, False)])
def test_the_evidence_of_many_rows_is_tabulated_to_its_rounding_errors(relative, allowed):
    """A video has as many rows as pixels: rounding errors of a log evidence of a million are above 1e-9 nats."""
    statistics = SufficientStatistics.from_rows(*random_rows(np.random.default_rng(5), 400, 4, noise=0.05))
    many = replace(statistics, effective_rows=statistics.effective_rows * 1000, prior_rows=400_000.0)
    model = SpinModel(many, prior=Prior(slab=GPriorSlab()))
    table = tabulate(model, sizes=5)
    first, last = (int(np.float64(s).view(np.int64)) >> table.shift for s in (table.smallest, table.largest))
    edges = (np.arange(first, last + 2, dtype=np.int64) << table.shift).view(np.float64)
    assert np.abs(table.coefficients[..., -1]).max() > 1e5
    wrong = table.coefficients.copy()
    wrong[..., -1] *= 1 + relative
    assert (_error(model, table._replace(coefficients=wrong), edges) < TOLERANCE) is allowed


@pytest.mark.parametrize("name", ["plain", "nearly collinear", "a duplicate", "a zero column", "a loose tolerance"])
def test_a_column_may_enter_for_another_one_if_the_model_allows_what_results(name):
    """Every configuration, every column to add, and every one to drop or none."""
    design, target = random_rows(np.random.default_rng(0), 60, 5, noise=2.0)
    if name == "nearly collinear":
        design[:, 3] = design[:, 0] + 1e-4 * design[:, 3]
    if name == "a duplicate":
        design[:, 4] = -2.0 * design[:, 1]
    if name == "a zero column":
        design[:, 2] = 0.0
    tolerance = {"nearly collinear": 1e-6, "a loose tolerance": 0.6}.get(name, 1e-10)
    statistics = SufficientStatistics.from_rows(design, target, names=list("edcba"))
    model = SpinModel(statistics, prior=Prior(pivot_tolerance=tolerance))
    problem, tempered, state = compiled.prepared(model, 1.0)
    spins, alive, _ = compiled.possible(model)
    answers = []
    for on in spins[alive]:
        build(state, problem, on)
        refresh(state, problem, tempered)
        for without in range(-1, on.sum()):
            for column in np.flatnonzero(~on):
                changed = on.copy()
                changed[column] = True
                if without >= 0:
                    changed[state.terms[without]] = False
                wanted = alive[codes(changed[None])[0]]
                if without < 0:
                    sure = compiled.plain(_inflation_allows)(state, column, problem.tolerance)
                    # The bound allows nothing that the rule refuses, and decides alone without collinear columns.
                    assert wanted if sure else name != "plain"
                assert compiled.plain(is_allowed)(state, problem, without, column) == wanted, (on, without, column)
                answers.append(bool(wanted))
    assert any(answers)
    assert all(answers) == (name == "plain")


@pytest.mark.parametrize("kind", [lambda u: 1 + u, lambda u: 1 - u, lambda u: 2 * (1 - u**2)])
def test_an_error_of_the_table_is_found_wherever_it_is_in_an_interval(kind):
    """Errors that grow to one end of every interval, and to its middle, of 2e-6 nats."""
    design, target = random_rows(np.random.default_rng(5), 3000, 5)
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    table = tabulate(model, sizes=6)
    first, last = (int(np.float64(s).view(np.int64)) >> table.shift for s in (table.smallest, table.largest))
    edges = (np.arange(first, last + 2, dtype=np.int64) << table.shift).view(np.float64)
    wrong = table.coefficients.copy()
    wrong[..., -3:] += 1e-6 * np.array([kind(-1) / 2 + kind(1) / 2 - kind(0), (kind(1) - kind(-1)) / 2, kind(0)])
    assert _error(model, table, edges) < 1e-9
    assert _error(model, table._replace(coefficients=wrong), edges) > 1.8e-6


def test_two_nearly_perfect_fits_compete_in_a_swap_by_their_own_residuals():
    """A poor configuration is replaced by one of two whose residuals are 1e-12 of its own, and differ by 1e-3."""
    rng = np.random.default_rng(3)
    design, noise = rng.normal(size=(30000, 4)), rng.normal(size=(30000, 2))
    target = design[:, 0] + design[:, 3] + 1e-6 * noise[:, 0]
    design[:, 1] = design[:, 0] + 3e-8 * noise[:, 1]
    model = SpinModel(
        SufficientStatistics.from_rows(design, target, names=list("abcd")), prior=Prior(pivot_tolerance=1e-18)
    )
    problem, tempered, state = compiled.prepared(model, 1.0)
    build(state, problem, np.array([False, False, True, True]))
    refresh(state, problem, tempered)
    cumulative = np.empty(4)
    compiled.plain(swap_weights)(state, problem, tempered, int(state.place[2]), cumulative)
    weight = np.diff(cumulative, prepend=0.0)
    rss = [float(extended_rss(model.regression.factor, np.isin(range(4), (c, 3)))) for c in (0, 1)]
    assert 1e-4 < abs(rss[1] / rss[0] - 1) < 1e-2
    wanted = nats(model, 2, rss[1]) - nats(model, 2, rss[0])
    assert np.log(weight[1] / weight[0]) == pytest.approx(wanted, abs=1e-3)


def test_products_with_a_tiny_residual_have_all_their_digits():
    """At a fit of 1e-12 of the target: products of the columns with the residual that is stored, column by column."""
    rng = np.random.default_rng(3)
    design = rng.normal(size=(3000, 6))
    model = SpinModel(
        SufficientStatistics.from_rows(design, design[:, 0] + design[:, 3] + 1e-6 * rng.normal(size=3000))
    )
    problem, tempered, state = compiled.prepared(model, 1.0)
    build(state, problem, np.zeros(6, dtype=bool))
    refresh(state, problem, tempered)
    for column in (1, 0, 2, 3, 1):
        flip(state, problem, tempered, column)
    residual = state.vectors[RESIDUAL].astype(np.longdouble)
    assert residual @ residual < 1e-11 * problem.gram[-1, -1]
    wanted = (residual @ problem.factor)[[1, 4, 5]].astype(float)
    np.testing.assert_allclose(state.vectors[PRODUCT, [1, 4, 5]], wanted, rtol=1e-11)
