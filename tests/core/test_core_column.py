"""Columns of a table as terms: any name, never parsed, and no door to a field open."""

import copy
import pickle
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

import bayespde as bp
from bayespde.core.column import Column
from bayespde.core.errors import TermError
from bayespde.core.library_record import library_from_record, library_record
from bayespde.results.typeset import math_text, term_mathml

NAMES = ["age", "dose:age", "I(x**2)", "p-value", "x_1", "größe", "u_t", "u_xx", "1", "0", "C(g)[T.b]", "a b", "sin"]
WRITTEN = {"p-value": "`p-value`", "1": "`1`", "0": "`0`", "a b": "`a b`"}
FIELD = bp.make_field(np.random.default_rng(0).random((21, 32)), t=np.arange(21.0), x=np.arange(32.0))


@pytest.fixture(scope="module")
def library():
    return bp.Library.columns(NAMES, target="y", complexities={"age": 2.0})


@pytest.fixture(scope="module")
def posterior(library):
    rng = np.random.default_rng(0)
    design = rng.normal(size=(80, len(NAMES)))
    target = 1.2 * design[:, 0] - 0.4 * design[:, 3] + 0.7 * design[:, 8] + 0.3 * rng.normal(size=80)
    rows = bp.SufficientStatistics.from_rows(design, target, names=NAMES, target_name="y")
    return bp.sample(bp.SpinModel(rows, library), method="exact", particles=64, runs=2, seed=1)


def test_names_are_kept_as_they_are(library):
    assert library.names == tuple(NAMES)
    assert [t.factor for t in library] == [WRITTEN.get(n, n) for n in NAMES]
    assert library.complexities[0] == 2
    assert set(library.complexities[1:]) == {1.0}
    assert library.index("u_xx") == 7
    with pytest.raises(TermError, match="no such term"):
        library.index("u_x")
    assert pickle.loads(pickle.dumps(library)) == copy.deepcopy(library) == library
    assert library_from_record(library_record(library)) == library


def test_complexities_come_by_name_or_in_order():
    by_name = bp.Library.columns(["a", "b"], complexities={"b": 3.0})
    assert by_name == bp.Library.columns(["a", "b"], complexities=[1.0, 3.0])
    assert by_name == bp.Library.columns(["a", "b"], complexities=np.array([1.0, 3.0]))
    for wrong in ([1.0], [], {"c": 1.0}, [1.0, -1.0], {"a": 0.0}, "ab"):
        with pytest.raises(TermError, match="complexit"):
            bp.Library.columns(["a", "b"], complexities=wrong)


@pytest.mark.parametrize(
    "names", [[], ["a", "a"], ["a", "y"], [""], ["a\nb"], ["a\x00"], ["\ud800"], [1, 2], "ab", None, [None]]
)
def test_names_that_cannot_be_told_apart_or_printed_are_refused(names):
    with pytest.raises(TermError) as caught:
        bp.Library.columns(names, target="y")
    assert caught.value.fix


def test_the_fixes_work():
    for wrong in (
        lambda: bp.Library.columns(["a", "b"], complexities=[1.0]),
        lambda: bp.Library.columns(["a", "b"], complexities={"c": 1.0}),
    ):
        with pytest.raises(TermError) as caught:
            wrong()
        assert len(eval(f"bp.Library.columns(['a', 'b'], {caught.value.fix})")) == 2
    with pytest.raises(TermError) as caught:
        bp.Library.columns(["a", "a"])
    assert len(eval(f"bp.{caught.value.fix}")) == 2
    frame = pd.DataFrame({"a\nb": [1.0, 2.0, 4.0], "y": [1.0, 3.0, 2.0]})
    with pytest.raises(TermError) as caught:
        bp.sample(bp.SpinModel(bp.regression_statistics(frame, "y")))
    assert bp.Library.columns(list(eval(caught.value.fix).columns), target="z").names == (r"'a\nb'", "'y'")


def test_columns_and_terms_of_a_field_do_not_mix(library):
    terms = bp.Library.from_strings(["u", "u_x"]).terms
    for wrong in (
        lambda: bp.Library(library.terms),
        lambda: bp.Library((*terms, *library.terms)),
        lambda: bp.Library(terms, "y", ""),
        lambda: bp.Equation(library.terms[:1], (1.0,)),
        lambda: bp.Equation(terms[:1], (1.0,), "y", ""),
    ):
        with pytest.raises(TermError, match="columns"):
            wrong()


DOORS = {
    "assemble": lambda p: bp.assemble(p.library, bp.fit_field(FIELD)),
    "strong": lambda p: bp.assemble(p.library, bp.fit_field(FIELD), form=bp.StrongForm(power=0.1)),
    "discover": lambda p: bp.discover(FIELD, library=p.library),
    "forecast": lambda p: bp.forecast(p, FIELD[0], [0.0, 1.0]),
    "fit_trajectories": lambda p: bp.fit_trajectories(p, bp.fit_field(FIELD)),
    "integrate": lambda p: bp.integrate(bp.equations(p)[0].equation(p.library), FIELD[0], [0.0, 1.0]),
    "couplings": lambda p: bp.isotropic_couplings(p.library),
    "coupled": lambda p: bp.CoupledEquations((bp.equations(p)[0].equation(p.library),)),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_column_is_taken_for_a_term_of_a_field(posterior, door):
    with pytest.raises(TermError, match="no expression in a field"):
        DOORS[door](posterior)


def test_equations_read_as_regressions(posterior):
    best = bp.equations(posterior, top=1)[0]
    assert best.names == ("age", "p-value", "1")
    number = r"\d\.\d+\(\d+\)"
    assert re.fullmatch(rf"y = {number} age - {number} `p-value` \+ {number} `1`", str(best))
    assert best.units == ("1", "1", "1")
    assert str(best.equation(posterior.library)).endswith(" `1`")
    assert {"y = 0"} < set(map(str, bp.pareto_front(posterior)["text"].values))
    assert any(t.endswith("`1`") for t in map(str, bp.pareto_front(posterior)["text"].values))
    assert "age, p-value, 1" in bp.top_models(posterior)["names"].values
    assert bp.diagnose(posterior)


def test_a_posterior_over_columns_survives_export_files_figures_and_report(posterior, tmp_path):
    from bayespde.results.inference_data import load, save

    save(posterior, tmp_path / "posterior.nc")
    for other in (bp.from_inference_data(bp.to_inference_data(posterior)), load(tmp_path / "posterior.nc")):
        assert other.library == posterior.library
        assert list(map(str, bp.equations(other))) == list(map(str, bp.equations(posterior)))
    for figure in (
        bp.figures.plot_inclusion(posterior),
        bp.figures.plot_pareto(bp.pareto_front(posterior)),
        bp.figures.plot_top_models(posterior),
        bp.figures.plot_coefficients(posterior, at_least=0.0),
    ):
        assert bp.figures.figure_bytes(figure, "png")


@given(st.text(min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_text_can_be_drawn(text):
    written = math_text(text)
    if written.startswith("$") and written != text:
        MathTextParser("path").parse(written)
    else:
        assert matplotlib.cbook.is_math_text(written) is False


@given(st.text(min_size=1, max_size=12).filter(str.isprintable))
@settings(max_examples=100, deadline=None)
def test_any_name_can_be_a_column(name):
    column = Column(name)
    assert name in column.factor
    assert "<" not in term_mathml(column).removeprefix("<mtext>").removesuffix("</mtext>")
    assert bp.Library.columns([name], target=name + "'").names == (name,)


def test_a_frame_with_numbered_columns_can_be_used():
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(30, 4)))
    rows = bp.regression_statistics(frame, "3")
    assert rows.names == ("0", "1", "2")
    assert bp.SpinModel(rows).candidates == bp.Library.columns(["0", "1", "2"], target="3")
