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
# # A posterior in ArviZ
#
# **What is in the inference data of a posterior over equations, and which ArviZ functions apply to it?**
#
# ArviZ was made for chains of continuous parameters. Here a draw is a set of terms (0 or 1 for each) and the
# coefficients of the included ones. Many ArviZ functions apply; some mislead.

# %%
# %matplotlib inline
import os

import matplotlib.pyplot as plt
import numpy as np

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"
sampler = bp.SMCConfig(particles=512) if short else bp.SMCConfig()

# %% [markdown]
# ## A posterior with an uncertain term
#
# Burgers' equation with a slow drift, 0.8 % of the fastest pulse, under 10 % noise: the drift is at the limit of what
# these pixels can show.

# %%
spec = bp.SimulationSpec(
    equation="u_t = 0.1*u_xx - u*u_x - 0.008*u_x",
    extent={"x": 16.0},
    points={"x": 96},
    times={"start": 0.0, "stop": 6.0, "frames": 61},
    initial={
        "kind": "gaussian_pulses",
        "centres": [4.0, 9.0, 13.0],
        "heights": [1.0, 0.6, -0.7],
        "widths": [1.0, 0.8, 0.7],
    },
    noise=0.1,
    seed=1,
    units={"u": "m s^-1", "time": "s", "x": "m"},
)
video = bp.simulate(spec)
library = bp.polynomial_library("u", degree=2, order=3)
smooth = bp.fit_field(video)
model = bp.SpinModel(bp.assemble(library, smooth), library)
posterior = bp.sample(model, config=sampler, seed=1, enumerate_up_to=23)
for equation in bp.equations(posterior, top=3):
    print(f"{equation.probability:.2f}  {equation}")
print(bp.diagnose(posterior))

# %% [markdown]
# ## Contents
#
# A run is a chain, a particle is a draw, and all draws have equal weight.

# %%
idata = bp.to_inference_data(posterior)
import arviz as az

for group in (
    "posterior",
    "log_likelihood",
    "sample_stats",
    "smc_stats",
    "prior",
    "exact",
):
    variables = ", ".join(
        f"{name} {tuple(map(str, v.dims))}"
        for name, v in list(idata[group].data_vars.items())[:4]
    )
    print(f"{group}: {variables}")

# %% [markdown]
# `spin` says which terms a draw includes; `coefficient` is exactly 0 where the spin is. `log_likelihood` is *per block*
# of rows, not per pixel. `smc_stats` has the history of the sampler, `exact` the enumerated probabilities.
#
# ## What misleads: convergence diagnostics of binary variables

# %%
shown = ["u*u_x", "u_xx", "u_x", "u**2*u_x", "u"]
spins = idata["posterior"]["spin"].sel(term=shown).astype(float).to_dataset(name="spin")
with np.errstate(invalid="ignore", divide="ignore"):
    r_hat, ess, mcse = (function(spins) for function in (az.rhat, az.ess, az.mcse))
agreement = bp.between_run_diagnostics(posterior).sel(term=shown)
print(
    f"{'term':>9} {'R-hat':>6} {'ESS':>7} {'MCSE':>7} | {'between runs':>12} {'exact':>7}"
)
for k, name in enumerate(shown):
    of_arviz = [float(np.ravel(v["spin"])[k]) for v in (r_hat, ess, mcse)]
    exact = float(posterior.inclusion_probability.sel(term=name))
    between = float(agreement["standard_error"][k])
    print(
        f"{name:>9} {of_arviz[0]:6.3f} {of_arviz[1]:7.0f} {of_arviz[2]:7.4f} | {between:12.5f} {exact:7.4f}"
    )

# %% [markdown]
# R-hat of the most certain terms is NaN: it divides by a variance of 0. Their effective sample size is the number of
# particles. It looks perfect, and would also look perfect if every particle had frozen at the start. For the other
# terms both measure how the particles are *ordered* (by ancestors), since particles are not a time series. The Monte
# Carlo error that follows is that of a share of particles. The reported probability is not that share but a mean of
# conditional probabilities. The standard error between independent runs measures its accuracy: it is several times
# smaller here. `bp.diagnose` uses that error.
#
# ## What works: coefficients, with or without the zeros

# %%
az.summary(
    idata,
    var_names=["coefficient"],
    coords={"term": ["u*u_x", "u_xx", "u_x"]},
    kind="stats",
    round_to=4,
)

# %%
drift = idata["posterior"]["coefficient"].sel(term="u_x").values.ravel()
given = drift[drift != 0]
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
edges = np.linspace(-0.0122, 0.0018, 36)
axes.hist(
    drift, edges, color="#8C8C8C", label="all draws: a spike of zeros, and a bump"
)
axes.hist(
    given,
    edges,
    color="#0072B2",
    label=f"draws that have the term, {given.size / drift.size:.0%}",
)
axes.axvline(-0.008, color="black", ls="--", lw=1, label="simulated")
axes.set(xlabel="coefficient of $u_x$ (m s$^{-1}$)", ylabel="draws", yscale="log")
figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=3)
plt.show()
print(
    f"all draws {drift.mean():.4f} +- {drift.std():.4f}; given the term {given.mean():.4f} +- {given.std():.4f}"
)

# %% [markdown]
# Both numbers are correct answers, to two questions. Over all draws: what is the drift, if it is not known whether
# there is one? Given the term: how large is the drift, if there is one? Hardly any draw is near the mean of a spike and
# a bump. Quote the probability and the second number. `bp.equations` does so, one equation at a time. An interval from
# `summary` or `hdi` answers the first question; for a *spin* it is an interval between 0 and 1 without information.
#
# ## Which terms replace each other

# %%
bp.figures.plot_joint_inclusion(posterior)

# %% [markdown]
# `u_x` and `u**2*u_x` replace each other (blue): one of them is in most draws, both in hardly any. The data show that
# there is a little more advection than that by `u`, but not its form. `az.plot_pair` would show four points on top of
# each other.
#
# ## Predictive density, block by block
#
# `az.loo` and `az.compare` take the log likelihood of blocks. Here they compare the same rows under three libraries.

# %%
libraries = {
    "all eleven": list(library.names),
    "Burgers": ["u_xx", "u*u_x"],
    "no advection": ["u", "u_xx", "u_xxx"],
}
posteriors = {}
for name, terms in libraries.items():
    part = bp.Library.from_strings(terms)
    part_model = bp.SpinModel(model.statistics.select(part.names), part)
    posteriors[name] = bp.sample(part_model, method="exact", config=sampler, seed=1)
compared = az.compare({name: bp.to_inference_data(p) for name, p in posteriors.items()})
print(compared.iloc[:, :2].round(1).to_string())
print(bp.format_comparison(bp.compare(posteriors)))

# %% [markdown]
# Both criteria reject the library without `u*u_x`. Between the other two ArviZ finds hardly a difference, and ranks
# them by predictive density. `bp.compare` adds the evidence. It refuses posteriors of other rows, which ArviZ cannot
# detect.
#
# ## To a file and back

# %%
idata.to_netcdf("posterior.nc")
again = bp.from_inference_data(az.from_netcdf("posterior.nc"))
print(
    np.array_equal(again.coefficients, posterior.coefficients),
    bp.equations(again, top=1)[0],
)

# %% [markdown]
# ## To take home
#
# - Use ArviZ for coefficients, model sizes, noise, predictive densities and files; quote coefficients *given* their
#   term.
# - For spins use `inclusion_probability`, `bp.between_run_diagnostics` and `bp.diagnose`; R-hat and effective sample
#   sizes mislead.
# - A [table](../docs/arviz.md) lists which function to use for what.
#
# More: [posteriors in ArviZ](../docs/arviz.md), [comparing models](comparing_models.ipynb), [SMC
# diagnostics](smc_diagnostics.ipynb).
