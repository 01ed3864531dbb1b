"""Scores of a forecast -> figure of errors and coverage by horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayespde.core.annotations import Positive
from bayespde.core.checked import validated
from bayespde.results.figures import style
from bayespde.results.forecast_verification import Scores
from bayespde.results.typeset import unit_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES = {
    "rmse": ("forecast", style.BLUE),
    "persistence": ("persistence", style.GREY),
    "constant_velocity": ("constant velocity", style.GREEN),
}


@validated
def plot_scores(scores: Scores, *, width: Positive = style.PAGE) -> Figure:
    """Draw errors and coverage by horizon.

    Args:
        scores: What `verify_forecast` returned.
        width: Of the figure, inches.

    Returns:
        Two panels: root mean square errors of the forecast and of reference forecasts; coverage of pixels, and its
        nominal value.
    """
    columns = style.columns_within(width, 2)
    figure = style.new_figure(width, 0.5 + 2.4 * (2 // columns))
    errors, cover = figure.subplots(2 // columns, columns, squeeze=False).ravel()
    horizon = scores["horizon"].values
    for name, (label, colour) in LINES.items():
        if name in scores:
            errors.plot(horizon, scores[name], color=colour, label=label, lw=1.4)
    errors.set_yscale("log")
    style.legend_above(figure)
    clock, unit = (unit_name(str(a.get("units", "1"))) for a in (scores["time"].attrs, scores.attrs))
    style.label_axes(errors, x=f"horizon ({clock})", y=f"root mean square error ({unit})")
    cover.plot(horizon, scores["coverage"], color=style.BLUE, lw=1.4)
    cover.axhline(scores.attrs["level"], color=style.ORANGE, lw=1.0, ls="--")
    cover.set_ylim(0, 1.02)
    style.label_axes(cover, x=f"horizon ({clock})", y=f"pixels inside their {scores.attrs['level']:.0%} bands")
    return figure
