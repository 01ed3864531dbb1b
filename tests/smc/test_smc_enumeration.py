"""Branch and bound against brute-force least squares over all configurations."""

from functools import cached_property, partial

import numpy as np
import pytest
import torch
from compiled import plain
from oracles import (
    TableTarget,
    all_spins,
    brute_force,
    codes,
    lstsq_log_likelihood,
    random_rows,
    student_log_density,
)
from scipy.special import gammaln

from bayespde.core.errors import ConfigError
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.couplings import Coupling
from bayespde.model.prior import Prior
from bayespde.model.regression import regress
from bayespde.smc import enumerate_exact
from bayespde.smc.enumeration import branch
from bayespde.smc.enumeration import enumerate as enumerate_module
from bayespde.smc.enumeration import problem as problem_module
from bayespde.smc.enumeration.enumerate import enumerate_branches
from bayespde.smc.enumeration.top_models import empty, prune
from bayespde.smc.enumeration.triangles import exclude_column, last_three_columns, without_square_roots
from bayespde.smc.kernels.evidence_table import read_table, tabulate

KINDS = ["plain", "duplicates and a zero column", "target in the span", "fewer rows than terms"]


class UnequalModel(SpinModel):
    """A spin model with prior log odds of its own for every term."""

    @cached_property
    def spin_prior(self):
        fields = np.random.default_rng(11).normal(-1.0, 2.0, size=self.terms)
        return PairwiseSpins(fields, np.zeros((self.terms, self.terms)))


class CoupledModel(SpinModel):
    """Every spin is coupled with up to four others, by couplings of either sign."""

    @cached_property
    def spin_prior(self):
        rng, terms = np.random.default_rng(11), self.terms
        joint = np.triu(rng.normal(0, 2.0, size=(terms, terms)), 1)
        apart = np.arange(terms)[:, None] // 5 != np.arange(terms) // 5
        joint[apart] = 0.0
        return PairwiseSpins(rng.normal(-1.0, 2.0, size=terms), joint + joint.T)


class PairedModel(SpinModel):
    """A prior that is not a sum over pairs of spins: the first three terms favour each other."""

    def log_prior(self, spins):
        return super().log_prior(spins) + 1.5 * spins[:, :3].all(dim=1)


class RisingModel(SpinModel):
    """An evidence that rises with the residuals in some intervals."""

    def log_evidence_given(self, size, rss, logdet):
        return super().log_evidence_given(size, rss, logdet) + 30 * torch.sin(torch.as_tensor(rss) / 30)

    def log_likelihood(self, spins):
        canonical = np.ascontiguousarray(spins.numpy()[:, self.regression.order])
        rss, logdet, _ = regress(self.regression.factor, canonical)
        return self.log_evidence_given(canonical.sum(axis=1), rss, logdet)


def problem(kind, rng, terms=10):
    design, target = random_rows(rng, 60, terms)
    if kind == "duplicates and a zero column":
        design[:, 6], design[:, 8], design[:, 3] = -2.5 * design[:, 1], 0.0, design[:, 0] + 1e-7 * design[:, 5]
    if kind == "target in the span":
        target = design[:, :3] @ [1.0, -2.0, 0.5]
    if kind == "fewer rows than terms":
        return design[:8], target[:8]
    return design, target


def model_of(design, target, slab=None, order=None, kind=SpinModel, **settings):
    names = np.array([f"x{i:02d}" for i in range(design.shape[1])])
    order = np.arange(design.shape[1]) if order is None else order
    statistics = SufficientStatistics.from_rows(
        design[:, order],
        target,
        names=names[order],
        model=RowModel(prior_rows=4.0, prior_variance=0.9, log_jacobian=-2.0),
    )
    return kind(statistics, prior=Prior(slab=slab or HyperGSlab(), **settings))


def strong_model(terms, *, rows=4000, order=None, **settings):
    """Data that decide most terms: nearly the whole tree is pruned."""
    design, target = random_rows(np.random.default_rng(21), rows, terms, noise=0.5, mixing=0.1)
    return model_of(design, target, order=order, **settings)


def evaluated(model):
    """Unnormalised log posterior of every configuration, by the model itself, `[2^K]`."""
    spins = torch.as_tensor(all_spins(model.terms))
    return (model.log_prior(spins) + model.log_likelihood(spins)).numpy()


def draw_exact(target, draws, *, generator):
    """Independent configurations from the exact posterior."""
    return enumerate_branches(target, keep=1, per_size=0).draw(draws, generator=generator)


def check(exact, log_mass, *, tolerance, keep=2000, per_size=20):
    """Compare everything that an enumeration returns with all log masses."""
    log_evidence, inclusion, probability = brute_force(log_mass)
    spins = all_spins(len(inclusion))
    assert exact.log_evidence == pytest.approx(log_evidence, abs=tolerance)
    np.testing.assert_allclose(exact.inclusion_probability, inclusion, rtol=0, atol=tolerance)
    assert exact.models_enumerated == len(spins)
    assert np.all(np.diff(exact.probability) <= 0)
    kept = codes(exact.spins)
    assert len(np.unique(kept)) == len(kept)
    np.testing.assert_allclose(exact.probability, probability[kept], rtol=1e-5, atol=0)
    possible = np.flatnonzero(log_mass > -np.inf)
    best = possible[np.argsort(-log_mass[possible], kind="stable")]
    sizes = spins.sum(axis=1)
    wanted = [best[:keep]] + [best[sizes[best] == size][:per_size] for size in range(spins.shape[1] + 1)]
    assert len(kept) == len(np.unique(np.concatenate(wanted)))
    found = [kept[:keep], *(kept[sizes[kept] == size] for size in range(spins.shape[1] + 1))]
    for group, chosen in zip(wanted, found, strict=True):
        # equally probable ones may be in another order
        np.testing.assert_allclose(log_mass[chosen[: len(group)]], log_mass[group], rtol=0, atol=1e-6)


# Geometry


def pivots_by_least_squares(columns):
    """Squared distance of each column from the span of those before it."""
    found = []
    for i, column in enumerate(columns.T):
        before = columns[:, :i]
        residual = column - before @ np.linalg.lstsq(before, column, rcond=None)[0] if i else column
        found.append(residual @ residual)
    return np.array(found)


@pytest.mark.parametrize("tolerance", [1e-9, 0.05, 0.3, 0.6])
def test_residuals_pivots_and_determinants_equal_least_squares(rng, tolerance):
    terms = 6
    factor = np.linalg.qr(rng.normal(size=(terms + 1, terms + 1)), mode="r")
    factor[:, :terms] /= np.linalg.norm(factor[:, :terms], axis=0)
    triangles, row = np.empty((terms + 1, terms + 1, terms + 1)), np.empty(terms + 1)
    rss, det = np.empty(8), np.empty(8)
    for head in all_spins(terms - 3):
        triangles[0], layer = without_square_roots(factor), 0
        for column, taken in enumerate(head):
            if not taken:
                exclude_column(triangles, layer, column + 1, column, row)
                layer = column + 1
        last_three_columns(triangles, layer, terms - 3, tolerance, rss, det)
        for choice, tail in enumerate(all_spins(3)):
            columns = factor[:, :terms][:, np.append(head, tail)]
            pivots = pivots_by_least_squares(columns)[head.sum() :]
            assert det[choice] == pytest.approx(np.prod(pivots), rel=1e-9)
            residual = factor[:, -1] - columns @ np.linalg.lstsq(columns, factor[:, -1], rcond=None)[0]
            impossible = np.min(pivots, initial=np.inf) < tolerance
            assert rss[choice] == pytest.approx(np.inf if impossible else residual @ residual, rel=1e-9)


# Against brute force


@pytest.mark.parametrize("slab", [HyperGSlab(), GPriorSlab(1000.0)])
@pytest.mark.parametrize("kind", KINDS)
def test_branch_and_bound_equals_brute_force(kind, slab):
    design, target = problem(kind, np.random.default_rng(2))
    model = model_of(design, target, slab)
    likelihood = [lstsq_log_likelihood(model.statistics, design, target, s, slab) for s in all_spins(10)]
    check(enumerate_exact(model), likelihood + model.log_prior(torch.as_tensor(all_spins(10))).numpy(), tolerance=1e-9)


@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", [UnequalModel, CoupledModel])
def test_small_libraries_equal_brute_force(terms, kind):
    design, target = random_rows(np.random.default_rng(3), 60, terms)
    model = model_of(design, target, kind=kind)
    likelihood = [lstsq_log_likelihood(model.statistics, design, target, s, HyperGSlab()) for s in all_spins(terms)]
    log_mass = likelihood + model.log_prior(torch.as_tensor(all_spins(terms))).numpy()
    check(enumerate_exact(model), log_mass, tolerance=1e-9)


@pytest.mark.parametrize("duplicates", [False, True])
def test_isotropic_slab_equals_the_covariance_of_all_rows(duplicates):
    design, target = problem("plain", np.random.default_rng(4), terms=8)
    if duplicates:
        design[:, 6] = -2.5 * design[:, 1]
    slab = IsotropicSlab(5.0)
    model = model_of(design, target, slab, kind=UnequalModel)
    jacobian = float(model.statistics.log_jacobian.sum())
    density = [
        student_log_density(design[:, s], target, slab, prior_rows=4.0, prior_variance=0.9) for s in all_spins(8)
    ]
    log_mass = np.array(density) + jacobian + model.log_prior(torch.as_tensor(all_spins(8))).numpy()
    check(enumerate_exact(model), log_mass, tolerance=1e-9)


@pytest.mark.parametrize("slab", [HyperGSlab(), GPriorSlab(), IsotropicSlab(3.0)])
@pytest.mark.parametrize("prior", [UnequalModel, CoupledModel])
@pytest.mark.parametrize("kind", KINDS)
def test_unequal_priors_in_every_degenerate_design(kind, prior, slab):
    design, target = problem(kind, np.random.default_rng(5), terms=12)
    model = model_of(design, target, slab, kind=prior)
    check(enumerate_exact(model, keep=50, per_size=4), evaluated(model), tolerance=1e-9, keep=50, per_size=4)


@pytest.mark.parametrize("kind", [SpinModel, UnequalModel, CoupledModel])
def test_many_branches_equal_evaluating_every_configuration(kind):
    rng = np.random.default_rng(6)
    design, target = random_rows(rng, 90, 18, noise=4.0)
    model = model_of(design, target, order=rng.permutation(18), kind=kind)
    check(enumerate_exact(model, keep=100, per_size=3), evaluated(model), tolerance=1e-10, keep=100, per_size=3)


@pytest.mark.parametrize("slab", [HyperGSlab(), IsotropicSlab(3.0)])
@pytest.mark.parametrize("kind", [SpinModel, UnequalModel, CoupledModel])
def test_pruning_loses_no_mass(kind, slab):
    order = np.random.default_rng(7).permutation(17)
    model = strong_model(17, order=order, slab=slab, kind=kind)
    assert np.mean(enumerate_branches(model, keep=1, per_size=0).mass == 0) > 0.4
    check(enumerate_exact(model, keep=300), evaluated(model), tolerance=1e-9, keep=300)


def test_impossible_configurations_in_many_branches():
    design, target = random_rows(np.random.default_rng(8), 80, 16, noise=2.0)
    design[:, 15] = design[:, 0] + design[:, 7]
    design[:, 9] = -design[:, 2]
    model = model_of(design, target)
    log_mass = evaluated(model)
    assert 0.2 < np.mean(log_mass == -np.inf) < 0.9
    check(enumerate_exact(model), log_mass, tolerance=1e-10)


# Accuracy


def longdouble_residuals(design, target):
    """Residual sum of squares of every configuration, `[2^K]`, by Gram-Schmidt, twice, in extended precision."""
    columns, rows = design.astype(np.longdouble), []

    def residual(vector, basis):
        for _ in range(2):
            for unit in basis:
                vector = vector - (unit @ vector) * unit
        return vector

    def visit(column, basis):
        if column == columns.shape[1]:
            left = residual(target.astype(np.longdouble), basis)
            rows.append(left @ left)
            return
        visit(column + 1, basis)
        new = residual(columns[:, column], basis)
        visit(column + 1, [*basis, new / np.sqrt(new @ new)])

    visit(0, [])
    return np.array(rows)


def longdouble_log_mass(model, rss, energy):
    """Log posterior of every configuration under a g-prior, `[2^K]`, from residuals in extended precision."""
    statistics, spins = model.statistics, all_spins(model.terms)
    rows, a0, v0 = np.longdouble(statistics.rows), np.longdouble(statistics.prior_rows), statistics.prior_variance
    square = a0 * v0 + rss + (energy - rss) / (1 + rows)
    log_mass = -spins.sum(axis=1) / 2 * np.log1p(rows) - (a0 + rows) / 2 * np.log(square) + a0 / 2 * np.log(a0 * v0)
    log_mass += gammaln(float(a0 + rows) / 2) - gammaln(float(a0) / 2) - rows / 2 * np.log(np.longdouble(np.pi))
    return (log_mass + statistics.log_jacobian.sum() + model.log_prior(torch.as_tensor(spins)).numpy()).astype(float)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 2e-19, reason="no extended precision here")
@pytest.mark.parametrize(("gap", "bound"), [(1e-4, 1e-8), (4.5e-7, 1e-6)])
def test_collinear_columns_keep_their_digits(gap, bound, rng):
    """Pairs of columns a gap apart: condition numbers of the Gram matrix of about 1e9 and 1e13."""
    rows, terms = 3000, 8
    design = rng.normal(size=(rows, terms))
    for first, second in ((0, 5), (2, 3), (6, 7)):
        design[:, second] = design[:, first] + gap * rng.normal(size=rows)
    target = design[:, 0] - design[:, 2] + 0.3 * (design[:, 3] - design[:, 2]) / gap + 0.05 * rng.normal(size=rows)
    assert np.linalg.cond(design / np.linalg.norm(design, axis=0)) ** 2 > 0.3 / gap**2
    model = model_of(design, target, GPriorSlab(), pivot_tolerance=1e-15)
    factor = model.regression.factor
    found = enumerate_branches(model)
    place = codes(found.exact.spins)
    assert len(place) == 2**terms
    energy = target.astype(np.longdouble) @ target
    # the first difference is mostly that of compressing the rows, the second one that of the enumeration
    for columns, y, worst in ((design, target, bound), (factor[:, :-1], factor[:, -1], bound / 10)):
        log_mass = longdouble_log_mass(model, longdouble_residuals(columns, y), energy)
        np.testing.assert_allclose(found.log_mass, log_mass[place], rtol=0, atol=worst)
        check(found.exact, log_mass, tolerance=worst)


# Invariance


def test_order_of_the_library_and_units_do_not_matter(rng):
    design, target = problem("duplicates and a zero column", np.random.default_rng(5))
    exact = enumerate_exact(model_of(design, target))
    order = rng.permutation(10)
    other = enumerate_exact(model_of(design, target, order=order))
    np.testing.assert_allclose(other.inclusion_probability, exact.inclusion_probability[order], rtol=0, atol=1e-10)
    units = 10.0 ** rng.integers(-8, 8, size=10)
    scaled = enumerate_exact(model_of(design * units, target))
    np.testing.assert_allclose(scaled.inclusion_probability, exact.inclusion_probability, rtol=0, atol=1e-9)
    assert scaled.log_evidence == pytest.approx(exact.log_evidence, abs=1e-9)


def test_two_copies_share_the_inclusion_probability():
    design, target = random_rows(np.random.default_rng(6), 300, 5, mixing=0.2)
    design[:, 4] = 3.0 * design[:, 0]
    inclusion = enumerate_exact(model_of(design, target)).inclusion_probability
    assert inclusion[0] == pytest.approx(inclusion[4], abs=1e-10)
    assert inclusion[0] + inclusion[4] == pytest.approx(1.0, abs=1e-3)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("slab", [HyperGSlab(), IsotropicSlab(3.0)])
def test_results_are_the_same_to_the_bit_with_any_number_of_threads(threads, slab):
    design, target = random_rows(np.random.default_rng(12), 200, 19, noise=3.0, mixing=0.3)
    model = model_of(design, target, slab, kind=UnequalModel)
    answers = []
    for count in (1, 2, 3):
        threads(count)
        drawn = draw_exact(model, 500, generator=torch.Generator().manual_seed(1))
        answers.append((enumerate_exact(model), drawn))
    (first, first_drawn), *others = answers
    for other, drawn in others:
        assert all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(other).values(), strict=True))
        assert torch.equal(first_drawn, drawn)


def test_the_number_of_models_kept_does_not_change_the_sums():
    model = strong_model(18)
    first, second = enumerate_exact(model), enumerate_exact(model, keep=1, per_size=0)
    assert first.log_evidence == second.log_evidence
    assert np.array_equal(first.inclusion_probability, second.inclusion_probability)
    assert len(second.spins) == 1
    assert np.array_equal(first.spins[:1], second.spins)


# Targets without a bound, and errors


def test_any_other_target_is_evaluated(rng):
    target = TableTarget(rng.normal(size=5), rng.normal(size=32) * 4)
    check(enumerate_exact(target, keep=3, per_size=0), target.log_mass, tolerance=1e-12, keep=3, per_size=0)
    check(enumerate_exact(target, keep=1, per_size=2), target.log_mass, tolerance=1e-12, keep=1, per_size=2)


@pytest.mark.parametrize("kind", [PairedModel, RisingModel])
def test_linear_targets_without_a_bound_are_evaluated(kind):
    design, target = random_rows(np.random.default_rng(13), 100, 9)
    model = model_of(design, target, kind=kind)
    check(enumerate_exact(model), evaluated(model), tolerance=1e-10)
    large = model_of(*random_rows(np.random.default_rng(13), 100, 21), kind=kind)
    with pytest.raises(ConfigError, match="too many terms"):
        enumerate_exact(large)


def test_a_poor_reference_configuration_costs_time_only(monkeypatch):
    model = strong_model(15)
    expected = enumerate_exact(model)
    empty = torch.zeros((1, 15), dtype=torch.bool)
    start = float(model.log_prior(empty) + model.log_likelihood(empty))
    assert expected.log_evidence > start + 1000
    monkeypatch.setattr(problem_module, "_hill_climb", lambda target: start)
    found = enumerate_exact(model)
    assert found.log_evidence == pytest.approx(expected.log_evidence, abs=1e-10)
    np.testing.assert_allclose(found.inclusion_probability, expected.inclusion_probability, rtol=0, atol=1e-12)
    assert np.array_equal(found.spins, expected.spins)


def test_an_interrupt_ends_the_sum(monkeypatch):
    model, called = strong_model(18), []

    def interrupted(problem, top, prefix, *rest):
        called.append(prefix)
        raise KeyboardInterrupt

    monkeypatch.setattr(enumerate_module, "sum_branch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        enumerate_exact(model)
    assert len(called) <= 16


def test_too_many_terms_and_impossible_targets_are_refused(rng):
    with pytest.raises(ConfigError, match="too many terms"):
        enumerate_exact(model_of(rng.normal(size=(40, 27)), rng.normal(size=40)))
    with pytest.raises(ConfigError, match="too many terms"):
        enumerate_exact(TableTarget(np.zeros(21), np.zeros(1)))
    with pytest.raises(ConfigError, match="No configuration"):
        enumerate_exact(TableTarget(np.zeros(2), np.full(4, -np.inf)))


# Draws


def check_draws(spins, exact_probability):
    """Frequencies of configurations against their probabilities, in standard errors; the rare ones pooled."""
    draws = len(spins)
    counts = np.bincount(codes(spins), minlength=len(exact_probability))
    assert counts[exact_probability == 0].sum() == 0
    common = exact_probability * draws > 25
    observed = np.append(counts[common], counts[~common].sum())
    expected = draws * np.append(exact_probability[common], exact_probability[~common].sum())
    used = expected > 25
    observed, expected = observed[used], expected[used]
    assert len(observed) > 10
    deviation = (observed - expected) / np.sqrt(expected * (1 - expected / draws))
    assert np.abs(deviation).max() < 5.5
    cells = len(observed) - 1
    chi_square = np.sum((observed - expected) ** 2 / expected)
    # the variance of a chi square over rare cells is a little above twice its degrees of freedom
    assert abs(chi_square - cells) < 6 * np.sqrt(2 * cells + np.sum(1 / expected))


@pytest.mark.parametrize("kind", ["plain", "duplicates and a zero column"])
def test_draws_follow_the_posterior(generator, kind):
    model = model_of(*problem(kind, np.random.default_rng(14)))
    spins = draw_exact(model, 40000, generator=generator)
    assert spins.shape == (40000, 10)
    assert spins.dtype == torch.bool
    check_draws(spins.numpy(), brute_force(evaluated(model))[2])


def test_draws_from_many_branches(generator):
    design, target = random_rows(np.random.default_rng(15), 100, 17, noise=3.0, mixing=0.2)
    model = model_of(design, target, order=np.random.default_rng(16).permutation(17), kind=UnequalModel)
    found = enumerate_branches(model)
    assert np.sum(found.mass > 1e-3 * found.mass.sum()) >= 4
    spins = found.draw(30000, generator=generator).numpy()
    check_draws(spins, brute_force(evaluated(model))[2])
    sizes = spins.sum(axis=1) - spins.sum(axis=1).mean()
    # successive draws are uncorrelated
    assert abs(np.mean(sizes[1:] * sizes[:-1]) / sizes.var()) < 5 / np.sqrt(len(sizes))


def test_draws_of_any_other_target(rng, generator):
    target = TableTarget(rng.normal(size=5), rng.normal(size=32))
    check_draws(draw_exact(target, 20000, generator=generator).numpy(), brute_force(target.log_mass)[2])


def test_draws_show_nothing(capsys):
    assert draw_exact(strong_model(16, rows=300), 20, generator=torch.Generator()).shape == (20, 16)
    assert capsys.readouterr() == ("", "")


def test_draws_repeat_with_the_seed():
    model = strong_model(15, rows=300)
    first, second, other = (draw_exact(model, 200, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert draw_exact(model, 0, generator=torch.Generator()).shape == (0, 15)


def test_the_largest_residual_that_reaches_an_evidence_is_found_to_the_last_bit():
    """By the plain function: the evidence falls with the residual."""
    design, target = random_rows(np.random.default_rng(0), 60, 4)
    table = tabulate(SpinModel(SufficientStatistics.from_rows(design, target)), sizes=5)
    for size in (0, 2, 4):
        at = partial(plain(read_table), table, size)
        middle = at(np.sqrt(table.smallest * table.largest))
        found = plain(branch._largest_rss)(table, size, middle)
        assert at(np.nextafter(found, 0)) >= middle > at(found)
        assert plain(branch._largest_rss)(table, size, at(table.largest)) == branch.NO_LIMIT
        assert plain(branch._largest_rss)(table, size, at(table.smallest) + 1) == branch.NOTHING_ALLOWED


@pytest.mark.parametrize("strength", [0.5, -1.25])
def test_couplings_of_the_prior_are_read_from_its_densities(strength):
    """With them branch and bound serves the prior; without, every configuration is visited."""
    rng = np.random.default_rng(1)
    design, target = random_rows(rng, 60, 5)
    names = tuple("abcde")
    prior = Prior(couplings=(Coupling("a", "c", strength=abs(strength), kind="ising" if strength > 0 else "heredity"),))
    model = SpinModel(SufficientStatistics.from_rows(design, target, names=names), prior=prior)
    log_empty, log_odds, couplings = problem_module._pairwise_prior(model)
    spins = all_spins(5)
    shared = np.einsum("na,ab,nb->n", spins, np.triu(couplings, 1), spins)
    wanted = model.log_prior(torch.as_tensor(spins)).numpy()
    np.testing.assert_allclose(log_empty + spins @ log_odds + shared, wanted, rtol=0, atol=1e-12)
    assert np.count_nonzero(couplings) == 2


@pytest.mark.parametrize(("keep", "per_size"), [(2000, 20), (1, 0), (1, 100), (100, 10), (3, 7)])
def test_what_is_kept_leaves_room_for_the_candidates_of_a_branch(keep, per_size, rng):
    """Whatever the candidates: compiled code writes beyond the end of an array in silence."""
    terms, leaves = 9, 2**9
    top = empty(terms, keep=keep, per_size=per_size, leaves=leaves)
    for _ in range(40):
        prune(top, leaves=leaves)
        used = top.used[0]
        assert used + leaves <= len(top.code)
        added = slice(used, used + leaves)
        top.code[added] = rng.integers(0, 2**20, leaves)
        top.log_mass[added] = rng.normal(size=leaves)
        top.size[added] = rng.integers(0, terms + 1, leaves)
        top.used[0] += leaves


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("determinant", [0.0, -0.5])
def test_no_columns_add_more_than_the_bound_of_their_number(coupled, determinant, rng):
    """All sets of undecided columns, after all of decided ones; none adds nothing."""
    terms, decided = 7, 3
    log_odds, strength = rng.normal(size=terms), np.triu(rng.normal(size=(terms, terms)), 1)
    couplings = (strength + strength.T) * coupled
    factor = np.triu(rng.normal(size=(terms + 1, terms + 1)))
    triangle = without_square_roots(factor)
    bound = problem_module._max_gain(triangle, determinant, log_odds, couplings, decided)
    assert bound.shape == (terms - decided + 1,)
    spins = all_spins(terms).astype(float)
    columns = factor[:, :-1]
    roots = [np.diag(np.linalg.qr(columns[:, s == 1], mode="r")) for s in spins]
    logdet = np.array([2 * np.log(np.abs(root)).sum() for root in roots])
    weight = spins @ log_odds + np.einsum("na,ab,nb->n", spins, couplings, spins) / 2 + determinant * logdet
    gain = weight.reshape(2**decided, -1) - weight.reshape(2**decided, -1)[:, :1]
    size = spins[: 2 ** (terms - decided)].sum(axis=1)
    largest = np.array([gain[:, size == m].max() for m in range(terms - decided + 1)])
    assert np.all(largest <= bound + 1e-9)
    assert bound[0] == 0
    if not coupled and determinant == 0:
        np.testing.assert_allclose(bound, largest, atol=1e-9)
