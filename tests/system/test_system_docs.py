"""What the documentation shows runs, names what exists, and prints what it says."""

import contextlib
import html
import importlib.util
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pages
import pytest
import typer

import bayespde as bp
from bayespde.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FOLDERS = ("how-to", "theory", "reference")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *(p for f in FOLDERS for p in sorted((DOCS / f).glob("*.md")))]
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
CARDS = sorted((ROOT / "models").glob("*/README.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
# The elements that browsers draw: https://www.w3.org/TR/mathml-core/#mathml-elements-and-attributes.
MATHML = (
    "math mrow mi mn mo mtext mspace mfrac msqrt msub msup msubsup mover munder munderover mmultiscripts mprescripts "
    "mtable mtr mtd mstyle mpadded"
)
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore:.*ArviZ is undergoing:FutureWarning")]


def blocks(page, *languages):
    """Fenced blocks of a page as pairs of language and text, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [(language, text) for language, text in found if language in languages]


def anchors(page):
    """What `#` may name on a page: its headings, as MyST names them, the labels of all pages, and the bibliography."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    named = {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    labels = re.findall(r"^\(([\w-]+)\)=", "\n".join(p.read_text(encoding="utf-8") for p in PAGES), flags=re.M)
    keys = re.findall(r"^@\w+\{(\w+)", (DOCS / "references.bib").read_text(encoding="utf-8"), flags=re.M)
    return named | set(labels) | {f"ref-{k}" for k in keys}


def run_python(page, monkeypatch, folder):
    """Execute all Python blocks of a page in one namespace: pairs of what a block prints and what the page says."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.chdir(folder)
    namespace, printed = {}, []
    for language, text in blocks(page, "python", "text"):
        if language == "text" and printed:
            printed[-1] = (printed[-1][0], text)
        elif language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, str(page), "exec"), namespace)
            printed.append((out.getvalue(), ""))
    pyplot.close("all")
    return namespace, printed


def test_readme_example_runs_and_finds_the_equation(monkeypatch, tmp_path):
    (_, text), *others = blocks(ROOT / "README.md", "python")
    assert others == []
    assert len(text.splitlines()) <= 12
    namespace, [(printed, _)] = run_python(ROOT / "README.md", monkeypatch, tmp_path)
    best = namespace["found"].equations(top=1)[0]
    assert best.names == ("u_xx",)
    assert best.coefficients[0] == pytest.approx(0.5, rel=0.01)
    assert f"`{best}` with probability {best.probability:.2f}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert str(best) in printed
    assert {f.name for f in tmp_path.iterdir()} == {"coefficients.pdf", "posterior.nc"}


@pytest.mark.parametrize("page", [p for p in HOW_TO if blocks(p, "python")], ids=lambda p: p.stem)
def test_how_to_page_runs_from_top_to_bottom(page, monkeypatch, tmp_path):
    namespace, printed = run_python(page, monkeypatch, tmp_path)
    _check_printed_output(printed, least=page.stem == "libraries-and-priors")
    found = namespace.get("found")
    if page.stem in ("libraries-and-priors", "report-and-files"):
        assert found.equations(top=1)[0].names == ("u_xx",)
    if page.stem == "data":
        assert any("wanted:" in text and "fix:" in text for text, _ in printed)
    if page.stem == "weak-form":
        inclusion = dict(
            zip(namespace["model"].statistics.names, namespace["exact"].inclusion_probability, strict=True)
        )
        assert {n for n, p in inclusion.items() if p > 0.5} == {"x1", "x4"}
    if page.stem == "trajectory-matching":
        assert namespace["matched"].is_trusted
    if page.stem == "coupled-fields":
        assert set(found["u"].equations(top=1)[0].names) == {"u", "u**3", "v", "u_xx"}
        assert set(found["v"].equations(top=1)[0].names) == {"u", "v", "v_xx"}
    if page.stem == "sampling":
        inclusion = namespace["runs"].estimates["rao_blackwell"].mean(axis=0)
        np.testing.assert_array_equal(np.flatnonzero(inclusion > 0.5), [1, 4])


def test_every_how_to_page_is_in_the_index():
    listed = re.findall(
        r"^- \[[^]]+\]\(([\w-]+\.md)\)", (DOCS / "how-to" / "index.md").read_text(encoding="utf-8"), flags=re.M
    )
    assert sorted([*listed, "index.md"]) == [p.name for p in HOW_TO]


def test_diagnosis_runs_from_top_to_bottom(monkeypatch, tmp_path):
    namespace, printed = run_python(DOCS / "diagnosis.md", monkeypatch, tmp_path)
    assert printed[0][0] == printed[0][1]
    assert namespace["table"]["model"].values.tolist()[-1] == "short"
    assert {p.name for p in tmp_path.glob("*.png")} >= {"runs.png", "tempering_history.png", "joint_inclusion.png"}
    odds = printed[-1][0].splitlines()[-1]
    assert float(odds) > 100


def test_forecasting_runs_from_top_to_bottom(monkeypatch, tmp_path):
    namespace, printed = run_python(DOCS / "forecasting.md", monkeypatch, tmp_path)
    scores = namespace["scores"]
    assert float(scores["rmse"].mean()) < 0.2 * float(scores["persistence"].mean())
    assert any("True" in text for text, _ in printed)
    assert {p.name for p in tmp_path.iterdir()} == {"forecast.png", "scores.png", "forecast.gif"}


def test_regression_runs_from_top_to_bottom(monkeypatch, tmp_path):
    pytest.importorskip("formulaic")
    namespace, printed = run_python(DOCS / "regression.md", monkeypatch, tmp_path)
    _check_printed_output(printed, least=1)
    found = dict(zip(namespace["statistics"].names, namespace["inclusion"], strict=True))
    assert {n for n, p in found.items() if p > 0.5} == {"age", "dose:group[T.treated]"}
    died = dict(zip(namespace["program"].names, namespace["exact"].inclusion_probability, strict=True))
    assert {n for n, p in died.items() if p > 0.5} == {"age", "pulse"}
    np.testing.assert_allclose(namespace["smc"].inclusion_probability, list(died.values()), atol=0.03)


@pytest.mark.slow
def test_tutorial_prints_what_it_says(monkeypatch, tmp_path):
    field = bp.simulate(bp.SimulationSpec.from_mapping(_declared("allen_cahn_front")))
    field.to_netcdf(tmp_path / "video.nc", engine="h5netcdf")
    _, printed = run_python(DOCS / "tutorial.md", monkeypatch, tmp_path)
    _check_printed_output(printed, least=8)


def _check_printed_output(printed, *, least):
    """Printed text is that of the page: numbers within rounding, all else word for word."""
    shown = [(got, said) for got, said in printed if said]
    assert len(shown) >= least
    for got, said in shown:
        assert re.sub(NUMBER, "0", got).split() == re.sub(NUMBER, "0", said).split()
        numbers = [np.array([float(n) for n in re.findall(NUMBER, text)]) for text in (got, said)]
        np.testing.assert_allclose(*numbers, rtol=0.05, atol=0.002)


def _declared(name):
    from bayespde.zoo.declaration import read_declaration

    return read_declaration(name).settings["simulate"]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "console")], ids=lambda p: p.stem)
def test_commands_exist(page):
    root = typer.main.get_command(app)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in "\n".join(text for _, text in blocks(page, "console")).splitlines():
        program, *words = shlex.split(line.removeprefix("$ "), comments=True) or [""]
        if not program:
            continue
        if program == "make":
            assert re.search(rf"^{words[0]}:", makefile, flags=re.M)
            continue
        assert program == "bayespde"
        command = root
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {o for parameter in (*root.params, *command.params) for o in parameter.opts}
        assert {w for w in words if w.startswith("-")} <= options, line


def test_every_public_name_is_in_the_reference():
    text = "\n".join(p.read_text(encoding="utf-8") for p in (DOCS / "reference").glob("*.md"))
    documented = set(re.findall(r"^\.\. auto\w+:: bayespde\.(\w+)$", text, flags=re.M))
    assert set(bp.__all__) - {"__version__"} <= documented
    assert set(bp.figures.__all__) <= set(re.findall(r"\w+", text))


def _module(name):
    """A file beside docs/conf.py."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_citation_resolves_and_every_entry_is_whole():
    bibliography = _module("bibliography")
    source = (DOCS / "references.bib").read_text(encoding="utf-8")
    entries = bibliography.entries(source)
    assert len(entries) == source.count("@")
    assert all({"author", "title", "year"} <= set(e) for e in entries.values())
    rendered = bibliography.render(entries)
    assert not re.search(r"[{}\\]", rendered)
    cited = set()
    for file in [*(ROOT / "bayespde").rglob("*.py"), *CARDS]:
        for group in re.findall(r"\[([a-z]+\d{4}\w*(?:, [a-z]+\d{4}\w*)*)\]", file.read_text(encoding="utf-8")):
            cited |= set(group.split(", "))
    cited |= set(re.findall(r"\(#ref-(\w+)\)", "\n".join(p.read_text(encoding="utf-8") for p in PAGES)))
    assert cited
    assert cited <= set(entries)


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_pages_speak_of_the_package_only(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"/(home|work|tmp|root|Users)/|\bTODO\b|\bTBD\b", text)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text):
        assert any((page.parent / t).exists() for t in (target, f"../{target}")), target


@pytest.mark.parametrize("page", [*PAGES, *CARDS, *NOTEBOOKS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_links_lead_to_headings_that_exist(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        folders = (page.parent, page.parent.parent)
        there = next(f / target for f in folders if (f / target).is_file()) if target else page
        assert anchor in anchors(there), f"{target}#{anchor}"


def test_addresses_outside_are_well_formed():
    text = "\n".join(p.read_text(encoding="utf-8") for p in [*PAGES, *CARDS, *NOTEBOOKS])
    for address in re.findall(r"https?:[^\s)>`\"\\]*", text):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/[\w./~%#?&=+-]*)?", address), address
    found = re.findall(r"\bdoi=\{(.*?)\}", (DOCS / "references.bib").read_text(encoding="utf-8"))
    assert found
    assert [d for d in found if not re.fullmatch(r"10\.\d{4,9}/[^\s{}]+", d)] == []


def _formulas(page):
    """Pairs of LaTeX and whether it is displayed, as MyST reads them; code is left out."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.M | re.S)
    displayed = re.findall(r"^\$\$(.*?)^\$\$", text, flags=re.M | re.S)
    text = re.sub(r"^\$\$.*?^\$\$", "", text, flags=re.M | re.S)
    inline = re.findall(r"(?<![\\$])\$(?=[^\s$])(.*?[^\s$\\])\$|(?<![\\$])\$([^\s$])\$", text)
    return [(f, True) for f in displayed] + [(a or b, False) for a, b in inline]


@pytest.mark.parametrize("page", [p for p in [*PAGES, *NOTEBOOKS] if _formulas(p)], ids=lambda p: p.stem)
def test_formulas_are_mathml_that_browsers_know(page):
    pytest.importorskip("math_core")
    pytest.importorskip("sphinx")
    mathml = _module("mathml_pages").mathml
    known = set(MATHML.split())
    for latex, is_display in _formulas(page):
        page_of_it = pages.Page(mathml(latex, is_display=is_display))
        (math,) = page_of_it.root.children
        assert math.tag == "math"
        assert math.attributes.get("display") == ("block" if is_display else None)
        assert math.text
        assert not re.search(r"[\\&^_]", math.text), latex
        assert {e.tag for e in page_of_it.everything()} <= known, latex
        assert {e.attributes.get("mathvariant") for e in page_of_it.everything()} <= {None, "normal"}, latex


@pytest.mark.parametrize(
    ("latex", "rows", "columns"),
    [
        (r"\begin{align}a &= b \\ c &= d\end{align}", 2, {2, 4}),
        (r"\begin{split}a &= b \\ c &= d\end{split}", 2, {2}),
        (r"\begin{cases}1 & x < 0 \\ 2 & x \ge 0\end{cases}", 2, {2}),
        (r"a \\ b \\ c", 3, {1}),
    ],
)
def test_formulas_of_several_lines_are_tables_without_numbers(latex, rows, columns):
    pytest.importorskip("math_core")
    pytest.importorskip("sphinx")
    page = pages.Page(_module("mathml_pages").mathml(latex, is_display=True))
    assert len(page.all("mtr")) == rows
    assert {len(r.all("mtd")) for r in page.all("mtr")} <= columns
    assert "(1)" not in page.root.text


@pytest.mark.slow
def test_pages_build_without_a_warning(tmp_path):
    pytest.importorskip("myst_nb")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theory = {p.stem: p.read_text(encoding="utf-8") for p in (tmp_path / "html" / "theory").glob("*.html")}
    assert 'id="equation-eq-evidence"' in theory["model"]
    quickstart = (tmp_path / "html" / "notebooks" / "quickstart.html").read_text(encoding="utf-8")
    assert quickstart.count('<img alt="Figure drawn by figures.plot_') == quickstart.count("<img") >= 2
    assert "probability  log odds" in quickstart
    assert _broken_links(tmp_path / "html") == []
    assert _loaded_from_elsewhere(tmp_path / "html") == []
    assert r"\(" not in "".join(theory.values()) + quickstart
    numbered = r'<div class="math" id="equation-eq-pde">\s*<span class="eqno">\(1\)<a .*?</span><math display="block">'
    assert re.search(numbered, theory["index"])
    assert "At 50\N{NO-BREAK SPACE}% noise" in theory["weak_form"]
    arviz = (tmp_path / "html" / "arviz.html").read_text(encoding="utf-8")
    assert '<span class="pre">posterior.</span><wbr><span class="pre">inclusion_</span><wbr>' in arviz


def _broken_links(folder):
    """Links between built pages that lead nowhere, with the page they are on."""
    pages = {p.resolve(): p.read_text(encoding="utf-8") for p in folder.rglob("*.html") if "_static" not in p.parts}
    named = {p: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for p, text in pages.items()}
    broken = []
    for page, text in pages.items():
        for link in re.findall(r'\b(?:href|src)="(?![a-z]+:|//)([^"]+)"', text):
            path, _, anchor = unquote(html.unescape(link)).partition("#")
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not target.exists() or (anchor and target in named and anchor not in named[target]):
                broken.append((page.name, link))
    return broken


def _loaded_from_elsewhere(folder):
    """What built pages fetch from a network: not links, which a reader follows or not."""
    loaded = []
    for page in folder.rglob("*.html"):
        tags = re.findall(
            r"<(?:script|link|img|iframe|source|video|object|embed)\b[^>]*>", page.read_text(encoding="utf-8")
        )
        loaded += [(page.name, t) for t in tags if re.search(r'\b(?:src|href|data|srcset)="(?:https?:)?//', t)]
    for sheet in folder.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        loaded += [(sheet.name, u) for u in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^\"')]*", text)]
    return loaded
