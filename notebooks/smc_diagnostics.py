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
# **Did the sampler find the posterior, and what helps if it did not?**
#
# Particles, each one set of terms, move from a start at inverse temperature 0 to the posterior at 1. This notebook has
# a library for which that is hard, a good run, and three bad ones.

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
# Sixteen terms in eight pairs. The two columns of a pair are nearly the same, correlated to .99, and either explains
# the data: that makes $2^8$ equations of nearly equal probability, many flips apart. The rows are plain arrays without
# a field: the sampler needs nothing else, and only the sampler is studied here.


# %%
def paired(pairs, relevant, derivatives, seed):
    """A model of terms in pairs with nearly equal columns."""
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
# Default settings: four independent runs of 2048 particles. `enumerate_up_to=23` also enumerates all $2^{16}$
# equations, so that the truth is known.

# %%
good = bp.sample(model, particles=512 if short else 2048, seed=1, enumerate_up_to=23)
print(bp.diagnose(good))
bp.figures.plot_runs(good)

# %% [markdown]
# Every run gives every term the same probability, within chance (the grey bars), and the crosses of the enumeration lie
# on them. No term is certain: about one of every pair is included, and the data favour one side only slightly.

# %%
bp.figures.plot_tempering_history(good)

# %% [markdown]
# The inverse temperature rises to 1 (the posterior) in steps at which the effective sample size stays at 50 % of the
# particles, by construction. The number of distinct ancestors falls with every resampling; a few hundred initial
# particles still have descendants. This number would be the effective number of particles if they never moved. The
# particles of a good run have long decorrelated from their ancestors.
#
# ## A bad run: too few particles
#
# Sixteen particles, no pilot runs, one pass of moves per step, and no swaps of one term for another.

# %%
poor = bp.SMCConfig(
    particles=16, pilot_fraction=0, final_passes=1, max_passes=1, swaps=0
)
few = bp.sample(model, config=poor, seed=1, enumerate_up_to=23)
print(bp.diagnose(few))
bp.figures.plot_runs(few)

# %% [markdown]
# The runs disagree about the same terms. The verdict is *not converged*, and each line says what is affected and what
# to do. Because sixteen terms can be enumerated, probabilities and evidence are still exact, and the crosses show them.
# For a longer library there would be no crosses, and only the scatter of the runs would warn.
#
# ## A bad run: one large step of the inverse temperature
#
# 512 particles, but one step from nearly the prior to the posterior.

# %%
jump = bp.SMCConfig(
    particles=512, pilot_fraction=0, schedule=(0.001, 1.0), final_passes=1, max_passes=1
)
stepped = bp.sample(model, config=jump, seed=1, enumerate_up_to=23)
print(bp.diagnose(stepped))
bp.figures.plot_genealogy(stepped)

# %% [markdown]
# A handful of particles received all the weight, and all others are copies of them: in some runs all 512 descend from a
# single ancestor. The check of the tempering schedule reports it: one step left one effective particle. Do not fix the
# schedule, unless you need an unbiased estimate of the evidence, and then use many small steps.
#
# ## Effect of the remedies
#
# First, four times as many particles in each row. `error` is the standard error of an inclusion probability between
# runs, the largest over terms; `miss` is the true deviation of sampling from the enumeration; `evidence error` is in
# nats.


# %%
def summary(posterior):
    """The main diagnostics of a posterior."""
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
# Errors fall with the square root of the number of particles. By their scatter, the default settings (pilot runs,
# swaps, eight final passes) are worth four times as many particles. By the true deviation they are worth more:
# particles that moved too little err alike in all runs, and no comparison of runs can show that. The poor settings
# therefore deviate by up to nearly three of their own standard errors. The default ones deviate by one or a little
# more, as expected for the largest of sixteen.
#
# ## Beyond enumeration
#
# Thirty-two terms cannot be enumerated. The remaining checks are whether runs agree with each other, and with a sampler
# that uses neither tempering nor resampling.

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
# The two samplers make different errors, and agree to .01. The evidences of the four runs agree to a fifth of a nat.
# That is strong evidence that the answer is right, and no stronger evidence is available: no sampler can report a mode
# that no run has visited.
#
# ## To take home
#
# - Read `bp.diagnose` first. It compares independent runs; a single run contains no information about its error.
# - The remedies in order: more particles, more `final_passes`, `pilot_fraction=0` where modes are far apart. Do not fix
#   the tempering schedule.
# - Few distinct ancestors are a warning, not a verdict; effective sample sizes and R-hat of binary variables are
#   neither.
#
# More: [the sampler](../docs/sampler.md), [diagnostics and model checking](../docs/diagnosis.md), [posteriors in
# ArviZ](posterior_in_arviz.ipynb).
