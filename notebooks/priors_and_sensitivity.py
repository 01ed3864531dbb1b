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
# **How much of the result comes from the data, and how much from the prior?**
#
# There are two priors: on the number of terms of an equation, and on the size of a coefficient. This notebook shows
# their effect on terms that the data show clearly, on one at the limit of what they show, and on absent terms.

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
# ## A video with a clear and an uncertain term
#
# Burgers' equation with a slow drift: `u*u_x` and `u_xx` are clear, `u_x` is uncertain. The rows are formed once;
# everything below is about the posterior given these rows.

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
rows = bp.assemble(library, bp.fit_field(video))


def posterior_under(prior, terms=library):
    """The enumerated posterior of the same rows under a prior."""
    return bp.sample(
        bp.SpinModel(rows, terms, prior=prior), method="exact", config=sampler, seed=1
    )


posterior = posterior_under(bp.Prior())
for equation in bp.equations(posterior, top=3):
    print(f"{equation.probability:.2f}  {equation}")

# %% [markdown]
# ## Power scaling
#
# `bp.power_scaling_sensitivity` raises the prior or the likelihood to a power, without sampling again. `prior` and
# `likelihood` are the changes of a probability as the power of that part doubles, to first order.

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
        label="power 1",
    )
    axes.set(
        xlabel="inclusion probability", title=f"power of the {part}", xlim=(-0.03, 1.03)
    )
panels[0].set_yticks(places, shown)
panels[0].invert_yaxis()
panels[0].legend(frameon=False, fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# The probabilities of the clear terms do not change: the data determine them. The terms that may describe the slow
# drift (`u_x` or `u**2*u_x`) change with both. The prior alone does not decide about them, but their probability should
# not be quoted to two digits. The data push absent terms out a little further with every copy of the video.
#
# ## The number of terms
#
# The complexity prior is $\exp(-\gamma \cdot \text{terms})$, with $\gamma$ chosen for an expected number of terms (3 by
# default).

# %%
expected = (0.3, 1, 2, 3, 4, 5)
by_number = {n: posterior_under(bp.Prior(expected_terms=n)) for n in expected}
inclusion = pd.DataFrame(
    {n: p.inclusion_probability.to_series() for n, p in by_number.items()}
).loc[shown]
inclusion.rename_axis("term").rename_axis("expected terms", axis=1).round(3)

# %% [markdown]
# From a third of a term to five, sixteen times as many, the clear terms stay certain and superfluous terms stay out.
# Only the uncertain pair changes, from a total of a quarter to nine tenths. A prior with few expected terms gives
# Burgers' equation, one with many expected terms adds a drift: the data leave the choice to the prior.
#
# ## The size of a coefficient: the slab
#
# The default is a mixture over the scale of the coefficients (hyper-g/n), which the data determine. The scale can also
# be fixed: `g` is the prior variance over the sampling variance.

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
# A slab that is too wide penalises every term, the uncertain one too (Lindley's paradox): an "uninformative" prior of
# coefficients is a strong prior against terms. A slab that is too narrow shrinks coefficients, here by a hundredth. Its
# evidence is lower by hundreds of nats: the data contradict it. Otherwise the slab hardly changes coefficients given
# their equation.
#
# ## Terms with different complexity
#
# Prior knowledge can also favour simple terms. Here a term costs an additional 0.5 for every derivative after the
# first, and for a square of `u`. Another rule couples two terms: a higher power is included only where the lower one
# is.

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
heredity = bp.Coupling("u**2*u_x", "u_x", kind="heredity", strength=5.0)
coupled = posterior_under(bp.Prior(couplings=(heredity,)))
print(
    "with heredity, u**2*u_x only with u_x:",
    coupled.inclusion_probability.sel(term=["u_x", "u**2*u_x"]).values.round(2),
)

# %% [markdown]
# The data cannot tell `u_x` from `u**2*u_x`, so the prior decides. With cheaper simple terms, or with the rule that a
# higher power needs the lower one, the simulated drift leads.
#
# ## The evidence of the data, whatever the prior odds

# %%
factors = bp.inclusion_bayes_factors(posterior)["log_bayes_factor"]
factors.sel(term=shown).to_series().round(1)

# %% [markdown]
# These are the changes of the log odds of each term by the data, in nats. Infinite means beyond floating-point
# precision. The numbers depend on the slab and on the prior of the other terms, but not on the prior odds of the term
# itself.
#
# ## To take home
#
# - Run `bp.power_scaling_sensitivity(posterior)` before you quote a probability between .05 and .95: it shows whether
#   the prior or the data determine it.
# - The expected number of terms matters for uncertain terms only; a slab of fixed and large width removes true terms.
# - Where the data cannot decide, state your prior knowledge as complexities or couplings; no prior is neutral.
#
# More: [what the prior assumes](../docs/theory/model.md#complexity-prior), [libraries and
# priors](../docs/how-to/libraries-and-priors.md), [comparing models](comparing_models.ipynb).
