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
# A noisy field goes in; a posterior over equations comes out.
# The field is simulated here, so that the answer is known.
# With `BAYESPDE_SHORT=1` in the environment the sampler uses fewer particles; every cell stays the same.

# %%
# %matplotlib inline
import os
import warnings

import bayespde as bp

warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
warnings.filterwarnings("ignore", message="IProgress not found")
import arviz as az

short = os.environ.get("BAYESPDE_SHORT") == "1"

# %% [markdown]
# ## A field
#
# Viscous Burgers equation, three pulses on a ring, 2 % noise (relative to the standard deviation of the field).
# A field is an `xarray.DataArray` with dimensions `time, x` (or `time, y, x`) and units.

# %%
spec = bp.SimulationSpec(
    equation="u_t = -u*u_x + 0.1*u_xx",
    extent={"x": 16.0},
    points={"x": 256},
    times={"start": 0.0, "stop": 8.0, "frames": 101},
    initial={
        "kind": "gaussian_pulses",
        "centres": [4.0, 9.0, 13.0],
        "heights": [1.0, 0.6, -0.7],
        "widths": [1.0, 0.8, 0.7],
    },
    noise=0.02,
    seed=1,
    units={"u": "m s^-1", "time": "s", "x": "m"},
)
field = bp.simulate(spec)
field

# %% [markdown]
# ## Discover
#
# Three stages: make the field smooth, form rows from it, sample. The settings of each are one small object.
# Here the penalised spline alone makes the field smooth; the default, `method="auto"`, trains neural fields besides
# and keeps what predicts held-out pixels better.

# %%
config = bp.DiscoverConfig(
    smoothing=bp.Smoothing(method="spline"),
    sampler=bp.smc.SMCConfig(particles=512, runs=2) if short else bp.smc.SMCConfig(),
)
found = bp.discover(field, config=config, seed=1)
found

# %% [markdown]
# ## Equations
#
# The most probable sets of terms, each with the posterior of its coefficients given that set.

# %%
for equation in found.equations(top=3):
    print(f"{equation.probability:.4f}  {equation}")

# %%
best = found.equations(top=1)[0]
for name, mean, low, high, unit in zip(best.names, best.coefficients, best.lower, best.upper, best.units, strict=True):
    print(f"{name:6} {mean: .5f}  90 % interval [{low: .5f}, {high: .5f}]  {unit}")

# %% [markdown]
# ## Inclusion
#
# The probability of each term, summed over all equations. With up to 23 terms it is exact, by enumeration;
# the sampler's estimate stands beside it.

# %%
found.posterior.inclusion_probability.to_series().round(4).sort_values(ascending=False, kind="stable").head(6)

# %%
bp.figures.plot_inclusion(found.posterior)

# %% [markdown]
# ## Pareto front
#
# Complexity against the error on blocks of rows that the fit has not seen.

# %%
front = found.pareto_front()
bp.figures.plot_pareto(front)

# %% [markdown]
# ## ArviZ
#
# A run of the sampler is a chain, a particle is a draw. Use ArviZ for coefficients and files.
# For terms that are always on or always off, R-hat is not defined.

# %%
idata = bp.to_inference_data(found.posterior)
az.summary(idata, var_names=["coefficient"], coords={"term": list(best.names)}, kind="stats", round_to=4)

# %% [markdown]
# ## What was done
#
# The statistics record how the rows were made: windows, noise, and the pilot equation at which they were whitened.

# %%
provenance = found.rows.statistics.provenance
print({k: provenance[k] for k in ("rows", "half_widths", "capped", "noise", "noise_scale")})
print("pilot:", {name: round(value, 4) for name, value in provenance["pilot"].items() if abs(value) > 1e-3})
