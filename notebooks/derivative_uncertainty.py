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
# # Derivative uncertainty
#
# **How large are the errors of derivatives, and how do they affect the equation?**
#
# Derivatives of noisy pixels are estimates with errors. Here a field with known derivatives gets noise and is smoothed
# again. The stated errors are compared with the true ones, and then propagated to the coefficients.

# %%
# %matplotlib inline
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"

# %% [markdown]
# ## A field with known derivatives
#
# Burgers' equation on a periodic domain: space derivatives of the clean field are exact by Fourier series, and `u_t`
# follows from the equation. Then 10 % noise is added.

# %%
spec = bp.SimulationSpec(
    equation="u_t = 0.1*u_xx - u*u_x",
    extent={"x": 16.0},
    points={"x": 96},
    times={"start": 0.0, "stop": 6.0, "frames": 61},
    initial={
        "kind": "gaussian_pulses",
        "centres": [4.0, 9.0, 13.0],
        "heights": [1.0, 0.6, -0.7],
        "widths": [1.0, 0.8, 0.7],
    },
    units={"u": "m s^-1", "time": "s", "x": "m"},
)
clean = bp.simulate(spec)
video = bp.add_noise(clean, 0.1, seed=1)
waves = 2j * np.pi * np.fft.fftfreq(clean.sizes["x"], 16.0 / clean.sizes["x"])
spectrum = np.fft.fft(clean.values, axis=1)
truth = {
    "u" + "_" * (n > 0) + "x" * n: np.fft.ifft(waves**n * spectrum, axis=1).real
    for n in range(4)
}
truth["u_t"] = 0.1 * truth["u_xx"] - truth["u"] * truth["u_x"]

# %% [markdown]
# ## Two smoothers
#
# The penalised spline, whose posterior is exact, and the mean of neural networks that were trained with a penalty on
# the total variation of derivatives.

# %%
spline = bp.fit_field(video)
networks = bp.fit_field(
    video,
    options=bp.SmoothingConfig(smoother="network", steps=300 if short else None),
    seed=0,
)
print(networks.summary())

# %% [markdown]
# ## Stated and true errors
#
# At random pixels: the true relative error, the stated one, and how often a 90 % interval contains the truth.

# %%
orders = {"u": (0, 0), "u_t": (1, 0), "u_x": (0, 1), "u_xx": (0, 2), "u_xxx": (0, 3)}
random = np.random.default_rng(0)
frame, place = (random.integers(0, n, 200 if short else 600) for n in clean.shape)
points = np.stack([clean["time"].values[frame], clean["x"].values[place]], axis=1)
rows = {}
for label, smooth in (("spline", spline), ("networks", networks)):
    for name, order in orders.items():
        mean, sd = smooth.at_points(order, points)
        off, size = mean - truth[name][frame, place], np.sqrt(np.mean(truth[name] ** 2))
        rows[label, name] = {
            "true error": np.sqrt(np.mean(off**2)) / size,
            "stated error": np.sqrt(np.mean(sd**2)) / size,
            "90 % coverage": np.mean(np.abs(off) < 1.645 * sd),
        }
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# Every further derivative increases the error by a factor of two to six. The stated errors are about right for both:
# nine in ten intervals or a little more contain the truth. Networks are two to three times more accurate for
# derivatives in space: the spline is equally stiff everywhere, while networks are steep only where the field is.

# %%
steep = int(np.abs(truth["u_xx"]).max(axis=1).argmax())
figure, panels = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
line = np.stack(
    [np.full(clean.sizes["x"], clean["time"].values[steep]), clean["x"].values], axis=1
)
for axes, (label, smooth) in zip(
    panels, {"spline": spline, "networks": networks}.items(), strict=True
):
    mean, sd = smooth.at_points((0, 2), line)
    axes.fill_between(
        line[:, 1],
        mean - 1.645 * sd,
        mean + 1.645 * sd,
        color="#56B4E9",
        alpha=0.5,
        label="90 % band",
    )
    for seed in range(3):
        drawn = smooth.draw(seed).evaluate((0, 2))[steep]
        axes.plot(
            line[:, 1],
            drawn,
            color="#8C8C8C",
            lw=0.8,
            label="draws" if seed == 0 else None,
        )
    axes.plot(line[:, 1], truth["u_xx"][steep], color="black", lw=1.2, label="truth")
    axes.set(title=label, xlabel="x (m)")
panels[0].set_ylabel(
    f"$u_{{xx}}$ at {clean['time'].values[steep]:.1f} s (m$^{{-1}}$ s$^{{-1}}$)"
)
panels[0].legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# The spline oscillates where the field is flat, and its bands widen at the edges, where 50 % of the neighbours are
# missing: that is why its stated error of `u_xx` exceeds the true one. A draw is a whole field: all its derivatives
# belong together, and so do its errors at neighbouring points. A band at each point is not enough for what follows.
#
# ## Into the equation: rows at points
#
# The strong form takes derivatives as exact. To include their uncertainty, draw smoothed fields, and compute the
# posterior of each; `field_draw` is then a dimension like any other. (The strong form warns each time that the weak
# form is better; the last section shows it.)

# %%
library = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx", "u*u_x"])
true = {"u_xx": 0.1, "u*u_x": -1.0}


def strong(field):
    """Posterior mean, standard deviation and inclusion by the strong form of one smoothed field."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bp.SpinModel(bp.assemble(library, field, form=bp.StrongForm()), library)
    posterior = bp.sample(model, method="exact", particles=1000, runs=1, seed=0)
    draws = xr.DataArray(
        posterior.coefficients[0],
        dims=("draw", "term"),
        coords={"term": list(library.names)},
    )
    parts = {
        "mean": draws.mean("draw"),
        "sd": draws.std("draw"),
        "inclusion": posterior.inclusion_probability,
    }
    return xr.Dataset(parts)


count = 4 if short else 16
drawn = {
    label: xr.concat([strong(smooth.draw(seed)) for seed in range(count)], "field_draw")
    for label, smooth in (("spline", spline), ("networks", networks))
}

# %% [markdown]
# ## How much is due to smoothing?
#
# The total variance is the sum of two parts: *within* a draw is the variance that a sampler would report, *between*
# draws is the variance due to smoothing.

# %%
lines = {}
for label, smooth in (("spline", spline), ("networks", networks)):
    plain = strong(smooth)
    for name, value in true.items():
        each, alone = drawn[label].sel(term=name), plain.sel(term=name)
        within, between = (
            float((each["sd"] ** 2).mean()),
            float(each["mean"].var("field_draw", ddof=1)),
        )
        lines[label, name] = {
            "truth": value,
            "mean field": float(alone["mean"]),
            "its sd": float(alone["sd"]),
            "draws": float(each["mean"].mean()),
            "within": within**0.5,
            "between": between**0.5,
            "share from smoothing": between / (within + between),
        }
pd.DataFrame(lines).T.round(4)

# %% [markdown]
# Smoothing adds a tenth of the variance for the spline, a fifth for the networks: not much. The *means* matter more.
# Under draws of the spline both coefficients are too small, by four to seven per cent and about two standard
# deviations: a draw adds noise to the terms, and noise in a regressor biases its coefficient towards 0 (errors in
# variables). Variances cannot show that. The networks add so little noise that no bias is visible.
#
# ## Rows that account for the errors
#
# The weak form integrates against test functions, takes its left side from the raw pixels, and includes the covariance
# that the errors of the smoothed field give its rows. It needs no draws, and refuses them.

# %%
weak = bp.SpinModel(bp.assemble(library, spline), library)
posterior = bp.sample(weak, method="exact", seed=0)
best = bp.equations(posterior, top=1)[0]
print(f"{best.probability:.3f}  {best}")
try:
    bp.assemble(library, spline.draw(0))
except bp.BayespdeError as error:
    print(error)

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
for axes, (name, value) in zip(panels, true.items(), strict=True):
    kinds = {f"strong, {label} draws": drawn[label].sel(term=name) for label in drawn}
    for k, each in enumerate(kinds.values()):
        total = (
            float((each["sd"] ** 2).mean() + each["mean"].var("field_draw", ddof=1))
            ** 0.5
        )
        axes.errorbar(
            float(each["mean"].mean()),
            k,
            xerr=1.645 * total,
            fmt="o",
            color="#D55E00",
            capsize=3,
        )
    k = best.names.index(name)
    axes.plot(best.coefficients[k], 2, "o", color="#0072B2")
    axes.hlines(2, best.lower[k], best.upper[k], color="#0072B2")
    axes.axvline(value, color="black", lw=0.8, ls="--")
    axes.set_yticks(range(3), [*kinds, "weak"] if name == "u_xx" else [""] * 3)
    axes.set(xlabel=f"coefficient of {name}, 90 % intervals", ylim=(-0.5, 2.5))
plt.show()

# %% [markdown]
# The weak form has the narrowest interval, and it contains the truth: its rows average many pixels, and the smoothed
# field in its terms is conditioned on the equation, which removes the correlation between the errors of field and rows.
# It uses the spline, although its derivatives are poor: in the weak form nearly all derivatives are on the test
# functions.
#
# ## To take home
#
# - The stated errors of derivatives are about right; each further order costs a factor of two to six.
# - Draws of a smoothed field carry those errors to any result: `smooth.draw(seed)`, one posterior each, variance within
#   and between.
# - For the equation use the weak form: it accounts for the errors, and noise in the terms does not bias it.
#
# More: [derivatives](../docs/smoothing.md), [smoothing](../docs/how-to/smoothing.md), [the weak
# form](../docs/theory/weak_form.md).
