"""Evidence and coefficients against 60 digits, for designs of any condition number.

OMP_NUM_THREADS=1 python tests/benchmarks/numerical_accuracy.py
"""

import itertools

import mpmath
import numpy as np
import torch

from bayespde.core.rows import RowModel
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel
from bayespde.model.prior import Prior

ROWS, TERMS, DIGITS = 200, 5, 60
CONDITIONS = (1e4, 1e6, 1e8, 1e10, 1e12, 1e14)
NOISES = (1.0, 1e-3)


def problem(condition, noise, rng):
    """Rows whose columns, at unit norm, have the condition number; residuals of this size, relative to the signal."""
    left, _ = np.linalg.qr(rng.standard_normal((ROWS, TERMS)))
    right, _ = np.linalg.qr(rng.standard_normal((TERMS, TERMS)))
    design = left @ np.diag(np.geomspace(1.0, 1.0 / condition, TERMS)) @ right
    design /= np.linalg.norm(design, axis=0)
    signal = design @ np.array([1.0, -1.0, 0.5, 0.3, 0.2])
    return design, signal + noise * np.sqrt(np.mean(signal**2)) * rng.standard_normal(ROWS)


def exact_fit(design, target, on):
    """Residual sum of squares and coefficients of some columns by Gram-Schmidt, as multiprecision numbers."""
    columns = [[mpmath.mpf(float(x)) for x in design[:, k]] for k in on]
    triangle, basis = mpmath.zeros(len(on) + 1), []
    for k, vector in enumerate([*columns, [mpmath.mpf(float(x)) for x in target]]):
        for i, (other, square) in enumerate(basis):
            triangle[i, k] = mpmath.fdot(vector, other) / square
            vector = [a - triangle[i, k] * b for a, b in zip(vector, other, strict=True)]
        basis.append((vector, mpmath.fdot(vector, vector)))
    coefficients = [mpmath.mpf(0)] * len(on)
    for i in reversed(range(len(on))):
        known = mpmath.fsum(triangle[i, j] * coefficients[j] for j in range(i + 1, len(on)))
        coefficients[i] = triangle[i, len(on)] - known
    return basis[-1][1], coefficients


def exact_evidence(model, rss, size, energy):
    """Log evidence from a residual sum of squares, as in [liang2008], as a multiprecision number."""
    form = model.closed_form
    n, a0, v0 = (mpmath.mpf(float(x)) for x in (form.rows, form.prior_rows, form.prior_variance))
    constant = mpmath.loggamma((n + a0) / 2) - mpmath.loggamma(a0 / 2) + a0 / 2 * mpmath.log(a0 * v0)
    constant -= n / 2 * mpmath.log(mpmath.pi)
    values, log_weights = ([mpmath.mpf(float(x)) for x in part] for part in form.mixture)
    parts = [
        mpmath.exp(w)
        * (1 + g) ** (-mpmath.mpf(size) / 2)
        * (a0 * v0 + rss + (energy - rss) / (1 + g)) ** (-(n + a0) / 2)
        for g, w in zip(values, log_weights, strict=True)
    ]
    return constant + mpmath.log(mpmath.fsum(parts))


def accuracy(condition, noise, *, seed, tolerance=1e-10):
    """Number of models refused, and the largest errors of the others: of log evidence, and of coefficients in sd."""
    design, target = problem(condition, noise, np.random.default_rng(seed))
    statistics = SufficientStatistics.from_rows(design, target, model=RowModel(prior_variance=float(np.var(target))))
    model = SpinModel(statistics, prior=Prior(pivot_tolerance=tolerance))
    spins = np.array(list(itertools.product([False, True], repeat=TERMS))[1:])
    found, refused, of_evidence, of_coefficients = model.log_likelihood(torch.as_tensor(spins)).numpy(), 0, [], []
    with mpmath.workdps(DIGITS):
        energy = mpmath.fsum(mpmath.mpf(float(y)) ** 2 for y in target)
        for on, got in zip(spins, found, strict=True):
            if not np.isfinite(got):
                refused += 1
                continue
            rss, wanted = exact_fit(design, target, np.flatnonzero(on))
            of_evidence.append(abs(float(mpmath.mpf(float(got)) - exact_evidence(model, rss, int(on.sum()), energy))))
            _, triangle = np.linalg.qr(design[:, on])
            sd = np.sqrt(float(rss) / ROWS) * np.linalg.norm(np.linalg.inv(triangle), axis=1)
            error = [
                float(mpmath.mpf(float(c)) - w) for c, w in zip(statistics.least_squares(on)[on], wanted, strict=True)
            ]
            of_coefficients.append(np.max(np.abs(error) / sd))
    return refused, max(of_evidence), max(of_coefficients)


def main():
    """Print the rows of the table in the documentation."""
    for noise, condition in itertools.product(NOISES, CONDITIONS):
        default, all_models = accuracy(condition, noise, seed=0), accuracy(condition, noise, seed=0, tolerance=1e-40)
        print(
            f"| {noise:g} | {condition:.0e} | {default[0]} | {default[1]:.0e} | {default[2]:.0e} "
            f"| {all_models[1]:.0e} | {all_models[2]:.0e} |"
        )


if __name__ == "__main__":
    main()
