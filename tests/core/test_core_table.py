"""Tables and formulas: what is read, and what is refused with a fix that works."""

import sys

import numpy as np
import pandas
import pandas as pd
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import StatisticsError
from bayespde.core.table import read_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "y": rng.normal(size=24),
            "a": rng.normal(size=24),
            "p-value": rng.uniform(1, 2, size=24),
            "ill": rng.random(24) < 0.5,
            "group": list("xyz" * 8),
        }
    )


def test_columns_come_from_frames_datasets_and_mappings(frame):
    numbers = frame.drop(columns="group")
    wanted = read_table(numbers, "y")
    assert wanted.names == ("a", "p-value", "ill")
    np.testing.assert_array_equal(wanted.design[:, 2], frame["ill"])
    dataset = xr.Dataset({n: ("row", numbers[n].to_numpy()) for n in numbers})
    for data in (dataset, {n: numbers[n].to_numpy() for n in numbers}, numbers.astype({"a": "Float64"})):
        found = read_table(data, "y")
        assert found.names == wanted.names
        np.testing.assert_array_equal(found.design, wanted.design)
        np.testing.assert_array_equal(found.target, frame["y"])


def test_masked_values_are_missing(frame):
    with pytest.raises(StatisticsError, match="missing values") as caught:
        read_table({"y": frame["y"].to_numpy(), "a": np.ma.masked_greater(frame["a"].to_numpy(), 1.0)}, "y")
    assert caught.value.fix.startswith("data = pandas.DataFrame(data).dropna")


def test_formulas_make_columns(frame):
    pytest.importorskip("formulaic")
    found = read_table(frame, "y ~ a * group + I(a**2) + `p-value`")
    assert set(found.names) == {"a", "group[T.y]", "group[T.z]", "a:group[T.y]", "a:group[T.z]", "I(a ** 2)", "p-value"}
    assert found.has_intercept
    np.testing.assert_allclose(found.design[:, found.names.index("a:group[T.z]")], frame["a"] * (frame["group"] == "z"))
    assert read_table(frame, "y ~ .").names == ("a", "p-value", "ill", "group[T.y]", "group[T.z]")
    assert read_table(frame, "y ~ . ", known="p-value").names == ("a", "ill", "group[T.y]", "group[T.z]")
    assert not read_table(frame, "y ~ 0 + a").has_intercept
    logs = read_table(frame.assign(y=np.exp(frame["y"])), "log(y) ~ a")
    assert logs.target_name == "log(y)"
    np.testing.assert_allclose(logs.target, frame["y"], atol=1e-12)


def test_a_column_may_be_called_like_a_formula(frame):
    odd = frame[["y", "a"]].rename(columns={"y": "y ~ a"})
    assert read_table(odd, "y ~ a").target_name == "y ~ a"


@pytest.mark.parametrize("kind", ["frame", "mapping", "dataset"])
@pytest.mark.parametrize("formula", ["y", "y ~ a + group"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_fix_for_rows_that_are_not_finite_works(frame, kind, formula, bad):
    if "~" in formula:
        pytest.importorskip("formulaic")
    frame.loc[[2, 5], "a"] = bad
    kept = frame if "~" in formula else frame[["y", "a"]]
    data = {
        "frame": kept,
        "mapping": {n: kept[n].to_numpy() for n in kept},
        "dataset": xr.Dataset({n: ("row", kept[n].to_numpy()) for n in kept}),
    }[kind]
    with pytest.raises(StatisticsError, match="2 of 24") as caught:
        read_table(data, formula)
    namespace = {"data": data, "pandas": pandas}
    exec(caught.value.fix, namespace)
    assert len(read_table(namespace["data"], formula).target) == 22


def test_a_missing_category_is_not_the_first_one(frame):
    pytest.importorskip("formulaic")
    frame.loc[3, "group"] = None
    with pytest.raises(StatisticsError, match=r"1 of 24 rows, in group"):
        read_table(frame, "y ~ group")
    assert len(read_table(frame, "y ~ a").target) == 24


def test_values_that_a_function_does_not_take_are_refused_and_the_fix_works(frame):
    pytest.importorskip("formulaic")
    frame["p-value"] -= frame["p-value"].min()
    with pytest.raises(StatisticsError, match="1 of 24") as caught, np.errstate(divide="ignore"):
        read_table(frame, "y ~ log(`p-value`)")
    namespace = {"data": frame}
    exec(caught.value.fix, namespace)
    assert len(read_table(namespace["data"], "y ~ log(`p-value`)").target) == 23


@pytest.mark.parametrize(
    ("data", "formula"),
    [
        (None, "y"),
        (3, "y"),
        ([[1.0, 2.0]], "y"),
        (np.ones((3, 3)), "y"),
        ({}, "y"),
        ({"y": [1.0], "a": [1.0, 2.0]}, "y"),
        (pd.DataFrame(), "y"),
        ({"y": [1.0, 2.0], "a": [1.0, 2.0]}, "z"),
        ({"y": [1.0, 2.0]}, "y"),
        ({"y": [1.0, 2.0], "a": ["b", "c"]}, "y"),
        ({"y": [1.0, 2.0], "a": np.array(["2020", "2021"], dtype="datetime64[D]")}, "y"),
        ({"y": [1.0, 2.0], "a": [1j, 2j]}, "y"),
        (pd.DataFrame([[1.0, 2.0, 3.0]], columns=["y", "a", "a"]), "y"),
    ],
)
def test_what_is_no_table_is_refused(data, formula):
    with pytest.raises(bp.BayespdeError) as caught:
        read_table(data, formula)
    assert caught.value.fix
    assert caught.value.wanted


def test_the_fixes_of_names_and_categories_work(frame):
    numbers = frame.drop(columns="group")
    with pytest.raises(StatisticsError, match="no such column") as caught:
        read_table(numbers, "z")
    assert read_table(numbers, eval(caught.value.fix)).names
    twice = pd.concat([numbers, numbers[["a"]]], axis=1)
    with pytest.raises(StatisticsError, match="twice") as caught:
        read_table(twice, "y")
    assert read_table(eval(caught.value.fix, {"data": twice}), "y").names == ("a", "p-value", "ill")
    with pytest.raises(StatisticsError, match="'group' does not hold numbers") as caught:
        read_table(frame, "y")
    without, _, formula = caught.value.fix.partition(", or a formula such as ")
    assert read_table(eval(without, {"data": frame}), "y").names == ("a", "p-value", "ill")
    pytest.importorskip("formulaic")
    assert len(read_table(frame, eval(formula)).names) == 2
    with pytest.raises(StatisticsError, match="cannot be read") as caught:
        read_table(numbers[["a", "y"]], "y ~ nope")
    assert read_table(numbers[["a", "y"]], eval(caught.value.fix)).names == ("a",)


@pytest.mark.parametrize("formula", ["y ~~ a", "~ a", "y ~ nope", "y + a ~ group", "y ~ 1", "y ~ f(a)", "group ~ a"])
def test_formulas_that_cannot_be_read_are_refused(frame, formula):
    pytest.importorskip("formulaic")
    with pytest.raises(StatisticsError) as caught:
        read_table(frame, formula)
    assert caught.value.fix


def test_a_formula_without_its_package_says_how_to_get_it(frame, monkeypatch):
    monkeypatch.setitem(sys.modules, "formulaic", None)
    with pytest.raises(StatisticsError, match="formulaic") as caught:
        read_table(frame, "y ~ a")
    assert caught.value.fix == "pip install 'bayespde[regression]'"
    assert read_table(frame.drop(columns="group"), "y").names


def test_a_target_whose_name_holds_a_tilde_keeps_its_intercept(frame):
    named = frame.drop(columns="group").rename(columns={"y": "y ~ 1"})
    found = read_table(named, "y ~ 1")
    assert found.has_intercept
    assert found.target_name == "y ~ 1"
    assert "y ~ 1" not in found.names
