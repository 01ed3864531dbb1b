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
# # A front in a microscope: from video to equation
#
# **Which equation moves the front in my video, and what can the video not show?**
#
# Crystals grow into a melt. The scan jitters, the detector is noisy, and some pixels are lost. The video is simulated
# here, so that everybody can run this and the equation is known. With `BAYESPDE_VIDEO=mine.nc` in the environment the
# same cells read your own file; the text describes the simulated video.

# %%
# %matplotlib inline
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import fourier_shift

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"
path = os.environ.get("BAYESPDE_VIDEO")
nuclei = [
    [16, 18, 9, 0.9, 2],
    [46, 14, 8, 0.8, 3],
    [40, 44, 11, 0.8, 2.5],
    [12, 48, 8, 0.7, 3],
    [29, 29, 4, 0.6, 2],
]
names = ("x", "y", "radius", "order", "width")


def simulated(pixels, frames):
    """Grains that grow and merge; frame jitter of .3 and .5 nm, 5 % noise, 3 % of the pixels lost."""
    spec = bp.SimulationSpec(
        equation="u_t = -0.3*u + 1.3*u**2 - u**3 + 2*u_xx + 2*u_yy",
        extent={"y": 64.0, "x": 64.0},
        points={"y": pixels, "x": pixels},
        times={"start": 0.0, "stop": 24.0, "frames": frames},
        initial={
            "kind": "nuclei",
            "nuclei": [dict(zip(names, nucleus, strict=True)) for nucleus in nuclei],
        },
    )
    clean, random = bp.simulate(spec), np.random.default_rng(0)
    shifts = random.normal(scale=(0.3, 0.5), size=(frames, 2)) * pixels / 64.0
    moved = [
        np.fft.ifft2(fourier_shift(np.fft.fft2(f), s)).real
        for f, s in zip(clean.values, shifts, strict=True)
    ]
    pixels = np.stack(moved) + 0.05 * float(clean.std()) * random.standard_normal(
        clean.shape
    )
    pixels[random.random(clean.shape) < 0.03] = np.nan
    units = {"u": "1", "time": "s", "y": "nm", "x": "nm"}
    return bp.make_field(
        pixels,
        t=clean["time"].values,
        y=clean["y"].values,
        x=clean["x"].values,
        units=units,
    )


video = bp.read_field(path) if path else simulated(*((48, 50) if short else (64, 60)))
print(
    dict(video.sizes), f"{float(video.isnull().mean()):.0%} of the pixels are missing"
)

# %% [markdown]
# ## Look at the video
#
# Frames, and derivatives of the spline.

# %%
smooth = bp.fit_field(video)
derivatives = bp.differentiate(smooth, space=2, time=1)
shown = [name for name in ("u_t", "u_x", "u_xx", "u_yy") if name in derivatives]
print(smooth.summary())
bp.figures.plot_field(video, derivatives[shown])

# %% [markdown]
# The summary describes the noise. Residuals within a frame are correlated, so whole frames are held out. More than 50 %
# of the squared residuals are shifts of whole frames, by a quarter of a nanometre along y and nearly 50 % of a
# nanometre along x. The simulated .3 and .5 are a little larger: part of each shift is taken for motion.
#
# ## First answer: assume white noise
#
# The last fifth of the frames is held out, to be forecast later.

# %%
held = video.sizes["time"] // 5
sampler = bp.SMCConfig(particles=512, runs=2) if short else bp.SMCConfig()


def found_with(noise):
    """A discovery with an assumed kind of noise."""
    return bp.discover(
        video,
        form=bp.WeakForm(noise=noise),
        sampler=sampler,
        trajectory_matching="never",
        holdout_frames=held,
        seed=1,
    )


naive = found_with("white")
print(naive.equations(top=1)[0])
print(bp.diagnose(naive.posterior))

# %% [markdown]
# The right terms are included, and so is a false drift, many of its standard deviations away from 0. A video with frame
# jitter seems to drift. `diagnose` reports several failed checks, of which the first is enough: the residuals exceed
# white noise by hundreds of standard deviations.
#
# ## Second answer: model frame jitter
#
# `noise="auto"`, the default, detects frame jitter. It registers the frames to the spline. The slow part of the
# displacements cannot be told from motion, and is treated as noise of the motion.

# %%
found = found_with("auto")
for equation in found.equations(top=3):
    print(f"{equation.probability:.3f}  {equation}")
statistics = found.weak_posterior.statistics
print(
    "noise:",
    statistics.record.noise,
    "| displacements, rms:",
    np.round(statistics.provenance["jitter"], 2),
    "| rows:",
    statistics.provenance["rows"],
)
print(bp.diagnose(found.posterior))

# %%
simulated_terms = {"u": -0.3, "u**2": 1.3, "u**3": -1.0, "u_xx": 2.0, "u_yy": 2.0}
best = found.equations(top=1)[0]
columns = {"estimate": best.coefficients, "lower": best.lower, "upper": best.upper}
table = pd.DataFrame(columns, index=pd.Index(best.names, name="term"))
table["simulated"] = [simulated_terms.get(name, np.nan) for name in best.names]
table.round(3)

# %% [markdown]
# The five simulated terms, and all five intervals contain the simulated coefficients. The noise is identified, and its
# size is about right. No setting specified the noise, and the equality of the coefficients of `u_xx` and `u_yy` was
# found, not assumed. One check still fails, rightly: 192 rows are few for 23 candidates. A longer video, or fewer
# candidates, would solve that.
#
# ## Third question: does the equation forecast?
#
# Draws of the equation are integrated from draws of the last used frame, and compared with the held-out frames.

# %%
ahead, scores = found.forecast_holdout(
    options=bp.ForecastConfig(draws=30 if short else 100), seed=1
)
print(bp.format_scores(scores))
bp.figures.plot_scores(scores)

# %%
bp.figures.plot_forecast(ahead, found.holdout)

# %% [markdown]
# The held-out frames jitter like all others, so that even the true equation misses them by the jitter. That is most of
# its error, and it varies from frame to frame without growing. The bands include the noise of pixels but not the jitter
# of frames; they hold a few per cent too little. The reference forecasts, persistence and constant velocity, get worse
# and worse. The bottom row shows where draws differ: everywhere at the start, from smoothing; later only at the front,
# from the equation.
#
# ## What a video cannot show
#
# The simulated video is favourable: its grains have several sizes, and they meet. A plane front that has reached its
# final shape and speed is different, although its equation is of the same kind.

# %%
plane = bp.simulate(
    bp.SimulationSpec.from_mapping(
        {
            "equation": "u_t = -0.3*u + 1.3*u**2 - u**3 + 2*u_xx",
            "extent": {"x": 96.0},
            "points": {"x": 128},
            "times": {"start": 0.0, "stop": 40.0, "frames": 81},
            "initial": {"kind": "planar_front", "position": 24.0, "width": 4.0},
            "method": {"space": "difference", "order": 4, "boundary": "neumann"},
            "noise": 0.05,
            "seed": 1,
            "units": {"u": "1", "time": "s", "x": "nm"},
        }
    )
)
settings = {"sampler": sampler, "trajectory_matching": "never"}
reactions = ["u", "u**2", "u**3", "u_xx"]
for terms in ([*reactions, "u_x", "u*u_x"], reactions):
    steady = bp.discover(
        plane, library=bp.Library.from_strings(terms), seed=1, **settings
    )
    best = steady.equations(top=1)[0]
    print(
        f"candidates {', '.join(terms)}:\n{best.probability:.3f}  {best}\n{bp.diagnose(steady.posterior)}\n"
    )

# %%
position = bp.track_front(
    steady.smooth.field.copy(data=steady.smooth.evaluate((0, 0))), level=0.5
)
speed = np.polyfit(position["time"], position, 1)[0]
figure, axes = plt.subplots(figsize=(5, 2.4), layout="constrained")
axes.plot(position["time"], position, color="#0072B2")
axes.set(
    xlabel="time (s)",
    ylabel="position of the front (nm)",
    title=f"{speed:.3f} nm s$^{{-1}}$",
)
plt.show()

# %% [markdown]
# Every frame is the previous frame, moved. Such a video contains only a shape and a speed, and `u_t = -0.4 u_x`
# describes the speed: a correct description of this video, the shortest one, and it passes all checks. It is not the
# simulated equation, and would fail where two fronts meet. Without a drift among the candidates the answer is
# `0.2 u - 0.2 u**2`, without any diffusion. This is an identity of the shape of this front, whose slope is a multiple
# of `u (1 - u)`. There `diagnose` names the terms that cannot be told apart. The simulated equation fits equally well,
# and is longer. A video needs fronts of several radii or widths that meet, like the first one.
#
# ## To take home
#
# - Read the summary of the smoother and `bp.diagnose` before the equation: undetected jitter creates false terms that
#   look certain.
# - Hold frames out; an equation that does not forecast better than persistence is not yet an equation of the video.
# - A steady front shows its speed, not its equation. What is missing is missing in the video, not in the settings.
#
# More: [limits of the data](../docs/theory/limitations.md#limits), [frame
# jitter](../docs/theory/noise.md#frame-jitter), [forecasting and verification](../docs/forecasting.md), [diagnostics
# and model checking](../docs/diagnosis.md).
