"""Run folders of the demo -> the figures of the documentation: `python docs/figures.py runs/demo runs/holdout`.

The second run is of the same video with held-out frames:
`bayespde discover video.nc --smoother spline --seed 1 --holdout-frames 12 --output runs/holdout`.
"""

import sys
from pathlib import Path

import xarray as xr

from bayespde import figures
from bayespde.results.inference_data import load
from bayespde.results.pareto import pareto_front
from bayespde.stages.run_folder import FORECAST, OBSERVED, read_forecast, read_observed, read_smooth

STATIC = Path(__file__).parent / "_static"
SHOWN = ["u_t", "u_x", "u_xx", "u_yy"]
SIMULATED = {"u": -0.3, "u**2": 1.3, "u**3": -1.0, "u_xx": 2.0, "u_yy": 2.0}


def main(demo: Path, holdout: Path) -> None:
    """Draw frames and derivatives, coefficients, the Pareto front, and a forecast next to the held-out frames."""
    field = read_smooth(demo / "smooth.nc").field
    with xr.open_dataset(demo / "derivatives.nc", engine="h5netcdf") as dataset:
        derivatives = dataset[SHOWN].load()
    posterior = load(demo / "posterior.nc")
    forecast, observed = read_forecast(holdout / FORECAST), read_observed(holdout / OBSERVED)["observed"]
    drawn = {
        "allen_cahn_front": figures.plot_field(field, derivatives),
        "coefficients": figures.plot_coefficients(posterior, known=SIMULATED),
        "pareto": figures.plot_pareto(pareto_front(posterior)),
        "forecast": figures.plot_forecast(forecast, observed.rename("u")),
    }
    for name, figure in drawn.items():
        figure.savefig(STATIC / f"{name}.png", dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
