"""Every function of ArviZ that the documentation names works as described there, in the installed version."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from bayespde.core.pairwise import PairwiseSpins
from bayespde.results.arviz_bridge import to_inference_data

arviz = pytest.importorskip("arviz")
pytest.importorskip("matplotlib").use("Agg")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "arviz.md"
LINE = "1.x" if int(arviz.__version__.split(".")[0]) >= 1 else "0.x"
VERDICTS = {"works", "undefined", "misleads", "raises", "–"}
ROWS = [
    tuple(cell.strip() for cell in row)
    for row in re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.M
    )
    if "x" in row[1]
]
HERE = [(name, spins, others) for name, lines, spins, others, _ in ROWS if LINE in lines]
NEW = LINE == "1.x"

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("ignore:.*ArviZ is undergoing:FutureWarning"),
]


@pytest.fixture
def inference_data(burgers):
    """With a term that is always in, and one that never is."""
    prior = PairwiseSpins(np.full(5, -0.85), np.zeros((5, 5)))
    return to_inference_data(dataclasses.replace(burgers, prior=prior))


def call(name, data, variable):
    """The function on one variable; on the whole where it takes no variable."""
    function = getattr(arviz, name)
    if name in ("loo", "waic"):
        return function(data, var_name="block_energy")
    if name == "compare":
        return function({"a": data, "b": data})
    if name == "plot_compare":
        return function(arviz.compare({"a": data, "b": data}))
    if name == "plot_khat":
        return function(arviz.loo(data, var_name="block_energy", pointwise=True))
    if name == "plot_loo_pit":
        return function(data, var_names=["block_energy"]) if NEW else function(data, y="block_energy")
    if name in ("plot_energy", "plot_ppc", "plot_ppc_dist"):
        return function(data)
    if name == "psens":
        return function(data, component="likelihood", var_names=[variable])
    if name == "rhat_nested":
        return function(data, superchain_ids=[0, 0, 1, 1], var_names=[variable])
    if name == "plot_dist_comparison":
        return function(data, kind="posterior", var_names=[variable])
    if name in ("bayes_factor", "plot_bf"):
        return function(data, var_names=[variable]) if NEW else function(data, var_name=variable, ref_val=1)
    return function(data, var_names=[variable])


def verdict(text):
    return re.match(r"[\w–]+", text)[0]


def test_the_table_is_read_and_covers_both_versions():
    assert len(ROWS) > 35
    assert {verdict(cell) for row in ROWS for cell in row[2:4]} <= VERDICTS
    for word in ("0.x", "1.x"):
        assert any(word in row[1] for row in ROWS)


@pytest.mark.parametrize(("name", "spins", "others"), HERE)
def test_functions_work_as_described(name, spins, others, inference_data):
    from matplotlib import pyplot

    others_variable = "coefficient" if "for `model_size`" not in others and "counts" not in others else "model_size"
    try:
        for variable, said in (("spin", spins), (others_variable, others)):
            if verdict(said) == "raises":
                with pytest.raises(Exception):  # noqa: B017
                    call(name, inference_data, variable)
            elif verdict(said) != "–":
                call(name, inference_data, variable)
    finally:
        pyplot.close("all")


@pytest.mark.parametrize("name", sorted({row[0] for row in ROWS}))
def test_functions_that_are_not_named_for_this_version_are_not_in_it(name):
    if name not in {row[0] for row in HERE}:
        assert not hasattr(arviz, name)


def test_replacements_exist():
    pytest.importorskip("torch")
    import bayespde as bp

    for row in ROWS:
        for path in re.findall(r"`bp\.([\w.]+)`", row[4]):
            found = bp
            for part in path.split("."):
                found = getattr(found, part)
            assert callable(found)
