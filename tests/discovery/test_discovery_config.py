"""Settings from plain tables: read, written, and refused where they are not understood."""

import json
import tomllib

import pytest

import bayespde as bp
from bayespde.core.errors import BayespdeError, ConfigError, FileError, TermError
from bayespde.core.settings import read_toml
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.library.declared import library_from_mapping
from bayespde.model.prior import Prior
from bayespde.zoo.declaration import read_declaration

EVERYTHING = """
enumerate_up_to = 12
[smooth]
smoother = "network"
order = 3
weight = 1e-3
steps = 50
spline = { degree = 5, penalty_order = 3 }
networks = [{ activation = "sine", width = 16, depth = 3 }, { width = 8 }]
[form]
kind = "weak"
support_radius = { time = 10, x = 20 }
rows = 100
[smooth.penalty]
kind = "l2"
axis_weights = [1.0, 0.5]
mixed = true
[prior]
expected_terms = 2.5
slab = { kind = "g-prior", g = 100.0 }
[sample]
particles = 128
runs = 3
schedule = [0.1, 0.5, 1.0]
"""


def test_every_section_reaches_its_stage():
    config = bp.DiscoverConfig.from_mapping(tomllib.loads(EVERYTHING))
    assert config.enumerate_up_to == 12
    assert (config.smoothing.smoother, config.smoothing.order, config.smoothing.weight) == ("network", 3, 1e-3)
    assert (config.smoothing.spline.degree, config.smoothing.spline.penalty_order) == (5, 3)
    assert [n.activation for n in config.smoothing.networks] == ["sine", "tanh"]
    assert (config.smoothing.penalty.kind, config.smoothing.penalty.axis_weights) == ("l2", (1.0, 0.5))
    assert config.smoothing.penalty.mixed
    assert [n.width for n in config.smoothing.networks] == [16, 8]
    assert isinstance(config.form, bp.WeakForm)
    assert (config.form.support_radius, config.form.rows) == ({"time": 10, "x": 20}, 100)
    assert config.prior == Prior(expected_terms=2.5, slab=GPriorSlab(100.0))
    assert (config.sampler.particles, config.sampler.runs, config.sampler.schedule) == (128, 3, (0.1, 0.5, 1.0))


def test_nothing_said_means_the_defaults():
    assert bp.DiscoverConfig.from_mapping({}) == bp.DiscoverConfig()
    assert isinstance(bp.DiscoverConfig().prior.slab, HyperGSlab)
    assert isinstance(bp.DiscoverConfig().form, bp.WeakForm)


@pytest.mark.parametrize(
    ("kind", "slab"), [("hyper-g", HyperGSlab), ("g-prior", GPriorSlab), ("isotropic", IsotropicSlab)]
)
def test_kinds_of_slab(kind, slab):
    config = bp.DiscoverConfig.from_mapping({"prior": {"slab": {"kind": kind}}})
    assert isinstance(config.prior.slab, slab)


def test_kinds_of_form():
    assert isinstance(bp.DiscoverConfig.from_mapping({"form": {"kind": "strong", "trim": 0.1}}).form, bp.StrongForm)


def test_settings_are_json_that_tells_them_apart():
    text = bp.DiscoverConfig().as_json()
    assert json.loads(text)["sampler"]["particles"] == 2048
    assert text == bp.DiscoverConfig().as_json()
    assert text != bp.DiscoverConfig(enumerate_up_to=3).as_json()


BAD = {
    "unknown section": {"smoother": {}},
    "unknown key in smooth": {"smooth": {"metod": "spline"}},
    "unknown key in form": {"form": {"row": 3}},
    "unknown key in prior": {"prior": {"expected": 3}},
    "unknown key in sample": {"sample": {"particle": 3}},
    "unknown key in spline": {"smooth": {"spline": {"order": 3}}},
    "unknown key in a network": {"smooth": {"networks": [{"size": 3}]}},
    "unknown form": {"form": {"kind": "strange"}},
    "unknown slab": {"prior": {"slab": {"kind": "horseshoe"}}},
    "kind that is no text": {"form": {"kind": 3}},
    "kind that is a table": {"form": {"kind": {"a": 1}}},
    "section that is no table": {"sample": 3},
    "prior that is no table": {"prior": [1, 2]},
    "slab that is no table": {"prior": {"slab": 3}},
    "form that is no table": {"form": "weak"},
    "smooth that is no table": {"smooth": True},
    "spline that is no table": {"smooth": {"spline": 3}},
    "networks that are no list": {"smooth": {"networks": {"width": 3}}},
    "network that is no table": {"smooth": {"networks": [3]}},
    "text for a number of particles": {"sample": {"particles": "many"}},
    "no particles": {"sample": {"particles": 0}},
    "half a run": {"sample": {"runs": 1.5}},
    "text for a share": {"sample": {"ess_fraction": "half"}},
    "falling schedule": {"sample": {"schedule": [0.5, 0.1, 1.0]}},
    "schedule of text": {"sample": {"schedule": ["a"]}},
    "text for a weight": {"smooth": {"weight": "heavy"}},
    "no steps": {"smooth": {"steps": 0}},
    "text for steps": {"smooth": {"steps": "many"}},
    "unknown smoother": {"smooth": {"smoother": "kernel"}},
    "smoother that is a number": {"smooth": {"smoother": 3}},
    "activation unknown": {"smooth": {"networks": [{"activation": "relu"}]}},
    "text for a width": {"smooth": {"networks": [{"width": "wide"}]}},
    "text for rows": {"form": {"rows": "all"}},
    "half-widths that are no table": {"form": {"support_radius": 3}},
    "half-width that is no number": {"form": {"support_radius": {"x": "wide"}}},
    "text for reach": {"form": {"reach": "far"}},
    "text for trim": {"form": {"kind": "strong", "trim": "a lot"}},
    "text for expected terms": {"prior": {"expected_terms": "three"}},
    "negative expected terms": {"prior": {"expected_terms": -1}},
    "text for g": {"prior": {"slab": {"kind": "g-prior", "g": "big"}}},
    "negative g": {"prior": {"slab": {"kind": "g-prior", "g": -1.0}}},
    "text for the degree": {"smooth": {"spline": {"degree": "high"}}},
    "text for exact terms": {"enumerate_up_to": "all"},
    "too many exact terms": {"enumerate_up_to": 60},
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_understood_is_a_config_error(case):
    with pytest.raises(ConfigError) as caught:
        bp.DiscoverConfig.from_mapping(BAD[case])
    assert caught.value.fix
    assert caught.value.wanted


# Libraries


def test_libraries_are_declared_in_three_ways():
    def declared(space=1, variable="u", **settings):
        return library_from_mapping(settings, space=space, variable=variable)

    assert declared(terms=["u", "u_x"]).names == ("u", "u_x")
    weighted = declared(terms={"u": 1.0, "u_x": 2.0})
    assert list(weighted.complexities) == [1.0, 2.0]
    assert declared(name="original_1d").names == bp.named_library("original_1d").names
    assert declared(degree=2, order=2, extra=["u_x**2"]).names == (
        *bp.polynomial_library(degree=2, order=2).names,
        "u_x**2",
    )
    assert declared().names == bp.polynomial_library().names
    assert declared(space=2).names == bp.polynomial_library(space=2).names
    assert declared(terms=["v"], target="v_tt", variable="v").target == "v_tt"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"term": ["u"]}, ConfigError),
        ({"terms": ["u"], "degree": 3}, ConfigError),
        ({"terms": "u, u_x"}, ConfigError),
        ({"terms": 3}, ConfigError),
        ({"terms": [3]}, TermError),
        ({"terms": []}, TermError),
        ({"terms": ["u", "u"]}, TermError),
        ({"terms": ["u_y"]}, TermError),
        ({"terms": {"u": "cheap"}}, BayespdeError),
        ({"name": "original_5d"}, ConfigError),
        ({"name": 3}, ConfigError),
        ({"name": ["original_1d"]}, ConfigError),
        ({"name": "original_1d", "degree": 2}, ConfigError),
        ({"degree": "high"}, ConfigError),
        ({"degree": 2.5}, ConfigError),
        ({"extra": "u_x**2"}, BayespdeError),
        ({"extra": 3}, BayespdeError),
        ({"target": 3}, BayespdeError),
        ({"target": "u_x"}, TermError),
        ("u", ConfigError),
    ],
)
def test_bad_libraries_are_refused(settings, error):
    with pytest.raises(error):
        library_from_mapping(settings, space=1, variable="u")


# Declarations


def test_toml_is_read_or_refused(tmp_path):
    (tmp_path / "good.toml").write_text("a = 1")
    assert read_toml(tmp_path / "good.toml") == {"a": 1}
    (tmp_path / "bad.toml").write_text("a = = 1")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("bad", "binary"):
        with pytest.raises(ConfigError, match="not valid TOML"):
            read_toml(tmp_path / f"{name}.toml")
    with pytest.raises(FileError):
        read_toml(tmp_path / "absent.toml")


def test_a_declaration_is_found_by_name_folder_or_file(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.toml").write_text('title = "Mine"\n[data]\nfile = "field.npz"')
    for path in (tmp_path / "mine", tmp_path / "mine" / "model.toml"):
        declaration = read_declaration(path)
        assert (declaration.name, declaration.title) == ("mine", "Mine")
    assert read_declaration("burgers").name == "burgers"
    with pytest.raises(FileError, match="burgers"):
        read_declaration("no_such_model")


@pytest.mark.parametrize(
    "text",
    [
        "sections = 3",
        "data = 3",
        "[data]\nfiles = 'a.nc'",
        "[data]\nvariable = 'u'",
        "[data]\nfile = 3",
        "[data]\nfile = 'absent.nc'",
        "simulate = 3",
        "[simulate]\nequation = 'u_t = u_xx'",
        "seed = 'one'\n[data]\nfile = 'field.npz'",
        "seed = -1\n[data]\nfile = 'field.npz'",
        "library = 3\n[data]\nfile = 'field.npz'",
        "smooth = 3\n[data]\nfile = 'field.npz'",
        "",
    ],
)
def test_a_bad_declaration_is_a_message(tmp_path, text):
    import numpy as np

    np.savez(tmp_path / "field.npz", t=np.arange(20.0), x=np.arange(30.0), u=np.sin(np.arange(600.0)).reshape(20, 30))
    (tmp_path / "model.toml").write_text(text)
    with pytest.raises(BayespdeError) as caught:
        read_declaration(tmp_path).run(folder=tmp_path / "run")
    assert caught.value.fix
    assert not (tmp_path / "run" / "smooth.nc").exists()


def test_a_bad_reference_is_a_message(tmp_path):
    (tmp_path / "model.toml").write_text("[data]\nfile = 'field.npz'")
    (tmp_path / "reference.json").write_text("{ not json")
    with pytest.raises(BayespdeError, match=r"reference\.json"):
        read_declaration(tmp_path)
