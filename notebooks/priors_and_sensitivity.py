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
# # Priors and sensitivity
#
# **How much of the answer is the data, and how much did I put in?**
#
# Two priors go in: how many terms an equation has, and how large a coefficient may be. Here is what each does to
# terms that the data show plainly, to one at the edge of what they show, and to those that are not there.

# %%
# %matplotlib inline
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"
sampler = bp.SMCConfig(particles=512) if short else bp.SMCConfig()

# %% [markdown]
# ## A video with a plain and a doubtful part
#
# Burgers' equation with a slow drift: `u*u_x` and `u_xx` are plain, `u_x` is at the edge. Rows are formed once;
# everything below is about the posterior of these rows.

# %%
video = bp.simulate(
    bp.SimulationSpec(
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
)
library = bp.polynomial_library("u", degree=2, order=3)
rows = bp.assemble(library, video, smooth=bp.fit_field(video, method="spline"))


def posterior_under(prior, terms=library):
    """The enumerated posterior of the same rows under a prior."""
    return bp.sample(prior.model(rows, terms), method="exact", config=sampler, seed=1)


posterior = posterior_under(bp.Prior())
for equation in bp.equations(posterior, top=3):
    print(f"{equation.probability:.2f}  {equation}")

# %% [markdown]
# ## Ask once: power scaling
#
# `bp.power_scaling_sensitivity` raises prior or likelihood to a power, without sampling again. `prior` and `likelihood` are the
# changes of a probability as the power of that part doubles, to first order.

# %%
scaled = bp.power_scaling_sensitivity(posterior)
scaled[["inclusion", "prior", "likelihood"]].to_dataframe().sort_values(
    "inclusion", ascending=False
).round(3).head(6)

# %%
shown = ["u*u_x", "u_xx", "u**2*u_x", "u_x", "u_xxx"]
figure, panels = plt.subplots(1, 2, figsize=(7, 2.6), sharey=True, layout="constrained")
for axes, part in zip(panels, ("prior", "likelihood"), strict=True):
    low, high = (
        scaled["scaled"].sel(part=part, power=power, term=shown) for power in (0.5, 2.0)
    )
    places = np.arange(len(shown))
    axes.hlines(
        places, np.minimum(low, high), np.maximum(low, high), color="#8C8C8C", lw=3
    )
    axes.plot(low, places, "o", color="#56B4E9", label="square root")
    axes.plot(high, places, "o", color="#0072B2", label="square")
    axes.plot(
        scaled["inclusion"].sel(term=shown),
        places,
        "|",
        color="black",
        ms=12,
        label="as it is",
    )
    axes.set(
        xlabel="inclusion probability", title=f"power of the {part}", xlim=(-0.03, 1.03)
    )
panels[0].set_yticks(places, shown)
panels[0].invert_yaxis()
panels[0].legend(frameon=False, fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# Plain terms do not move at all: that they are there is data. The terms that stand for the slow drift (`u_x` or
# `u**2*u_x`) move with both. They are neither in nor out because of the prior alone, but their probability is no
# number to quote to two digits. Terms that are not there are pushed out by the data a little further with every copy
# of the video.
#
# ## The number of terms
#
# The complexity prior is $\exp(-\gamma \cdot \text{terms})$, with $\gamma$ such that so many terms are expected (3 by
# default).

# %%
expected = (0.3, 1, 2, 3, 4, 5)
by_number = {n: posterior_under(bp.Prior(expected_terms=n)) for n in expected}
inclusion = pd.DataFrame(
    {n: p.inclusion_probability.to_series() for n, p in by_number.items()}
).loc[shown]
inclusion.rename_axis("term").rename_axis("expected terms", axis=1).round(3)

# %% [markdown]
# From a third of a term to five, sixteen times as many, the plain terms stay certain and superfluous ones stay out.
# Only the doubtful pair moves, from a quarter together to nine tenths. Whoever expects few terms calls this Burgers'
# equation, whoever expects many sees something else besides: the data leave that to them.
#
# ## How large a coefficient may be: the slab
#
# The default is a mixture over the scale of the coefficients (hyper-g/n), which lets the data say how large they are.
# One may fix it instead: `g` is the prior variance over the sampling variance.

# %%
slabs = {
    "hyper-g (default)": {"kind": "hyper-g"},
    "g = 100, narrow": {"kind": "g-prior", "g": 1e2},
    "g = rows": {"kind": "g-prior"},
    "g = 1e6": {"kind": "g-prior", "g": 1e6},
    "g = 1e9, wide": {"kind": "g-prior", "g": 1e9},
}
priors = {
    name: bp.DiscoverConfig.from_mapping({"prior": {"slab": slab}}).prior
    for name, slab in slabs.items()
}
by_slab = {name: posterior_under(prior) for name, prior in priors.items()}
inclusion = pd.DataFrame(
    {n: p.inclusion_probability.sel(term=shown).to_series() for n, p in by_slab.items()}
).T
inclusion["log evidence"] = [p.log_evidence_pooled for p in by_slab.values()]
inclusion.rename_axis("slab").rename_axis(None, axis=1).round(3)

# %%
for name, p in by_slab.items():
    best = bp.equations(p, top=20)
    plain = next(e for e in best if set(e.names) == {"u_xx", "u*u_x"})
    print(f"{name:18} {plain}")

# %% [markdown]
# A slab that is too wide makes every term dearer, the doubtful one with it (Lindley's paradox): an "uninformative"
# prior of coefficients is a strong prior against terms. One that is too narrow shrinks coefficients, here by a
# hundredth, and its evidence is lower by hundreds of nats: the data object. Coefficients given their equation hardly
# care otherwise.
#
# ## Terms that are dearer than others
#
# That simple terms are likelier is knowledge as well. Here a term costs half a unit more for every derivative after
# the first and for a square of `u`. Another rule couples two terms: a higher power is in only where the lower is.

# %%
costs = {
    name: 1.0 + 0.5 * (name.count("x") - 1) * ("_" in name) + 0.5 * name.count("u**2")
    for name in library.names
}
dear = bp.Library.from_strings(costs)
by_cost = posterior_under(bp.Prior(), terms=dear)
for name in ("u_x", "u**2*u_x"):
    before, after = (
        float(p.inclusion_probability.sel(term=name)) for p in (posterior, by_cost)
    )
    print(f"{name:9} cost {costs[name]:.1f}: {before:.2f} -> {after:.2f}")
needs = bp.Coupling("u**2*u_x", "u_x", kind="heredity", strength=5.0)
coupled = posterior_under(bp.Prior(couplings=(needs,)))
print(
    "if u**2*u_x needs u_x:",
    coupled.inclusion_probability.sel(term=["u_x", "u**2*u_x"]).values.round(2),
)

# %% [markdown]
# The data cannot tell `u_x` from `u**2*u_x`, so what is believed beforehand decides: with simple terms cheaper, or
# with the rule that a higher power needs the lower, the drift that was simulated comes out ahead.
#
# ## What the data say, whatever the prior

# %%
factors = bp.inclusion_bayes_factors(posterior)["log_bayes_factor"]
factors.sel(term=shown).to_series().round(1)

# %% [markdown]
# How much the data changed the odds of each term, in nats. Infinite means that all digits are used up. It is not free
# of the slab, nor of what the other terms are allowed to do; it is free of the odds that this term had beforehand.
#
# ## To take home
#
# - Run `bp.power_scaling_sensitivity(posterior)` before quoting a probability between .05 and .95: it says who is speaking.
# - Few or many expected terms matter for doubtful terms only; a slab of fixed and large width throws out true terms.
# - Where the data cannot decide, say what you believe and why, as costs or couplings, instead of hoping for a neutral
#   prior.
#
# More: [what the prior assumes](../docs/explanation.md#complexity-prior), [how to](../docs/how-to.md), [comparing
# models](comparing_models.ipynb).
