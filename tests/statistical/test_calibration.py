"""Simulation-based calibration: a truth drawn from the prior ranks uniformly among posterior draws given its data.

Truth and data are drawn by the generative program; an engine that does not use that program samples the posterior. Then
the rank of the truth among the draws is uniform for every quantity, also for one that depends on the data, such as a
likelihood [talts2018, modrak2023]. Ties are broken at random.

The design holds a duplicated column, so that configurations with both are impossible under g-priors: the prior is that
of the others, and the truth is drawn again until it is one of them. Complexities are unequal.

What is exact:

- With the exact engine truth and draws are exchangeable given the data: ranks are exactly uniform.
- A particle of a finite run follows the posterior only up to an error of order 1/P. But with fixed inverse temperatures
  and moves the evidence estimate compensates for it: for any function f and any P, even 2, and however little the
  particles move, the mean of `Zhat / Z * f(data, truth, particle)` over data, truth and runs is that of f over two
  exchangeable draws. With Z from enumeration, the weighted share of particles below the truth has mean 1/2 exactly.
- A histogram of ranks needs several draws at a time. Draws of one run are equal where they have a common ancestor,
  which would raise both ends of the histogram. We take particles at equal distances in the order of ancestors: each is
  then a uniformly chosen particle (one per family would prefer small families, and thus bad configurations), and two of
  them are related only within families larger than that distance. The histogram is correct up to that and to 1/P, which
  the bands cannot resolve; so a failure is an error, and the weighted test covers what the histogram cannot show.
"""

from typing import NamedTuple

import numpy as np
import pyro
import pytest
import torch
from scipy import stats
from statistical import checks

from bayespde.core.equation import Library
from bayespde.core.random import forked_torch_seed, torch_generator
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel, generative
from bayespde.model.prior import Prior
from bayespde.smc import SMCConfig, enumerate_exact, run

COSTS = {"u": 2.0, "u_x": 1.0, "u*u_x": 3.0, "u_xx": 1.0, "u**2": 5.0, "u**3": 4.0}
LIBRARY = Library.from_strings(COSTS)
REVERSED = Library.from_strings(dict(zip(COSTS, list(COSTS.values())[::-1], strict=True)))
SLAB = HyperGSlab(nodes=6, smallest=0.1, largest=10.0)
ROWS, TERMS, REPLICATES, DRAWS, BINS = 25, len(COSTS), 600, 19, 10
QUANTITIES = ("size", "complexity", "log_likelihood", "log_evidence", "coefficient", "noise_scale")
FIVE_ERRORS = 2 * stats.norm.sf(5)

pytestmark = pytest.mark.slow


class Replicate(NamedTuple):
    """A draw from the prior, and the rows simulated from it."""

    seed: int
    factor: np.ndarray
    spins: np.ndarray
    coefficients: np.ndarray
    noise_scale: float


def fixed_factor():
    """Triangular factor of one design; its fifth column is a multiple of its second one."""
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(ROWS, TERMS)) @ (np.eye(TERMS) + 0.6 * rng.normal(size=(TERMS, TERMS)))
    rows[:, 4] = -2.0 * rows[:, 1]
    return np.linalg.qr(np.column_stack([rows, rng.normal(size=ROWS)]), mode="r")


def model_of(factor, *, prior_rows=6.0, rows=ROWS, library=LIBRARY, slab=SLAB, expected_terms=2.0):
    """The model with fixed hyperparameters, for rows that were simulated; other arguments are planted errors."""
    statistics = SufficientStatistics(
        factors=np.sqrt(rows / ROWS) * factor[None],
        effective_rows=np.array([float(rows)]),
        log_jacobian=np.zeros(1),
        names=LIBRARY.names,
        prior_rows=prior_rows,
        prior_variance=1.2,
    )
    return SpinModel(statistics, library, prior=Prior(slab=slab, expected_terms=expected_terms))


def simulate(seed, slab=SLAB):
    """Draw everything from the prior, among the possible configurations."""
    model = model_of(fixed_factor(), slab=slab)
    prior_program = pyro.poutine.uncondition(generative(model))
    for attempt in checks.statistical_seeds(seed, 50):
        with forked_torch_seed(attempt):
            nodes = pyro.poutine.trace(prior_program).get_trace().nodes
        if "refused" not in nodes:
            factor = model.statistics.factor.copy()
            factor[:, -1] = nodes["observation"]["value"].numpy()
            return Replicate(
                seed,
                factor,
                nodes["spins"]["value"].numpy() > 0,
                nodes["_RETURN"]["value"].numpy(),
                float(nodes["noise_variance"]["value"]) ** 0.5,
            )
    raise AssertionError("all prior draws are impossible configurations")


@pytest.fixture(scope="module")
def replicates(request):
    return [simulate(s) for s in checks.statistical_seeds(request.config.getoption("--seed"), REPLICATES)]


def quantities(model, spins, coefficients, noise_scale):
    """The ranked quantities, of configurations `[N, K]`, coefficients `[N, K]` and noise `[N]`: `[N, 6]`."""
    residual = np.sum((np.column_stack([-coefficients, np.ones(len(spins))]) @ model.statistics.factor.T) ** 2, axis=1)
    return np.column_stack(
        [
            spins.sum(axis=1),
            spins @ np.array(list(COSTS.values())),
            -ROWS * np.log(noise_scale) - residual / (2 * noise_scale**2),
            model.log_likelihood(torch.as_tensor(spins)).numpy(),
            coefficients[:, 3],
            noise_scale,
        ]
    )


def compare(model, replicate, spins, *, draw=SpinModel.draw):
    """Quantities of the truth `[6]` and of draws with these configurations `[N, 6]`, computed together."""
    drawn = draw(model, torch.as_tensor(spins), generator=torch_generator(replicate.seed))
    coefficients, noise_scale = (
        np.concatenate([np.array(t)[None], d]) for t, d in zip(replicate[3:], drawn, strict=True)
    )
    # equal configurations must have equal evidence, to the last digit
    both = quantities(model, np.vstack([replicate.spins, spins]), coefficients, noise_scale)
    return both[0], both[1:]


def exact_spins(model, replicate):
    """Independent posterior draws by enumeration, `[DRAWS, K]`."""
    exact, rng = enumerate_exact(model), np.random.default_rng(replicate.seed)
    return exact.spins[rng.choice(len(exact.spins), size=DRAWS, p=exact.probability / exact.probability.sum())]


def sampled_spins(model, replicate, *, particles=304):
    """Particles of one run at equal distances in the order of ancestors, `[DRAWS, K]`."""
    config = SMCConfig(particles=particles, final_passes=1)
    state = run(model, config=config, generator=torch_generator(replicate.seed)).state
    distance = particles // DRAWS
    start = np.random.default_rng(replicate.seed).integers(distance)
    return state.spins.numpy()[start::distance]


def unfinished_spins(model, replicate, *, particles=304):
    """The same from a run that is stopped before inverse temperature 1."""
    states = []
    config = SMCConfig(particles=particles, schedule=(0.1, 0.3, 1.0), final_passes=1)
    generator = torch_generator(replicate.seed)
    run(model, config=config, generator=generator, on_step=lambda state, info: states.append(state))
    return states[1].spins.numpy()[:: particles // DRAWS]


def rank_all(replicates, engine, *, draw=SpinModel.draw, **planted):
    """Rank of every replicate's truth among the draws, ties broken at random: `[REPLICATES, 6]`."""
    ranks = []
    for replicate in replicates:
        model = model_of(replicate.factor, **planted)
        truth, drawn = compare(model, replicate, engine(model, replicate), draw=draw)
        below, ties = np.sum(drawn < truth, axis=0), np.sum(drawn == truth, axis=0)
        ranks.append(below + np.random.default_rng(replicate.seed + 1).integers(0, ties + 1))
    return np.array(ranks)


def surprise(ranks):
    """Smallest of the p-values of one quantity's ranks: each bin, all bins together, mean and spread."""
    count = len(ranks)
    bins = np.bincount(ranks * BINS // (DRAWS + 1), minlength=BINS)
    below, above = stats.binom.cdf(bins, count, 1 / BINS), stats.binom.sf(bins - 1, count, 1 / BINS)
    together = stats.chi2.sf(np.sum((bins - count / BINS) ** 2) * BINS / count, BINS - 1)
    centred = (np.arange(DRAWS + 1) - DRAWS / 2) ** np.array([[1], [2]])
    moments = ((ranks - DRAWS / 2) ** np.array([[1], [2]])).mean(axis=1) - centred.mean(axis=1)
    errors = centred.std(axis=1) / np.sqrt(count)
    return min(*2 * below, *2 * above, together, *2 * stats.norm.sf(np.abs(moments) / errors))


def uncalibrated(ranks):
    """Names of the quantities whose histogram leaves its five-standard-error band."""
    return {name for name, column in zip(QUANTITIES, ranks.T, strict=True) if surprise(column) < FIVE_ERRORS}


def prior_odds_off(replicates, engine):
    """Prior odds of every term about twice the right ones."""
    return rank_all(replicates, engine, expected_terms=3.0)


def noise_prior_too_heavy(replicates, engine):
    """The noise prior has the weight of 30 rows, not 6."""
    return rank_all(replicates, engine, prior_rows=30.0)


def complexities_in_another_order(replicates, engine):
    return rank_all(replicates, engine, library=REVERSED)


def slab_too_wide(replicates, engine):
    """Prior variances of the coefficients 100 times too large."""
    return rank_all(replicates, engine, slab=HyperGSlab(nodes=6, smallest=10.0, largest=1000.0))


def half_of_the_likelihood(replicates, engine):
    """Rows counted with a power of 1/2."""
    return rank_all(replicates, engine, rows=ROWS / 2)


def coefficients_in_another_order(replicates, engine):
    def wrong(model, spins, *, generator):
        coefficients, noise_scale = SpinModel.draw(model, spins, generator=generator)
        return coefficients[:, model.regression.order], noise_scale

    return rank_all(replicates, engine, draw=wrong)


def least_squares_for_draws(replicates, engine):
    def wrong(model, spins, *, generator):
        best = np.array([model.statistics.least_squares(s) for s in spins.numpy()])
        return best, SpinModel.draw(model, spins, generator=generator)[1]

    return rank_all(replicates, engine, draw=wrong)


PLANTED = (
    (prior_odds_off, exact_spins, {"size", "complexity"}),
    (prior_odds_off, sampled_spins, {"size", "complexity"}),
    (complexities_in_another_order, exact_spins, {"complexity"}),
    (noise_prior_too_heavy, exact_spins, {"noise_scale"}),
    (slab_too_wide, exact_spins, {"size", "log_evidence"}),
    (half_of_the_likelihood, exact_spins, {"log_likelihood"}),
    (coefficients_in_another_order, exact_spins, {"coefficient", "log_likelihood"}),
    (least_squares_for_draws, exact_spins, {"log_likelihood"}),
    (rank_all, unfinished_spins, {"log_evidence"}),
)


@pytest.mark.parametrize("engine", [exact_spins, sampled_spins])
def test_engines_are_calibrated(engine, replicates):
    assert uncalibrated(rank_all(replicates, engine)) == set()


@pytest.mark.parametrize("slab", [GPriorSlab(25.0), IsotropicSlab(1.0)])
@pytest.mark.parametrize(("engine", "count"), [(exact_spins, 2000), (sampled_spins, REPLICATES)])
def test_engines_are_calibrated_with_other_slabs(engine, count, slab, seed):
    replicates = [simulate(s, slab) for s in checks.statistical_seeds(seed, count)]
    assert uncalibrated(rank_all(replicates, engine, slab=slab)) == set()


@pytest.mark.parametrize(("bug", "engine", "caught_by"), PLANTED)
def test_planted_errors_are_caught(bug, engine, caught_by, replicates):
    assert uncalibrated(bug(replicates, engine)) >= caught_by


def few_particles(replicates):
    """`Zhat / Z` `[N]`, and the share of particles below the truth less 1/2 `[N, 6]`, of runs that hardly move."""
    config = SMCConfig(particles=6, schedule=(0.05, 0.2, 0.5, 1.0), sweeps=0.05, swaps=0, max_passes=1, final_passes=1)
    ratios, shares = [], []
    for replicate in replicates:
        model = model_of(replicate.factor)
        state = run(model, config=config, generator=torch_generator(replicate.seed)).state
        ratios.append(np.exp(state.log_evidence - enumerate_exact(model).log_evidence))
        truth, drawn = compare(model, replicate, state.spins.numpy())
        shares.append(np.mean((drawn < truth) + 0.5 * (drawn == truth), axis=0) - 0.5)
    return np.array(ratios), np.array(shares)


def in_errors(values):
    """Mean over the first axis, in standard errors."""
    return values.mean(axis=0) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def test_six_particles_that_hardly_move_are_calibrated_by_their_evidence(replicates):
    ratio, share = few_particles(replicates)
    assert np.all(np.abs(in_errors(ratio[:, None] * share)) < 5)
    # without the weights they are not calibrated: the moves alone do not pass this test
    assert np.abs(in_errors(share)).max() > 5
