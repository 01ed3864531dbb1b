"""The closed form against Student-t densities, quadrature and extended precision."""

import mpmath
import numpy as np
import pytest
import torch
from benchmarks.numerical_accuracy import accuracy
from oracles import all_spins, random_rows
from scipy import stats
from statistical import checks

from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import ClosedForm, SpinEvidence, SpinModel, regress
from bayespde.model.prior import Prior


def test_evidence_is_the_student_density_of_the_rows():
    checks.check_evidence_formula()


def test_power_is_inside_the_integral():
    rng = np.random.default_rng(1)
    column, target, power, g, a0, v0 = rng.normal(size=12), rng.normal(size=12), 0.4, 6.0, 5.0, 0.8
    statistics = SufficientStatistics.from_rows(
        column[:, None], target, model=RowModel(power=power, prior_rows=a0, prior_variance=v0)
    )
    spread = g / (power * column @ column)

    # the trapezoid rule converges faster than any power on a smooth integrand that vanishes at the ends
    coefficient, log_variance = np.linspace(-40, 40, 8001)[:, None], np.linspace(-6, 9, 501)
    variance = np.exp(log_variance)
    square = np.sum((target - column * coefficient) ** 2, axis=1)[:, None]
    log_joint = -power * 12 / 2 * np.log(2 * np.pi * variance) - power * square / (2 * variance)
    log_joint = log_joint + stats.norm.logpdf(coefficient, 0, np.sqrt(variance * spread))
    log_joint = log_joint + stats.invgamma.logpdf(variance, a0 / 2, scale=a0 * v0 / 2) + log_variance
    integral = np.exp(log_joint).sum() * (80 / 8000) * (15 / 500)
    model = SpinModel(statistics, prior=Prior(slab=GPriorSlab(g)))
    assert model.log_likelihood(torch.tensor([[True]])).item() == pytest.approx(np.log(integral), abs=1e-8)


@pytest.mark.parametrize("slab", [HyperGSlab(), IsotropicSlab(2.0)])
def test_the_distribution_evaluates_batches_and_other_targets(slab):
    rng = np.random.default_rng(2)
    design, target = random_rows(rng, 30, 3)
    noise = RowModel(prior_rows=2.0, prior_variance=1.0)
    model = SpinModel(SufficientStatistics.from_rows(design, target, model=noise), prior=Prior(slab=slab))
    spins, rows = torch.as_tensor(all_spins(3)).reshape(2, 4, 3), model.regression
    distribution = SpinEvidence(spins, rows, model.closed_form)
    got = distribution.log_prob(torch.as_tensor(rows.factor[:, -1]))
    assert got.shape == (2, 4)
    torch.testing.assert_close(got.reshape(8), model.log_likelihood(spins.reshape(8, 3)), rtol=0, atol=1e-10)
    doubled = SpinModel(SufficientStatistics.from_rows(design, 2 * target, model=noise), prior=Prior(slab=slab))
    torch.testing.assert_close(
        distribution.log_prob(2 * torch.as_tensor(rows.factor[:, -1])).reshape(8),
        doubled.log_likelihood(spins.reshape(8, 3)),
        rtol=0,
        atol=1e-10,
    )


def extended_rss(factor, on):
    """Residual sum of squares and log determinant by Gram-Schmidt with 60 digits."""
    with mpmath.workdps(60):
        vectors, log_determinant = [], mpmath.mpf(0)
        for column in [*on, factor.shape[1] - 1]:
            vector = [mpmath.mpf(float(x)) for x in factor[:, column]]
            for other, square in vectors:
                share = mpmath.fdot(vector, other) / square
                vector = [a - share * b for a, b in zip(vector, other, strict=True)]
            vectors.append((vector, mpmath.fdot(vector, vector)))
        for _, square in vectors[:-1]:
            log_determinant += mpmath.log(square)
        return float(vectors[-1][1]), float(log_determinant), float(min(s for _, s in vectors[:-1]))


def test_regression_is_accurate_at_condition_number_1e13():
    rng = np.random.default_rng(3)
    base = rng.normal(size=(50, 1))
    design = np.hstack([base + 10.0**-e * rng.normal(size=(50, 1)) for e in (0, 2, 4, 6.3, 6.5)])
    design /= np.linalg.norm(design, axis=0)
    assert 1e12 < np.linalg.cond(design) ** 2 < 1e14
    target = design @ [1.0, -1.0, 0.5, 0.3, 0.2] + 1e-6 * rng.normal(size=50)
    factor = SufficientStatistics.from_rows(design, target, blocks=1).factor
    spins = all_spins(5)[1:]
    got = regress(factor, spins)
    wanted = np.array([extended_rss(factor, np.flatnonzero(s)) for s in spins])
    # half of 30000 rows times the relative error of the residuals is the error in nats
    assert np.max(np.abs(got.rss / wanted[:, 0] - 1)) * 15000 < 1e-6
    np.testing.assert_allclose(got.logdet, wanted[:, 1], rtol=0, atol=1e-7)
    np.testing.assert_allclose(got.smallest_pivot, wanted[:, 2], rtol=1e-7)


@pytest.mark.parametrize(
    "condition", [1e8, pytest.param(1e4, marks=pytest.mark.slow), pytest.param(1e12, marks=pytest.mark.slow)]
)
def test_models_that_are_not_refused_are_accurate_at_any_condition_number(condition, seed):
    refused, evidence, coefficients = accuracy(condition, 1.0, seed=seed)
    assert evidence < 1e-8
    assert coefficients < 1e-8
    assert (refused > 0) == (condition > 1e5)


def test_ridge_regression_is_the_penalised_minimum():
    rng = np.random.default_rng(4)
    design, target = random_rows(rng, 30, 4)
    factor = SufficientStatistics.from_rows(design, target).factor
    spins = all_spins(4)
    got = regress(factor, spins, ridge=0.3)
    for i, on in enumerate(spins):
        gram = design[:, on].T @ design[:, on] + 0.3 * np.eye(on.sum())
        best = np.linalg.solve(gram, design[:, on].T @ target)
        penalised = np.sum((target - design[:, on] @ best) ** 2) + 0.3 * best @ best
        assert got.rss[i] == pytest.approx(penalised, rel=1e-11)
        assert got.logdet[i] == pytest.approx(np.linalg.slogdet(gram)[1], abs=1e-11)


def test_regression_does_not_depend_on_threads():
    rng = np.random.default_rng(5)
    factor = SufficientStatistics.from_rows(*random_rows(rng, 60, 16)).factor
    spins = rng.random((6000, 16)) < 0.3
    before = torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            answers.append(regress(factor, spins))
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*answers, strict=True))


def test_constants_are_read_from_the_statistics():
    design, target = random_rows(np.random.default_rng(6), 30, 2)
    statistics = SufficientStatistics.from_rows(
        design, target, model=RowModel(power=0.5, log_jacobian=4.0, prior_rows=7.0, prior_variance=0.3)
    )
    form = ClosedForm.from_statistics(statistics, GPriorSlab())
    assert (form.rows, form.prior_rows, form.prior_variance) == (15.0, 7.0, 0.3)
    assert form.log_jacobian == pytest.approx(2.0)  # the power raises the density, its Jacobian included
    assert form.mixture[0].tolist() == [15.0]
