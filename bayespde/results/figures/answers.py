"""Inclusion probabilities and the Pareto front -> figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayespde.core.posterior import Posterior
from bayespde.results.figures.style import BLUE, GREY, LARGEST, ORANGE, SMALL, WIDTH, label_axes, new_figure
from bayespde.results.typeset import math_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_inclusion(posterior: Posterior) -> Figure:
    """Draw the inclusion probability of each term, the sampler's beside the exact one where both exist.

    Args:
        posterior: What sampling or enumeration returned.

    Returns:
        Horizontal bars, most probable term first, forty at most; whiskers are one Monte Carlo
        standard error to either side.
    """
    probability = posterior.inclusion_probability
    order = np.argsort(-probability.values, kind="stable")[:LARGEST]
    figure = new_figure(0.7 * WIDTH, 1.0 + 0.24 * len(order))
    axes, rows = figure.add_subplot(), np.arange(len(order))
    sampled = posterior.inclusion_estimate("rao_blackwell")[order]
    error = posterior.inclusion_error.values[order]
    whisker = error if np.isfinite(error).all() else None
    exact = posterior.exact is not None
    label = "exact (enumeration)" if exact else "sequential Monte Carlo"
    axes.barh(rows, probability.values[order], height=0.66, color=BLUE, label=label)
    style: dict[str, Any] = {"fmt": "none", "color": "black", "label": "standard error"}
    if exact:
        style = {"fmt": "o", "ms": 4.5, "mfc": "white", "color": ORANGE, "label": "sequential Monte Carlo"}
    if exact or whisker is not None:
        axes.errorbar(sampled, rows, xerr=whisker, capsize=2.5, **style)
    axes.axvline(0.5, color=GREY, lw=0.8, ls="--", zorder=0)
    axes.set_yticks(rows, [math_text(str(probability["term"].values[i])) for i in order])
    axes.set(xlim=(0, 1.03), ylim=(len(order) - 0.4, -0.6))
    label_axes(
        axes,
        x="inclusion probability (dimensionless)",
        y="term" if len(order) == probability.size else f"term ({LARGEST} of {probability.size})",
    )
    axes.legend(fontsize=SMALL, frameon=False, loc="lower right")
    return figure


def plot_pareto(front: xr.Dataset) -> Figure:
    """Draw complexity against cross-validated error, with the front connected and its equations listed below.

    Args:
        front: What `pareto_front` returned.

    Returns:
        A figure of two panels: the plot (log error; whiskers are plus and minus one standard error between
        blocks), and the equations of the front by number, the selected one in colour.
    """
    best = front.isel(equation=np.flatnonzero(front["on_front"].values))
    chosen = front.isel(equation=np.flatnonzero(front["selected"].values))
    figure = new_figure(WIDTH, 3.4 + 0.21 * best.sizes["equation"])
    axes, key = figure.subplots(2, 1, height_ratios=[3.2, 0.05 + 0.21 * best.sizes["equation"]])
    axes.plot(
        front["complexity"],
        front["cross_validated_error"],
        "o",
        ms=3.5,
        color=GREY,
        alpha=0.5,
        label="candidate",
    )
    label = f"front ({front.attrs['probability_on_front']:.2f} of the posterior)"
    line = {"fmt": "o-", "ms": 5, "lw": 1.4, "capsize": 2.5, "color": BLUE, "label": label}
    axes.errorbar(best["complexity"], best["cross_validated_error"], yerr=_log_whiskers(best), **line)
    ring = {"ms": 12, "mfc": "none", "mec": ORANGE, "mew": 1.8, "ls": "none"}
    axes.plot(chosen["complexity"], chosen["cross_validated_error"], marker="o", label="most probable", **ring)
    axes.set_yscale("log")
    axes.margins(x=0.06, y=0.14)
    axes.xaxis.get_major_locator().set_params(integer=True)
    label_axes(axes, x="complexity (dimensionless)", y="cross-validated error\n(rms relative to the target)")
    axes.legend(fontsize=SMALL, frameon=False, loc="upper right")
    _list_equations(axes, key, best)
    _shrink_to_fit(figure, key)
    return figure


def _log_whiskers(front: xr.Dataset) -> np.ndarray:
    """Lower and upper error, `[2, N]`; the lower end stays positive for the logarithmic axis."""
    error, sd = front["cross_validated_error"].values, front["cross_validated_error_sd"].values
    return np.stack([np.minimum(sd, 0.9 * error), sd])


def _list_equations(axes: Axes, key: Axes, best: xr.Dataset) -> None:
    """Number the points of the front and write their equations below."""
    key.set_axis_off()
    count = best.sizes["equation"]
    for i in range(count):
        point = best.isel(equation=i)
        colour = ORANGE if bool(point["selected"]) else "black"
        where = (float(point["complexity"]), float(point["cross_validated_error"]))
        axes.annotate(str(i + 1), where, xytext=(7, 6), textcoords="offset points", fontsize=SMALL, color=colour)
        text = f"{i + 1}:  {math_text(str(point['text'].values))}"
        line = key.text(
            0, 1 - (i + 0.5) / count, text, transform=key.transAxes, fontsize=SMALL, va="center", color=colour
        )
        line.set_in_layout(False)


def _shrink_to_fit(figure: Figure, axes: Axes) -> None:
    """Make the letters of texts that would leave the figure smaller: long equations neither squeeze plots nor end."""
    figure.draw_without_rendering()
    for text in axes.texts:
        extent = text.get_window_extent()
        text.set_fontsize(text.get_fontsize() * min(1.0, (figure.bbox.x1 - extent.x0) / (1.03 * extent.width)))
