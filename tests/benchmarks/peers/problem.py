"""SPIN MODEL -> one file that a peer in another environment reads; needs numpy alone.

Columns are in the model's canonical order and of unit norm; the rows are whitened and carry the power, so that the
effective number of rows is `rows`, however many the factor has.
"""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """All that a sampler needs to have the same posterior.

    Attributes:
        design: Compressed rows, `[K+1, K]`, or all of them, `[n, K]`; float64.
        target: The same rows' left-hand side.
        rows: Effective number of rows n of the likelihood.
        log_odds: Of the prior, `[K]`.
        g: Of the g-prior, or infinite.
        ridge: Precision of the isotropic slab on unit columns, or 0.
        prior_rows: a0 of the noise prior `InverseGamma(a0/2, a0 v0/2)`.
        prior_variance: v0.
        order: Place of each column in the library.
    """

    design: np.ndarray
    target: np.ndarray
    rows: float
    log_odds: np.ndarray
    g: float
    ridge: float
    prior_rows: float
    prior_variance: float
    order: np.ndarray

    def in_library_order(self, values):
        """Put `[K]` values per canonical column into the library's order."""
        answer = np.empty(len(values))
        answer[self.order] = values
        return answer


def write(path, model, *, rows=None):
    """Write a `SpinModel` with one value of g; `rows` (design `[n, K]`, target `[n]`) replace the compressed ones."""
    form, order = model.closed_form, model.regression.order
    design, target = model.regression.factor[:, :-1], model.regression.factor[:, -1]
    if rows is not None:
        weight = np.sqrt(model.statistics.power)
        design = weight * rows[0][:, order] / model.statistics.column_scale[order]
        target = weight * rows[1]
    (g,) = form.mixture[0]
    problem = Problem(
        design, target, form.rows, model.spin_prior.fields[order], float(g), form.ridge,
        form.prior_rows, form.prior_variance, order,
    )  # fmt: skip
    np.savez(path, **problem._asdict())


def read(path):
    """Read what `write` wrote."""
    with np.load(path) as file:
        return Problem(**{name: file[name] if file[name].ndim else file[name].item() for name in Problem._fields})


def write_text(path, problem):
    """Write rows for peers that read text: a header of log odds and g, then `n + 1` rows of design and target.

    The rows are the triangular factor times orthonormal columns of mean zero. A peer that centres its data and takes
    its exponent `(rows - 1) / 2` from their number then has the same posterior under a g-prior.
    """
    if problem.ridge > 0 or problem.rows != round(problem.rows):
        raise ValueError("text problems need a g-prior and a whole number of effective rows")
    factor = np.column_stack([problem.design, problem.target])
    rows = round(problem.rows) + 1
    basis = np.random.default_rng(0).normal(size=(rows, len(factor)))
    basis = np.linalg.qr(basis - basis.mean(axis=0))[0]
    header = np.append(problem.log_odds, problem.g)
    np.savetxt(path, np.vstack([header, basis @ factor]), delimiter=",")
