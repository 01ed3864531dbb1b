"""A posterior -> the parts of a page: sentences and rows of tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from bayespde.core.posterior import Posterior
from bayespde.results.checks import REMEDIES, Check
from bayespde.results.diagnose import Diagnosis
from bayespde.results.equations import (
    MAJORITY,
    ROUNDING,
    RankedEquation,
    equations,
    format_probability,
    format_value,
    group_masses,
)
from bayespde.results.errors_in_variables import errors_in_variables_estimate
from bayespde.results.tempering_history import tempering_history
from bayespde.results.typeset import equation_mathml, number_html, term_mathml, unit_html

# Rows of a table of terms, and of one of equations.
LARGEST, TOP = 40, 6
# Probability below which terms are folded away, and the number of terms that never are.
NOTABLE, FEWEST = 0.005, 6
# Probability below which an equation that is not the first is left out.
SHOWN = 0.001
# Value of a check below which it is a rounding error.
NOTHING = 1e-12


def answer(posterior: Posterior, diagnosis: Diagnosis) -> dict[str, Any]:
    """The most probable equation in a sentence, the verdict, and what it cannot be told apart from."""
    best = equations(posterior, top=1)[0]
    return {
        "lead": _lead(posterior, best, diagnosis),
        "equation": _equation(posterior, best),
        "verdict": diagnosis.verdict,
        "headline": diagnosis.headline,
        "likelihood": str(posterior.likelihood),
        "groups": [(group.describe(), f"{mass:.3f}") for group, mass in group_masses(posterior)],
    }


def inclusion(posterior: Posterior) -> dict[str, Any]:
    """A bar per term, most probable first, and the estimate of the sampler next to that of an enumeration."""
    probability, error = posterior.inclusion_probability.values, posterior.inclusion_error.values
    sampled = posterior.inclusion_estimate("rao_blackwell")
    order = np.argsort(-probability, kind="stable")
    shown = max(FEWEST, int(np.sum(probability >= NOTABLE)))
    has_exact = posterior.exact is not None
    rows = []
    for i in order[:LARGEST]:
        known = math.isfinite(error[i])
        low, high = (float(np.clip(sampled[i] + s * error[i], 0, 1)) for s in (-1, 1)) if known else (np.nan, np.nan)
        rows.append(
            {
                "term": _term(posterior, int(i)),
                "probability": format_probability(probability[i]),
                "bar": round(100 * float(probability[i]), 2),
                "dot": round(100 * float(sampled[i]), 2) if has_exact else None,
                "whisker": (round(100 * low, 2), round(100 * high, 2)) if known else None,
                "sampled": format_probability(sampled[i]) + _plus_minus(error[i]),
                "error": "" if has_exact else _plus_minus(error[i]),
            }
        )
    certain = int(np.sum(probability > MAJORITY))
    have = "has" if certain == 1 else "have"
    text = f"{certain} of {probability.size} candidate terms {have} a probability above 0.5"
    return {
        "rows": rows[:shown],
        "others": rows[shown:],
        "largest_other": rows[shown]["probability"] if len(rows) > shown else "",
        "exact": has_exact,
        "left_out": max(0, probability.size - LARGEST),
        "text": text,
    }


def coefficients(posterior: Posterior) -> dict[str, Any]:
    """Coefficients of the most probable equation with intervals and units, and their errors-in-variables estimate."""
    best, found = equations(posterior, top=1)[0], errors_in_variables_estimate(posterior)
    others = {}
    if found is not None:
        others = {
            n: _number(format_value(c, s)) for n, c, s in zip(found.names, found.coefficients, found.sd, strict=True)
        }
    rows = [
        {
            "term": _term(posterior, posterior.library.names.index(name)),
            "value": _number(format_value(mean, sd)),
            "interval": _number(f"{low:.5g}") + " to " + _number(f"{high:.5g}"),
            "unit": "unknown" if unit == "unknown" else Markup(unit_html(unit)) or "1",
            "other": others.get(name),
        }
        for name, mean, sd, low, high, unit in zip(
            best.names, best.coefficients, best.sd, best.lower, best.upper, best.units, strict=True
        )
    ]
    return {"rows": rows, "level": f"{best.level:.0%}", "has_other": bool(others), "ranked": _ranked(posterior)}


def pareto(front: xr.Dataset) -> dict[str, Any]:
    """The equations of the front."""
    best = front.isel(equation=np.flatnonzero(front["on_front"].values))
    rows = [
        {
            "text": str(point["text"].values),
            "complexity": f"{float(point['complexity']):g}",
            "error": f"{float(point['cross_validated_error']):.3g}",
            "sd": f"{float(point['cross_validated_error_sd']):.1g}",
            "forecast_error": _forecast_error(point),
            "selected": bool(point["selected"]),
        }
        for point in (best.isel(equation=i) for i in range(best.sizes["equation"]))
    ]
    return {
        "rows": rows,
        "has_forecast_error": "forecast_error" in best and bool(np.isfinite(best["forecast_error"].values).any()),
        "share": f"{front.attrs['probability_on_front']:.2f}",
    }


def _forecast_error(point: xr.Dataset) -> str:
    if "forecast_error" not in point:
        return ""
    error = float(point["forecast_error"])
    return f"{error:.3g}" if math.isfinite(error) else "diverges"


def tempering(posterior: Posterior) -> dict[str, Any]:
    """Stages, evidence and effective sample size of every run."""
    found = tempering_history(posterior)
    rows = [
        {
            "run": run + 1,
            "stages": int(found["stages"][run]),
            "evidence": f"{float(found['log_evidence'][run]):.2f}",
            "ess": f"{float(np.nanmin(found['ess'].values[run])):.0f}" if "ess" in found else "unknown",
            "ancestors": len(np.unique(posterior.eve_index[run])),
        }
        for run in range(found.sizes["run"])
    ]
    return {"rows": rows, "particles": found.attrs["particles"]}


def checks(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis in words, and every check as a row."""
    return {
        "headline": diagnosis.headline,
        "failed": [
            {"name": c.name, "reason": c.reason, "affects": c.affects, "remedy": REMEDIES[c.name]}
            for c in diagnosis.failed
        ],
        "tables": {
            "Sampler": _check_rows(diagnosis.sampler),
            "Data, noise model and equation": _check_rows(diagnosis.fit),
        },
    }


def _number(text: str) -> Markup:
    return Markup(number_html(text))


def _plus_minus(error: float) -> str:
    """A standard error; empty where it is unknown, or below the digits that are shown."""
    return f" ± {error:.1g}" if math.isfinite(error) and error >= ROUNDING else ""


def _lead(posterior: Posterior, best: RankedEquation, diagnosis: Diagnosis) -> str:
    """The sentence that ends in the equation."""
    count, probability = len(posterior.library), format_probability(best.probability)
    behind = f"the equation behind {posterior.library.subject}"
    if diagnosis.verdict == "not_converged" and not diagnosis.is_enumerated:
        return f"The sampler has not converged. The most frequent equation among its particles (share {probability}) is"
    if diagnosis.verdict == "misfit":
        return f"Not all checks passed: do not rely on the probability of {probability}. The most probable equation is"
    if not best.names:
        return f"None of {count} candidate terms is needed: with probability {probability}, {behind} is"
    if best.probability > MAJORITY:
        return f"With probability {probability}, {behind} is"
    return (
        f"No equation has a probability above 0.5; the most probable one of {count} candidate terms ({probability}) is"
    )


def _equation(posterior: Posterior, ranked: RankedEquation) -> dict[str, Any]:
    return {"pieces": [Markup(p) for p in equation_mathml(ranked, posterior.library)], "text": str(ranked)}


def _ranked(posterior: Posterior) -> list[dict[str, Any]]:
    found = equations(posterior, top=TOP)
    kept = [e for i, e in enumerate(found) if i == 0 or e.probability >= SHOWN]
    return [
        {
            "probability": format_probability(e.probability),
            "odds": _number(f"{e.log_odds:.1f}"),
            **_equation(posterior, e),
        }
        for e in kept
    ]


def _term(posterior: Posterior, index: int) -> dict[str, Any]:
    """A term typeset, and as text."""
    term = posterior.library.terms[index]
    return {"math": Markup(f"<math>{term_mathml(term)}</math>"), "text": term.name}


def _check_rows(found: Iterable[Check]) -> list[dict[str, Any]]:
    return [
        {
            "name": c.name,
            "value": _number(f"{c.value if abs(c.value) > NOTHING else 0:.3g}"),
            "limit": f"{c.limit:g}",
            "passed": c.passed,
        }
        for c in found
    ]
