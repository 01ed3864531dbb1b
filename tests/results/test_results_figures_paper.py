"""Figures for papers and talks: every width, coefficients with their known values."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.field import make_field
from bayespde.results.equations import equations

UNITS = {"u": "K", "time": "s", "x": "nm", "y": "nm"}
# Inches by which a line may extend beyond the figure.
ROUNDING = 0.02


def video(ndim):
    t, y, x = np.linspace(0, 2, 9), np.linspace(0, 4, 20), np.linspace(0, 5, 30)
    values = np.sin(x - t[:, None, None]) * np.cos(y)[:, None]
    values, place = (values[:, 0], {"x": x}) if ndim == 1 else (values, {"y": y, "x": x})
    field = make_field(values, t=t, **place, units={k: u for k, u in UNITS.items() if k != "y" or ndim == 2})
    names = ["u_t", "u_x", "u_xx"]
    return field, xr.Dataset(dict.fromkeys(names, (field.dims, values)), coords=field.coords)


def forecast(field):
    draws = field.values + 0.1 * np.random.default_rng(1).standard_normal((6, *field.shape))
    u = xr.DataArray(draws, dims=("draw", *field.dims), coords=field.coords, name="u", attrs=field.attrs)
    attrs = {"field": "u", "noise_scale": 0.1, "boundary": "dirichlet", "initial_time": -0.1}
    ahead = xr.Dataset({"u": u}, attrs=attrs)
    return ahead, bp.verify_forecast(ahead, field)


def every_figure(posterior, width):
    """All figures at one width, with their names."""
    answers = {
        "inclusion": bp.figures.plot_inclusion(posterior, width=width),
        "coefficients": bp.figures.plot_coefficients(posterior, known={"u_xx": 0.1}, width=width),
        "pareto": bp.figures.plot_pareto(bp.pareto_front(posterior), width=width),
        "top models": bp.figures.plot_top_models(posterior, width=width),
        "joint inclusion": bp.figures.plot_joint_inclusion(posterior, width=width),
        "runs": bp.figures.plot_runs(posterior, width=width),
        "tempering history": bp.figures.plot_tempering_history(posterior, width=width),
        "genealogy": bp.figures.plot_genealogy(posterior, width=width),
    }
    for ndim in (1, 2):
        field, derivatives = video(ndim)
        few = field if ndim == 1 else field.isel(time=[0, 4, 8])
        ahead, scores = forecast(field)
        answers |= {
            f"field {ndim}": bp.figures.plot_field(field, derivatives, width=width),
            f"derivatives {ndim}": bp.figures.plot_derivatives(derivatives, field, width=width),
            f"smoothing {ndim}": bp.figures.plot_smoothing(few, 0.9 * few, width=width),
            f"forecast {ndim}": bp.figures.plot_forecast(ahead, field, frames=2, width=width),
            f"scores {ndim}": bp.figures.plot_scores(scores, width=width),
        }
    return answers


@pytest.mark.parametrize("width", [bp.figures.COLUMN, bp.figures.SLIDE, bp.figures.PAGE])
def test_nothing_is_cut_off_at_any_width(burgers, width):
    for name, figure in every_figure(burgers, width).items():
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        high = figure.get_size_inches()[1]
        assert figure.get_size_inches()[0] == width, name
        assert min(box.x0, box.y0, width - box.x1, high - box.y1) >= -ROUNDING, (name, box)


def test_long_equations_are_broken_before_a_sign_where_the_figure_is_narrow(burgers):
    front = bp.pareto_front(burgers)
    text = "u_t = -0.3005(16) u + 1.302(5) u**2 - 1.002(3) u**3 + 1.995(8) u_xx + 1.997(7) u_yy"
    front["text"] = front["text"].copy(data=np.full(front["text"].shape, text, dtype=object))
    key = bp.figures.plot_pareto(front, width=bp.figures.COLUMN).axes[1]
    written = [t.get_text() for t in key.texts]
    count = len(written) // int(front["on_front"].sum())
    assert count == 3
    assert "".join(re.findall(r"(?<=\$).*?(?=\$)", " ".join(written[:count]))).count("u") == 6
    assert all(line.lstrip().startswith(("$+", "$-")) for i, line in enumerate(written) if i % count)
    assert len({t.get_position()[1] for t in key.texts}) == len(written)


def test_coefficients_have_the_density_of_their_draws_and_the_interval_of_the_best_equation(burgers):
    """The draws are those of a linear regression: their density is nearly normal, as the closed form says."""
    figure = bp.figures.plot_coefficients(burgers, known={"u_xx": 0.1})
    best = equations(burgers, top=1)[0]
    shown = [n for n, p in zip(burgers.library.names, burgers.inclusion_probability.values, strict=True) if p >= 0.5]
    drawn = dict(zip(shown, figure.axes, strict=True))
    assert {"u_xx", "u*u_x"} <= set(shown)
    for name in ("u_xx", "u*u_x"):
        i, axes = best.names.index(name), drawn[name]
        places, heights = density(axes)
        expected = np.exp(-0.5 * ((places - best.coefficients[i]) / best.sd[i]) ** 2)
        spread = np.sqrt(np.average((places - best.coefficients[i]) ** 2, weights=heights)) / best.sd[i]
        # The bandwidth of n draws is a share n^-1/5 of their deviation; 6 standard errors of the deviation itself.
        draws = int(burgers.spins[..., burgers.library.index(name)].sum())
        assert 0.95 - 6 / np.sqrt(2 * draws) < spread < np.sqrt(1 + draws**-0.4) + 6 / np.sqrt(2 * draws)
        assert np.max(np.abs(heights - expected)) < 0.25
        bar = next(line for line in axes.lines if line.get_label() == "most probable equation, 90%")
        np.testing.assert_allclose(bar.get_xdata(), [best.lower[i], best.upper[i]])
    dashed = [(n, line.get_xdata()[0]) for n, a in drawn.items() for line in a.lines if line.get_label() == "known"]
    assert dashed == [("u_xx", 0.1)]


def density(axes):
    """Places and heights of the upper outline of what is filled."""
    outline = axes.collections[0].get_paths()[0].vertices
    return outline[outline[:, 1] > 0].T


def test_density_of_a_coefficient_pools_runs_by_evidence(burgers):
    """A run whose evidence is 50 nats lower has no weight."""
    other = burgers.coefficients.copy()
    other[1:] += 5.0 * burgers.spins[1:]
    low = np.where(np.arange(len(other)) == 0, 0.0, -50.0)
    alone = dataclasses.replace(burgers, coefficients=other, log_evidence=low)
    k = burgers.library.names.index("u_xx")
    [axes] = [a for a in bp.figures.plot_coefficients(alone).axes if a.get_title().startswith("$u_{xx}$")]
    places, heights = density(axes)
    draws = burgers.coefficients[0, :, k][burgers.spins[0, :, k]]
    assert draws.min() <= places.min() < places.max() <= draws.max()
    assert abs(np.average(places, weights=heights) - draws.mean()) < draws.std()


def test_known_terms_are_shown_and_too_few_draws_are_named(burgers):
    """Draws of runs whose evidence is 400 nats lower are as many as their weights say, among themselves."""
    names = burgers.library.names
    improbable = min(names, key=lambda n: float(burgers.inclusion_probability.sel(term=n)))
    k = names.index(improbable)
    spins, coefficients = burgers.spins.copy(), burgers.coefficients.copy()
    spins[..., k], coefficients[..., k] = False, 0.0
    few = dataclasses.replace(burgers, spins=spins, coefficients=coefficients)
    assert panel_of(bp.figures.plot_coefficients(few, known={improbable: 0.3})).texts[0].get_text() == "too few draws"
    spins, coefficients = spins.copy(), coefficients.copy()
    spins[1:, :, k] = True
    coefficients[1:, :, k] = np.random.default_rng(0).standard_normal(spins[1:, :, k].shape)
    faint = np.where(np.arange(len(burgers.log_evidence)) == 0, 0.0, -400.0)
    alone = dataclasses.replace(burgers, spins=spins, coefficients=coefficients, log_evidence=faint)
    assert panel_of(bp.figures.plot_coefficients(alone, known={improbable: 0.3})).collections


def panel_of(figure):
    """The panel of the term that is known."""
    [panel] = [a for a in figure.axes if any(line.get_label() == "known" for line in a.lines)]
    return panel


@pytest.mark.parametrize("level", [0.001, 0.5, 0.999])
def test_intervals_of_any_level_are_drawn(burgers, level):
    figure = bp.figures.plot_coefficients(burgers, at_least=0.9, level=level)
    best = equations(burgers, top=1, level=level)[0]
    ends = [line.get_xdata() for a in figure.axes for line in a.lines if "most" in line.get_label()]
    wanted = dict(zip(best.names, zip(best.lower, best.upper, strict=True), strict=True))
    shown = [n for n, p in zip(burgers.library.names, burgers.inclusion_probability.values, strict=True) if p >= 0.9]
    np.testing.assert_allclose(ends, [wanted[n] for n in shown])


@pytest.mark.parametrize("width", [0, -1, 1, np.nan, np.inf, "a", True])
def test_widths_out_of_range_are_refused(burgers, width):
    field, derivatives = video(1)
    ahead, scores = forecast(field)
    front = bp.pareto_front(burgers)
    for draw in (
        lambda: bp.figures.plot_coefficients(burgers, width=width),
        lambda: bp.figures.plot_top_models(burgers, width=width),
        lambda: bp.figures.plot_joint_inclusion(burgers, width=width),
        lambda: bp.figures.plot_derivatives(derivatives, field, width=width),
        lambda: bp.figures.plot_forecast(ahead, width=width),
        lambda: bp.figures.plot_scores(scores, width=width),
        lambda: bp.figures.plot_pareto(front, width=width),
    ):
        with pytest.raises(ConfigError, match="width"):
            draw()


@pytest.mark.parametrize("change", [{"frames": 0}, {"frames": "a"}, {"level": 2.0}, {"level": float("nan")}])
def test_settings_of_forecast_figures_are_checked(change):
    with pytest.raises(ConfigError, match="out of range"):
        bp.figures.plot_forecast(forecast(video(2)[0])[0], **change)


def test_observed_frames_are_those_of_the_forecast():
    field = video(2)[0].isel(x=slice(20))
    ahead, _ = forecast(field)
    turned = bp.figures.plot_forecast(ahead, field.transpose("time", "x", "y"))
    straight = bp.figures.plot_forecast(ahead, field)
    for one, other in zip(turned.axes, straight.axes, strict=True):
        for drawn, wanted in zip(one.images, other.images, strict=True):
            np.testing.assert_array_equal(drawn.get_array(), wanted.get_array())
    for other in (field.isel(time=slice(3)), field.isel(x=slice(10)), field.assign_coords(time=field["time"] + 0.1)):
        with pytest.raises(ConfigError, match="not at the times and places"):
            bp.figures.plot_forecast(ahead, other)


def test_labels_of_frames_without_units_do_not_meet():
    """Every row has its name, the figure the axes; few frames do not make it high."""
    field = video(2)[0]
    for place in (field, *(field[d] for d in field.dims)):
        place.attrs["units"] = "1"
    ahead, _ = forecast(field)
    for frames, width in ((4, bp.figures.COLUMN), (1, bp.figures.PAGE)):
        figure = bp.figures.plot_forecast(ahead, field, frames=frames, width=width)
        figure.draw_without_rendering()
        labels = [a.yaxis.label.get_window_extent() for a in figure.axes if a.images and a.get_ylabel()]
        for above, below in itertools.pairwise(sorted(labels, key=lambda box: -box.y0)):
            assert above.y0 >= below.y1
        assert (figure.get_supxlabel(), figure.get_supylabel()) == ("x (dimensionless)", "y (dimensionless)")
        assert figure.get_figheight() < 12


def test_coefficients_that_do_not_exist_are_refused(burgers):
    with pytest.raises(ConfigError, match="No term is that probable"):
        bp.figures.plot_coefficients(burgers, at_least=1.5)
    with pytest.raises(ConfigError, match="no term of the library"):
        bp.figures.plot_coefficients(burgers, known={"u_xxxxx": 1.0})
