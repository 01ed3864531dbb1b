import dataclasses
import os

import numpy as np
import pytest
import xarray as xr

from bayespde.core.errors import FieldError, FileError
from bayespde.core.field import make_field
from bayespde.results.figures import (
    figure_bytes,
    plot_derivatives,
    plot_field,
    plot_genealogy,
    plot_inclusion,
    plot_joint_inclusion,
    plot_pareto,
    plot_runs,
    plot_smoothing,
    plot_tempering_history,
    plot_top_models,
    save_figure,
)
from bayespde.results.pareto import pareto_front
from bayespde.results.typeset import math_text

UNITS = {"u": "K", "time": "s", "x": "nm"}


@pytest.fixture
def line():
    t, x = np.linspace(0, 2, 12), np.linspace(0, 5, 30)
    field = make_field(np.sin(x - t[:, None]), t=t, x=x, units=UNITS)
    derivatives = xr.Dataset(
        {
            "u": field,
            "u_t": (("time", "x"), -np.cos(x - t[:, None])),
            "u_xx": (("time", "x"), -np.sin(x - t[:, None])),
            "u_xx_sd": (("time", "x"), np.ones((12, 30))),
        },
        coords=field.coords,
    )
    return field, derivatives


@pytest.fixture
def plane():
    t, y, x = np.linspace(0, 2, 9), np.linspace(0, 4, 20), np.linspace(0, 5, 30)
    values = np.sin(x - t[:, None, None]) * np.cos(y)[:, None]
    field = make_field(values, t=t, y=y, x=x, units={**UNITS, "y": "nm"})
    derivatives = xr.Dataset({"u_xy": (("time", "y", "x"), values)}, coords=field.coords)
    return field, derivatives.isel(time=slice(1, -1), x=slice(2, -2))


def maps(figure):
    return [a for a in figure.axes if a.images]


def test_inclusion_shows_every_term_with_exact_bars_and_sampled_markers(burgers):
    axes = plot_inclusion(burgers).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, np.sort(burgers.exact.inclusion_probability)[::-1])
    assert len(axes.get_yticklabels()) == 5
    assert axes.get_xlabel() == "inclusion probability (dimensionless)"
    markers = axes.containers[-1].lines[0].get_xdata()
    assert sorted(markers) == pytest.approx(sorted(burgers.inclusion_estimate("rao_blackwell")))


def test_inclusion_counts_the_improbable_terms_that_it_leaves_out(burgers):
    probability = np.sort(burgers.exact.inclusion_probability)[::-1]
    axes = plot_inclusion(burgers, at_least=0.5 * (probability[1] + probability[2])).axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], probability[:2])
    assert axes.get_title() == f"3 others, at most {probability[2]:.2g}"
    assert len(plot_inclusion(burgers, at_least=1.1).axes[0].patches) == 1


def test_inclusion_without_enumeration_has_whiskers(sampled):
    figure = plot_inclusion(sampled)
    axes = figure.axes[0]
    whiskers = next(c for c in axes.containers if getattr(c, "has_xerr", False)).lines[2][0].get_segments()
    half = [(s[1, 0] - s[0, 0]) / 2 for s in whiskers]
    assert sorted(half) == pytest.approx(sorted(sampled.inclusion_error.values))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "sequential Monte Carlo",
        "standard error",
    ]


def test_long_equations_stay_inside_the_figure(burgers):
    front = pareto_front(burgers)
    long = " + ".join(f"1.23456 u**{i}*u_xx" for i in range(2, 12))
    front["text"] = front["text"].copy(data=np.full(front["text"].shape, "u_t = " + long, dtype=object))
    figure = plot_pareto(front)
    figure.canvas.draw()
    plot, key = figure.axes
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in key.texts)
    assert plot.get_window_extent().width > 0.75 * figure.bbox.width


def test_pareto_connects_the_front_and_lists_its_equations(burgers):
    front = pareto_front(burgers)
    figure = plot_pareto(front)
    axes, key = figure.axes
    on_front = front["on_front"].values
    connected = next(c for c in axes.containers if getattr(c, "has_yerr", False)).lines[0]
    np.testing.assert_array_equal(connected.get_xdata(), front["complexity"].values[on_front])
    np.testing.assert_array_equal(connected.get_ydata(), front["cross_validated_error"].values[on_front])
    assert len(key.texts) == on_front.sum() == len(axes.texts)
    assert "complexity" in axes.get_xlabel()
    assert "relative" in axes.get_ylabel()


def test_maps_of_a_line_have_axes_and_bars_with_units(line):
    figure = plot_field(*line)
    drawn = maps(figure)
    assert [a.get_title(loc="left") for a in drawn] == ["$u$", "$u_{t}$", "$u_{xx}$"]
    assert drawn[0].get_ylabel() == "time (s)"
    assert all(a.get_xlabel() == "x (nm)" for a in drawn)
    bars = [a.child_axes[0].get_title(loc="left") for a in drawn]
    assert bars == ["K", "K s$^{-1}$", "K nm$^{-2}$"]
    low, high = drawn[1].images[0].get_clim()
    assert low == -high
    assert drawn[0].images[0].get_extent()[2:] == pytest.approx((-1 / 11, 2 + 1 / 11))


def test_frames_share_colours_and_derivatives_are_at_one_time(plane):
    field, derivatives = plane
    drawn = maps(plot_field(field, derivatives, frames=[0, 4, -1]))
    assert [a.get_title(loc="left") for a in drawn] == [
        "$u$, $t$ = 0 s",
        "$u$, $t$ = 1 s",
        "$u$, $t$ = 2 s",
        "$u_{xy}$, $t$ = 1 s",
    ]
    assert len({a.images[0].get_clim() for a in drawn[:3]}) == 1
    np.testing.assert_array_equal(drawn[-1].images[0].get_array(), derivatives["u_xy"].sel(time=1.0))
    assert drawn[-1].get_xlim() == drawn[0].get_xlim()
    assert len(maps(plot_field(field, derivatives))) == 5


def test_fields_that_cannot_be_mapped_are_refused(plane, line):
    field, derivatives = plane
    with pytest.raises(FieldError, match="frame"):
        plot_field(field, derivatives, frames=[9])
    with pytest.raises(FieldError, match="grid"):
        plot_field(line[0], line[1].stack(point=("time", "x")))


def test_figures_are_written_whole_and_reproducibly(burgers, line, tmp_path):
    for name, figure in (
        ("inclusion", plot_inclusion(burgers)),
        ("pareto", plot_pareto(pareto_front(burgers))),
        ("field", plot_field(*line)),
    ):
        png, pdf = save_figure(figure, tmp_path / name)
        assert png.read_bytes()[:4] == b"\x89PNG"
        assert pdf.read_bytes()[:4] == b"%PDF"
    (svg,) = save_figure(plot_field(*line), tmp_path / "field.svg")
    first = svg.read_bytes()
    save_figure(plot_field(*line), svg)
    assert svg.read_bytes() == first


def test_unwritable_or_unknown_paths_leave_nothing(burgers, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    figure = plot_inclusion(burgers)
    with pytest.raises(FileError, match="cannot be written"):
        save_figure(figure, tmp_path / "file" / "figure.png")
    with pytest.raises(FileError, match="format"):
        save_figure(figure, tmp_path / "figure.docx")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("text", "typeset"),
    [
        ("u_xx", "$u_{xx}$"),
        ("u**3*u_x", r"$u^{3}\,u_{x}$"),
        ("u_t = 2.5e-07 u", r"$u_{t}\ =\ 2.5{\times}10^{-7}\ u$"),
    ],
)
def test_terms_are_typeset(text, typeset):
    assert math_text(text) == typeset


def test_every_run_is_drawn_and_terms_that_differ_are_marked(burgers):
    inclusion = burgers.estimates["rao_blackwell"].copy()
    inclusion[:, 4] = [0.9, 0.1, 0.9, 0.1]
    apart = dataclasses.replace(burgers, estimates={**burgers.estimates, "rao_blackwell": inclusion})
    axes = plot_runs(apart).axes[0]
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert sum("differs" in t for t in labels) == 1
    row = next(i for i, t in enumerate(labels) if "differs" in t)
    runs = [line for line in axes.lines if line.get_label().startswith("run")]
    assert [line.get_xdata()[row] for line in runs] == [0.9, 0.1, 0.9, 0.1]
    exact = next(line for line in axes.lines if line.get_label().startswith("exact")).get_xdata()
    assert sorted(exact) == pytest.approx(sorted(burgers.exact.inclusion_probability))


def test_the_tempering_history_has_a_line_per_run(burgers):
    figure = plot_tempering_history(burgers)
    drawn = [a for a in figure.axes if a.lines]
    assert [a.get_ylabel() for a in drawn] == ["inverse temperature", "effective sample size"]
    for run, line in enumerate(drawn[0].lines):
        np.testing.assert_array_equal(line.get_ydata(), burgers.stages["inverse_temperature"][run])


def test_the_genealogy_names_ancestors_and_draws(burgers):
    axes = plot_genealogy(dataclasses.replace(burgers, eve_index=np.zeros_like(burgers.eve_index))).axes[0]
    assert axes.get_legend().get_texts()[0].get_text() == "run 1: 1 ancestors, at least 1 draws"
    assert axes.lines[0].get_ydata().tolist() == [1.0]


def test_configurations_are_squares_and_bars(burgers):
    left, right = plot_top_models(burgers, top=3).axes
    widths = [bar.get_width() for bar in right.patches]
    np.testing.assert_allclose(widths, burgers.exact.probability[:3])
    assert len(left.lines[0].get_xdata()) == burgers.exact.spins[:3].sum()


def test_terms_that_replace_each_other_are_framed(rng, build, burgers):
    x = rng.standard_normal((300, 3))
    x[:, 1] = x[:, 0] + 0.01 * rng.standard_normal(300)
    twins = build(x, x[:, 0] + 0.3 * rng.standard_normal(300), ["u", "u**2", "u_x"], rng=rng)
    axes = plot_joint_inclusion(twins).axes[0]
    assert {(p.get_x() + 0.5, p.get_y() + 0.5) for p in axes.patches} == {(0.0, 1.0), (1.0, 0.0)}
    assert axes.images[0].get_array()[0, 1] < -0.5
    sure = dataclasses.replace(
        burgers, exact=dataclasses.replace(burgers.exact, spins=burgers.exact.spins[:1], probability=np.ones(1))
    )
    assert "certain" in plot_joint_inclusion(sure).axes[0].texts[0].get_text()


def test_smoothing_shows_the_residual(line, plane):
    field, _ = line
    noisy = field + 0.1 * np.cos(7 * field["x"])
    noisy.attrs, noisy.name = field.attrs, "u"
    noisy[2, 3] = np.nan
    panels = maps(plot_smoothing(noisy, field))
    assert [a.get_title(loc="left") for a in panels] == ["observed", "smoothed", "residual"]
    residual = panels[2].images[0].get_array()
    np.testing.assert_allclose(residual.filled(np.nan), (noisy - field).values)
    assert panels[0].images[0].get_clim() == panels[1].images[0].get_clim()
    low, high = panels[2].images[0].get_clim()
    assert (low, high) == pytest.approx((-0.1, 0.1), rel=0.02)
    frames = plane[0].isel(time=[0, 4, 8])
    panels = maps(plot_smoothing(frames + 0.01, frames))
    assert len(panels) == 9
    np.testing.assert_allclose(panels[-1].images[0].get_array(), 0.01)


def test_derivatives_are_drawn_without_the_field(line, plane):
    assert len(maps(plot_derivatives(line[1], line[0]))) == 2
    [panel] = maps(plot_derivatives(plane[1], plane[0]))
    np.testing.assert_array_equal(panel.images[0].get_array(), plane[1]["u_xy"][plane[1].sizes["time"] // 2])


def test_figures_in_memory_have_no_date(line):
    for kind, begins in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        one, other = (figure_bytes(plot_derivatives(line[1], line[0]), kind) for _ in range(2))
        assert one == other
        assert one.startswith(begins)
        assert b"<dc:date>" not in one


def test_units_with_a_dollar_are_text(line):
    field, derivatives = line
    for place in (field, field["x"], field["time"]):
        place.attrs["units"] = "$\\frac"
    figure = plot_derivatives(derivatives.assign_coords(field.coords), field)
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
