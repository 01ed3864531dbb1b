"""A discovery -> what people look at: equations, inclusion probabilities, Pareto front, derivatives, three figures."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import xarray as xr

from bayespde.core.files import atomic_path
from bayespde.pipeline import Discovery
from bayespde.results.diagnose import diagnose
from bayespde.results.second import format_estimates
from bayespde.smooth.differentiate import differentiate


def write_answers(found: Discovery, folder: str | PathLike[str]) -> dict[str, Path]:
    """Write what people look at: equations, inclusion probabilities, the Pareto front, derivatives, and three figures.

    Args:
        found: A discovery.
        folder: Where to; made if absent.

    Returns:
        Path by content.

    Raises:
        FileError: If the folder cannot be written.
    """
    from bayespde.results.figures import plot_field, plot_inclusion, plot_pareto, save_figure

    folder = Path(folder)
    front = found.pareto_front()
    derivatives = differentiate(found.smooth)
    ranked = found.equations()
    texts = {
        "equations.txt": "\n\n".join(
            [
                format_estimates(found.posterior, ranked),
                str(diagnose(found.posterior)),
                found.smooth.summary() + "\n",
            ]
        ),
        "inclusion.csv": found.posterior.inclusion_probability.to_series().rename("probability").to_csv(),
        "pareto.csv": front.to_dataframe().to_csv(),
    }
    paths = {}
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        paths[name] = folder / name
    with atomic_path(folder / "derivatives.nc") as temporary:
        derivatives.to_netcdf(temporary, engine="h5netcdf")
    paths["derivatives.nc"] = folder / "derivatives.nc"
    figures = {
        "inclusion.png": plot_inclusion(found.posterior),
        "pareto.png": plot_pareto(front),
        "field.png": plot_field(*_flat(found.smooth.field, derivatives)),
    }
    for name, figure in figures.items():
        save_figure(figure, folder / name)
        paths[name] = folder / name
    return paths


def _flat(field: xr.DataArray, derivatives: xr.Dataset) -> tuple[xr.DataArray, xr.Dataset]:
    """The middle slice along z of a field with three space dimensions, others as they are; maps are flat."""
    if "z" not in field.dims:
        return field, derivatives
    middle = {"z": field.sizes["z"] // 2}
    return field.isel(middle, drop=True), derivatives.isel(middle, drop=True)
