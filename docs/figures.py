"""A run folder of the demo -> the pictures of the documentation: `python docs/figures.py runs/demo`."""

import sys
from pathlib import Path

import xarray as xr

from bayespde.results.figures import plot_field, plot_pareto
from bayespde.results.inference_data import load
from bayespde.results.pareto import pareto_front
from bayespde.smooth.smooth_field import SmoothField

STATIC = Path(__file__).parent / "_static"
SHOWN = ["u_t", "u_x", "u_xx", "u_yy"]


def main(folder: Path) -> None:
    """Draw frames, derivatives and the Pareto front."""
    with xr.open_dataset(folder / "smooth.nc", engine="h5netcdf") as dataset:
        field = SmoothField.from_dataset(dataset.load()).field
    with xr.open_dataset(folder / "derivatives.nc", engine="h5netcdf") as dataset:
        derivatives = dataset[SHOWN].load()
    posterior = load(folder / "posterior.nc")
    figures = {
        "allen_cahn_front": plot_field(field, derivatives),
        "pareto": plot_pareto(pareto_front(posterior)),
    }
    for name, figure in figures.items():
        figure.savefig(STATIC / f"{name}.png", dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
