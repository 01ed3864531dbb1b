"""Spin models -> the whole transition matrices of the compiled kernels."""

import numpy as np
import torch
from oracles import all_spins, codes, random_rows

from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import Coupling, SpinModel
from bayespde.model.prior import Prior
from bayespde.smc.kernels.evidence_table import tabulate
from bayespde.smc.kernels.factorisation import build
from bayespde.smc.kernels.layout import RATE, factorised_rows, make_active_set
from bayespde.smc.kernels.neighbour_odds import TemperedTarget, compact_couplings, refresh
from bayespde.smc.kernels.swap_odds import swap_weights

COUPLINGS = (Coupling("x0", "x1", 2.0), Coupling("x2", "x0", 1.5, kind="heredity"), Coupling("x3", "x4", -1.0))


def small_models():
    """Six terms or fewer: plain, log odds of ten thousand, nearly and exactly collinear, with a ridge, coupled."""
    rng = np.random.default_rng(0)
    design, target = random_rows(rng, 60, 5, noise=2.0)
    strong = rng.normal(size=(30000, 5))
    strong_target = strong[:, :3] @ [1.0, 1.0, 0.7] + 0.3 * rng.normal(size=30000)
    near = design.copy()
    near[:, 3] = near[:, 0] + 1e-4 * near[:, 3]
    perfect = rng.normal(size=(30000, 5))
    perfect[:, 1:3] = perfect[:, [0]] + 1e-3 * perfect[:, 1:3]
    signal = perfect[:, 0] + perfect[:, 3] + 1e-6 * rng.normal(size=30000)
    same = np.column_stack([design[:, :4], -2.0 * design[:, 1]])
    return {
        "plain": model_of(design, target),
        "fixed g": model_of(design, target, GPriorSlab(50.0)),
        "log odds of 1e4": model_of(strong, strong_target),
        "nearly collinear": model_of(near, target),
        "nearly perfect": model_of(perfect, signal),
        "a duplicate": model_of(same, target),
        "ridge": model_of(same, target, IsotropicSlab(3.0)),
        "coupled": model_of(design, target, couplings=COUPLINGS),
    }


def rounding(name):
    """Expected error of log odds, in nats.

    A residual of 1e-6 of the target has lost six of sixteen digits already in the rows, and the error is multiplied by
    half the number of rows.
    """
    return 1e-4 if name == "nearly perfect" else 1e-8


def imbalance(name):
    """Expected difference between a probability flow and its reverse."""
    return 1e-6 if name == "nearly perfect" else 1e-12


def model_of(design, target, slab=None, **settings):
    names = [f"x{i}" for i in range(design.shape[1])][::-1]
    statistics = SufficientStatistics.from_rows(design, target, names=names)
    return SpinModel(statistics, prior=Prior(slab=slab or HyperGSlab(), **settings))


def linear_model(slab=None, couplings=()):
    """Six correlated terms with much noise: a posterior without dominating configuration."""
    design, target = random_rows(np.random.default_rng(11), 80, 6, noise=3.0, mixing=0.8)
    statistics = SufficientStatistics.from_rows(design, target, names=[f"x{i}" for i in range(6)])
    return SpinModel(statistics, prior=Prior(slab=slab or HyperGSlab(), couplings=couplings))


def prepared(model, beta, cap=None):
    """Factorised rows, tempered target and an empty configuration."""
    cap = model.terms if cap is None else cap
    problem = factorised_rows(model.regression)
    logits, couplings = model.spin_prior.fields[model.regression.order], compact_couplings(model.regression)
    tempered = TemperedTarget(tabulate(model, sizes=cap + 1), logits, couplings, beta)
    return problem, tempered, make_active_set(model.terms, cap)


def possible(model):
    """Possible configurations in canonical order `[N, K]`, and their tempered log masses as a function."""
    spins = all_spins(model.terms)
    library_order = np.empty_like(spins)
    library_order[:, model.regression.order] = spins
    log_likelihood = model.log_likelihood(torch.as_tensor(library_order)).numpy()
    log_prior = model.log_prior(torch.as_tensor(library_order)).numpy()
    alive = np.isfinite(log_likelihood)
    return (
        spins,
        alive,
        lambda beta: np.where(alive, log_prior + beta * np.where(alive, log_likelihood, 0.0), -np.inf),
    )


def rate_matrix(model, beta):
    """Rates of the jump process between all configurations, `[2^K, 2^K]`, diagonal 0; zero rows where impossible."""
    problem, tempered, state = prepared(model, beta)
    spins, alive, _ = possible(model)
    rates = np.zeros((len(spins), len(spins)))
    for row in np.flatnonzero(alive):
        build(state, problem, spins[row])
        refresh(state, problem, tempered)
        flipped = spins[row] ^ np.eye(model.terms, dtype=bool)
        rates[row, codes(flipped)] = state.vectors[RATE, :-1]
    return rates


def swap_matrix(model, beta):
    """Transition probabilities of one swap move between all configurations, `[2^K, 2^K]`."""
    problem, tempered, state = prepared(model, beta)
    spins, alive, _ = possible(model)
    matrix = np.eye(len(spins))
    cumulative = np.empty(model.terms)
    for row in np.flatnonzero(alive):
        build(state, problem, spins[row])
        refresh(state, problem, tempered)
        on = np.flatnonzero(spins[row])
        if on.size in (0, model.terms):
            continue
        matrix[row, row] = 0.0
        for position, term in enumerate(on):
            swap_weights(state, problem, tempered, position, cumulative)
            probability = np.diff(cumulative, prepend=0.0) / cumulative[-1]
            for place in np.flatnonzero(probability):
                moved = spins[row].copy()
                moved[term], moved[place] = False, True
                matrix[row, codes(moved[None])[0]] += probability[place] / on.size
    return matrix


def block_matrix(model, sets, weights, beta):
    """Transition probabilities of one block flip between all configurations, `[2^K, 2^K]`; sets in canonical order."""
    spins, alive, log_mass = possible(model)
    log_mass, matrix = log_mass(beta), np.eye(len(spins))
    for one, weight in zip(sets, weights / weights.sum(), strict=True):
        other, rows = codes(spins ^ one), np.flatnonzero(alive)
        accepted = weight * np.exp(np.minimum(log_mass[other[rows]] - log_mass[rows], 0.0))
        matrix[rows, other[rows]] += accepted
        matrix[rows, rows] -= accepted
    return matrix


def plain(function):
    """A compiled function as plain Python, which looks after the bounds of arrays."""
    return getattr(function, "py_func", function)
