"""A posterior and the record of its stages -> provenance: rows of a table, settings, finished stages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bayespde import __version__
from bayespde.core.posterior import Posterior
from bayespde.results.report.data import DataSummary, ReportData

METHODS = {
    "smc": "tempered sequential Monte Carlo over sets of terms",
    "exact": "enumeration of all sets of terms, and independent draws",
    "tempered_gibbs": "weighted tempered Gibbs sampling",
}


def provenance(report: ReportData) -> dict[str, Any]:
    """Versions, seed, data, likelihood, sampler, and all settings.

    Args:
        report: What the page shows.

    Returns:
        `rows` of name and value; `settings`, `stages`: JSON as text; `terms`: the candidates.
    """
    posterior, record = report.posterior, report.record
    known, sampling = posterior.provenance, posterior.sampling
    rows = {
        "Version": f"bayespde {known.get('version', 'unknown')}; this page by {__version__}",
        "Finished": str(record.get("written", "not recorded")),
        "Seed": str(known.get("seed", "not recorded")),
        "Data (hash)": str(known.get("data", "not recorded")),
        **_video(report.data, posterior.units),
        "Equations compared by": str(posterior.likelihood),
        "Rows": _rows(posterior),
        "Candidate terms": f"{len(posterior.library)}, for {posterior.library.target}",
        "Sampler": _sampler(posterior),
        "Enumeration": "none" if posterior.exact is None else f"{posterior.exact.models_enumerated} sets of terms",
        "Prior": _prior(posterior),
        "Interrupted": "no" if sampling.complete else "yes",
    }
    settings = {
        "settings": known.get("settings"),
        "sampler": dict(sampling.settings) or None,
        "likelihood": posterior.likelihood.record(),
    }
    return {
        "rows": rows,
        "settings": _json({k: v for k, v in settings.items() if v is not None}),
        "stages": _json(record.get("stages", {})),
        "terms": ", ".join(posterior.library.names),
    }


def _video(data: DataSummary | None, units: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if data is not None:
        shape = " × ".join(f"{size} ({name})" for name, size in data.sizes.items())
        found["Video"] = shape + (f", {data.missing:.1%} of the pixels missing" if data.missing else "")
    if units:
        found["Units"] = ", ".join(f"{name}: {unit}" for name, unit in units.items())
    return found


def _rows(posterior: Posterior) -> str:
    statistics = posterior.statistics
    return f"{statistics.rows:.0f} effective rows in {statistics.blocks} blocks; form: {statistics.record.form}"


def _sampler(posterior: Posterior) -> str:
    runs, particles, _ = posterior.spins.shape
    method, seconds = posterior.sampling.method, posterior.sampling.seconds
    return f"{METHODS.get(method, method)}; {runs} runs of {particles}" + (f"; {seconds:.0f} s" if seconds else "")


def _prior(posterior: Posterior) -> str:
    expected = "not recorded" if posterior.prior is None else f"{posterior.prior.inclusion.sum():.3g}"
    return f"expected terms: {expected}; coefficients: {posterior.slab or 'not recorded'}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
