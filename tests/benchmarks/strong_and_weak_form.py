"""A recorded front and two simulated by the strong form of networks and by the weak form: tables of both, and why.

    BAYESPDE_DATA=folder python tests/benchmarks/strong_and_weak_form.py [FIELD ...]

writes the tables of docs/original_method.md to .benchmarks/strong_and_weak_form.md. It takes ten processor
minutes, and resumes: a field whose JSON file is in .benchmarks/strong_and_weak_form is not measured again.
"""

import json
import os
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np

import bayespde as bp
from bayespde.discovery import pipeline
from bayespde.weak.strong_form import StrongFormWarning
from tests.benchmarks.errors_of_smoothing import TRUE, causes, front, scatter
from tests.data_sets import PHASE_FIELD_TERMS, load

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BAYESPDE_DATA", ROOT.parent / "shared" / "data"))
OUT = ROOT / ".benchmarks" / "strong_and_weak_form"
FIELDS = {
    "phase_field_noisy": bp.Library.from_strings(PHASE_FIELD_TERMS),
    "phase_field": bp.Library.from_strings(PHASE_FIELD_TERMS),
    "stem_profile": bp.Library.from_strings(["u", "u**2", "u_x", "u_xx"]),
}
FORMS = {"strong": bp.StrongForm(smoother="network", field_draws=8), "weak": bp.WeakForm()}
STAGES = {"fit_field": "smoothing", "assemble": "statistics", "sample": "sampling"}


def discovered(field, library, form):
    """The discovery by one form, and processor seconds by stage."""
    seconds = dict.fromkeys(STAGES.values(), 0.0)

    def timed(name):
        stage, work = STAGES[name], getattr(pipeline, name)

        def run(*args, **kwargs):
            start = time.process_time()
            result = work(*args, **kwargs)
            seconds[stage] += time.process_time() - start
            return result

        return patch.object(pipeline, name, run)

    with ExitStack() as stack:
        for name in STAGES:
            stack.enter_context(timed(name))
        found = bp.discover(field, library=library, form=form, trajectory_matching="never", seed=0)
    return found, seconds


def described(found, seconds):
    """Equation, probabilities, spread of the coefficients within and between draws, and the verdict."""
    posterior, draws = found.posterior, found.posterior.by_field_draw()
    parts = [p.coefficients.reshape(-1, len(p.library)) for p in draws]
    means = np.array([p.mean(axis=0) for p in parts])
    diagnosis = bp.diagnose(posterior)
    return {
        "equation": [(e.probability, str(e)) for e in bp.equations(posterior, top=3)],
        "inclusion": posterior.inclusion_probability.to_series().to_dict(),
        "by draw": [dict(zip(p.library.names, p.inclusion_probability.values.tolist(), strict=True)) for p in draws],
        "mean": dict(zip(posterior.library.names, means.mean(axis=0).tolist(), strict=True)),
        "within": np.sqrt(np.mean([p.var(axis=0) for p in parts], axis=0)).tolist(),
        "between": means.std(axis=0, ddof=1).tolist() if len(parts) > 1 else None,
        "log evidence": posterior.log_evidence_pooled,
        "verdict": diagnosis.verdict,
        "failed": [check.name for check in diagnosis.failed],
        "rows": {k: posterior.statistics.provenance[k] for k in ("rows", "power") if k in found.statistics.provenance},
        "effective rows": posterior.statistics.rows,
        "times": posterior.statistics.provenance.get("autocorrelation_times"),
        "seconds": seconds,
    }


def measured(name):
    """Everything about one field."""
    field, library = load(DATA, name), FIELDS[name]
    found = {form: discovered(field, library, options) for form, options in FORMS.items()}
    row = {form: described(*one) for form, one in found.items()}
    if name == "stem_profile":
        return row | {"front": front(field, found["strong"][0])}
    row["causes"] = causes(field, load(DATA, "phase_field"), library, found["strong"][0], found["weak"][0])
    return row | ({"scatter": scatter(DATA, library)} if name == "phase_field_noisy" else {})


def table(header, rows):
    """A table in markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def number(value):
    """Three significant digits without a zero before the point; nothing if there is none."""
    return "" if value is None else f"{value:.3g}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3g}"


def tables(rows):
    """All tables of what was measured, by field."""
    forms = [(name, form, row[form]) for name, row in rows.items() for form in FORMS]
    yield table(
        ["field", "form", "most probable equation", "probability", "failed checks", *STAGES.values()],
        [
            [n, form, r["equation"][0][1], number(r["equation"][0][0]), ", ".join(r["failed"])]
            + [f"{s:.1f}" for s in r["seconds"].values()]
            for n, form, r in forms
        ],
    )
    for name, row in rows.items():
        strong, weak = row["strong"], row["weak"]
        header = ["term", "truth", "inclusion, strong", "each draw", "weak", "mean", "within", "between", "weak", "sd"]
        lines = []
        for k, term in enumerate(strong["mean"]):
            each = [draw[term] for draw in strong["by draw"]]
            values = [strong["inclusion"][term], min(each), max(each), weak["inclusion"][term], strong["mean"][term]]
            values += [strong["within"][k], strong["between"][k], weak["mean"][term], weak["within"][k]]
            a, low, high, b, *rest = map(number, values)
            lines.append([term, TRUE.get(term, "") if "causes" in row else "", a, f"{low} to {high}", b, *rest])
        yield f"{name}\n\n" + table(header, lines)
        if "causes" in row:
            errors, cases = row["causes"]["errors"], row["causes"]["rows"]
            yield table(["", "u", "u_t", "u_x", "u_xx"], [[n, *map(number, e)] for n, e in errors.items()])
            keys = ["probability of the truth", "inclusion of false terms", "largest error", "largest score"]
            lines = [[n, ", ".join(c["terms"]), *(number(c[k]) for k in keys)] for n, c in cases.items()]
            yield table(["rows", "most probable terms", *keys], lines)
        if "scatter" in row:
            yield table(["", *TRUE], [[n, *map(number, v)] for n, v in row["scatter"].items()])
        if "front" in row:
            lines = [[n, *(number(f.get(k)) for k in row["front"]["networks"])] for n, f in row["front"].items()]
            yield table(["", *row["front"]["networks"]], lines)


def main(names):
    """Measure the fields that are named, or all, and write the tables of those that were measured."""
    warnings.simplefilter("ignore", StrongFormWarning)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names or FIELDS:
        file = OUT / f"{name}.json"
        if not file.exists():
            file.write_text(json.dumps(measured(name), indent=1))
    found = {n: json.loads((OUT / f"{n}.json").read_text()) for n in FIELDS if (OUT / f"{n}.json").exists()}
    OUT.with_suffix(".md").write_text("\n".join(tables(found)))
    print(OUT.with_suffix(".md").read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
