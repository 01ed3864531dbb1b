"""Rows of the comparison with pysindy -> a page of the documentation."""

import numpy as np

METHODS = ("bayespde", "pysindy blind", "pysindy tuned", "pysindy tuned, smoothed")
HEADINGS = {
    "burgers": "Burgers, $u_t = -u u_x + 0.1 u_{xx}$, 256 × 101 pixels",
    "kdv": "Korteweg-de Vries, $u_t = -6 u u_x - u_{xxx}$, 512 × 201 pixels",
    "ks": "Kuramoto-Sivashinsky, $u_t = -u u_x - u_{xx} - u_{xxxx}$, 1024 × 251 pixels",
    "random": "Random equations of one to four terms, 256 × 121 pixels",
}
INTRODUCTION = """\
# Comparison with pysindy

This page compares bayespde {bayespde} with the weak form of pysindy {pysindy} on identical noisy fields: which terms
they choose, how large the errors of the coefficients are, and how long it takes. Both have the same 19 candidate terms,
$u^i$ for $i = 1..3$ and $u^i \\partial_x^k u$ for $i = 0..3$, $k = 1..4$.

- **bayespde**: default settings; the most probable equation. Nothing is tuned.
- **pysindy blind**: `WeakPDELibrary`, 500 random subdomains, test functions of degree 8, support radius 1/10 of every
  axis (pysindy's defaults are degree 4 and 1/20; these settings did better on the three known equations, so the blind
  choice already profits from a truth). Columns and target are scaled to unit root mean square, `STLSQ` runs over 26
  thresholds from 0.003 to 1, and the Bayesian information criterion on the rows of the weak form chooses.
- **pysindy tuned**: the same, but support radius (1/20, 1/10 or 1/5) and threshold are chosen on the truth for every
  field: the best support, then the smallest error. No user has this oracle.
- **pysindy tuned, smoothed**: the same oracle, with `SmoothedFiniteDifference` (local polynomials of degree 4 over 21
  pixels) for the derivatives in products such as $u^2 u_{{xxx}}$; above they are pysindy's default, plain differences.

Noise is Gaussian, relative to the standard deviation of the field. The columns are:

- *exact*: the fraction of fields on which the chosen terms are the true ones;
- *TPR*: the mean of TP / (TP + FN + FP);
- *error*: the median of the largest relative error of a true coefficient of the chosen equation, where a missed term
  counts as 1; pysindy's coefficients are refitted without its ridge;
- *seconds*: the median processor seconds on one thread, of all support radii and thresholds together where several
  were tried.

**What this does not show.** The Bayesian information criterion takes the overlapping rows of pysindy for independent.
On clean data, where they err by quadrature alone, it keeps false terms with tiny coefficients. pysindy's other
optimisers were not tried. The error of a tuned choice is the smallest of many tries. bayespde is slower than one blind
fit.

Seeds are those of the noise and of pysindy's subdomains. All settings of pysindy were chosen by the authors of
bayespde. The data files are those of PDE-FIND. The {drawn} random equations are the first of
`tests/benchmarks/random_equations.py`, in turn by their number of terms, with one noise draw each. This page is
written by

```sh
OMP_NUM_THREADS=1 python -m pytest tests/benchmarks/test_peers.py --full
```
"""
HEAD = "| noise | method | fields | exact | TPR | error | seconds |\n|---|---|---|---|---|---|---|\n"


def page(rows):
    """The whole page as Markdown, from the rows that are there."""
    drawn = len({r["seed"] for r in rows if r["data"] == "random"})
    versions = {name: ", ".join(sorted({r["versions"][name] for r in rows})) for name in ("bayespde", "pysindy")}
    parts = [INTRODUCTION.format(drawn=drawn, **versions)]
    for data, heading in HEADINGS.items():
        here = [r for r in rows if r["data"] == data]
        if here:
            parts.append(f"## {heading}\n\n{_seeds(here)}\n\n{HEAD}{''.join(_lines(here))}")
    return "\n".join(parts)


def _seeds(rows):
    """Which seeds stand behind a table."""
    noisy = sorted({r["seed"] for r in rows if r["noise"]})
    return f"Seeds {', '.join(map(str, noisy))}." if len(noisy) > 1 else f"Seed {noisy[0]} only." if noisy else "Clean."


def _lines(rows):
    """One line per noise level and method."""
    for noise in sorted({r["noise"] for r in rows}):
        for method in METHODS:
            cell = [r for r in rows if r["noise"] == noise and r["method"] == method]
            if cell:
                yield f"| {_means(cell, noise, method)} |\n"


def _means(cell, noise, method):
    exact, tpr = (np.mean([r[key] for r in cell]) for key in ("exact", "tpr"))
    error, seconds = (np.median([r[key] for r in cell]) for key in ("error", "processor_seconds"))
    return f"{noise:.0%} | {method} | {len(cell)} | {exact:.2f} | {tpr:.2f} | {error:.2g} | {seconds:.1f}"
