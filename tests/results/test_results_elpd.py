"""Predictive densities of blocks against those of the joint model itself, from n x n covariances."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from oracles import all_spins, g_nodes
from scipy import stats

import bayespde as bp
from bayespde.core.errors import StatisticsError
from bayespde.core.slabs import GPriorSlab, HyperGSlab
from bayespde.results.compare import format_comparison
from bayespde.results.elpd import HIGHEST_K

NAMES = ["u", "u_x", "u_xx", "u*u_x"]
ROWS, BLOCKS = 240, 16


def log_density(design, target, kept, spins, slab, statistics):
    """Log marginal density of the rows that are kept, under the prior that the whole design gives."""
    columns, (g, weights) = design[:, spins], g_nodes(slab, len(target))
    hat = columns @ np.linalg.pinv(columns) if spins.any() else np.zeros((len(target),) * 2)
    both = np.ix_(kept, kept)
    found = [
        stats.multivariate_t.logpdf(
            target[kept],
            shape=statistics.prior_variance * (np.eye(len(target)) + v * hat)[both],
            df=statistics.prior_rows,
        )
        for v in g
    ]
    return np.logaddexp.reduce(np.log(weights) + found)


def exact_elpd(design, target, model):
    """Log predictive density of every block given all others, summed over every configuration and every g."""
    every, slab, statistics = all_spins(design.shape[1]), model.prior.slab, model.statistics
    prior = every @ model.spin_prior.fields
    edges = np.linspace(0, len(target), BLOCKS + 1).round().astype(int)

    def total(kept):
        return np.logaddexp.reduce(
            [p + log_density(design, target, kept, s, slab, statistics) for p, s in zip(prior, every, strict=True)]
        )

    everything = total(np.arange(len(target)))
    return np.array([everything - total(np.r_[0:a, b : len(target)]) for a, b in pairwise(edges)])


def rows(rng, kind):
    """Four data sets: strong terms, weak terms, collinear terms, a block that is far off."""
    design = rng.standard_normal((ROWS, len(NAMES)))
    coefficients = np.array([0.0, 0.0, 1.0, -0.5]) if kind != "weak" else np.array([0.15, 0.0, 0.2, 0.0])
    if kind == "collinear":
        design[:, 1] = design[:, 2] + 0.3 * design[:, 1]
    target = design @ coefficients + rng.standard_normal(ROWS)
    if kind == "outlying":
        target[: ROWS // BLOCKS] += 0.7
    return design, target


def compressed(design, target):
    return bp.SufficientStatistics.from_rows(design, target, names=NAMES, blocks=BLOCKS, target_name="u_t")


def sampled(design, target, slab, **settings):
    library, statistics = bp.Library.from_strings(NAMES), compressed(design, target)
    model = bp.SpinModel(statistics, library, prior=bp.Prior(slab=slab))
    return model, bp.sample(model, **({"method": "exact", "particles": 2000, "runs": 8} | settings))


@pytest.mark.parametrize(
    ("kind", "slab"),
    [
        ("strong", GPriorSlab()),
        ("weak", GPriorSlab()),
        ("collinear", HyperGSlab(nodes=4)),
        ("outlying", GPriorSlab()),
    ],
)
def test_left_out_blocks_are_predicted_as_by_the_joint_density(kind, slab, rng, seed):
    design, target = rows(rng, kind)
    model, posterior = sampled(design, target, slab, seed=seed)
    found, exact = bp.leave_block_out_elpd(posterior), exact_elpd(design, target, model)
    reliable = found["pareto_k"].values <= HIGHEST_K
    assert reliable.sum() == BLOCKS - int(found["unreliable"]) >= BLOCKS - 2
    # Monte Carlo, and what smoothing the tail adds.
    apart = (found["elpd"].values - exact)[reliable]
    assert abs(apart.sum()) < 5 * float(found["monte_carlo_se"]) + 0.02
    assert np.abs(apart).max() < 0.1
    assert float(found["total_se"]) == pytest.approx(exact.std(ddof=1) * np.sqrt(BLOCKS), rel=0.1)


def test_effective_parameters_are_counted(rng, seed):
    """About one for every certain coefficient, and one for the noise."""
    design, target = rows(rng, "strong")
    _, posterior = sampled(design, target, GPriorSlab(), seed=seed)
    assert 1.5 < float(bp.leave_block_out_elpd(posterior)["effective_parameters"]) < 6


def test_an_outlying_block_is_reported_as_unreliable(rng):
    design, target = rows(rng, "strong")
    target[: ROWS // BLOCKS] += 40 * design[: ROWS // BLOCKS, 0]
    _, posterior = sampled(design, target, GPriorSlab(), particles=200, runs=2)
    assert int(bp.leave_block_out_elpd(posterior)["unreliable"]) >= 1
    assert "too few particles" in format_comparison(bp.compare({"it": posterior}))


def test_tempered_rows_and_single_blocks_have_no_predictive_density(rng):
    design, target = rows(rng, "strong")
    _, posterior = sampled(design, target, GPriorSlab(), runs=2, particles=50)
    for change in (
        {"power": 0.5},
        {"factors": posterior.statistics.factors[:1], "effective_rows": np.ones(1), "log_jacobian": np.zeros(1)},
    ):
        other = dataclasses.replace(posterior, statistics=dataclasses.replace(posterior.statistics, **change))
        with pytest.raises(StatisticsError, match="no predictive density"):
            bp.leave_block_out_elpd(other)
        assert np.isnan(bp.compare({"other": other})["elpd"]).all()


def test_comparison_has_both_scores(rng, seed):
    design, target = rows(rng, "strong")
    library, statistics = bp.Library.from_strings(NAMES), compressed(design, target)
    part = bp.Library.from_strings(["u", "u_x"])
    posteriors = {
        "whole": bp.sample(bp.SpinModel(statistics, library), method="exact", seed=seed),
        "part": bp.sample(bp.SpinModel(statistics.select(part.names), part), method="exact", seed=seed),
    }
    table = bp.compare(posteriors)
    assert table["model"].values.tolist() == ["whole", "part"]
    blocks = {n: bp.leave_block_out_elpd(p)["elpd"].values for n, p in posteriors.items()}
    apart = blocks["part"] - blocks["whole"]
    assert float(table["elpd_difference"].sel(model="whole")) == 0
    assert float(table["elpd_difference"].sel(model="part")) == pytest.approx(apart.sum())
    assert float(table["elpd_difference_se"].sel(model="part")) == pytest.approx(apart.std(ddof=1) * np.sqrt(BLOCKS))
    np.testing.assert_allclose(table["stacking_weight"], [1, 0], atol=0.05)
    text = format_comparison(table).splitlines()
    assert text[1].startswith("whole")
    assert text[2].startswith("part")


def test_a_better_predictor_of_lower_evidence_is_pointed_out(rng, seed):
    """A prior against many terms, and data that are too few to overrule it but predict better with them."""
    design, target = rows(rng, "weak")
    library, statistics = bp.Library.from_strings(NAMES), compressed(design, target)
    table = bp.compare({"a": bp.sample(bp.SpinModel(statistics, library), method="exact", seed=seed)})
    pointed = table.copy()
    pointed["elpd_difference"] = ("model", [-5.0])
    pointed["elpd_difference_se"] = ("model", [1.0])
    assert "predicts left-out blocks better" in format_comparison(pointed)
    assert "predicts left-out blocks better" not in format_comparison(table)


def test_other_blocks_of_the_same_rows_have_evidence_and_no_common_prediction(rng):
    design, target = rows(rng, "strong")
    library = bp.Library.from_strings(NAMES)
    both = {}
    for blocks in (16, 8):
        statistics = bp.SufficientStatistics.from_rows(design, target, names=NAMES, blocks=blocks, target_name="u_t")
        both[str(blocks)] = bp.sample(bp.SpinModel(statistics, library), method="exact", particles=50)
    table = bp.compare(both)
    np.testing.assert_allclose(table["log_bayes_factor"], 0, atol=1e-6)
    assert np.isnan(table["elpd"]).all()


def test_settings_of_arviz_change_nothing(rng):
    arviz = pytest.importorskip("arviz")
    if "stats.ic_scale" not in arviz.rcParams:
        pytest.skip("this line of ArviZ has one scale")
    _, posterior = sampled(*rows(rng, "strong"), GPriorSlab(), particles=200, runs=2)
    wanted = bp.compare({"a": posterior, "b": posterior})
    with arviz.rc_context({"stats.ic_scale": "deviance"}):
        assert bp.compare({"a": posterior, "b": posterior}).identical(wanted)
