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
# # Quickstart
#
# **Which equation describes this noisy field, and how certain is it?**
#
# You start with a field and end with a posterior over equations. The field is simulated here, so that the answer is
# known. All notebooks run in a short mode with `BAYESPDE_SHORT=1` in the environment: fewer particles, the same cells.

# %%
# %matplotlib inline
import os

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"

# %% [markdown]
# ## A field
#
# The viscous Burgers equation, three pulses on a periodic domain, 10 % noise (relative to the standard deviation of the
# field). A field is an `xarray.DataArray` with dimensions `time, x` (or `time, y, x`) and units. Make one from your own
# data with `bp.read_field("mine.nc")` or `bp.make_field(values, t=..., x=...)`.

# %%
spec = bp.SimulationSpec(
    equation="u_t = -u*u_x + 0.1*u_xx",
    extent={"x": 16.0},
    points={"x": 96 if short else 256},
    times={"start": 0.0, "stop": 8.0, "frames": 61 if short else 101},
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
field = bp.simulate(spec)
print(field.dims, field.shape, field.attrs["units"])

# %% [markdown]
# ## Discover
#
# `bp.discover` smooths the field, forms the weak form, samples, and compares the leading equations by the observation
# likelihood: that of the pixels themselves. The settings of each stage are one small object. The spline smooths the
# field; neural networks are fitted on request (`found.derivatives(smoother="network")`).

# %%
sampler = bp.SMCConfig(particles=512, runs=2) if short else bp.SMCConfig()
found = bp.discover(field, sampler=sampler, seed=1)
print(found)

# %% [markdown]
# The first line names the likelihood by which equations were compared. The last one is the verdict of `bp.diagnose`:
# the sampler, the rows and the equation passed every check. Where a check fails, it says what not to trust, why, and
# what to do.

# %%
derivatives = found.derivatives()
bp.figures.plot_field(field, derivatives[["u_x", "u_xx"]])

# %% [markdown]
# The field and two of its derivatives. The weak form does not use these maps. Its rows are integrals of the equation
# against test functions; integration by parts moves derivatives onto the test function.
#
# ## Equations
#
# These are the most probable sets of terms, each with the posterior of its coefficients given that set. Digits in
# brackets are one posterior standard deviation, in units of the last digits.

# %%
for equation in found.equations(top=3):
    print(f"{equation.probability:.4f}  {equation}")

# %%
best = found.equations(top=1)[0]
for name, mean, low, high, unit in zip(
    best.names, best.coefficients, best.lower, best.upper, best.units, strict=True
):
    print(f"{name:6} {mean: .5f}  90 % interval [{low: .5f}, {high: .5f}]  {unit}")

# %% [markdown]
# ## Inclusion
#
# The probability of each term, summed over all equations. With up to 23 terms it is exact, by enumeration; the figure
# also shows the estimate of the sampler.

# %%
bp.figures.plot_inclusion(found.posterior)

# %% [markdown]
# The two simulated terms are certain. No other term has a probability worth attention.
#
# ## Pareto front
#
# Complexity against the error on blocks of rows that were left out of the fit. The front uses no prior. Its bend at the
# equation of the posterior is a check.

# %%
front = found.pareto_front()
bp.figures.plot_pareto(front)

# %% [markdown]
# ## How the weak form was made
#
# The statistics record the support radius of the test functions, the noise, and the linearisation point: the equation
# at which the rows were linearised and whitened.

# %%
statistics = found.weak_posterior.statistics
provenance = statistics.provenance
print("noise:", statistics.record.noise)
print({k: provenance[k] for k in ("rows", "support_radius", "capped", "noise_scale")})
print(
    "linearisation point:",
    {
        name: round(value, 4)
        for name, value in provenance["linearised_at"].items()
        if abs(value) > 1e-3
    },
)

# %% [markdown]
# ## To take home
#
# - `bp.discover(field)` runs all stages; print what it returns, and read the verdict before the equation.
# - An equation comes with a probability, and with intervals of its coefficients *given that equation*.
# - Inclusion probabilities are over all equations; the Pareto front is a check without a prior.
#
# More: [tutorial](../docs/tutorial.md), [how-to guides](../docs/how-to/index.md), [diagnostics and model
# checking](../docs/diagnosis.md), [theory](../docs/theory/index.md).
