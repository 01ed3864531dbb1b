"""ReportData -> the text of one HTML page: no script, no network, every picture inside."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from bayespde.core.errors import BayespdeError
from bayespde.results.diagnose import diagnose
from bayespde.results.forecast_verification import format_scores
from bayespde.results.pareto import pareto_front
from bayespde.results.report import pictures, sections
from bayespde.results.report.data import ForecastSummary, ReportData
from bayespde.results.report.provenance import citation, provenance

LINES = "Blue: the mean over draws, and 90 % bands without and with the noise of a pixel."
MAPS = "Mean over draws; where frames were observed, these and the difference; standard deviation (sd) between draws."
NOT_KNOWN = "It is not known here."


def render(report: ReportData) -> str:
    """Write the page.

    What cannot be shown is left out, with a sentence of the reason.

    Args:
        report: What to show.

    Returns:
        HTML; the same data give the same text.
    """
    from jinja2 import Environment, StrictUndefined

    folder = files("bayespde.results.report")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))
    return template.render(style=style, **_context(report)) + "\n"


def _context(report: ReportData) -> dict[str, Any]:
    posterior = report.posterior
    diagnosis = diagnose(posterior)
    return {
        "title": report.title or f"The equation behind {posterior.library.subject}",
        "answer": sections.answer(posterior, diagnosis),
        "inclusion": sections.inclusion(posterior),
        "coefficients": sections.coefficients(posterior) | {"picture": pictures.coefficients_picture(posterior)},
        "pareto": _part(lambda: _pareto(report)),
        "tempering": _part(lambda: sections.tempering(posterior) | {"picture": pictures.tempering_picture(posterior)}),
        "checks": sections.checks(diagnosis),
        "data": _data(report),
        "forecasts": [_part(lambda f=f: _forecast(f)) for f in report.forecasts],  # type: ignore[misc]
        "no_forecast": report.absent.get("forecasts", NOT_KNOWN),
        "provenance": provenance(report),
        "citation": citation(),
    }


def _part(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part of the page, or why it is missing."""
    try:
        return make() | {"absent": ""}
    except BayespdeError as error:
        return {"absent": error.what}


def _pareto(report: ReportData) -> dict[str, Any]:
    front = pareto_front(report.posterior) if report.front is None else report.front
    return sections.pareto(front) | {"picture": pictures.pareto_picture(front)}


def _data(report: ReportData) -> dict[str, Any]:
    data = report.data
    if data is None:
        return {"absent": report.absent.get("data", NOT_KNOWN)}
    return {
        "absent": "",
        "smoothing": pictures.smoothing_picture(data),
        "derivatives": pictures.derivatives_picture(data),
        "about": data.about.splitlines(),
    }


def _forecast(summary: ForecastSummary) -> dict[str, Any]:
    forecast, scores = summary.forecast, summary.scores
    clock, unit = forecast["time"].values, str(forecast["time"].attrs.get("units", "1"))
    return {
        "is_observed": summary.observed is not None,
        "picture": pictures.forecast_picture(summary),
        "scores": None if scores is None else pictures.scores_picture(scores),
        "text": "" if scores is None else pictures.capital(format_scores(scores)),
        "caption": LINES if forecast[forecast.attrs["field"]].ndim == 3 else MAPS,
        "draws": forecast.sizes["draw"],
        "boundary": str(forecast.attrs["boundary"]),
        "diverged": f"{float(forecast.attrs['fraction_diverged']):.0%}",
        "times": f"{len(clock)} times from {clock[0]:.4g} to {clock[-1]:.4g}" + (f" {unit}" if unit != "1" else ""),
    }
