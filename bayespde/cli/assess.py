"""Run folders -> judgements, predictions and pages: `diagnose`, `compare`, `forecast`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayespde.cli.options import Seed, Variable, load_posterior


def diagnose(
    posterior: Annotated[Path, typer.Argument(help="A run folder, or a posterior.nc.")],
) -> None:
    """Say whether a posterior can be believed, and what to do if not. Exits with 1 unless it is sound."""
    from bayespde.results.diagnose import diagnose as diagnose_posterior

    found = diagnose_posterior(load_posterior(posterior))
    typer.echo(found)
    if found.failed:
        raise typer.Exit(1)


def compare(
    posteriors: Annotated[list[Path], typer.Argument(help="Run folders, or files, of the same rows.")],
) -> None:
    """Compare libraries or priors: evidence, predictive densities of blocks, stacking weights."""
    from bayespde.results.compare import compare as compare_posteriors
    from bayespde.results.compare import format_comparison

    names = [str(path) for path in posteriors]
    found = {name: load_posterior(path) for name, path in zip(names, posteriors, strict=True)}
    typer.echo(format_comparison(compare_posteriors(found)))


def forecast(
    run: Annotated[Path, typer.Argument(help="The folder of a discovery.")],
    until: Annotated[float, typer.Option(help="Last time, in the unit of the field.")],
    frames: Annotated[int, typer.Option(help="How many, evenly spaced after the last one.")] = 50,
    draws: Annotated[int, typer.Option(help="Of the posterior.")] = 100,
    boundary: Annotated[str, typer.Option(help="auto, periodic, neumann, dirichlet or open.")] = "auto",
    observed: Annotated[Path | None, typer.Option(help="Frames that came: scores are written.")] = None,
    animation: Annotated[str, typer.Option(help="gif, mp4 or none.")] = "gif",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="By default predicted/ in that of the run.")
    ] = None,
    variable: Variable = None,
    seed: Seed = 0,
) -> None:
    """Integrate the law of a discovery on from the end of the frames that it has seen."""
    from bayespde.discovery.files import forecast_times, write_forecast
    from bayespde.forecasting.forecast import forecast_discovery
    from bayespde.forecasting.initial_conditions import ForecastConfig
    from bayespde.io.read import read_field
    from bayespde.results.forecast_verification import verify_forecast
    from bayespde.smooth.frame_draws import mean_field
    from bayespde.stages.run_folder import check_belong, read_smooth

    smooth_field, posterior = read_smooth(run / "smooth.nc"), load_posterior(run)
    check_belong(posterior, smooth_field)
    came = None if observed is None else read_field(observed, variable)
    times = forecast_times(until, frames, smooth_field, came)
    options = ForecastConfig(draws=draws, boundary=boundary)
    found = forecast_discovery(posterior, smooth_field, times, options=options, seed=seed, progress=True)
    scores = None if came is None else verify_forecast(found, came, before=mean_field(smooth_field))
    paths, text = write_forecast(found, output or run / "predicted", came, scores, animation=animation)
    typer.echo(text)
    for path in paths:
        typer.echo(f"  {path}")


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a discovery.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="report.html in that folder by default.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """Write one HTML page about a discovery, with every picture inside, to be sent around."""
    from bayespde.discovery.report import report as write_report

    typer.echo(write_report(run, output, title=title))
