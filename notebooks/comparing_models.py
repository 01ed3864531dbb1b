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
# **Which of two libraries, or of two laws, do these data prefer, and would the next video say the same?**
#
# Evidence, predictive densities and held-out frames answer different questions. Here all three are asked about one
# video whose law is known.

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
    """Weak rows of all terms of a library."""
    return bp.assemble(library, video, smooth=bp.fit_field(video, method="spline"))


# %% [markdown]
# ## Four libraries on the same rows
#
# Evidence compares models of *identical rows* only. So rows are made once, with the union of all terms, and each
# library takes its columns. Two of these hold the law; one lacks the drift, one the advection.

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
    """The posterior of a library that takes its columns from the rows of all terms."""
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
# The short libraries lead by evidence: each of the superfluous terms of *all eleven* costs prior odds. Whether the
# drift is among them is left nearly open: these pixels say little of it. Without `u*u_x` evidence falls by a thousand
# nats, whatever the others do in its place.
#
# The predictive densities (of blocks of rows, each left out in turn) agree on what is wrong, and hardly tell the rest
# apart: a posterior that has dropped a term predicts as one that never had it. `stacking` is the weight of each in
# the mixture that predicts best. It is no probability of being true, and fickle among nearly equal models.
#
# ## How sure is a Bayes factor?
#
# Enumerated evidences have no Monte Carlo error. Sampled ones do, by the scatter of the runs:

# %%
pair = {
    name: posterior_of(libraries[name], method="smc")
    for name in ("all eleven", "up to u*u_x")
}
print(bp.format_comparison(bp.compare(pair)))

# %% [markdown]
# That error is far below the difference. It is also the smaller of two: the noise of the video is drawn once, and
# another video of the same law has another Bayes factor. So here are more of them, each with the log odds of Burgers'
# equation with drift against that without.

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
        f"drift {drift:5g}: log odds {mean:5.1f} +- {sd:.1f} between videos; {share:.0%} of them are for a drift"
    )

# %% [markdown]
# One dot is one video. Without a drift all are against it, by four to six nats and never by much more: absence is
# hard to show. With the larger drift all are for it. In between the odds scatter by several nats, and a quarter of
# the videos are on the other side: two videos of that law disagree with a chance of three in eight. A Bayes factor of
# a few nats says what *this* video says.
#
# ## When the law is in no library
#
# A posterior over wrong laws can be as sharp as one over right ones. What tells is the misfit.

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
# Rows of its own, made at its own pilot, so that nothing hints at the right term. The leading equation leaves more
# than the noise explains, and `diagnose` says so. Its probability is among the laws on offer, none of which is right.
#
# ## What evidence cannot compare
#
# Rows at points (the strong form), or likelihoods raised to another power, are other data. `compare` refuses:

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the strong form warns that the weak one is better
    points = bp.assemble(
        union,
        burgers(1),
        smooth=bp.fit_field(burgers(1), method="spline"),
        form=bp.StrongForm(),
    )
strong = bp.sample(bp.SpinModel(points, union), method="exact", config=sampler, seed=1)
try:
    bp.compare({"weak": posteriors["all eleven"], "strong": strong})
except bp.BayespdeError as error:
    print(error)

# %% [markdown]
# Held-out frames compare anything that predicts. The last 15 frames are kept from both:

# %%
forms = {
    "weak": bp.WeakForm(),
    "strong": bp.StrongForm(),
    "strong, power .001": bp.StrongForm(power=0.001),
}
for name, form in forms.items():
    settings = bp.DiscoverConfig(
        smoothing=bp.SmoothingConfig(method="spline"),
        form=form,
        sampler=sampler,
        trajectory_matching="never",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bp.discover(
            burgers(1), library=union, config=settings, holdout_frames=15, seed=1
        )
    scores = found.forecast_holdout(options=bp.ForecastConfig(draws=50), seed=1)[1]
    print(
        f"{name}: {found.best()}\n  {bp.format_scores(scores)}; crps {float(scores['crps'].mean()):.5f}"
    )

# %% [markdown]
# A score is a score, whatever made it. Weak and strong rows foretell alike, although the strong law has a term that
# is not there: most of either error is the noise of the pixels, .033. The likelihood of power .001 believes in
# nothing, and its bands are so wide that they hold more than they should; `crps` punishes that, and is the number to
# compare.
#
# ## To take home
#
# - Same rows, other library or prior: `bp.compare`. Ask the evidence *which law*, the predictive density *how well it
#   foretells*.
# - A Bayes factor of a few nats belongs to one video; the next one may disagree. One of a hundred will not be
#   overturned.
# - Other rows, forms or powers: hold frames out, and compare scores. And a best model may be wrong: read
#   `bp.diagnose`.
#
# More: [is it to be believed?](../docs/diagnosis.md), [what comes next](../docs/prediction.md), [priors and
# sensitivity](priors_and_sensitivity.ipynb).
