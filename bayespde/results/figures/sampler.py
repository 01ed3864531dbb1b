"""Runs of the sampler -> figures: their inclusion probabilities, tempering history, and genealogy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayespde.core.annotations import Positive
from bayespde.core.checked import validated
from bayespde.core.posterior import Posterior
from bayespde.results.diagnostics import between_run_diagnostics
from bayespde.results.figures import style
from bayespde.results.tempering_history import genealogy, tempering_history
from bayespde.results.typeset import math_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ANCESTORS = 60
HISTORIES = {
    "inverse_temperature": "inverse temperature",
    "ess": "effective sample size",
    "flip_rate": "spins flipped per sweep",
    "distinct_particles": "distinct configurations",
    "distinct_ancestors": "distinct ancestors",
}


@validated
def plot_runs(posterior: Posterior, *, width: Positive = 0.7 * style.PAGE) -> Figure:
    """Draw the inclusion probabilities of every run, so that runs that disagree can be seen.

    Args:
        posterior: What sampling returned.
        width: Of the figure, inches.

    Returns:
        Inclusion probability by run, one row per term, forty at most; the bar of a row is the spread expected by chance
        around the mean, and rows in which the runs differ by more are marked. A cross is the enumerated value.
    """
    table = between_run_diagnostics(posterior)
    order = np.argsort(-table["inclusion"].values.mean(axis=0), kind="stable")[: style.LARGEST]
    figure = style.new_figure(width, 1.3 + 0.24 * len(order))
    axes, rows = figure.add_subplot(), np.arange(len(order))
    inclusion, disagree = table["inclusion"].values[:, order], table["disagreement"].values[order]
    half = table["tolerance"].values[order] / 2
    low, high = np.clip(inclusion.mean(axis=0) - half, 0, 1), np.clip(inclusion.mean(axis=0) + half, 0, 1)
    colours = np.where(disagree, style.ORANGE, style.GREY)
    axes.barh(rows, high - low, left=low, height=0.6, color=colours, alpha=0.35, label="expected by chance")
    runs, count = len(inclusion), len(rows)
    for run, values in enumerate(inclusion):
        shift = 0.4 * ((run + 0.5) / runs - 0.5)
        colour = style.colour_of(run)
        axes.plot(values, rows + shift, "o", ms=3.5, color=colour, label=f"run {run + 1}" if runs <= 8 else None)
    if posterior.exact is not None:
        exact = posterior.exact.inclusion_probability[order]
        axes.plot(exact, rows, "x", ms=6, color="black", label="exact (enumeration)")
    names = [math_text(str(table["term"].values[i])) for i in order]
    axes.set_yticks(rows, [f"{n}  differs" if d else n for n, d in zip(names, disagree, strict=True)])
    axes.set(xlim=(-0.02, 1.02), ylim=(count - 0.4, -0.6))
    style.label_axes(axes, x="inclusion probability by run (dimensionless)", y="term")
    style.legend_above(figure)
    return figure


@validated
def plot_tempering_history(posterior: Posterior, *, width: Positive = style.PAGE) -> Figure:
    """Draw the tempering history of every run, from its initial distribution to the posterior.

    Args:
        posterior: From `method="smc"`.
        width: Of the figure, inches.

    Returns:
        Inverse temperature, effective sample size, flips and distinct particles over stages, one line per run.

    Raises:
        StatisticsError: If the posterior has no history.
    """
    history = tempering_history(posterior)
    shown = [name for name in HISTORIES if name in history]
    columns = style.columns_within(width, 3)
    figure = style.new_figure(width, 2.3 * -(-len(shown) // columns) + 0.2)
    for axes, name in zip(style.new_panels(figure, len(shown), columns), shown, strict=True):
        for run, values in enumerate(history[name].values):
            label = f"run {run + 1}"
            axes.plot(history["stage"], values, "o-", ms=3, lw=1, color=style.colour_of(run), label=label)
        axes.set_xlim(0.5, history.sizes["stage"] + 0.5)
        if name == "inverse_temperature":
            axes.set_yscale("log")
            axes.set_ylim(min(0.1, float(history[name].min()) / 2), 1.5)
        elif name != "flip_rate":
            axes.axhline(history.attrs["particles"], color=style.GREY, lw=0.8, ls="--")
            axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", integer=True)
        style.label_axes(axes, x="stage", y=HISTORIES[name])
    if history.sizes["run"] <= 8:
        style.legend_above(figure)
    return figure


@validated
def plot_genealogy(posterior: Posterior, *, width: Positive = 0.75 * style.PAGE) -> Figure:
    """Draw the number of final particles that descend from each initial one.

    Args:
        posterior: What sampling returned.
        width: Of the figure, inches.

    Returns:
        One panel: shares of the largest families of every run; the legend gives the number of distinct ancestors, and
        of independent draws that the run is worth if its particles never moved.
    """
    tree = genealogy(posterior)
    figure = style.new_figure(width, 3.0)
    axes: Axes = figure.add_subplot()
    for run in range(tree.sizes["run"]):
        families, least = int(tree["distinct_ancestors"][run]), float(tree["least_draws"][run])
        share = tree["share"].values[run, :families][:ANCESTORS]
        text = f"run {run + 1}: {families} ancestors, at least {least:.0f} draws"
        colour = style.colour_of(run) if tree.sizes["run"] <= 8 else style.BLUE
        axes.plot(np.arange(1, len(share) + 1), share, "o-", ms=3, lw=1, color=colour, label=text if run < 8 else None)
    axes.set_ylim(bottom=0)
    style.label_axes(axes, x="ancestor, by size of its family", y="share of the run's particles")
    axes.legend(fontsize=style.SMALL, frameon=False)
    return figure
