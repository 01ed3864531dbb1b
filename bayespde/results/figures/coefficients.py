"""Posterior -> figure of the coefficients of its probable terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import gaussian_kde

from bayespde.core.annotations import Finite, NonNegative, Positive, Share
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError
from bayespde.core.posterior import Posterior
from bayespde.results.equations import (
    MAJORITY,
    MINIMUM_DRAWS,
    RankedEquation,
    effective_draws,
    equations,
    format_probability,
    unit_of,
)
from bayespde.results.figures import style
from bayespde.results.typeset import math_text, unit_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Shares of the draws below the ends of a density.
ENDS = (0.0005, 0.9995)


@validated
def plot_coefficients(
    posterior: Posterior,
    *,
    at_least: NonNegative = MAJORITY,
    level: Share = 0.9,
    known: Mapping[str, Finite] | None = None,
    width: Positive = style.PAGE,
) -> Figure:
    """Draw the posterior of the coefficient of each probable term.

    Args:
        posterior: What sampling or enumeration returned.
        at_least: Inclusion probability from which a term is shown; known terms are always shown.
        level: Mass of the intervals.
        known: Coefficients to compare with, by term, in the units of the posterior: of a simulation, or from the
            literature.
        width: Of the figure, inches.

    Returns:
        A panel per term, forty at most. Filled: the density given that the term is included, over all equations that
        contain it, if there are a hundred effective draws. Bar: mean and interval given the most probable equation.
        Dashed: the known coefficient.

    Raises:
        ConfigError: If no term is as probable as `at_least`, `level` is out of range, or a known term is not in the
            library.
    """
    names, inclusion = posterior.library.names, posterior.inclusion_probability.values
    _check(posterior, at_least, known or {})
    best = equations(posterior, top=1, level=level)[0]
    asked = (inclusion >= at_least) | np.isin(names, list(known or {}))
    shown = np.sort(np.argsort(-(inclusion + asked), kind="stable")[: min(style.LARGEST, int(asked.sum()))])
    rows = -(-len(shown) // style.columns_within(width, 4))
    columns = -(-len(shown) // rows)
    figure = style.new_figure(width, 1.75 * rows + 0.3)
    for axes, k in zip(style.new_panels(figure, len(shown), columns), shown, strict=True):
        _density(axes, posterior, k)
        _interval(axes, best, names[k])
        if known and names[k] in known:
            axes.axvline(known[names[k]], color=style.ORANGE, lw=1.2, ls="--", label="known")
        axes.set_title(f"{math_text(names[k])}  ({format_probability(inclusion[k])})", fontsize=style.NORMAL)
        _only_below(axes, f"coefficient ({unit_name(unit_of(posterior, posterior.library.terms[k]))})")
    style.legend_above(figure)
    return figure


def _check(posterior: Posterior, at_least: float, known: Mapping[str, float]) -> None:
    names, most = posterior.library.names, float(posterior.inclusion_probability.max())
    unknown = sorted(set(known) - set(names))
    if unknown:
        raise ConfigError(
            "A known coefficient belongs to no term of the library.",
            got=", ".join(unknown),
            wanted=f"terms among {', '.join(names)}",
            fix=f"known={{'{names[0]}': 0.1}}",
        )
    if not most >= at_least:
        raise ConfigError(
            "No term is that probable.",
            got=f"at_least={at_least}",
            wanted=f"{most:.3g} or less, the largest inclusion probability",
            fix="at_least=0.1, or look at plot_inclusion",
        )


def _only_below(axes: Axes, label: str) -> None:
    """A horizontal axis alone: heights have no unit."""
    axes.set_ylim(-0.3, 1.12)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=3)
    axes.ticklabel_format(axis="x", useOffset=False)
    style.label_axes(axes, x=label, y="")
    axes.spines["left"].set_visible(False)


def _density(axes: Axes, posterior: Posterior, k: int) -> None:
    """Density of the draws that contain the term, runs by their weights, relative to its peak."""
    on = posterior.spins[..., k]
    weights = np.broadcast_to(posterior.run_weights[:, None], on.shape)[on]
    draws = posterior.coefficients[..., k][on]
    if effective_draws(weights) < MINIMUM_DRAWS or not np.ptp(draws):
        text = axes.text(0.5, 0.6, "too few draws", transform=axes.transAxes, ha="center")
        text.set(fontsize=style.SMALL, color=style.GREY)
        return
    middle, spread = np.average(draws, weights=weights), np.ptp(draws)
    scaled = (draws - middle) / spread
    order = np.argsort(scaled)
    below = np.cumsum(weights[order]) / weights.sum()
    low, high = scaled[order][np.searchsorted(below, ENDS)]
    places = np.linspace(low, high, 200)
    heights = gaussian_kde(scaled, weights=weights)(places)
    heights /= heights.max()
    places = middle + spread * places
    axes.fill_between(places, heights, color=style.BLUE, alpha=0.35, lw=0, label="given that the term is included")


def _interval(axes: Axes, best: RankedEquation, name: str) -> None:
    if name not in best.names:
        return
    i, place = best.names.index(name), -0.14
    label = f"most probable equation, {best.level:.0%}"
    ends = [best.lower[i], best.upper[i]]
    axes.plot(ends, [place, place], "|-", ms=7, lw=1.4, color="black", label=label)
    axes.plot([best.coefficients[i]], [place], "o", ms=4, color="black")
