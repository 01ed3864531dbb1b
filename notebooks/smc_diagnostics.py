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
# # SMC diagnostics: a good run, and bad ones
#
# **How do I know that the sampler found the posterior, and what do I do if it did not?**
#
# Particles, each one set of terms, come down from a start at high temperature to the posterior. Here is a library on
# which that is hard, what a good run looks like, and three runs that are not good.

# %%
# %matplotlib inline
import os

import numpy as np
import pandas as pd

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"

# %% [markdown]
# ## A library that is hard to explore
#
# Sixteen terms in eight pairs. The two of a pair are nearly the same column, correlated to .99, and either explains
# the data: that makes $2^8$ equations about as good as each other, many flips apart. Rows are given as plain arrays,
# without a field: the sampler does not know the difference, and here nothing but the sampler is looked at.


# %%
def paired(pairs, relevant, derivatives, seed):
    """A model of terms in pairs of which either will do."""
    random = np.random.default_rng(seed)
    first = random.standard_normal((480, pairs))
    design = np.hstack([first, first + 0.15 * random.standard_normal(first.shape)])
    target = 0.4 * first[:, :relevant].sum(axis=1) + random.standard_normal(480)
    names = [f"u**{power}*{d}" for d in derivatives for power in range(1, 9)]
    library = bp.Library.from_strings(names)
    rows = bp.SufficientStatistics.from_rows(
        design, target, names=library.names, blocks=24, target_name="u_t"
    )
    return bp.SpinModel(rows, library)


model = paired(8, 8, ["u_x", "u_xx"], seed=0)

# %% [markdown]
# ## A good run
#
# Default settings: four independent runs of 2048 particles. `enumerate_up_to=23` enumerates all $2^{16}$ equations
# besides, so that the truth is known.

# %%
good = bp.sample(model, particles=512 if short else 2048, seed=1, enumerate_up_to=23)
print(bp.diagnose(good))
bp.figures.plot_runs(good)

# %% [markdown]
# Every run gives every term the same probability, within what chance allows (the grey bars), and the crosses of the
# enumeration lie on them. No term is certain: of every pair about one is in, and the data only lean to one side.

# %%
bp.figures.plot_tempering_history(good)

# %% [markdown]
# Temperature rises to 1 (the posterior) in steps at which the effective sample size stays at half the particles, by
# construction. The number of distinct ancestors falls with every resampling; a few hundred are left of the particles
# that started. That is a bound for particles that never move: those of a good run have long forgotten their ancestor.
#
# ## A bad run: too few particles
#
# Sixteen particles, no scouts, one round of moves per step and no exchanges of one term for another.

# %%
poor = bp.SMCConfig(
    particles=16, pilot_fraction=0, final_passes=1, max_passes=1, swaps=0
)
few = bp.sample(model, config=poor, seed=1, enumerate_up_to=23)
print(bp.diagnose(few))
bp.figures.plot_runs(few)

# %% [markdown]
# Runs say different things of the same term. The verdict is *not sampled*, and each line says what is lost with that
# and what to do. Because sixteen terms can be enumerated, probabilities and evidence stand all the same, and the
# crosses show them; with a longer library there would be no crosses, and the scatter of the runs would be all that
# warns.
#
# ## A bad run: one big step of temperature
#
# Half a thousand particles, but from nearly the prior to the posterior at once.

# %%
jump = bp.SMCConfig(
    particles=512, pilot_fraction=0, schedule=(0.001, 1.0), final_passes=1, max_passes=1
)
stepped = bp.sample(model, config=jump, seed=1, enumerate_up_to=23)
print(bp.diagnose(stepped))
bp.figures.plot_genealogy(stepped)

# %% [markdown]
# A handful of particles got all the weight, and every other one is their copy: in some runs all 512 descend from a
# single ancestor. `ladder` names it: a step of temperature left one effective particle. Never fix the schedule,
# unless an evidence without bias is needed, and then in many small steps.
#
# ## What the remedy does
#
# First four times as many particles. `error` is the standard error of an inclusion probability between runs, the
# largest over terms; `miss` is what sampling truly missed of the enumeration; `evidence error` is in nats.


# %%
def summary(posterior):
    """What is looked at first, in one line."""
    agreement = bp.between_run_diagnostics(posterior)
    log_evidence = agreement["log_evidence"]
    return {
        "verdict": bp.diagnose(posterior).verdict,
        "error": float(agreement["standard_error"].max()),
        "miss": float(abs(agreement["deviation"]).max()),
        "evidence error": float(log_evidence.std(ddof=1)) / len(log_evidence) ** 0.5,
        "least ancestors": int(agreement["distinct_ancestors"].min()),
    }


counts = (16, 64, 256, 1024) if short else (16, 64, 256, 1024, 4096)
plain = {
    n: bp.sample(model, config=poor, particles=n, seed=1, enumerate_up_to=23)
    for n in counts
}
default = {n: bp.sample(model, particles=n, seed=1, enumerate_up_to=23) for n in counts}
table = {
    (kind, n): summary(p)
    for kind, all_of in (("poor", plain), ("default", default))
    for n, p in all_of.items()
}
pd.DataFrame(table).T.rename_axis(["settings", "particles"]).infer_objects().round(3)

# %% [markdown]
# Errors fall with the root of the number of particles. By their scatter, the default settings (scouts, exchanges,
# eight final rounds) are worth four times as many particles. By what is truly missed they are worth more: particles
# that moved too little err alike in all runs, and no comparison of runs can show that. So the poor settings miss up
# to nearly three times their own standard error, the default ones one or a little more, as it should be for the
# largest of sixteen.
#
# ## Beyond enumeration
#
# Thirty-two terms: no crosses any more. What is left is whether runs agree with each other, and with an engine that
# shares neither temperatures nor resampling with them.

# %%
wide = paired(16, 8, ["u_x", "u_xx", "u_xxx", "u_xxxx"], seed=1)
sampled = bp.sample(wide, particles=512 if short else 2048, seed=1)
chains = bp.TemperedGibbsConfig(steps=20_000 if short else 100_000)
walked = bp.sample(wide, method="tempered_gibbs", config=chains, seed=1)
print(bp.diagnose(sampled))
apart = abs(sampled.inclusion_probability - walked.inclusion_probability)
print(
    f"largest difference between the two engines: {float(apart.max()):.3f} for {apart.idxmax('term').values!s}"
)
print(f"log evidence by run: {sampled.log_evidence.round(2)}")

# %% [markdown]
# Two engines that make different mistakes agree to .01, and the evidences of the four runs to a fifth of a nat. That
# is strong evidence that the answer is right, and as much as can be had: no sampler can report a mode that no run has
# seen.
#
# ## To take home
#
# - Read `bp.diagnose` first. It compares independent runs; one run alone can say nothing of its error.
# - The remedies in order: more particles, more `final_passes`, `pilot_fraction=0` where modes are far apart. Do not fix the
#   ladder.
# - Few distinct ancestors are a warning, not a verdict; an effective sample size or R-hat of a 0/1 variable is
#   neither.
#
# More: [the sampler](../docs/sampler.md), [is it to be believed?](../docs/diagnosis.md), [posteriors in
# ArviZ](posterior_in_arviz.ipynb).
