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
# **Which equation moves this noisy field, and how sure is that?**
#
# A field goes in; a posterior over equations comes out. The field is simulated here, so that the answer is known. All
# notebooks run in a short mode with `BAYESPDE_SHORT=1` in the environment: fewer particles, the same cells.

# %%
# %matplotlib inline
import os

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"

# %% [markdown]
# ## A field
#
# Viscous Burgers equation, three pulses on a ring, 10 % noise (relative to the standard deviation of the field). A
# field is an `xarray.DataArray` with dimensions `time, x` (or `time, y, x`) and units. Your own becomes one by
# `bp.read_field("mine.nc")` or `bp.make_field(values, t=..., x=...)`.

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
# Four stages: make the field smooth, form rows from it, sample, and judge the leading equations by the pixels
# themselves. The settings of each are one small object. Here the penalised spline alone makes the field smooth; the
# default, `method="auto"`, trains neural fields besides, and keeps what predicts held-out pixels better.

# %%
config = bp.DiscoverConfig(
    smoothing=bp.SmoothingConfig(method="spline"),
    sampler=bp.SMCConfig(particles=512, runs=2) if short else bp.SMCConfig(),
)
found = bp.discover(field, config=config, seed=1)
found

# %% [markdown]
# The first line says what the equations were judged by. The last one is the verdict of `bp.diagnose`: sampler, rows
# and equation passed every check. Where one fails it says what not to trust, why, and what to do.

# %%
derivatives = bp.differentiate(found.smooth, space=2, time=1)
bp.figures.plot_field(field, derivatives[["u_x", "u_xx"]])

# %% [markdown]
# What was seen, and two of the derivatives that were made of it. The rows that a discovery starts from do not use
# these maps: they are integrals of the equation against test functions, in which the derivatives stand on the test
# function.
#
# ## Equations
#
# The most probable sets of terms, each with the posterior of its coefficients given that set. Digits in brackets are
# one posterior standard deviation, in units of the last digits.

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
# The probability of each term, summed over all equations. With up to 23 terms it is exact, by enumeration; the
# sampler's estimate stands beside it.

# %%
bp.figures.plot_inclusion(found.posterior)

# %% [markdown]
# The two terms that were simulated are certain, and no other has a probability worth a second look.
#
# ## Pareto front
#
# Complexity against the error on blocks of rows that the fit has not seen. It uses no prior: that it bends where the
# posterior points is a check.

# %%
front = found.pareto_front()
bp.figures.plot_pareto(front)

# %% [markdown]
# ## How the rows were made
#
# The statistics record windows, noise, and the pilot equation at which rows were whitened.

# %%
provenance = found.rows.statistics.provenance
print(
    {
        k: provenance[k]
        for k in ("rows", "support_radius", "capped", "noise", "noise_scale")
    }
)
print(
    "pilot:",
    {
        name: round(value, 4)
        for name, value in provenance["pilot"].items()
        if abs(value) > 1e-3
    },
)

# %% [markdown]
# ## To take home
#
# - `bp.discover(field)` is the whole way; print what it returns, and read the verdict before the equation.
# - An equation comes with a probability, its coefficients with intervals *given that equation*.
# - The inclusion probabilities are over all equations; the Pareto front is a check that knows no prior.
#
# More: [tutorial](../docs/tutorial.md), [how to](../docs/how-to.md), [is it to be believed?](../docs/diagnosis.md),
# [explanation](../docs/explanation.md).
