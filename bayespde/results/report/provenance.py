"""A posterior and the record of its stages -> where a result comes from, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bayespde import __version__
from bayespde.core.posterior import Posterior
from bayespde.results.judged import judged_by
from bayespde.results.report.data import DataSummary, ReportData

METHODS = {
    "smc": "tempered sequential Monte Carlo over sets of terms",
    "exact": "enumeration of all sets of terms, and independent draws",
    "tempered_gibbs": "weighted tempered Gibbs sampling",
}


def provenance(material: ReportData) -> dict[str, Any]:
    """Versions, seed, data, how it was judged and sampled, and all settings.

    Args:
        material: What the page is of.

    Returns:
        `rows` of name and value; `settings`, `stages`: JSON as text; `terms`: the candidates.
    """
    posterior, record = material.posterior, material.record
    known = posterior.provenance
    rows = {
        "Version": f"bayespde {known.get('version', 'unknown')}; this page by {__version__}",
        "Finished": str(record.get("written", "not recorded")),
        "Seed": str(known.get("seed", "not recorded")),
        "Data (hash)": str(known.get("data", "not recorded")),
        **_video(material.seen, known.get("units", {})),
        "Equations judged by": judged_by(posterior),
        "Rows": _rows(posterior),
        "Candidate terms": f"{len(posterior.library)}, for {posterior.library.target}",
        "Sampler": _sampler(posterior),
        "Enumeration": "none" if posterior.exact is None else f"{posterior.exact.models_enumerated} sets of terms",
        "Prior": _prior(known),
        "Interrupted": "no" if known.get("complete", True) else "yes",
    }
    settings = {
        "settings": known.get("settings"),
        "sampler": known.get("sampler"),
        "refinement": known.get("refinement"),
    }
    return {
        "rows": rows,
        "settings": _json({k: v for k, v in settings.items() if v is not None}),
        "stages": _json(record.get("stages", {})),
        "terms": ", ".join(posterior.library.names),
    }


def _video(seen: DataSummary | None, units: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if seen is not None:
        shape = " × ".join(f"{size} ({name})" for name, size in seen.sizes.items())
        found["Video"] = shape + (f", {seen.missing:.1%} of the pixels missing" if seen.missing else "")
    if units:
        found["Units"] = ", ".join(f"{name}: {unit}" for name, unit in units.items())
    return found


def _rows(posterior: Posterior) -> str:
    statistics = posterior.statistics
    form = statistics.provenance.get("form", "given")
    return f"{statistics.rows:.0f} effective ones in {statistics.blocks} blocks; form: {form}"


def _sampler(posterior: Posterior) -> str:
    runs, particles, _ = posterior.spins.shape
    method = str(posterior.provenance.get("method", "unknown"))
    took = posterior.provenance.get("sampling_time")
    return f"{METHODS.get(method, method)}; {runs} runs of {particles}" + (f"; {took:.0f} s" if took else "")


def _prior(known: Mapping[str, Any]) -> str:
    expected = known.get("expected_terms", "not recorded")
    return f"expected terms: {expected}; coefficients: {known.get('slab', 'not recorded')}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
