"""Inclusion probabilities and the Pareto front -> figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import xarray as xr

from bayespde.core.annotations import MadeBy, NonNegative, Positive
from bayespde.core.checked import validated
from bayespde.core.posterior import Posterior
from bayespde.results.figures import style
from bayespde.results.typeset import math_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Letters of an equation per inch.
LETTERS = 13


@validated
def plot_inclusion(posterior: Posterior, *, at_least: NonNegative = 0.0, width: Positive = 0.7 * style.PAGE) -> Figure:
    """Draw the inclusion probability of each term, exact and sampled where both exist.

    Args:
        posterior: What sampling or enumeration returned.
        at_least: Probability below which a term is left out; the most probable one never is.
        width: Of the figure, inches.

    Returns:
        Horizontal bars, most probable term first, forty at most; whiskers are one Monte Carlo
        standard error to either side. The title gives the number of terms left out, and the largest of their
        probabilities.
    """
    probability = posterior.inclusion_probability
    order = np.argsort(-probability.values, kind="stable")
    count = min(style.LARGEST, max(1, int(np.sum(probability.values >= at_least))))
    order, rest = order[:count], order[count:]
    figure = style.new_figure(width, 1.0 + 0.24 * count)
    axes, rows = figure.add_subplot(), np.arange(len(order))
    sampled = posterior.inclusion_estimate("rao_blackwell")[order]
    error = posterior.inclusion_error.values[order]
    whisker = error if np.isfinite(error).all() else None
    exact = posterior.exact is not None
    label = "exact (enumeration)" if exact else "sequential Monte Carlo"
    axes.barh(rows, probability.values[order], height=0.66, color=style.BLUE, label=label)
    marks: dict[str, Any] = {"fmt": "none", "color": "black", "label": "standard error"}
    if exact:
        marks = {"fmt": "o", "ms": 4.5, "mfc": "white", "color": style.ORANGE, "label": "sequential Monte Carlo"}
    if exact or whisker is not None:
        axes.errorbar(sampled, rows, xerr=whisker, capsize=2.5, **marks)
    axes.axvline(0.5, color=style.GREY, lw=0.8, ls="--", zorder=0)
    axes.set_yticks(rows, [math_text(str(probability["term"].values[i])) for i in order])
    axes.set(xlim=(0, 1.03), ylim=(len(order) - 0.4, -0.6))
    style.label_axes(axes, x="inclusion probability (dimensionless)", y="term")
    if len(rest):
        left_out = f"{len(rest)} other{'s' if len(rest) > 1 else ''}, at most {float(probability[rest[0]]):.2g}"
        axes.set_title(left_out, fontsize=style.SMALL, color=style.GREY)
    style.legend_above(figure)
    return figure


@validated
def plot_pareto(
    front: Annotated[xr.Dataset, MadeBy("bayespde.pareto_front(posterior)", ("on_front", "selected"))],
    *,
    width: Positive = style.PAGE,
) -> Figure:
    """Draw complexity against cross-validated error, with the front connected and its equations listed below.

    Args:
        front: What `pareto_front` returned.
        width: Of the figure, inches.

    Returns:
        A figure of two panels: the plot (log error; whiskers are plus and minus one standard error between
        blocks), and the equations of the front by number, the selected one in colour.
    """
    best = front.isel(equation=np.flatnonzero(front["on_front"].values))
    chosen = front.isel(equation=np.flatnonzero(front["selected"].values))
    listed = [_wrapped(str(text), style.checked_width(width)) for text in best["text"].values]
    lines = 0.05 + 0.21 * sum(map(len, listed))
    figure = style.new_figure(width, 3.35 + lines)
    axes, key = figure.subplots(2, 1, height_ratios=[3.2, lines])
    axes.plot(
        front["complexity"],
        front["cross_validated_error"],
        "o",
        ms=3.5,
        color=style.GREY,
        alpha=0.5,
        label="candidate",
    )
    label = f"front ({front.attrs['probability_on_front']:.2f} of the posterior)"
    line = {"fmt": "o-", "ms": 5, "lw": 1.4, "capsize": 2.5, "color": style.BLUE, "label": label}
    axes.errorbar(best["complexity"], best["cross_validated_error"], yerr=_log_whiskers(best), **line)
    ring = {"ms": 12, "mfc": "none", "mec": style.ORANGE, "mew": 1.8, "ls": "none"}
    axes.plot(chosen["complexity"], chosen["cross_validated_error"], marker="o", label="most probable", **ring)
    axes.set_yscale("log")
    axes.margins(x=0.06, y=0.14)
    axes.xaxis.get_major_locator().set_params(integer=True)
    style.label_axes(axes, x="complexity (dimensionless)", y="cross-validated error\n(rms relative to the target)")
    style.legend_above(figure)
    _number_points(axes, best)
    _list_equations(key, listed, best["selected"].values)
    _shrink_to_fit(figure, key)
    return figure


def _log_whiskers(front: xr.Dataset) -> np.ndarray:
    """Lower and upper error, `[2, N]`; the lower end stays positive for the logarithmic axis."""
    error, sd = front["cross_validated_error"].values, front["cross_validated_error_sd"].values
    return np.stack([np.minimum(sd, 0.9 * error), sd])


def _number_points(axes: Axes, best: xr.Dataset) -> None:
    for i in range(best.sizes["equation"]):
        point = best.isel(equation=i)
        colour = style.ORANGE if bool(point["selected"]) else "black"
        where = (float(point["complexity"]), float(point["cross_validated_error"]))
        axes.annotate(str(i + 1), where, xytext=(7, 6), textcoords="offset points", fontsize=style.SMALL, color=colour)


def _wrapped(equation: str, width: float) -> list[str]:
    """An equation in lines that fit into a width, broken before a sign."""
    lines: list[str] = []
    for piece in re.split(r" (?=[+-] )", equation):
        if lines and len(lines[-1]) + len(piece) < LETTERS * width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _list_equations(key: Axes, listed: list[list[str]], selected: np.ndarray) -> None:
    """Write the equations by number."""
    key.set_axis_off()
    count, row = sum(map(len, listed)), 0
    for number, (lines, chosen) in enumerate(zip(listed, selected, strict=True), start=1):
        colour = style.ORANGE if chosen else "black"
        for i, line in enumerate(lines):
            written = (f"{number}:  " if i == 0 else "       ") + math_text(line)
            height = 1 - (row + 0.5) / count
            look: dict[str, Any] = {"fontsize": style.SMALL, "va": "center", "color": colour}
            text = key.text(0, height, written, transform=key.transAxes, **look)
            text.set_in_layout(False)
            row += 1


def _shrink_to_fit(figure: Figure, axes: Axes) -> None:
    """Shrink the letters of texts that would leave the figure, so that long equations are not cut off."""
    figure.draw_without_rendering()
    for text in axes.texts:
        extent = text.get_window_extent()
        text.set_fontsize(text.get_fontsize() * min(1.0, (figure.bbox.x1 - extent.x0) / (1.03 * extent.width)))
