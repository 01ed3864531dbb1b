"""Results -> pictures inside the page, each with a text that describes it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayespde.core.posterior import Posterior
from bayespde.results import figures
from bayespde.results.equations import MAJORITY
from bayespde.results.forecast_verification import format_scores
from bayespde.results.report.data import DataSummary, ForecastSummary
from bayespde.results.tempering_history import tempering_history

if TYPE_CHECKING:
    from bayespde.results.figures.style import Figure

# Bytes of a drawing in lines above which it is cheaper in pixels.
LARGEST_DRAWING = 200_000
# Pixels of a browser per inch.
PIXELS = 96


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        source: The image itself, as a `data:` address.
        alt: Description of the image.
        width: Pixels of a browser.
        height: Pixels of a browser.
    """

    source: str
    alt: str
    width: int
    height: int


def picture(figure: Figure, alt: str, *, is_map: bool = False) -> Picture:
    """Encode a figure in an address: lines as SVG, maps and drawings of very many lines as PNG."""
    kind, content = "svg+xml", b"" if is_map else figures.figure_bytes(figure, "svg")
    if is_map or len(content) > LARGEST_DRAWING:
        kind, content = "png", figures.figure_bytes(figure, "png")
    width, height = (round(PIXELS * float(side)) for side in figure.get_size_inches())
    return Picture(f"data:image/{kind};base64,{b64encode(content).decode('ascii')}", alt, width, height)


def pareto_picture(front: xr.Dataset) -> Picture:
    """Complexity against error."""
    best = front.isel(equation=np.flatnonzero(front["on_front"].values))
    chosen = front.isel(equation=int(np.flatnonzero(front["selected"].values)[0]))
    first, last = best.isel(equation=0), best.isel(equation=-1)
    alt = (
        f"Cross-validated error against complexity. Along the front it goes from {_error(first)} at complexity "
        f"{float(first['complexity']):g} to {_error(last)} at {float(last['complexity']):g}. "
        f"The most probable equation has complexity {float(chosen['complexity']):g} and error {_error(chosen)}, and is "
        f"{'on' if bool(chosen['on_front']) else 'not on'} the front."
    )
    return picture(figures.plot_pareto(front), alt)


def coefficients_picture(posterior: Posterior) -> Picture | None:
    """Densities of the coefficients of terms with a probability of at least 0.5; None where there are none."""
    names, inclusion = posterior.library.names, posterior.inclusion_probability.values
    shown = [n for n, p in zip(names, inclusion, strict=True) if p >= MAJORITY]
    if not shown:
        return None
    alt = f"The posterior density of the coefficient of {', '.join(shown)}."
    return picture(figures.plot_coefficients(posterior), alt)


def tempering_picture(posterior: Posterior) -> Picture:
    """The tempering history of every run."""
    history = tempering_history(posterior)
    stages, least = history["stages"].values, float(np.nanmin(history["ess"].values)) if "ess" in history else np.nan
    between = f"{stages.min()} to {stages.max()}" if np.ptp(stages) else f"{stages.max()}"
    word = "stage" if stages.max() == 1 else "stages"
    alt = (
        f"{len(stages)} runs, each from inverse temperature 0 to 1 in {between} {word}. "
        f"The smallest effective sample size after a step was {least:.0f} of {history.attrs['particles']} particles."
    )
    return picture(figures.plot_tempering_history(posterior), alt)


def smoothing_picture(data: DataSummary) -> Picture:
    """Observed field, smoothed field, and residual."""
    smooth = data.derivatives[str(data.observed.name)]
    residual = float(np.nanstd((data.observed - smooth).values))
    kind = "the whole video" if data.observed.ndim == 2 else f"{data.observed.sizes['time']} frames"
    alt = (
        f"Maps of {kind}: observed, smoothed, and the residual, whose standard deviation is {residual:.3g}; "
        f"that of the noise of a pixel is {data.noise_scale:.3g}."
    )
    return picture(figures.plot_smoothing(data.observed, smooth), alt, is_map=True)


def derivatives_picture(data: DataSummary) -> Picture:
    """Derivatives of the smoothed field."""
    middle = data.derivatives.sizes["time"] // 2
    shown = data.derivatives if data.observed.ndim == 2 else data.derivatives.isel(time=[middle])
    parts = [
        f"{name} up to {float(np.nanmax(np.abs(values.values))):.3g} {values.attrs['units']}".removesuffix(" 1")
        for name, values in shown.data_vars.items()
        if name != data.observed.name
    ]
    alt = f"Maps of the derivatives of the smoothed field; largest absolute values shown: {', '.join(parts)}."
    return picture(figures.plot_derivatives(shown, data.observed), alt, is_map=True)


def forecast_picture(summary: ForecastSummary) -> Picture:
    """Forecast frames, with the observed ones where they are known."""
    drawn = summary.forecast[summary.forecast.attrs["field"]]
    compared = "with" if summary.observed is not None else "without"
    alt = f"Mean and spread of {drawn.sizes['draw']} draws of the forecast, {compared} the observed frames."
    if summary.scores is not None:
        alt += f" {capital(format_scores(summary.scores))}."
    return picture(figures.plot_forecast(summary.forecast, summary.observed), alt, is_map=drawn.ndim > 3)


def scores_picture(scores: xr.Dataset) -> Picture:
    """Errors and coverage by horizon."""
    last = scores.isel(time=-1)
    alt = (
        f"Errors by horizon, and the share of pixels inside their {scores.attrs['level']:.0%} bands, which goes from "
        f"{float(scores['coverage'][0]):.0%} to {float(last['coverage']):.0%}. At the last time the root mean square "
        f"error of the forecast is {float(last['rmse']):.3g}"
    )
    if "persistence" in scores:
        alt += f", that of persistence {float(last['persistence']):.3g}"
    return picture(figures.plot_scores(scores), f"{alt}.")


def _error(equation: xr.Dataset) -> str:
    return f"{float(equation['cross_validated_error']):.2g}"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
