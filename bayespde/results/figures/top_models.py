"""Posterior -> figures of its most probable models, and of the correlation of its terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayespde.core.annotations import Count, Positive
from bayespde.core.checked import validated
from bayespde.core.collinear import Group, collinear_groups
from bayespde.core.posterior import Posterior
from bayespde.results.figures.style import BLUE, GREY, LARGEST, PAGE, SMALL, label_axes, new_figure
from bayespde.results.top_models import joint_inclusion, top_models
from bayespde.results.typeset import math_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Probability from which a term is shown although it is in none of the most probable equations.
SHOWN = 0.01


@validated
def plot_top_models(posterior: Posterior, *, top: Count = 12, width: Positive | None = None) -> Figure:
    """Draw the most probable equations as rows of terms, with their probabilities.

    Args:
        posterior: What sampling or enumeration returned.
        top: Largest number of equations.
        width: Of the figure, inches; by default as wide as its terms need.

    Returns:
        Left: filled squares are the terms of each equation; improbable terms that are in none of them are left out.
        Right: probabilities, with the standard error of the sampled share where there was no enumeration.

    Raises:
        ConfigError: If `top` is below 1.
    """
    table = top_models(posterior, top=top)
    spins, probability = table["spin"].values.astype(bool), table["probability"].values
    kept = np.flatnonzero(spins.any(axis=0) | (posterior.inclusion_probability.values > SHOWN))[:LARGEST]
    rows, count = np.arange(len(spins)), len(spins)
    width = max(0.6 * PAGE, 2.6 + 0.28 * len(kept)) if width is None else width
    figure = new_figure(width, 1.5 + 0.24 * count)
    left, right = figure.subplots(1, 2, width_ratios=[max(len(kept), 3), 6], sharey=True)
    row, column = np.nonzero(spins[:, kept])
    left.plot(column, row, "s", ms=min(9.0, 72 * 0.5 * width / max(len(kept), 3)), color=BLUE)
    left.set_xticks(np.arange(len(kept)), [math_text(str(table["term"].values[k])) for k in kept], rotation=90)
    left.set(xlim=(-0.6, len(kept) - 0.4), ylim=(count - 0.4, -0.6))
    left.set_yticks(rows, [str(r + 1) for r in rows])
    left.grid(color=GREY, lw=0.3)
    left.set_axisbelow(True)
    label_axes(left, x="term", y="equation, by probability")
    error = None if posterior.exact is not None else np.nan_to_num(table["standard_error"].values)
    right.barh(rows, probability, xerr=error, height=0.6, color=BLUE, capsize=2)
    right.set_xlim(0, 1.02)
    label_axes(right, x="probability\n(dimensionless)", y="")
    right.set_title(f"{table.attrs['captured']:.1%} of the mass", fontsize=SMALL, loc="right")
    return figure


@validated
def plot_joint_inclusion(posterior: Posterior, *, width: Positive | None = None) -> Figure:
    """Draw which terms are included together, and which replace each other.

    Args:
        posterior: What sampling or enumeration returned.
        width: Of the figure, inches; by default as wide as its terms need.

    Returns:
        The correlations of the spins of all terms that are neither certain nor excluded: blue pairs replace each other,
        red ones are included together. Pairs that the rows cannot tell apart are framed.
    """
    from matplotlib.patches import Rectangle

    table, groups = joint_inclusion(posterior), collinear_groups(posterior.statistics)
    mean = np.diagonal(table["probability"].values)
    kept = np.flatnonzero((mean > SHOWN) & (mean < 1 - SHOWN))[:LARGEST]
    width = max(0.5 * PAGE, 2.0 + 0.3 * len(kept)) if width is None else width
    figure = new_figure(width, max(2.0, 1.4 + 0.3 * len(kept)))
    axes = figure.add_subplot()
    if not len(kept):
        axes.set_axis_off()
        axes.text(0.5, 0.5, "every term is certain, or excluded", ha="center", va="center", fontsize=SMALL)
        return figure
    names = [str(n) for n in table["term"].values[kept]]
    values = table["correlation"].values[np.ix_(kept, kept)]
    image = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    places = np.arange(len(kept))
    labels = [f"{math_text(n)} ({mean[k]:.2f})" for n, k in zip(names, kept, strict=True)]
    axes.set_xticks(places, [math_text(n) for n in names], rotation=60)
    axes.set_yticks(places, labels)
    for i, j in _interchangeable(groups, names):
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec="black", lw=1.5))
    label_axes(axes, x="term", y="term (inclusion probability)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("correlation of the spins", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


def _interchangeable(groups: tuple[Group, ...], names: list[str]) -> set[tuple[int, int]]:
    """Pairs of positions among names of which one term takes part in replacing the other."""
    pairs = {(g.single, m) for g in groups for r in g.replacements for m in r}
    return {(names.index(a), names.index(b)) for p in pairs if set(p) <= set(names) for a, b in (p, p[::-1])}
