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
from bayespde.results.report.citation import citation
from bayespde.results.report.data import ForecastSummary, ReportData
from bayespde.results.report.provenance import provenance

LINES = "Blue: the mean over draws, and bands that hold nine of ten draws, without and with the noise of a pixel."
MAPS = "Predicted: the mean over draws; observed, and the difference, where frames came; sd: how far draws spread."
NOT_THERE = "It is not known here."


def render(material: ReportData) -> str:
    """Write the page.

    What cannot be shown is left out, with a sentence that says why.

    Args:
        material: What to show.

    Returns:
        HTML; the same material gives the same text.
    """
    from jinja2 import Environment, StrictUndefined

    folder = files("bayespde.results.report")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))
    return template.render(style=style, **_context(material)) + "\n"


def _context(material: ReportData) -> dict[str, Any]:
    posterior = material.posterior
    diagnosis = diagnose(posterior)
    variable = posterior.library.variable
    return {
        "title": material.title or f"The equation behind {variable}",
        "answer": sections.answer(posterior, diagnosis),
        "inclusion": sections.inclusion(posterior),
        "coefficients": sections.coefficients(posterior) | {"picture": pictures.coefficients_picture(posterior)},
        "pareto": _part(lambda: _pareto(material)),
        "ladder": _part(lambda: sections.ladder(posterior) | {"picture": pictures.ladder_picture(posterior)}),
        "checks": sections.checks(diagnosis),
        "seen": _seen(material),
        "foretold": [_part(lambda f=f: _foretold(f)) for f in material.foretold],  # type: ignore[misc]
        "not_foretold": material.absent.get("foretold", NOT_THERE),
        "provenance": provenance(material),
        "citation": citation(),
    }


def _part(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part of the page, or why it is not there."""
    try:
        return make() | {"absent": ""}
    except BayespdeError as error:
        return {"absent": error.what}


def _pareto(material: ReportData) -> dict[str, Any]:
    front = pareto_front(material.posterior) if material.front is None else material.front
    return sections.pareto(front) | {"picture": pictures.pareto_picture(front)}


def _seen(material: ReportData) -> dict[str, Any]:
    seen = material.seen
    if seen is None:
        return {"absent": material.absent.get("seen", NOT_THERE)}
    return {
        "absent": "",
        "is_line": seen.observed.ndim == 2,
        "smoothing": pictures.smoothing_picture(seen),
        "derivatives": pictures.derivatives_picture(seen),
        "about": seen.about.splitlines(),
    }


def _foretold(foretold: ForecastSummary) -> dict[str, Any]:
    prediction, scores = foretold.prediction, foretold.scores
    clock, unit = prediction["time"].values, str(prediction["time"].attrs.get("units", "1"))
    return {
        "came": foretold.observed is not None,
        "picture": pictures.prediction_picture(foretold),
        "scores": None if scores is None else pictures.scores_picture(scores),
        "text": "" if scores is None else pictures.capital(format_scores(scores)),
        "caption": LINES if prediction[prediction.attrs["field"]].ndim == 3 else MAPS,
        "draws": prediction.sizes["draw"],
        "boundary": str(prediction.attrs["boundary"]),
        "ended": f"{float(prediction.attrs['fraction_diverged']):.0%}",
        "times": f"{len(clock)} times from {clock[0]:.4g} to {clock[-1]:.4g}" + (f" {unit}" if unit != "1" else ""),
    }
