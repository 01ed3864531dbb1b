"""Tables to dataclasses: what becomes what; what is refused, by the path of its key and with the nearest known one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from bayespde.core.errors import ConfigError
from bayespde.core.settings import build, build_kind, check_keys


@dataclass(frozen=True)
class Knot:
    place: float
    weight: float = 1.0


@dataclass(frozen=True)
class Grid:
    points: int
    knots: tuple[Knot, ...] = ()

    def __post_init__(self):
        if self.points < 1:
            raise ConfigError("No points.", got=self.points, wanted="1 or more", fix="points=1")


@dataclass(frozen=True)
class Settings:
    text: str = "auto"
    count: int = 3
    number: float = 0.5
    chosen: Literal["l1", "l2"] = "l1"
    is_fast: bool = False
    either: float | str | None = None
    pair: tuple[int, int] | None = None
    many: tuple[float, ...] = ()
    names: str | Sequence[str] = ()
    by_name: Mapping[str, int] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid | None = None


def test_every_type_is_read_as_its_annotation_says():
    table = {
        "text": "spline", "count": 4, "number": 2, "chosen": "l2", "is_fast": True, "either": "auto", "pair": [3, 9],
        "many": [1, 0.5], "names": ["u", "v"], "by_name": {"x": 3}, "anything": {"a": [1, {"b": 2}]},
        "grid": {"points": 8, "knots": [{"place": 1.5}, {"place": 2, "weight": 3.0}]},
    }  # fmt: skip
    found = build(Settings, table, "here")
    assert found == Settings(
        "spline", 4, 2.0, "l2", True, "auto", (3, 9), (1.0, 0.5), ["u", "v"], {"x": 3}, {"a": [1, {"b": 2}]},
        Grid(8, (Knot(1.5), Knot(2.0, 3.0))),
    )  # fmt: skip
    assert type(found.number) is float
    assert build(Settings, {}, "here") == Settings()


def test_what_is_built_already_is_taken_as_it_is():
    grid = Grid(5, (Knot(1.0),))
    assert build(Settings, {"grid": grid}, "here").grid is grid
    assert build(Grid, {"points": 2, "knots": grid.knots}, "here").knots == grid.knots


# A table, and the parts of the message: what, got, wanted, fix.
BAD = {
    "unknown key": ({"cuont": 3}, "Unknown keys in here.", "cuont", "anything, by_name, chosen, count", "'count'"),
    "unknown key, none near": ({"zzz": 3}, "Unknown keys in here.", "zzz", "count", "remove them"),
    "unknown key of a table": ({"grid": {"points": 3, "knot": []}}, "in here.grid.", "knot", "knots", "'knots'"),
    "unknown key of a list": (
        {"grid": {"points": 3, "knots": [{"place": 1}, {"plaice": 1}]}},
        "in here.grid.knots[1].", "plaice", "place", "'place'",
    ),
    "missing key": ({"grid": {"knots": []}}, "Keys are missing in here.grid.", "knots", "points", "add points"),
    "text for a count": ({"count": "many"}, "here.count is not usable", "'many'", "int", "here.count"),
    "a part of a count": ({"count": 2.0}, "here.count", "2.0", "int", "here.count"),
    "truth for a count": ({"count": True}, "here.count", "True", "int", "here.count"),
    "truth for a number": ({"number": True}, "here.number", "True", "float", "here.number"),
    "a count for truth": ({"is_fast": 1}, "here.is_fast", "1", "bool", "here.is_fast"),
    "a choice": ({"chosen": "l3"}, "here.chosen", "'l3'", "Literal['l1', 'l2']", "here.chosen"),
    "neither": ({"either": [1]}, "here.either", "[1]", "float | str | None", "here.either"),
    "three for a pair": ({"pair": [1, 2, 3]}, "here.pair", "[1, 2, 3]", "tuple[int, int]", "here.pair"),
    "a text for a list": ({"many": "abc"}, "here.many", "'abc'", "tuple[float, ...]", "here.many"),
    "a table for a list": ({"many": {"a": 1}}, "here.many", "{'a': 1}", "tuple[float, ...]", "here.many"),
    "text in a table": ({"by_name": {"x": "wide"}}, "here.by_name", "wide", "Mapping[str, int]", "here.by_name"),
    "a table of tables": ({"grid": 3}, "here.grid must be a table", "3", "a table", "[here.grid]"),
    "a list of tables": ({"grid": {"points": 1, "knots": {"place": 1}}}, "here.grid.knots", "place", "tuple", "knots"),
    "refused by its class": ({"grid": {"points": 0}}, "No points", "0", "1 or more", "points=1"),
    "no table": ([("count", 3)], "here must be a table", "count", "a table", "[here]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_is_named_by_its_path(case):
    table, what, got, wanted, fix = BAD[case]
    with pytest.raises(ConfigError) as caught:
        build(Settings, table, "here")
    error = caught.value
    assert what in error.what
    assert got in str(error.got)
    assert wanted in error.wanted
    assert fix in error.fix


def test_withheld_keys_are_unknown_here_only():
    withheld = {"grid.points", "count"}
    with pytest.raises(ConfigError, match="Unknown keys in here"):
        build(Settings, {"count": 3}, "here", withheld=withheld)
    with pytest.raises(ConfigError, match=r"Unknown keys in here\.grid") as caught:
        build(Settings, {"grid": {"points": 3}}, "here", withheld=withheld)
    assert caught.value.wanted == "knots"
    with pytest.raises(ConfigError, match=r"in here\.knots\[0\]"):
        build(Grid, {"points": 3, "knots": [{"place": 1, "weight": 2.0}]}, "here", withheld={"knots.weight"})


def test_a_kind_chooses_the_dataclass():
    kinds = {"knot": Knot, "grid": Grid}
    assert build_kind(kinds, {"kind": "grid", "points": 3}, "here", default="knot") == Grid(3)
    assert build_kind(kinds, {"place": 3}, "here", default="knot") == Knot(3.0)
    for wrong in ({"kind": "square"}, {"kind": 3}, {"kind": {"a": 1}}):
        with pytest.raises(ConfigError, match="kind of here is unknown") as caught:
            build_kind(kinds, wrong, "here", default="knot")
        assert caught.value.wanted == "'knot', 'grid'"
        assert caught.value.fix == "kind = 'knot'"


def test_keys_are_checked_and_the_table_returned():
    table = {"a": 1, "b": 2}
    assert check_keys(table, ("a", "b", "c"), "here", required=["a"]) is table
    with pytest.raises(ConfigError, match="missing in here"):
        check_keys({}, ("a", "b"), "here", required=("a", "b"))
    with pytest.raises(ConfigError, match="must be a table"):
        check_keys(None, ("a",), "here")
