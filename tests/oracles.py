"""Slow, independent answers for the package's fast ones; formulas are written differently on purpose."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import optimize, stats
from scipy.special import gammaln

from bayespde.core.slabs import GPriorSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics


def all_spins(terms):
    """Every configuration, `[2^K, K]`, bool; the first spin is the slowest."""
    return np.array(list(itertools.product([False, True], repeat=terms)))


def codes(spins):
    """Row of `all_spins` at which each configuration stands."""
    return np.asarray(spins) @ (1 << np.arange(spins.shape[1])[::-1])


def random_rows(rng, rows, terms, *, noise=1.0, mixing=0.5, truth=3):
    """A correlated random design `[n, K]` and a target `[n]` made of its first columns plus noise."""
    design = rng.normal(size=(rows, terms)) @ (np.eye(terms) + mixing * rng.normal(size=(terms, terms)))
    weights = np.zeros(terms)
    weights[:truth] = [1.0, -0.6, 0.3][: min(truth, terms)]
    return design, design @ weights + noise * rng.normal(size=rows)


def g_nodes(slab, rows):
    """Values of g and their weights by the trapezoid rule in log g over the density."""
    if isinstance(slab, GPriorSlab):
        return np.array([slab.g or rows]), np.ones(1)
    g = np.exp(np.linspace(np.log(slab.smallest * rows), np.log(slab.largest * rows), slab.nodes))
    density = (slab.shape - 2) / (2 * rows) * (1 + g / rows) ** (-slab.shape / 2)
    return g, density * g / np.sum(density * g)


def student_log_density(design, target, slab, *, prior_rows, prior_variance):
    """Log marginal density of `target` from the n x n covariance, for the columns of `design` being in."""
    rows, size = design.shape
    if isinstance(slab, IsotropicSlab):
        unit = design / np.sqrt(np.mean(design**2, axis=0)) if size else design
        covariances, weights = [np.eye(rows) + slab.scale**2 * unit @ unit.T], np.ones(1)
    else:
        g, weights = g_nodes(slab, rows)
        hat = design @ np.linalg.pinv(design) if size else np.zeros((rows, rows))
        covariances = [np.eye(rows) + value * hat for value in g]
    densities = [stats.multivariate_t.logpdf(target, shape=prior_variance * c, df=prior_rows) for c in covariances]
    return np.logaddexp.reduce(np.log(weights) + densities)


def is_refused(design, names, tolerance):
    """Whether a column, in the order of the names, is too close to the span of those before it."""
    order = np.argsort(names)
    for position, column in enumerate(order):
        length = np.linalg.norm(design[:, column])
        if length == 0:
            return True
        unit = design[:, column] / length
        before = design[:, order[:position]]
        if position:
            unit = unit - before @ np.linalg.lstsq(before, unit, rcond=1e-13)[0]
        if unit @ unit < tolerance:
            return True
    return False


def lstsq_log_likelihood(statistics, design, target, spins, slab, *, tolerance=1e-10):
    """Log marginal likelihood of one configuration from raw rows by `lstsq` (g-priors, power 1)."""
    on = np.flatnonzero(spins)
    if is_refused(design[:, on], np.array(statistics.names)[on], tolerance):
        return -np.inf
    chosen = design[:, on] / np.linalg.norm(design[:, on], axis=0)
    fit = chosen @ np.linalg.lstsq(chosen, target, rcond=1e-13)[0] if on.size else 0 * target
    rows, a0, v0 = len(target), statistics.prior_rows, statistics.prior_variance
    g, weights = g_nodes(slab, rows)
    inside, outside = fit @ fit, (target - fit) @ (target - fit)
    scale = 1 + (outside + inside / (1 + g)) / (a0 * v0)
    constants = gammaln((a0 + rows) / 2) - gammaln(a0 / 2) - rows / 2 * np.log(np.pi * a0 * v0)
    logs = np.log(weights) - on.size / 2 * np.log(1 + g) - (a0 + rows) / 2 * np.log(scale)
    return constants + np.logaddexp.reduce(logs) + statistics.log_jacobian.sum()


def brute_force(log_mass):
    """Log evidence, inclusion probabilities and probabilities from all `[2^K]` unnormalised log posteriors."""
    log_evidence = np.logaddexp.reduce(log_mass)
    probability = np.exp(log_mass - log_evidence)
    spins = all_spins(int(np.log2(len(log_mass))))
    return log_evidence, probability @ spins, probability


@dataclass(frozen=True, eq=False)
class TableTarget:
    """A target given by a table of log likelihoods over all configurations, and independent prior log odds."""

    logits: np.ndarray
    table: np.ndarray

    @property
    def terms(self):
        return len(self.logits)

    @cached_property
    def _log_prior(self):
        spins = all_spins(self.terms)
        probability = 1 / (1 + np.exp(-self.logits))
        return np.where(spins, np.log(probability), np.log1p(-probability)).sum(axis=1)

    @cached_property
    def log_mass(self):
        return self._log_prior + self.table

    def tempered(self, temperature):
        """Normalised probabilities at a temperature, `[2^K]`."""
        heat = temperature * self.table if temperature > 0 else 0 * np.nan_to_num(self.table)
        return np.exp(self._log_prior + heat - np.logaddexp.reduce(self._log_prior + heat))

    def log_prior(self, spins):
        return torch.as_tensor(self._log_prior[codes(spins.numpy())])

    def log_likelihood(self, spins):
        return torch.as_tensor(self.table[codes(spins.numpy())])

    def sample_prior(self, particles, *, generator):
        uniform = torch.rand((particles, self.terms), generator=generator, dtype=torch.float64)
        return uniform < torch.sigmoid(torch.as_tensor(self.logits))


def table_target(rng, terms, *, spread=3.0):
    """A rugged random table: single effects, pair effects and noise; asymmetric in every spin."""
    signs = all_spins(terms) - 0.5
    pairs = np.triu(rng.normal(size=(terms, terms)), 1)
    table = spread * (signs @ rng.normal(size=terms) + np.einsum("ni,ij,nj->n", signs, 2 * pairs, signs))
    return TableTarget(rng.normal(size=terms) - 0.7, table - 5.0)


def ising(terms, seed, coupling=0.9, field=0.5):
    """Couplings of both signs, a Sherrington-Kirkpatrick spin glass: several modes, some of them far apart."""
    rng = np.random.default_rng(seed)
    couplings = np.triu(rng.normal(0, coupling, (terms, terms)), 1)
    signs = 2.0 * all_spins(terms) - 1
    energies = np.einsum("ni,ij,nj->n", signs, couplings, signs) + signs @ rng.normal(0, field, terms)
    return TableTarget(np.zeros(terms), energies)


def hard16(rng, *, rows=30000, noise=0.1, g=1e8, share=0.7):
    """Two modes that only a two-for-two exchange joins: columns {0, 1} and {2, 3} span nearly the same signal.

    The noise is made orthogonal to all columns, so that both modes fit equally well but for a deviation of the
    second pair's sum from the signal, whose size is solved so that the first mode has the wanted share.
    """
    design = rng.normal(size=(rows, 16))
    signal = design[:, 0] + design[:, 1]
    half, deviation = design[:, 2].copy(), rng.normal(size=rows)
    basis = np.linalg.qr(np.column_stack([design, deviation]))[0]
    error = rng.normal(size=rows)
    error = noise * (error - basis @ (basis.T @ error))
    target = signal + error

    def with_deviation(size):
        changed = design.copy()
        changed[:, 2], changed[:, 3] = 0.5 * signal + half, 0.5 * signal - half + size * deviation
        return changed

    def residual(columns):
        return np.sum((target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]) ** 2)

    def excess(size):
        log_ratio = rows / 2 * np.log(residual(with_deviation(size)[:, 2:4]) / residual(design[:, :2]))
        return log_ratio - np.log(share / (1 - share))

    size = optimize.brentq(excess, 0, 0.1)
    return SufficientStatistics.from_rows(with_deviation(size), target), GPriorSlab(g)


# Derivatives of functions by nested reverse differentiation


def nested_derivatives(function, points, multi_indices):
    """Partial derivatives `[n, M]` of a function from `[n, d]` to `[n]` that treats points independently.

    One backward pass gives all derivatives one order above; every lower order is computed once.
    """
    wanted = [tuple(index) for index in multi_indices]
    zero = (0,) * points.shape[1]
    with torch.enable_grad():
        inputs = points if points.requires_grad else points.detach().clone().requires_grad_(True)
        known = {zero: function(inputs)}
        for parent in _parents(wanted):
            gradient = _gradient(known[parent], inputs)
            for axis in range(points.shape[1]):
                known.setdefault(_raised(parent, axis, 1), gradient[:, axis])
    return torch.stack([known[index] for index in wanted], dim=1)


def _gradient(values, points):
    # A derivative that has become constant carries no graph, and its own derivatives vanish.
    if not values.requires_grad:
        return torch.zeros_like(points)
    return torch.autograd.grad(values.sum(), points, create_graph=True, materialize_grads=True)[0]


def _raised(index, axis, by):
    return tuple(order + by * (position == axis) for position, order in enumerate(index))


def _parents(wanted):
    """The fewest indices, found greedily from above, whose gradients contain all wanted ones; lowest order first."""
    parents = set()
    for order in range(max(map(sum, wanted), default=0), 0, -1):
        level = {index for index in {*wanted, *parents} if sum(index) == order}
        while level:
            candidates = sorted({_raised(i, axis, -1) for i in level for axis in range(len(i)) if i[axis]})
            children = {c: {_raised(c, axis, 1) for axis in range(len(c))} for c in candidates}
            best = max(candidates, key=lambda c: (len(level & children[c]), c in wanted or c in parents))
            parents.add(best)
            level -= children[best]
    return sorted(parents, key=lambda index: (sum(index), index))


def laplace_deviation(posterior, points, multi_indices):
    """Standard deviations `[n, M]` of one linearised network: directions without data keep the prior variance."""
    gradients = posterior.gradients(points, multi_indices)
    along = (gradients @ posterior.eigenvectors) ** 2
    outside = np.maximum((gradients**2).sum(axis=-1) - along.sum(axis=-1), 0)
    variances = 1 / (posterior.eigenvalues / posterior.noise_scale**2 + posterior.prior_precision)
    return np.sqrt(along @ variances + outside / posterior.prior_precision)
