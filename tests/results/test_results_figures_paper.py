"""Figures as papers and talks need them: every width, coefficients with what is known of them."""

import dataclasses
import re

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.field import make_field
from bayespde.results.equations import equations

UNITS = {"u": "K", "time": "s", "x": "nm", "y": "nm"}
# Inches: what a line may stand over.
ROUNDING = 0.02


def video(ndim):
    t, y, x = np.linspace(0, 2, 9), np.linspace(0, 4, 20), np.linspace(0, 5, 30)
    values = np.sin(x - t[:, None, None]) * np.cos(y)[:, None]
    values, place = (values[:, 0], {"x": x}) if ndim == 1 else (values, {"y": y, "x": x})
    field = make_field(values, t=t, **place, units={k: u for k, u in UNITS.items() if k != "y" or ndim == 2})
    names = ["u_t", "u_x", "u_xx"]
    return field, xr.Dataset(dict.fromkeys(names, (field.dims, values)), coords=field.coords)


def foretold(field):
    draws = field.values + 0.1 * np.random.default_rng(1).standard_normal((6, *field.shape))
    u = xr.DataArray(draws, dims=("draw", *field.dims), coords=field.coords, name="u", attrs=field.attrs)
    prediction = xr.Dataset({"u": u}, attrs={"field": "u", "noise_scale": 0.1, "boundary": "fixed", "start": -0.1})
    return prediction, bp.score_prediction(prediction, field)


def every_figure(posterior, width):
    """All figures at one width, with their names."""
    answers = {
        "inclusion": bp.figures.plot_inclusion(posterior, width=width),
        "coefficients": bp.figures.plot_coefficients(posterior, known={"u_xx": 0.1}, width=width),
        "pareto": bp.figures.plot_pareto(bp.pareto_front(posterior), width=width),
        "configurations": bp.figures.plot_configurations(posterior, width=width),
        "co-inclusion": bp.figures.plot_co_inclusion(posterior, width=width),
        "runs": bp.figures.plot_runs(posterior, width=width),
        "ladder": bp.figures.plot_ladder(posterior, width=width),
        "genealogy": bp.figures.plot_genealogy(posterior, width=width),
    }
    for ndim in (1, 2):
        field, derivatives = video(ndim)
        few = field if ndim == 1 else field.isel(time=[0, 4, 8])
        prediction, scores = foretold(field)
        answers |= {
            f"field {ndim}": bp.figures.plot_field(field, derivatives, width=width),
            f"derivatives {ndim}": bp.figures.plot_derivatives(derivatives, field, width=width),
            f"smoothing {ndim}": bp.figures.plot_smoothing(few, 0.9 * few, width=width),
            f"prediction {ndim}": bp.figures.plot_prediction(prediction, field, frames=2, width=width),
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
        # 800 draws make the curve to a twentieth of its peak; the bandwidth widens it by another.
        assert np.max(np.abs(heights - expected)) < 0.25
        bar = next(c for c in axes.containers if getattr(c, "has_xerr", False)).lines[2][0].get_segments()[0]
        np.testing.assert_allclose(bar[:, 0], [best.lower[i], best.upper[i]])
    dashed = [(n, line.get_xdata()[0]) for n, a in drawn.items() for line in a.lines if line.get_label() == "known"]
    assert dashed == [("u_xx", 0.1)]


def density(axes):
    """Places and heights of the upper outline of what is filled."""
    outline = axes.collections[0].get_paths()[0].vertices
    return outline[outline[:, 1] > 0].T


def test_density_of_a_coefficient_pools_runs_by_evidence(burgers):
    """A run whose evidence is 50 nats lower says nothing."""
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


def test_coefficients_that_are_not_there_are_refused(burgers):
    with pytest.raises(ConfigError, match="No term is that probable"):
        bp.figures.plot_coefficients(burgers, at_least=1.5)
    with pytest.raises(ConfigError, match="no term of the library"):
        bp.figures.plot_coefficients(burgers, known={"u_xxxxx": 1.0})
