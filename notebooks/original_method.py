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
# The terms on grey are the true ones. The weak form includes these and no other. The strong form includes them too, and
# false ones with them, different ones for different draws: what looks certain for one smoothed field is uncertain over
# all of them. `diagnose` fails the strong form whatever it finds.
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
# Small as they are, these errors vary slowly over the field. To see what each does, replace exact derivatives by
# smoothed ones, on one side of the equation at a time, and fit the four true terms by least squares.

# %%


def fit(left, right):
    """Coefficients of the true terms, and the residual on the grid."""
    u, u_xx = right["u"][inner], right["u_xx"][inner]
    rows = np.stack([u, u**2, u**3, u_xx], axis=-1).reshape(-1, 4)
    target = left["u_t"][inner]
    found = np.linalg.lstsq(rows, target.ravel(), rcond=None)[0]
    residual = target - (rows @ found).reshape(target.shape)
    independent = residual.std() * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    return found, independent, residual


cases = {
    "true coefficients": (exact, exact),
    "smoothed u_t, exact terms": (smoothed["networks"], exact),
    "exact u_t, smoothed terms": (exact, smoothed["networks"]),
    "exact u_t, terms of a draw": (exact, smoothed["one draw"]),
    "both smoothed": (smoothed["networks"], smoothed["networks"]),
    "both of one draw": (smoothed["one draw"], smoothed["one draw"]),
}
table = pd.DataFrame({n: fit(*c)[0] for n, c in cases.items()}, index=list(true)).T
table["error of u_xx (%)"] = 100 * (table["u_xx"] / true["u_xx"] - 1)
table.round(3)

# %% [markdown]
# ## Second cause: rows that are not independent
#
# Neighbouring pixels of a smoothed field have nearly the same error. The residual shows it: patches of many pixels and
# frames. Counted as independent rows, they would make the coefficients certain to a tiny fraction of their errors. The
# strong form therefore takes the likelihood to a power, by the correlation lengths of the residual.

# %%
found, independent, residual = fit(smoothed["networks"], smoothed["networks"])
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
axes.set(xlabel="x (nm)", ylabel="time (s)", title="residual of u_t (s$^{-1}$)")
figure.colorbar(shown)
plt.show()
record = strong.statistics.provenance
effective = strong.statistics.rows
print(f"{record['rows']} rows, {effective:.0f} effective:")
print(
    "correlation times (frames, pixels):", np.round(record["autocorrelation_times"], 1)
)
correlated = independent * np.sqrt(record["rows"] / effective)
off = np.abs(found - list(true.values()))
columns = {"if independent": off / independent, "with the power": off / correlated}
pd.DataFrame(columns, index=pd.Index(true, name="errors in sd")).T.round(1)

# %% [markdown]
# The power reduces the overconfidence and does not remove it: it is a matter of variance, and the errors of smoothing
# are also a bias, which no number of rows makes smaller.
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
# ## A front that jitters
#
# The front of a real microscope profile is sharp, and displaced anew in every frame by more than its own width
# ([measured there](../docs/original_method.md)). This is its twin with a known speed: 0.5 pixels per frame, a front of
# width 1.4, jitter of 1.7 and a small random walk.

# %%
rng, frames, pixels = np.random.default_rng(1), 100 if short else 240, 200
walk = np.cumsum(0.4 * rng.standard_normal(frames))
speed, width = 0.5, 1.4
moved = speed * np.arange(frames) + walk + 1.7 * rng.standard_normal(frames)
x = np.arange(float(pixels))
profile = 1 / (1 + np.exp((x - 40 - moved[:, None]) / width))
jittering = bp.make_field(
    profile + 0.01 * rng.standard_normal(profile.shape),
    t=np.arange(float(frames)),
    x=x,
)
terms = bp.Library.from_strings(["u", "u**2", "u_x", "u_xx"])
strong_front = bp.discover(jittering, library=terms, form=original, **settings)
weak_front = bp.discover(jittering, library=terms, **settings)
for label, found in {"strong": strong_front, "weak": weak_front}.items():
    print(label)
    for equation in found.equations(top=3):
        print(f"  {equation.probability:.3f}  {equation}")

# %% [markdown]
# A front in steady motion is described as well by `-c u_x` as by `c/w` times `u - u**2`, with its width `w`. The truth
# is `c = 0.5`, `c/w = 0.36`. The weak form says that it cannot tell the two apart, and gives both with honest errors.

# %%
smooth = strong_front.smooth.evaluate((0, 0))
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
frame = frames // 2
axes.plot(x, jittering.values[frame], ".", color="#8C8C8C", label="one frame")
axes.plot(x, smooth[frame], color="#D55E00", label="smoothed by networks")
middle = 40 + moved[frame]
axes.set(xlabel="x (pixels)", ylabel="u", xlim=(middle - 20, middle + 20))
axes.legend(frameon=False)
plt.show()


def width_of(values):
    """Mean width of the front: the integral of u (1 - u)."""
    return float((values * (1 - values))[:, 1:].sum(axis=1).mean())


best = {
    n: f.equations(top=20) for n, f in (("strong", strong_front), ("weak", weak_front))
}
lines = {}
for label, ranked in best.items():
    for e in ranked:
        if e.names in (("u_x",), ("u", "u**2")):
            value, sd = e.coefficients[-1], e.sd[-1]
            lines[label, " + ".join(e.names)] = {
                "probability": e.probability,
                "coefficient": value,
                "sd": sd,
                "truth": -speed if e.names == ("u_x",) else -speed / width,
            }
print(f"width: {width_of(profile):.2f} in the frames, {width_of(smooth):.2f} smoothed")
pd.DataFrame(lines).T.round(3)

# %% [markdown]
# ## To take home
#
# - The original way is `bp.StrongForm(smoother="network", field_draws=8)`: good maps of derivatives, and terms that
#   change from draw to draw. Do not select terms by it.
# - Errors of smoothing are biases that neighbouring pixels share. Neither more pixels nor draws of the field remove
#   them; rows that average raw pixels, with the covariance of their noise, do not have them.
# - Where the front itself jitters, smoothing changes its shape, and with it every coefficient. Model the jitter.
#
# More: [the same on recorded and public data](../docs/original_method.md), [the weak
# form](../docs/theory/weak_form.md), [validity checks](../docs/theory/limitations.md).
