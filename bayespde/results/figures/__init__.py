"""Answers -> figures: one function draws one result as a Matplotlib `Figure`, without global state."""

from __future__ import annotations

from bayespde.results.figures.answers import plot_inclusion, plot_pareto
from bayespde.results.figures.coefficients import plot_coefficients
from bayespde.results.figures.configurations import plot_co_inclusion, plot_configurations
from bayespde.results.figures.foretold import animate_prediction, plot_prediction, plot_scores
from bayespde.results.figures.maps import middle_slice, plot_derivatives, plot_field, plot_smoothing
from bayespde.results.figures.sampler import plot_genealogy, plot_ladder, plot_runs
from bayespde.results.figures.style import COLUMN, PAGE, SLIDE, figure_bytes, save_figure

__all__ = [
    "COLUMN",
    "PAGE",
    "SLIDE",
    "animate_prediction",
    "figure_bytes",
    "middle_slice",
    "plot_co_inclusion",
    "plot_coefficients",
    "plot_configurations",
    "plot_derivatives",
    "plot_field",
    "plot_genealogy",
    "plot_inclusion",
    "plot_ladder",
    "plot_pareto",
    "plot_prediction",
    "plot_runs",
    "plot_scores",
    "plot_smoothing",
    "save_figure",
]
