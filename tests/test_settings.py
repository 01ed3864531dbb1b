"""Every class that checks itself: each field has a range, and refuses what is outside, with a fix that works."""

import dataclasses
import importlib
import math
import pkgutil
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
from small_problem import SPEC

import bayespde as bp
from bayespde.core.annotations import LARGEST, OneOf, Range, hints_of
from bayespde.core.checked import Checked
from bayespde.core.errors import BayespdeError, ConfigError
from bayespde.core.rows import RowModel
from bayespde.smooth.network.program import DensityConfig

for module in pkgutil.walk_packages(bp.__path__, "bayespde."):
    if not module.name.startswith("bayespde.cli"):
        importlib.import_module(module.name)


def subclasses(kind):
    return {kind} | {one for child in kind.__subclasses__() for one in subclasses(child)}


def ours(kind):
    return kind.__module__.startswith("bayespde.")


CHECKED = sorted((k for k in subclasses(Checked) if ours(k) and dataclasses.is_dataclass(k)), key=lambda k: k.__name__)
# Settings: all classes that can be built from numbers and texts. What the required fields of some of them may be.
REQUIRED = {
    bp.Coupling: {"first": "u", "second": "u_x"},
    bp.SimulationSpec: {name: SPEC[name] for name in ("equation", "extent", "points", "times", "initial")},
    DensityConfig: {"pixels": 100, "noise_scale": 1.0},
}
VALUES = {"CoupledDiscovery", "CoupledEquations", "Discovery", "Equation", "Library", "Posterior", "SmoothField"} | {
    "Column", "NoiseModel", "ProcessNoise", "SpinModel", "SufficientStatistics", "Term", "TrajectoryPosterior"
}  # fmt: skip
SETTINGS = [k for k in CHECKED if k.__name__ not in VALUES]


def leaves(hint, rules=()):
    """Pairs of a type and the rules that bound it, of every part of an annotation."""
    if get_origin(hint) is Annotated:
        return leaves(get_args(hint)[0], get_args(hint)[1:])
    inner = [a for a in get_args(hint) if a is not ...] if get_origin(hint) is not None else []
    if not inner or get_origin(hint).__name__ == "Literal":
        return [(hint, rules)]
    return [leaf for part in inner for leaf in leaves(part)]


def fields(kind):
    return [(f, hints_of(kind)[f.name]) for f in dataclasses.fields(kind) if f.init]


def made(kind, /, **given):
    return kind(**(REQUIRED.get(kind, {}) | given))


def test_settings_and_public_dataclasses_check_themselves():
    """A new class of settings, or a new public dataclass, must be `Checked`."""
    public = {v for v in (getattr(bp, n) for n in bp.__all__) if isinstance(v, type) and dataclasses.is_dataclass(v)}
    modules = [m for n, m in list(__import__("sys").modules.items()) if n.startswith("bayespde.")]
    named = {v for m in modules for v in vars(m).values() if isinstance(v, type) and ours(v)}
    named = {v for v in named if v.__name__.endswith(("Config", "Spec", "Slab", "Prior", "Coupling"))}
    named = {v for v in named if dataclasses.is_dataclass(v)}
    assert len(named) > 12
    assert {k.__name__ for k in (public | named) if not issubclass(k, Checked)} == set()
    assert {k.__name__ for k in CHECKED} >= VALUES


@pytest.mark.parametrize("kind", CHECKED, ids=lambda k: k.__name__)
def test_every_number_has_a_declared_range(kind):
    bare = [f.name for f, hint in fields(kind) for leaf, rules in leaves(hint) if leaf in (int, float) and not rules]
    assert bare == []


NUMBERS = [math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e308, np.float64("nan"), np.float32("inf")]
WRONG = ["a", None, True, [], {}, object(), 1j, b"a", np.ones(2), [None], ("a",), *NUMBERS]


def may_be(value, hint):
    """Whether the annotation has a part of the kind of this value, by an oracle of its own."""
    kinds = {leaf for leaf, _ in leaves(hint)}
    texts = [rules for leaf, rules in leaves(hint) if leaf is str]
    if Any in kinds:
        return True
    if value is None or isinstance(value, bool):
        return type(value) in kinds or value in kinds
    if isinstance(value, str):
        return any(not rules for rules in texts)
    origins = {getattr(get_origin(part), "__name__", "") for part in (hint, *get_args(hint))}
    if isinstance(value, dict):
        return "Mapping" in origins
    if isinstance(value, list | tuple):
        return bool({"tuple", "Sequence"} & origins) and (not len(value) or str in kinds)
    return isinstance(value, float | np.floating) and any(
        isinstance(r, OneOf) and float(value) in r for _, rs in leaves(hint) for r in rs
    )


def outside(rule):
    bounds = [(rule.lowest, -1), (rule.highest, 1), (rule.above, 0), (rule.below, 0)]
    return [b + s * max(1e-6 * abs(b), 1e-120) for b, s in bounds if b is not None]


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda k: k.__name__)
def test_what_a_field_cannot_be_is_refused(kind):
    tried = 0
    for field, hint in fields(kind):
        scalar = [r for leaf, rules in leaves(hint) if leaf in (int, float) for r in rules if isinstance(r, Range)]
        bad = [v for v in WRONG if not may_be(v, hint)]
        if int in {leaf for leaf, _ in leaves(hint)}:
            bad += [v for r in scalar for v in (r.lowest - 1, r.highest + 1)]
        else:
            bad += [v for r in scalar for v in outside(r)]
        for value in bad:
            with pytest.raises(BayespdeError) as caught:
                made(kind, **{field.name: value})
            error = caught.value
            assert isinstance(error, ConfigError) or field.name in ("record", "boundary_data"), (field.name, value)
            assert error.wanted, (field.name, value)
            assert error.fix, (field.name, value)
            tried += 1
    assert tried >= 3 * len(fields(kind))


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda k: k.__name__)
def test_the_fix_of_a_setting_works(kind):
    for field, hint in fields(kind):
        if may_be("nonsense", hint) or field.default is dataclasses.MISSING:
            continue
        with pytest.raises(BayespdeError) as caught:
            made(kind, **{field.name: "nonsense"})
        name, _, value = caught.value.fix.partition("=")
        if name == field.name and name != "chosen":
            namespace = {"inf": math.inf} | {f"{k.__name__}()": k() for k in SETTINGS if k not in REQUIRED}
            found = made(kind, **{name: _literal(value, namespace)})
            assert repr(found) == repr(made(kind))


def _literal(text, namespace):
    import ast

    return namespace.get(text) if text in namespace else ast.literal_eval(text)


def test_numbers_of_numpy_and_lists_are_taken():
    config = bp.SMCConfig(particles=np.int64(64), flips=np.float32(0.5), schedule=[0.1, 1])
    assert (config.particles, config.flips, config.schedule) == (64, 0.5, (0.1, 1))
    assert type(config.particles) is int
    assert type(config.flips) is float
    with pytest.raises(ConfigError, match="'runs' is out of range"):
        bp.SMCConfig(runs=np.float64(2.0))
    with pytest.raises(ConfigError, match="'dealias'"):
        bp.SolverConfig(dealias=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("prior_variance", v) for v in (math.nan, -1.0, 0.0, math.inf)]
    + [("prior_rows", v) for v in (-1.0, 0.0, math.nan)]
    + [("floor", v) for v in (math.nan, -1, math.inf)]
    + [("log_jacobian", v) for v in (math.nan, math.inf, [0.0, 1.0], "a")]
    + [("power", "a")],
)
def test_rows_take_no_model_that_cannot_be(name, value):
    design = np.random.default_rng(0).standard_normal((60, 3))
    with pytest.raises(BayespdeError, match=name if name != "log_jacobian" else "log"):
        bp.SufficientStatistics.from_rows(design, design[:, 0], model=RowModel(**{name: value}))


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e101])
def test_rows_whose_squares_overflow_are_refused_and_the_fix_works(scale):
    design = np.random.default_rng(0).standard_normal((60, 3))
    for rows, target in ((design, design[:, 0] * scale), (design * scale, design[:, 0])):
        with pytest.raises(BayespdeError, match="squares"):
            bp.SufficientStatistics.from_rows(rows, target)
    assert bp.SufficientStatistics.from_rows(design, design[:, 0] * scale / scale).rows == 60


@pytest.mark.parametrize("blocks", [0, -3, 2.5, True, None, "16"])
def test_rows_are_not_cut_into_impossible_blocks(blocks):
    with pytest.raises(BayespdeError, match="blocks"):
        bp.SufficientStatistics.from_rows(np.eye(30, 3), np.ones(30), blocks=blocks)


@pytest.mark.parametrize("level", [math.nan, math.inf, -0.1, "a", None, True])
def test_noise_of_no_level_is_refused(level):
    field = bp.make_field(np.random.default_rng(0).random((21, 32)), t=np.arange(21.0), x=np.arange(32.0))
    with pytest.raises(ConfigError, match="level"):
        bp.add_noise(field, level, seed=0)


@pytest.mark.parametrize("complexity", [math.inf, math.nan, 0, -1, True, "a", None, 2 * LARGEST])
def test_a_complexity_is_a_positive_number(complexity):
    with pytest.raises(BayespdeError, match=r"complexity|terms"):
        bp.Library.from_strings({"u": complexity})


@pytest.mark.parametrize("axes", ["a-z", "", "xyzt", ".", None, 3])
def test_axes_are_those_of_space(axes):
    with pytest.raises(BayespdeError, match="axes"):
        bp.Library.from_strings(["u_x"], axes=axes)


@pytest.mark.parametrize("name", ["sin", "exp", "cos", "tanh", "t", "x", "lambda", "u_x", "3u", "u v"])
def test_a_variable_has_a_name_of_its_own(name):
    with pytest.raises(BayespdeError, match=r"name|target"):
        bp.Library.from_strings([name], variable=name, target=f"{name}_t")
    with pytest.raises(BayespdeError, match="name of the field"):
        bp.make_field(np.random.default_rng(0).random((21, 32)), t=np.arange(21.0), x=np.arange(32.0), name=name)
