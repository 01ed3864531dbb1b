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
# # The original method and the weak form
#
# **Two methods read the same front: why do they give different equations?**
#
# The method from which this package grew smooths a video by neural networks with a total-variation penalty, takes the
# derivatives of the smoothed field as data, and asks at every pixel which terms add up to `u_t`. This is the *strong
# form*. The default here is the *weak form*: integrals of the equation against test functions, with the covariance of
# the noise. Both are one call. Here they read two simulated fronts, so that the truth is known, and every difference is
# traced to its cause.

# %%
# %matplotlib inline
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayespde as bp

short = os.environ.get("BAYESPDE_SHORT") == "1"
# The strong form warns each time that the weak form is better: this is what we are going to see.
warnings.filterwarnings("ignore", message="rows at grid points")
original = bp.StrongForm(smoother="network", field_draws=4 if short else 8)
settings = {
    "smoothing": bp.SmoothingConfig(steps=150 if short else None),
    "sampler": bp.SMCConfig(particles=512, runs=2),
    "trajectory_matching": "never",
    "seed": 0,
}

# %% [markdown]
# ## A front whose equation is known
#
# The shipped model `phase_field_front`: a front that is too wide sharpens while it advances, with 2 % noise.

# %%
spec = {
    "equation": "u_t = -0.9*u + 1.9*u**2 - u**3 + 10*u_xx",
    "extent": {"x": 400.0},
    "points": {"x": 200 if short else 400},
    "times": {"start": 0.0, "stop": 10.0, "frames": 81 if short else 201},
    "initial": {"kind": "planar_front", "position": 200.0, "width": 50.0},
    "method": {"space": "difference", "order": 4, "boundary": "neumann"},
    "units": {"u": "1", "time": "s", "x": "nm"},
}
clean = bp.simulate(bp.SimulationSpec.from_mapping(spec))
video = bp.add_noise(clean, 0.02, seed=1)
true = {"u": -0.9, "u**2": 1.9, "u**3": -1.0, "u_xx": 10.0}
library = bp.Library.from_strings([*true, "u_x", "u*u_x", "u_x**2", "u**2*u_x"])

# %% [markdown]
# ## Both ways
#
# `field_draws=8` draws eight smoothed fields from the posterior of the networks, and computes a posterior over
# equations for each; the result is their average.

# %%
strong = bp.discover(video, library=library, form=original, **settings)
weak = bp.discover(video, library=library, **settings)
for label, found in {"strong": strong, "weak": weak}.items():
    print(label)
    for equation in found.equations(top=3):
        print(f"  {equation.probability:.3f}  {equation}")
    diagnosis = bp.diagnose(found.posterior)
    print(
        f"  {diagnosis.verdict}; failed: {[check.name for check in diagnosis.failed]}"
    )

# %%
figure, axes = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
draws = strong.posterior.by_field_draw()
place = np.arange(len(library))
for k, draw in enumerate(draws):
    axes.plot(
        place + 0.04 * (k - len(draws) / 2) - 0.1,
        draw.inclusion_probability,
        ".",
        color="#D55E00",
        label="strong form, each draw" if k == 0 else None,
    )
axes.plot(
    place + 0.25,
    weak.posterior.inclusion_probability,
    "s",
    ms=5,
    color="#0072B2",
    label="weak form",
)
axes.axvspan(-0.5, len(true) - 0.5, color="#EEEEEE", zorder=0)
axes.set_xticks(place, library.names, rotation=30)
axes.set(ylabel="inclusion probability", xlim=(-0.5, len(library) - 0.5))
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# The terms on grey are the true ones. The weak form includes these and no other. The strong form has the true equation
# first, with probability .41, and shares the rest among false ones; it depends on the draw. The inclusion probability
# of `u_x**2` is .1 in one draw and 1 in another, that of `u_xx` is down to .55. `diagnose` fails the strong form
# whatever it finds, because the checks of a fit cannot see the errors that follow.
#
# ## First cause: errors of the derivatives
#
# The true derivatives follow from the clean field. These are the relative errors of the networks and of one draw.

# %%
dx = float(clean["x"][1] - clean["x"][0])
exact = {
    "u": clean.values,
    "u_x": np.gradient(clean.values, dx, axis=1),
    "u_xx": np.gradient(np.gradient(clean.values, dx, axis=1), dx, axis=1),
}
exact["u_t"] = sum(
    value * (exact["u_xx"] if name == "u_xx" else exact["u"] ** int(name[3:] or 1))
    for name, value in true.items()
)
orders = {"u": (0, 0), "u_t": (1, 0), "u_x": (0, 1), "u_xx": (0, 2)}
fields = {"networks": strong.smooth, "one draw": strong.smooth.draw(0)}
smoothed = {
    label: dict(zip(orders, field.evaluate_all(list(orders.values())), strict=True))
    for label, field in fields.items()
}
inner = tuple(slice(n // 20, n - n // 20) for n in clean.shape)


def relative(found, name):
    """Root mean square error over that of the true derivative, without the margins."""
    off = (found[name] - exact[name])[inner]
    return np.sqrt(np.mean(off**2) / np.mean(exact[name][inner] ** 2))


errors = {label: {n: relative(f, n) for n in orders} for label, f in smoothed.items()}
pd.DataFrame(errors).T.round(4)

# %% [markdown]
# Small errors. What they do to the equation shows if smoothed derivatives replace exact ones, on one side of the
# equation at a time. As a control, the *same* errors are moved to random pixels: nothing changes but their pattern.
# Every pixel is an independent row here.

# %%
moving = np.random.default_rng(0)


def shuffled(found):
    """The exact derivatives with the errors of `found`, moved to random pixels."""
    mixed = {name: values.copy() for name, values in exact.items()}
    for name, values in mixed.items():
        off = (found[name] - exact[name])[inner]
        values[inner] += moving.permutation(off.ravel()).reshape(off.shape)
    return mixed


def rows_of(left, right):
    """Candidate terms `[n, K]` and `u_t` `[n]` at the pixels, without the margins."""
    u, u_x, u_xx = (right[name][inner].ravel() for name in ("u", "u_x", "u_xx"))
    columns = [u, u**2, u**3, u_xx, u_x, u * u_x, u_x**2, u**2 * u_x]
    return np.stack(columns, axis=-1), left["u_t"][inner].ravel()


def posterior_of(left, right):
    """What independent rows say: the most probable terms, and the probability of the true ones."""
    rows, target = rows_of(left, right)
    statistics = bp.SufficientStatistics.from_rows(
        rows, target, names=library.names, target_name="u_t"
    )
    exactly = bp.enumerate_models(bp.SpinModel(statistics, library))
    is_true = (exactly.spins == library.spins(list(true))).all(axis=1)
    found = np.linalg.lstsq(rows[:, : len(true)], target, rcond=None)[0]
    return {
        "false terms": int(exactly.spins[0].sum()) - len(true),
        "probability of the truth": float(exactly.probability[is_true].sum()),
        "u_xx": found[3],
    }


networks = smoothed["networks"]
mixed = shuffled(networks)
cases = {
    "u_t smoothed": (networks, exact),
    "u_t, same errors shuffled": (mixed, exact),
    "terms smoothed": (exact, networks),
    "terms, same errors shuffled": (exact, mixed),
    "both smoothed": (networks, networks),
    "both of one draw": (smoothed["one draw"], smoothed["one draw"]),
}
pd.DataFrame({name: posterior_of(*case) for name, case in cases.items()}).T.round(3)

# %% [markdown]
# With `u_t` from the networks all four false terms are included, with certainty. With the same errors at random pixels
# only the true ones are, with certainty. So the size of the errors does not matter, their pattern does: it varies as
# slowly as the terms, and terms are taken to explain it. In the *terms*, errors do harm in any pattern: noise in a
# regressor biases its coefficient (errors in variables), and false terms make up for that.
#
# ## Second cause: rows that are not independent
#
# The residual of the true terms at the smoothed derivatives:

# %%
rows, target = rows_of(networks, networks)
rows = rows[:, : len(true)]
found = np.linalg.lstsq(rows, target, rcond=None)[0]
residual = (target - rows @ found).reshape(clean.values[inner].shape)
independent = residual.std() * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
size = np.abs(residual).max()
shown = axes.pcolormesh(
    clean["x"][inner[1]],
    clean["time"][inner[0]],
    residual,
    cmap="RdBu_r",
    vmin=-size,
    vmax=size,
    rasterized=True,
)
axes.set(xlabel="x (nm)", ylabel="time (s)", title="residual of $u_t$ (s$^{-1}$)")
figure.colorbar(shown)
plt.show()
record = strong.statistics.provenance
effective = strong.statistics.rows
print(f"{record['rows']} rows, {effective:.0f} of them independent by the residual")
lengths = np.round(record["autocorrelation_times"], 1).tolist()
print(f"correlation lengths: {lengths[0]} frames, {lengths[1]} pixels")
correlated = independent * np.sqrt(record["rows"] / effective)
off = np.abs(found - list(true.values()))
columns = {"independent rows": off / independent, "the power": off / correlated}
errors = pd.DataFrame(columns, index=pd.Index(true, name="errors in sd")).T
errors.round(1)

# %% [markdown]
# The residual is no noise: it follows the front. With its pixels as independent rows, coefficients would be wrong by
# tens of their standard deviations. `StrongForm` therefore takes the likelihood to a power, by the correlation lengths
# of the residual. That leaves errors of two standard deviations, and the false terms: a power corrects variances, and
# this is a bias, which more pixels do not reduce.
#
# ## What the draws know
#
# The variance of a coefficient has a part *within* a draw, which the sampler reports, and a part *between* draws, which
# comes from smoothing.

# %%
each = np.array(
    [draw.coefficients.reshape(-1, len(library)).mean(axis=0) for draw in draws]
)
within = np.sqrt(
    np.mean(
        [draw.coefficients.reshape(-1, len(library)).var(axis=0) for draw in draws],
        axis=0,
    )
)
ours = weak.posterior.coefficients.reshape(-1, len(library))
pd.DataFrame(
    {
        "truth": [true.get(name, 0.0) for name in library.names],
        "strong: mean": each.mean(axis=0),
        "within draws": within,
        "between draws": each.std(axis=0, ddof=1),
        "weak: mean": ours.mean(axis=0),
        "its sd": ours.std(axis=0),
    },
    index=list(library.names),
).round(3)

# %% [markdown]
# Both parts are ten times the standard deviations of the weak form, mostly because equations differ. The draws show
# that the answer depends on smoothing. They cannot repair it: they scatter about the smoothed field, and so share its
# bias.
#
# ## A front that jitters
#
# The front of a recorded microscope profile is sharp, is displaced in every frame by more than its own width, and
# wanders about its drift ([measured there](../docs/original_method.md)). This front does the same: it drifts by 0.5
# pixels a frame and has the width 1.4, jitter of 1.7, and a random walk with steps of 0.4.

# %%
random, frames, pixels = np.random.default_rng(1), 100 if short else 240, 200
speed, width = 0.5, 1.4
walk = np.cumsum(0.4 * random.standard_normal(frames))
jitter = 1.7 * random.standard_normal(frames)
place = pixels / 2 + speed * (np.arange(frames) - frames / 2) + walk + jitter
x = np.arange(float(pixels))
profile = 1 / (1 + np.exp((x - place[:, None]) / width))
jittering = bp.make_field(
    profile + 0.01 * random.standard_normal(profile.shape),
    t=np.arange(float(frames)),
    x=x,
)
terms = bp.Library.from_strings(["u", "u**2", "u_x", "u_xx"])
strong_front = bp.discover(jittering, library=terms, form=original, **settings)
weak_front = bp.discover(jittering, library=terms, **settings)
for label, found in {"strong": strong_front, "weak": weak_front}.items():
    print(label)
    for equation in found.equations(top=2):
        print(f"  {equation.probability:.3f}  {equation}")
print("noise in the weak form:", weak_front.statistics.record.noise)
line = np.polyfit(np.arange(frames), place, 1)[0]
print(f"straight line through the positions: {line:.3f}")

# %%
smooth = strong_front.smooth.evaluate((0, 0))
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
frame = frames // 2
axes.plot(x, jittering.values[frame], ".", color="#8C8C8C", label="one frame")
axes.plot(x, smooth[frame], color="#D55E00", label="smoothed by networks")
axes.set(xlabel="x (pixels)", ylabel="u", xlim=(place[frame] - 20, place[frame] + 20))
axes.legend(frameon=False)
plt.show()


def width_of(values):
    """Mean width of the front: the integral of u (1 - u)."""
    return float((values * (1 - values)).sum(axis=1).mean())


print(f"width: {width_of(profile):.2f} in the frames, {width_of(smooth):.2f} smoothed")
lines = {}
for label, found in {"strong": strong_front, "weak": weak_front}.items():
    for equation in found.equations(top=16):
        if equation.names in (("u_x",), ("u", "u**2")):
            lines[label, " and ".join(equation.names)] = {
                "probability": equation.probability,
                "coefficient of the last": equation.coefficients[-1],
                "sd": equation.sd[-1],
                "truth": -speed if equation.names == ("u_x",) else -speed / width,
            }
pd.DataFrame(lines).T.round(3)

# %% [markdown]
# Both find the drift. In this video it is .469 by a straight line, because the random walk has undone a part of it. The
# strong form takes that for the drift, .465(3), which is twelve standard deviations from 0.5. The weak form has the
# walk in its covariance: .472(17) is compatible with 0.5.
#
# Smoothing over frames that jitter widens the front, from 1.40 to 1.79. The drift does not depend on that, but a
# reaction does: a front of width `w` that moves at the speed `c` has `u_t = c/w (u - u**2)`. Neither form gives that
# description any probability here, so that its coefficients mean little. On the recorded front both forms keep it, and
# the strong form finds half of `c/w`.
#
# ## To take home
#
# - The original way is `bp.StrongForm(smoother="network", field_draws=8)`: precise maps of derivatives, and terms that
#   change from draw to draw. Use it to explore, not to select.
# - Errors of smoothing are a bias that neighbouring pixels share. Neither more pixels nor draws of the field remove it.
#   The rows of the weak form average raw pixels, and have the covariance of their noise.
# - Where a front jitters and wanders, smoothing changes its shape, and the wandering passes for motion. The weak form
#   includes both in its noise.
#
# More: [the same on recorded and public data](../docs/original_method.md), [the weak
# form](../docs/theory/weak_form.md), [validity checks](../docs/theory/limitations.md).
