"""A posterior and the record of its stages -> provenance; CITATION.cff -> how to cite the package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayespde import __version__
from bayespde.results.report.data import DataSummary, ReportData

CITATION = "CITATION.cff"
METHODS = {
    "smc": "tempered sequential Monte Carlo over sets of terms",
    "exact": "enumeration of all sets of terms, and independent draws",
    "tempered_gibbs": "weighted tempered Gibbs sampling",
}


def provenance(report: ReportData) -> dict[str, Any]:
    """Versions, seed, data, likelihood and sampler as `rows`; `settings` and `stages` as JSON; candidate `terms`."""
    posterior, record = report.posterior, report.record
    known, sampling, statistics = posterior.provenance, posterior.sampling, posterior.statistics
    form, took = statistics.record.form, f"; {sampling.seconds:.0f} s" if sampling.seconds else ""
    expected = "not recorded" if posterior.prior is None else f"{posterior.prior.inclusion.sum():.3g}"
    runs, particles, _ = posterior.spins.shape
    rows = {
        "Version": f"bayespde {known.get('version', 'unknown')}; this page by {__version__}",
        "Finished": str(record.get("written", "not recorded")),
        "Seed": str(known.get("seed", "not recorded")),
        "Data (hash)": str(known.get("data", "not recorded")),
        **_video(report.data, posterior.units),
        "Equations compared by": str(posterior.likelihood),
        "Rows": f"{statistics.rows:.0f} effective rows in {statistics.blocks} blocks; form: {form}",
        "Candidate terms": f"{len(posterior.library)}, for {posterior.library.target}",
        "Sampler": f"{METHODS.get(sampling.method, sampling.method)}; {runs} runs of {particles}{took}",
        "Enumeration": "none" if posterior.exact is None else f"{posterior.exact.models_enumerated} sets of terms",
        "Prior": f"expected terms: {expected}; coefficients: {posterior.slab or 'not recorded'}",
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


def citation() -> dict[str, str]:
    """How to cite bayespde: `text` and `bibtex`.

    The file is inside the installed package, or at the top of a checkout. Only the part of YAML that this file uses is
    read: a key and a value per line.
    """
    package = Path(__file__).resolve().parents[2]
    file = next(p for p in (package / CITATION, package.parent / CITATION) if p.is_file())
    lines = file.read_text(encoding="utf-8").splitlines()
    found = {m[1]: m[2] for m in (re.fullmatch(r"(\w[\w-]*): \"?(.+?)\"?", line) for line in lines) if m}
    authors = [m[1] for m in (re.fullmatch(r"\s+- name: \"?(.+?)\"?", line) for line in lines) if m]
    title, version, names = found["title"], found["version"], " and ".join(authors)
    bibtex = [
        "@software{bayespde,",
        f"  author  = {{{{{names}}}}},",
        f"  title   = {{{title}}},",
        f"  version = {{{version}}},",
        f"  license = {{{found['license']}}},",
        "}",
    ]
    return {"text": f"{names}. {title}. Version {version}.", "bibtex": "\n".join(bibtex)}


def _video(data: DataSummary | None, units: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if data is not None:
        shape = " × ".join(f"{size} ({name})" for name, size in data.sizes.items())
        found["Video"] = shape + (f", {data.missing:.1%} of the pixels missing" if data.missing else "")
    if units:
        found["Units"] = ", ".join(f"{name}: {unit}" for name, unit in units.items())
    return found


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
