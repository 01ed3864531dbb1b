"""The page about a discovery: its content, that it is self-contained, and that hostile text is harmless."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy
import xarray as xr
from pages import Page, check

import bayespde as bp
from bayespde.core.likelihood import Likelihood
from bayespde.core.sampling_record import SamplingRecord
from bayespde.core.terms import parse_term
from bayespde.results.equations import format_probability
from bayespde.results.report.data import DataSummary, ForecastSummary, ReportData
from bayespde.results.report.page import render
from bayespde.results.report.provenance import citation
from bayespde.results.typeset import equation_mathml, expression_mathml, number_html, number_mathml, unit_html

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert('x')</script> & \"quoted\" $\\frac{$ {{ 7*7 }} {% raw %}"


def page_of(posterior, **parts):
    page = Page(render(ReportData(posterior, **parts)))
    check(page)
    return page


@pytest.fixture
def line_data(rng):
    t, x = np.linspace(0, 2, 12), np.linspace(0, 5, 30)
    smooth = np.sin(x - t[:, None])
    observed = bp.make_field(
        smooth + 0.1 * rng.standard_normal((12, 30)), t=t, x=x, units={"u": "K", "time": "s", "x": "nm"}
    )
    observed[3, 4:8] = np.nan
    derivatives = xr.Dataset(
        {
            "u": (("time", "x"), smooth, {"units": "K"}),
            "u_t": (("time", "x"), -np.cos(x - t[:, None]), {"units": "K s^-1"}),
            "u_xx": (("time", "x"), -smooth, {"units": "K nm^-2"}),
        },
        coords=observed.coords,
    )
    return DataSummary(observed, derivatives, {"time": 12, "x": 30}, 4 / 360, 0.1, "spline chosen\npixel noise 0.1")


@pytest.fixture
def plane_data(rng):
    t, y, x = np.linspace(0, 2, 3), np.linspace(0, 4, 20), np.linspace(0, 5, 30)
    smooth = np.sin(x - t[:, None, None]) * np.cos(y)[:, None]
    coords, dims = {"time": t, "y": y, "x": x}, ("time", "y", "x")
    values = smooth + 0.1 * rng.standard_normal(smooth.shape)
    observed = xr.DataArray(values, coords=coords, dims=dims, name="u", attrs={"units": "1"})
    for dim in dims:
        observed[dim].attrs["units"] = "1"
    derivatives = xr.Dataset(
        {"u": (dims, smooth, {"units": "1"}), "u_xy": (dims, smooth, {"units": "1"})}, coords=observed.coords
    )
    return DataSummary(observed, derivatives, {"time": 60, "y": 20, "x": 30}, 0.0, 0.1, "network chosen")


@pytest.fixture
def forecast(rng):
    t, x = np.linspace(3, 4, 5), np.linspace(0, 5, 30)
    drawn = np.sin(x - t[:, None]) + 0.02 * rng.standard_normal((20, 1, 1))
    ahead = xr.Dataset(
        {"u": (("draw", "time", "x"), drawn, {"units": "K"}), "blow_up_time": (("draw",), np.full(20, np.inf))},
        coords={"time": ("time", t, {"units": "s"}), "x": ("x", x, {"units": "nm"})},
        attrs={
            "field": "u",
            "noise_scale": 0.1,
            "boundary": "periodic",
            "initial_time": 2.9,
            "fraction_diverged": 0.0,
        },
    )
    observed = bp.make_field(
        np.sin(x - t[:, None]) + 0.1 * rng.standard_normal((5, 30)), t=t, x=x, units={"u": "K", "time": "s", "x": "nm"}
    )
    return ForecastSummary(ahead, observed, bp.verify_forecast(ahead, observed))


def test_a_posterior_alone_makes_a_page(burgers):
    page = page_of(burgers)
    best = bp.equations(burgers, top=1)[0]
    assert f"With probability {best.probability:.3f}, the equation behind u is" in page.by_id("answer").text
    assert str(best) in [e.text for e in page.by_id("answer").all("code")]
    assert bp.diagnose(burgers).headline in page.by_id("answer").text
    assert [e.text for e in page.all("h1")] == ["The equation behind u"]
    for part in ("field", "derivatives", "forecast"):
        assert "not known" in page.by_id(part).text
        assert page.by_id(part).all("img") == []


def test_the_numbers_of_the_equation_are_typeset_and_have_a_text(burgers):
    best = bp.equations(burgers, top=1)[0]
    equation = next(e for e in page_of(burgers).by_id("answer").everything_of("span", "math"))
    assert equation.attributes["aria-label"] == str(best)
    numbers = [n.text for n in equation.all("mn")]
    wanted = re.findall(r"\d[\d.]*\(\d+\)", str(best))
    assert len(wanted) == len(best.names)
    assert [n for n in numbers if "(" in n] == wanted


def test_bars_are_as_long_as_the_probabilities(burgers, sampled):
    for posterior in (burgers, sampled):
        section = page_of(posterior).by_id("inclusion")
        rows = [r for t in section.all("tbody") for r in t.all("tr")]
        order = np.argsort(-posterior.inclusion_probability.values, kind="stable")
        assert [r.all("th")[0].all("span")[0].attributes["aria-label"] for r in rows] == [
            posterior.library.names[i] for i in order
        ]
        fills = [e for r in rows for e in r.all("rect") if e.attributes["class"] == "fill"]
        widths = [float(e.attributes["width"]) for e in fills]
        np.testing.assert_allclose(widths, 100 * posterior.inclusion_probability.values[order], atol=0.006)
        whiskers = [[e for e in r.all("line") if e.attributes["class"] == "whisker"] for r in rows]
        assert all(len(w) == 3 for w in whiskers)
        half = [(float(w[0].attributes["x2"]) - float(w[0].attributes["x1"])) / 2 for w in whiskers]
        estimate, error = posterior.inclusion_estimate("rao_blackwell")[order], posterior.inclusion_error.values[order]
        clipped = (np.clip(estimate + error, 0, 1) - np.clip(estimate - error, 0, 1)) / 2
        np.testing.assert_allclose(half, 100 * clipped, atol=0.011)


def test_coefficients_have_intervals_and_units(burgers):
    best = bp.equations(burgers, top=1)[0]
    rows = page_of(burgers).by_id("coefficients").all("tbody")[0].all("tr")
    assert len(rows) == len(best.names)
    row = rows[best.names.index("u_xx")]
    cells = [c.text for c in row.all("td")]
    low, high = (float(v.replace("−", "-")) for v in cells[1].split(" to "))
    assert low == pytest.approx(best.lower[best.names.index("u_xx")], rel=1e-4)
    assert high == pytest.approx(best.upper[best.names.index("u_xx")], rel=1e-4)
    assert (cells[2], [e.text for e in row.all("sup")]) == ("nm 2 s −1", ["2", "−1"])


def test_one_run_has_no_errors(burgers_rows, rng, build):
    page = page_of(build(*burgers_rows, rng=rng, runs=1, exact=False))
    assert "±" not in " ".join(e.text for e in page.by_id("inclusion").all("td"))
    assert "SINGLE RUN" in page.by_id("answer").text


def test_an_empty_equation_is_reported(rng, build):
    design, target = rng.standard_normal((400, 3)), rng.standard_normal(400)
    posterior = build(
        design, target - design @ np.linalg.lstsq(design, target, rcond=None)[0], ["u", "u_x", "u_xx"], rng=rng
    )
    page = page_of(posterior)
    assert bp.equations(posterior, top=1)[0].names == ()
    assert "None of 3 candidate terms is needed" in page.by_id("answer").text
    assert "no coefficient" in page.by_id("coefficients").text


def test_terms_that_cannot_be_told_apart_are_named(rng, build):
    design = rng.standard_normal((400, 3))
    design[:, 1] = design[:, 0] + 1e-4 * rng.standard_normal(400)
    page = page_of(build(design, design[:, 0] + 0.1 * rng.standard_normal(400), ["u", "u_x", "u_xx"], rng=rng))
    assert "Interchangeable" in page.by_id("answer").text
    assert {e.text for e in page.by_id("answer").all("code")} & {"u | u_x", "u_x | u"}
    # Where a check failed the probability is not to be relied on.
    assert "Not all checks passed" in page.by_id("answer").text
    assert "With probability" not in page.by_id("answer").text


def test_failed_checks_are_listed_with_remedies(burgers):
    page = page_of(replace(burgers, sampling=replace(burgers.sampling, complete=False)))
    assert "interrupted" in page.by_id("checks").text
    assert "sample again, without an interrupt" in page.by_id("checks").text
    cells = [e for e in page.by_id("checks").all("td") if e.attributes["class"] == "not-passed"]
    assert [c.text for c in cells] == ["NO"] * (len(bp.diagnose(burgers).failed) + 1)


def test_runs_that_have_not_converged_have_no_probability(sampled):
    estimates = dict(sampled.estimates)
    estimates["rao_blackwell"] = estimates["rao_blackwell"].copy()
    estimates["rao_blackwell"][:2, 0] = 1 - estimates["rao_blackwell"][:2, 0]
    text = page_of(replace(sampled, estimates=estimates)).by_id("answer").text
    assert "has not converged" in text
    assert "With probability" not in text


def test_without_history_or_blocks_parts_are_left_out(burgers, burgers_rows, rng, build):
    page = page_of(replace(burgers, stages={}))
    assert "Left out: The posterior has no history." in page.by_id("tempering").text
    page = page_of(build(*burgers_rows, rng=rng, blocks=1))
    assert "Left out: Cross-validation needs blocks" in page.by_id("pareto").text


def test_the_field_is_shown_with_its_residual(burgers, line_data):
    page = page_of(burgers, data=line_data)
    residual = np.nanstd(line_data.observed.values - line_data.derivatives["u"].values)
    alt = page.by_id("field").all("img")[0].attributes["alt"]
    assert f"standard deviation is {residual:.3g}; that of the noise of a pixel is 0.1." in alt
    assert [e.text for e in page.by_id("field").all("li")] == ["spline chosen", "pixel noise 0.1"]
    alt = page.by_id("derivatives").all("img")[0].attributes["alt"]
    assert f"u_xx up to {np.abs(line_data.derivatives['u_xx'].values).max():.3g} K nm^-2" in alt
    assert "1.1% of the pixels missing" in page.by_id("provenance").text


def test_two_dimensions_are_shown(burgers, plane_data):
    page = page_of(burgers, data=plane_data)
    assert "Maps of 3 frames" in page.by_id("field").all("img")[0].attributes["alt"]
    assert len(page.by_id("derivatives").all("img")) == 1


def test_forecasts_are_shown_with_their_scores(burgers, forecast):
    page = page_of(burgers, forecasts=(forecast,))
    section = page.by_id("forecast")
    assert "not used for the forecast" in section.text
    assert len(section.all("img")) == 2
    assert bp.format_scores(forecast.scores)[1:] in section.text
    page = page_of(burgers, forecasts=(ForecastSummary(forecast.forecast),))
    assert "no observed frames to verify it with" in page.by_id("forecast").text
    assert len(page.by_id("forecast").all("img")) == 1


def test_a_forecast_that_diverged_at_once_is_left_out(burgers, forecast):
    diverged = forecast.forecast.copy(deep=True)
    diverged["u"][:] = np.nan
    page = page_of(burgers, forecasts=(ForecastSummary(diverged),))
    assert "Left out: There is no frame to draw." in page.by_id("forecast").text


def test_hostile_strings_are_text(burgers, line_data, forecast):
    short = "<b>$\\frac&^2"  # units are written at axes, where there is little room
    units = {"u": HOSTILE, "time": HOSTILE, "x": HOSTILE}
    provenance = {"seed": HOSTILE, "version": HOSTILE, "data": HOSTILE, "settings": {HOSTILE: HOSTILE}}
    hostile = replace(
        burgers,
        likelihood=Likelihood("weak_form", reason=HOSTILE),
        sampling=SamplingRecord(method=HOSTILE, settings={HOSTILE: HOSTILE}),
        units=units,
        provenance=provenance,
    )
    observed = line_data.observed.copy()
    for place in (observed, observed["time"], observed["x"]):
        place.attrs["units"] = short
    derivatives = line_data.derivatives.assign_coords(observed.coords)
    derivatives["u_t"].attrs["units"] = short
    ahead = forecast.forecast.copy()
    ahead["time"].attrs["units"] = short
    page = page_of(
        hostile,
        data=replace(line_data, observed=observed, derivatives=derivatives, about=HOSTILE),
        forecasts=(ForecastSummary(ahead),),
        record={"written": HOSTILE, "stages": {HOSTILE: HOSTILE}},
        absent={"data": HOSTILE},
        title=HOSTILE,
    )
    as_text = " ".join(HOSTILE.split())
    assert page.all("h1")[0].text == as_text
    assert page.all("title")[0].text == as_text
    assert page.by_id("provenance").text.count(as_text) >= 8
    assert as_text in page.by_id("field").text


def test_the_same_data_give_the_same_page(burgers, line_data):
    report = ReportData(burgers, line_data)
    assert render(report) == render(report)


def test_colours_have_contrast():
    style = (ROOT / "bayespde" / "results" / "report" / "page.css").read_text(encoding="utf-8")
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", style))
    texts = set(re.findall(r"[ {;]color: (#[0-9a-f]{6})", style)) | {named[n] for n in ("ink", "soft", "link")}
    assert len(texts) >= 6
    for ground in ("#ffffff", named["tint"]):
        assert {t for t in texts if contrast(t, ground) < 4.5} == set()


def contrast(one, other):
    """As WCAG 2 defines it."""

    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("u", "u"),
        ("u_xx", "(sub u (row x x))"),
        ("u**2*u_x", "(row (sup u 2) ⁢  (sub u x))"),
        ("u_xx + u_yy", "(row (sub u (row x x)) + (sub u (row y y)))"),
        ("1", "1"),
    ],
)
def test_terms_are_typeset(term, wanted):
    tree = Page(f"<math>{expression_mathml(parse_term(term).expression)}</math>").all("math")[0]
    assert "".join(map(shape, tree.children)) == wanted


def shape(element):
    if not element.children:
        return element.text
    name = {"mrow": "row", "msub": "sub", "msup": "sup"}[element.tag]
    return f"({name} {' '.join(map(shape, element.children))})"


def test_symbols_of_any_name_are_escaped():
    assert "<script>" not in expression_mathml(sympy.Symbol("<script>alert(1)</script>"))


def test_numbers_are_typeset():
    assert number_html("-0.3005(16)") == "−0.3005(16)"
    assert number_html("1.20(3)e-05") == "1.20(3) × 10<sup>−5</sup>"
    assert number_html("<b>") == "&lt;b&gt;"
    tree = Page(f"<math>{number_mathml('1.20(3)e-05')}</math>")
    assert tree.all("math")[0].text == "1.20(3) × 10 − 5"
    assert unit_html("s^-1 nm^2") == "s<sup>−1</sup> nm<sup>2</sup>"
    assert unit_html("1") == ""
    assert unit_html("<i>^2") == "&lt;i&gt;<sup>2</sup>"


def test_signs_are_between_the_summands(burgers):
    best = bp.equations(burgers, top=1)[0]
    pieces = equation_mathml(best, burgers.library)
    signs = [Page(p).all("mo")[0].text for p in pieces[1:] if Page(p).all("mo")]
    given = [("−" if c < 0 else "+") for c in best.coefficients]
    assert signs == (given if best.coefficients[0] < 0 else given[1:])


def test_probabilities_are_never_written_as_certain():
    assert [format_probability(p) for p in (0.0, 0.0004, 0.0123, 0.5, 0.9994, 0.99951, 1.0)] == [
        "< 0.001", "< 0.001", "0.012", "0.500", "0.999", "> 0.999", "> 0.999",
    ]  # fmt: skip


def test_the_citation_is_that_of_the_file():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    title = re.search(r'^title: "(.+)"$', text, flags=re.M)[1]
    found = citation()
    assert found["text"] == f"The bayespde authors. {title}. Version {bp.__version__}."
    assert f"title   = {{{title}}}" in found["bibtex"]
