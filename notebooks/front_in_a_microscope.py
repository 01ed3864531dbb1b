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
# # A front in a microscope: from video to law
#
# **What law moves the front in my video, and what can the video not tell?**
#
# Crystals grow into a melt while the scan jitters, the detector is noisy and some pixels are lost. The video is a
# stand-in made here, so that everybody can run this and the law is known. With `BAYESPDE_VIDEO=mine.nc` in the
# environment the same cells read your own file; what is said of the results holds for the stand-in.

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


def stand_in(pixels, frames):
    """Grains that grow and merge; frames displaced by .3 and .5 nm, 5 % noise, 3 % of the pixels lost."""
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


video = bp.read_field(path) if path else stand_in(*((48, 50) if short else (64, 60)))
print(
    dict(video.sizes), f"{float(video.isnull().mean()):.0%} of the pixels are missing"
)

# %% [markdown]
# ## Look at it
#
# Frames, and what the spline makes of them.

# %%
smooth = bp.fit_field(video, method="spline")
derivatives = bp.differentiate(smooth, space=2, time=1)
shown = [name for name in ("u_t", "u_x", "u_xx", "u_yy") if name in derivatives]
print(smooth.summary())
bp.figures.plot_field(video, derivatives[shown])

# %% [markdown]
# The summary has seen something: residuals of a frame hang together, so whole frames are held out, and more than half
# of what is left are shifts of frames as a whole, by a quarter of a nanometre along y and nearly half along x. The .3
# and .5 that were put in are a little more: part of each shift is taken for motion.
#
# ## The first answer: take the noise for white
#
# The last fifth of the frames is kept from everything, to be foretold later.

# %%
held = video.sizes["time"] // 5
sampler = bp.SMCConfig(particles=512, runs=2) if short else bp.SMCConfig()


def found_with(noise):
    """A discovery that takes the noise for this."""
    settings = bp.DiscoverConfig(
        smoothing=bp.SmoothingConfig(method="spline"),
        form=bp.WeakForm(noise=noise),
        sampler=sampler,
        trajectory_matching="never",
    )
    return bp.discover(video, config=settings, holdout_frames=held, seed=1)


naive = found_with("white")
print(naive.equations(top=1)[0])
print(bp.diagnose(naive.posterior))

# %% [markdown]
# The right terms are there, and a false one beside them, many of its standard deviations away from 0: a drift. A
# video whose frames jump seems to stream. But `diagnose` objects in several ways, of which the first is enough: the
# rows are left hundreds of standard deviations more than white noise explains.
#
# ## The second answer: put the frames back
#
# `noise="auto"`, the default, looks for displaced frames. It puts them back by what the spline shows, and takes what
# is slow of the displacements, and cannot be told from motion, for a noise of the motion.

# %%
found = found_with("auto")
for equation in found.equations(top=3):
    print(f"{equation.probability:.3f}  {equation}")
made = found.rows.statistics.provenance
print(
    "noise:",
    made["noise"],
    "| displacements, rms:",
    np.round(made["jitter"], 2),
    "| rows:",
    made["rows"],
)
print(bp.diagnose(found.posterior))

# %%
law = {"u": -0.3, "u**2": 1.3, "u**3": -1.0, "u_xx": 2.0, "u_yy": 2.0}
best = found.equations(top=1)[0]
columns = {"estimate": best.coefficients, "lower": best.lower, "upper": best.upper}
table = pd.DataFrame(columns, index=pd.Index(best.names, name="term"))
table["simulated"] = [law.get(name, np.nan) for name in best.names]
table.round(3)

# %% [markdown]
# Five terms, those that were simulated, with coefficients as they were put in: all five intervals hold them. The
# noise is named, and its size is about right. Nothing in the settings said so, and that `u_xx` and `u_yy` have the
# same coefficient was found, not assumed. One objection is left, and it is fair: 192 rows are few for 23 candidates.
# A longer video, or fewer candidates, would settle it.
#
# ## The third question: does it foretell?
#
# Draws of the law are integrated from draws of the last frame that was seen, and compared with the frames that were
# held out.

# %%
prediction, scores = found.forecast_holdout(
    options=bp.ForecastConfig(draws=30 if short else 100), seed=1
)
print(bp.format_scores(scores))
bp.figures.plot_scores(scores)

# %%
bp.figures.plot_forecast(prediction, found.holdout)

# %% [markdown]
# The frames that came are displaced like all others, so that even the true law misses them by the jitter. That is
# most of its error, and why it jumps from frame to frame and does not grow; bands, which know the noise of pixels and
# not of frames, hold a few per cent too little. The last frame, which stays, and the last frame, which moves on, get
# worse and worse. The bottom row shows where draws differ: everywhere at the start, from the smoothing; later only at
# the front, from the law.
#
# ## What a video cannot tell
#
# The stand-in is a lucky video: grains of several sizes, that meet. The same kind of law on a plane front that has
# come to its final shape and speed is another matter.

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
settings = bp.DiscoverConfig(
    smoothing=bp.SmoothingConfig(method="spline"),
    sampler=sampler,
    trajectory_matching="never",
)
reactions = ["u", "u**2", "u**3", "u_xx"]
for terms in ([*reactions, "u_x", "u*u_x"], reactions):
    steady = bp.discover(
        plane, library=bp.Library.from_strings(terms), config=settings, seed=1
    )
    best = steady.equations(top=1)[0]
    print(
        f"of {', '.join(terms)}:\n{best.probability:.3f}  {best}\n{bp.diagnose(steady.posterior)}\n"
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
# Every frame is the one before, moved. All that such a video holds is a shape and a speed, and `u_t = -0.4 u_x` says
# the speed: a right description of this video, the shortest one, and sound by all checks. It is not the law, and
# would fail where two fronts meet. With no drift on offer the answer is `0.2 u - 0.2 u**2`, without any diffusion: an
# identity of the shape of this front, whose slope is a multiple of `u (1 - u)`. There `diagnose` says what cannot be
# told apart. The law that was simulated is as good, and longer. Needed are fronts of several radii or widths, that
# meet: as in the first video.
#
# ## To take home
#
# - Read the summary of the smoother and `bp.diagnose` before the equation: an unseen jitter makes false terms that
#   look certain.
# - Hold frames out; a law that does not foretell better than the last frame is no law yet.
# - A steady front tells its speed, not its law. What is missing is in the video, not in the settings.
#
# More: [the limits](../docs/explanation.md#limits), [displaced frames](../docs/explanation.md#covariance), [what
# comes next](../docs/prediction.md), [is it to be believed?](../docs/diagnosis.md).
