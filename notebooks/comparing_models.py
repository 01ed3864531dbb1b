# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Comparing models
#
# **Which of two libraries or equations do these data prefer, and would another video agree?**
#
# Evidence, predictive densities and held-out frames answer different questions. Here all three are computed for one
# video whose equation is known.

# %%
# %matplotlib inline
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"
sampler = bp.SMCConfig(particles=512, runs=4) if short else bp.SMCConfig()


def burgers(seed, drift=0.008):
    """Three pulses on a ring, a slow drift, 10 % noise."""
    slow = f" - {drift}*u_x" if drift else ""
    pulses = {
        "centres": [4.0, 9.0, 13.0],
        "heights": [1.0, 0.6, -0.7],
        "widths": [1.0, 0.8, 0.7],
    }
    return bp.simulate(
        bp.SimulationSpec(
            equation="u_t = 0.1*u_xx - u*u_x" + slow,
            extent={"x": 16.0},
            points={"x": 96},
            times={"start": 0.0, "stop": 6.0, "frames": 61},
            initial={"kind": "gaussian_pulses", **pulses},
            noise=0.1,
            seed=seed,
            units={"u": "m s^-1", "time": "s", "x": "m"},
        )
    )


def rows_of(video, library):
    """The weak form of all terms of a library."""
    return bp.assemble(library, bp.fit_field(video))


# %% [markdown]
# ## Four libraries on the same rows
#
# Evidence compares models of *identical rows* only. Therefore the rows are formed once, with the union of all terms,
# and each library uses its own columns. Two of these libraries contain the true equation; one lacks the drift, one the
# advection.

# %%
union = bp.polynomial_library("u", degree=2, order=3)
rows = rows_of(burgers(1), union)
libraries = {
    "all eleven": list(union.names),
    "up to u*u_x": ["u", "u_x", "u_xx", "u*u_x"],
    "no drift": ["u", "u_xx", "u*u_x"],
    "no advection": [name for name in union.names if name != "u*u_x"],
}


def posterior_of(terms, method="exact", seed=1):
    """The posterior of a library, from its columns of the rows of all terms."""
    library = bp.Library.from_strings(terms)
    return bp.sample(
        bp.SpinModel(rows.select(library.names), library),
        method=method,
        config=sampler,
        seed=seed,
    )


posteriors = {name: posterior_of(terms) for name, terms in libraries.items()}
table = bp.compare(posteriors)
print(bp.format_comparison(table))
print(table["log_bayes_factor"].to_pandas().round(1))

# %% [markdown]
# The short libraries lead by evidence: each of the superfluous terms of *all eleven* costs prior odds. The evidence
# hardly decides whether the drift is among them, because these pixels contain little information about it. Without
# `u*u_x` the evidence falls by a thousand nats, whatever terms replace it.
#
# The predictive densities (of blocks of rows, each left out in turn) agree about the wrong library, and hardly
# distinguish the others: a posterior that has dropped a term predicts like one that never had it. `stacking` is the
# weight of each model in the mixture that predicts best. It is not a probability of being true, and it is unstable
# among nearly equal models.
#
# ## How certain is a Bayes factor?
#
# Enumerated evidences have no Monte Carlo error. The error of sampled ones follows from the scatter of the runs:

# %%
pair = {
    name: posterior_of(libraries[name], method="smc")
    for name in ("all eleven", "up to u*u_x")
}
print(bp.format_comparison(bp.compare(pair)))

# %% [markdown]
# That error is far below the difference. It is also the smaller of two errors: another video of the same equation has
# other noise, and another Bayes factor. Here are several videos, each with the log odds of Burgers' equation with drift
# against Burgers' equation without.

# %%
with_drift, without = ["u_x", "u_xx", "u*u_x"], ["u_xx", "u*u_x"]
seeds = range(1, 4) if short else range(1, 9)
odds = {}
for drift in (0.0, 0.006, 0.012):
    models = [
        bp.SpinModel(rows_of(burgers(seed, drift), union), union) for seed in seeds
    ]
    odds[drift] = np.array(
        [bp.log_posterior_odds(model, with_drift, without) for model in models]
    )

# %%
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for k, values in enumerate(odds.values()):
    axes.plot(values, np.full(len(values), k), "o", ms=5, alpha=0.7)
axes.axvline(0, color="black", lw=0.8)
axes.set_yticks(range(len(odds)), [f"{drift:g}" for drift in odds])
axes.set(
    xlabel="log posterior odds for a drift (nats)",
    ylabel="simulated drift (m s$^{-1}$)",
    ylim=(-0.5, 2.5),
)
plt.show()
for drift, values in odds.items():
    mean, sd, share = values.mean(), values.std(ddof=1), np.mean(values > 0)
    print(
        f"drift {drift:5g}: log odds {mean:5.1f} +- {sd:.1f} between videos; {share:.0%} of them favour a drift"
    )

# %% [markdown]
# Each dot is one video. Without a drift all videos are against it, by four to six nats and never by much more: absence
# is hard to show. With the larger drift all are for it. In between the odds scatter by several nats, and a quarter of
# the videos are on the other side: two videos of that equation disagree with a probability of three in eight. A Bayes
# factor of a few nats belongs to *this* video.
#
# ## When no library contains the true equation
#
# A posterior over wrong equations can be as narrow as one over right ones. The misfit shows the difference.

# %%
missing = bp.Library.from_strings(libraries["no advection"])
wrong = bp.sample(
    bp.SpinModel(rows_of(burgers(1), missing), missing),
    method="exact",
    config=sampler,
    seed=1,
)
best = bp.equations(wrong, top=1)[0]
print(f"{best.probability:.2f}  {best}")
print(bp.diagnose(wrong))

# %% [markdown]
# These rows were formed without the true term, at their own linearisation point, so that nothing hints at it. The
# residuals of the leading equation exceed the noise, and `diagnose` reports it. The probability is among the equations
# of this library, all of which are wrong.
#
# ## What evidence cannot compare
#
# Rows at points (the strong form), or likelihoods with another power, are other data. `compare` refuses them:

# %%
with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # the strong form warns that the weak form is better
    points = bp.assemble(union, bp.fit_field(burgers(1)), form=bp.StrongForm())
strong = bp.sample(bp.SpinModel(points, union), method="exact", config=sampler, seed=1)
try:
    bp.compare({"weak": posteriors["all eleven"], "strong": strong})
except bp.BayespdeError as error:
    print(error)

# %% [markdown]
# Held-out frames compare anything that forecasts. The last 15 frames are held out from all three:

# %%
forms = {
    "weak": bp.WeakForm(),
    "strong": bp.StrongForm(),
    "strong, power .001": bp.StrongForm(power=0.001),
}
for name, form in forms.items():
    settings = {"form": form, "sampler": sampler, "trajectory_matching": "never"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bp.discover(
            burgers(1), library=union, holdout_frames=15, seed=1, **settings
        )
    scores = found.forecast_holdout(options=bp.ForecastConfig(draws=50), seed=1)[1]
    print(
        f"{name}: {found.best()}\n  {bp.format_scores(scores)}; crps {float(scores['crps'].mean()):.5f}"
    )

# %% [markdown]
# A score can be compared, whatever made the forecast. The weak and the strong form forecast equally well, although the
# equation of the strong form has a false term: most of either error is the noise of the pixels, .033. With a power of
# .001 the likelihood hardly informs the posterior, and the bands are so wide that they hold more than they should.
# `crps` penalises that; compare this number.
#
# ## To take home
#
# - Same rows, another library or prior: use `bp.compare`. The evidence tells *which equation*, the predictive density
#   *how well it predicts*.
# - A Bayes factor of a few nats belongs to one video; another video may disagree. One of a hundred will not be
#   reversed.
# - Other rows, forms or powers: hold frames out and compare scores. The best model may still be wrong: read
#   `bp.diagnose`.
#
# More: [diagnostics and model checking](../docs/diagnosis.md), [forecasting and verification](../docs/forecasting.md),
# [priors and sensitivity](priors_and_sensitivity.ipynb).
