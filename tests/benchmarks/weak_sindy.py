"""Noisy field -> the equation that pysindy's weak form finds, its threshold chosen by BIC or on the truth.

The moments and the regression are pysindy's own (`WeakPDELibrary`, `STLSQ`). Two things are done for it: columns and
target are scaled to unit root mean square, because its threshold acts on raw coefficients, which differ by orders of
magnitude between terms; and every support is refitted without its ridge. Importing this skips where pysindy is missing.
"""

import warnings
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ps = pytest.importorskip("pysindy", reason="pysindy is not installed: pip install '.[bench]'")

THRESHOLDS = np.geomspace(0.003, 1.0, 26)
SUBDOMAINS = 500
DEGREE = 8
# Half-width of a subdomain as a share of each axis: pysindy's default is 1/20.
SHARES = (1 / 20, 1 / 10, 1 / 5)
BLIND_SHARE = 1 / 10
# Pixels of the local polynomials, of degree 4, that smooth the field before differences are taken; pysindy's default is
# no smoothing.
WINDOW = 21


class WeakRows(NamedTuple):
    """The linear problem of one set of subdomains.

    Attributes:
        design: `[500, K]`.
        target: `[500]`.
        names: Of the terms, spelt as bayespde does.
    """

    design: np.ndarray
    target: np.ndarray
    names: tuple[str, ...]


@contextmanager
def _legacy_seed(seed):
    """Seed numpy's global generator, from which pysindy draws its subdomains, and put it back afterwards."""
    state = np.random.get_state()  # noqa: NPY002  pysindy knows no other
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def weak_rows(field, *, share, seed, window=None):
    """Moments of the 19 terms `u^i d^k u` and of `u_t` over random subdomains; field `(time, x)`.

    Derivatives that cannot be moved onto the test function are finite differences, smoothed if there is a window.
    """
    x, t = field.x.values, field.time.values
    values = field.values.T[..., None]
    smoothing = {"smoother_kws": {"window_length": window, "polyorder": 4}} if window else {}
    with _legacy_seed(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = ps.WeakPDELibrary(
            function_library=ps.PolynomialLibrary(degree=3, include_bias=False),
            derivative_order=4,
            spatiotemporal_grid=np.stack(np.meshgrid(x, t, indexing="ij"), axis=-1),
            K=SUBDOMAINS,
            H_xt=share * np.array([np.ptp(x), np.ptp(t)]),
            p=DEGREE,
            differentiation_method=ps.SmoothedFiniteDifference if window else ps.FiniteDifference,
            diff_kwargs=smoothing,
        )
        design = np.asarray(library.fit_transform(values))
        target = np.asarray(library.convert_u_dot_integral(values))[:, 0]
    return WeakRows(design, target, tuple(spell(name) for name in library.get_feature_names(["u"])))


def spell(name):
    """`u^2u_11` of pysindy as `u**2*u_xx`."""
    power, _, orders = name.partition("u_")
    factors = [power.replace("^", "**")] * bool(power) + [f"u_{'x' * len(orders)}"] * bool(orders)
    return "*".join(factors)


def supports(rows):
    """The distinct supports that STLSQ finds over the thresholds, the largest threshold last: bool `[K]` each."""
    design = rows.design / np.sqrt(np.mean(rows.design**2, axis=0))
    target = rows.target / np.sqrt(np.mean(rows.target**2))
    found = (_kept(design, target, threshold) for threshold in THRESHOLDS)
    return list({on.tobytes(): on for on in found}.values())


def refit(rows, on):
    """Least squares on the terms that are on, and the squared residual."""
    fit = np.linalg.lstsq(rows.design[:, on], rows.target, rcond=None)[0] if on.any() else np.zeros(0)
    return fit, float(np.sum((rows.target - rows.design[:, on] @ fit) ** 2))


def equation(rows, on):
    """A support as a table from term to refitted coefficient."""
    names = [name for name, chosen in zip(rows.names, on, strict=True) if chosen]
    return dict(zip(names, map(float, refit(rows, on)[0]), strict=True))


def bic(rows, on):
    """Bayesian information criterion, as if the overlapping rows were independent; lower is better."""
    count = len(rows.target)
    return count * np.log(refit(rows, on)[1] / count) + on.sum() * np.log(count)


def blind(field, *, seed):
    """What a user without the truth can get: the threshold of the lowest BIC, one half-width for all data.

    BIC compares models of the same rows, and hence no half-widths.
    """
    rows = weak_rows(field, share=BLIND_SHARE, seed=seed)
    return equation(rows, min(supports(rows), key=lambda on: bic(rows, on)))


def tuned(field, truth, *, seed, window=None):
    """What no user can get: for this very field the half-width and threshold that come closest to the truth."""
    every = (weak_rows(field, share=share, seed=seed, window=window) for share in SHARES)
    found = [equation(rows, on) for rows in every for on in supports(rows)]
    return min(found, key=lambda e: (-agreement(e, truth)["tpr"], agreement(e, truth)["error"]))


def agreement(found, truth):
    """How near an equation comes to the true one, both as tables from term to coefficient; a missed term is 100 % off.

    `tpr` is TP / (TP + FN + FP), `error` the largest relative error of a true coefficient.
    """
    return {
        "best": list(found),
        "exact": set(found) == set(truth),
        "tpr": len(set(found) & set(truth)) / len(set(found) | set(truth)),
        "error": max(abs(found[name] / value - 1) if name in found else 1.0 for name, value in truth.items()),
    }


def bagged(field, *, seed, models=100):
    """Ensemble-SINDy [fasel2022]: share of bags of rows whose regression keeps a term, and median coefficients, `[K]`.

    The threshold is that of the lowest BIC on all rows, so that nothing of the truth is used.
    """
    rows = weak_rows(field, share=BLIND_SHARE, seed=seed)
    design, target = rows.design / np.sqrt(np.mean(rows.design**2, axis=0)), rows.target / rows.target.std()
    threshold = min(THRESHOLDS, key=lambda t: bic(rows, _kept(design, target, t)))
    optimizer = ps.EnsembleOptimizer(ps.STLSQ(threshold=threshold), bagging=True, n_models=models)
    with _legacy_seed(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.fit(design, target[:, None])
    return rows.names, np.mean([c[0] != 0 for c in optimizer.coef_list], axis=0)


def _kept(design, target, threshold):
    """Support of one regression, bool `[K]`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ps.STLSQ(threshold=threshold).fit(design, target[:, None]).coef_[0] != 0
