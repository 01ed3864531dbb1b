"""RESULTS -> FIGURES: one function draws one result as a Matplotlib `Figure`, without global state.

Functions named `plot_*` take a `Posterior`, a field or a table, and a width in inches. `style` holds the colours and
sizes that all share, and `panels` draws maps. `save_figure` and `figure_bytes` write the same figure always as the same
bytes.
"""

from __future__ import annotations

from bayespde.results.figures.coefficients import plot_coefficients
from bayespde.results.figures.forecast import animate_forecast, plot_forecast
from bayespde.results.figures.inclusion import plot_inclusion, plot_pareto
from bayespde.results.figures.maps import middle_slice, plot_derivatives, plot_field, plot_smoothing
from bayespde.results.figures.sampler import plot_genealogy, plot_runs, plot_tempering_history
from bayespde.results.figures.scores import plot_scores
from bayespde.results.figures.style import COLUMN, PAGE, SLIDE, figure_bytes, save_figure
from bayespde.results.figures.top_models import plot_joint_inclusion, plot_top_models

__all__ = [
    "COLUMN",
    "PAGE",
    "SLIDE",
    "animate_forecast",
    "figure_bytes",
    "middle_slice",
    "plot_coefficients",
    "plot_derivatives",
    "plot_field",
    "plot_forecast",
    "plot_genealogy",
    "plot_inclusion",
    "plot_joint_inclusion",
    "plot_pareto",
    "plot_runs",
    "plot_scores",
    "plot_smoothing",
    "plot_tempering_history",
    "plot_top_models",
    "save_figure",
]
