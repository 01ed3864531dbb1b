"""Run folders -> assessments, forecasts and reports: `diagnose`, `compare`, `forecast`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bayespde.cli.options import RunFolder, Seed, Variable, existing, load_posterior

MOST_FRAMES = 1_000_000


def diagnose(
    context: typer.Context,
    posterior: Annotated[Path, typer.Argument(help="A run folder, or a posterior.nc.")],
) -> None:
    """Check sampler, statistics and equation, and say what to do where a check fails. Exits with 1 unless all pass."""
    loaded = load_posterior(posterior)
    from bayespde.results.diagnose import diagnose as diagnose_posterior

    found = diagnose_posterior(loaded)
    context.obj.answer(found)
    if found.failed:
        raise typer.Exit(1)


def compare(
    context: typer.Context,
    posteriors: Annotated[list[Path], typer.Argument(help="Run folders, or files, of the same rows.")],
) -> None:
    """Compare libraries or priors: evidence, predictive densities of blocks, stacking weights."""
    found = {str(path): load_posterior(path) for path in posteriors}
    from bayespde.results.compare import compare as compare_posteriors
    from bayespde.results.compare import format_comparison

    context.obj.answer(format_comparison(compare_posteriors(found)))


def forecast(
    context: typer.Context,
    run: RunFolder,
    until: Annotated[float, typer.Option(help="Last time, in the unit of the field.")],
    frames: Annotated[int, typer.Option(min=1, max=MOST_FRAMES, help="Evenly spaced after the last one.")] = 50,
    draws: Annotated[int, typer.Option(help="Draws of the posterior.")] = 100,
    boundary: Annotated[str, typer.Option(help="auto, periodic, neumann, dirichlet or open.")] = "auto",
    verify_with: Annotated[
        Path | None, typer.Option(callback=existing, help="Observed frames: the forecast is verified.")
    ] = None,
    animation: Annotated[Literal["gif", "mp4", "none"], typer.Option(help="Kind of movie.")] = "gif",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="forecast/ in the folder of the run by default.")
    ] = None,
    variable: Variable = None,
    seed: Seed = 0,
) -> None:
    """Integrate the equation of a discovery beyond its last frame."""
    from bayespde.discovery.files import forecast_times, write_forecast
    from bayespde.discovery.report import FORECASTS
    from bayespde.forecasting.config import ForecastConfig
    from bayespde.forecasting.forecast import forecast_discovery
    from bayespde.io.read import read_field
    from bayespde.results.forecast_verification import verify_forecast
    from bayespde.smooth.frame_draws import mean_field
    from bayespde.stages.run_folder import check_belong, read_matched, read_smooth

    smooth, (posterior, trajectories) = read_smooth(run / "smooth.nc"), read_matched(run / "posterior.nc")
    check_belong(posterior, smooth)
    observed = None if verify_with is None else read_field(verify_with, variable)
    times = forecast_times(until, frames, smooth, observed)
    options = ForecastConfig(draws=draws, boundary=boundary)
    ahead = forecast_discovery(
        posterior, smooth, trajectories, times, options=options, seed=seed, progress=context.obj.progress
    )
    scores = None if observed is None else verify_forecast(ahead, observed, before=mean_field(smooth), seed=seed)
    paths, text = write_forecast(ahead, output or run / FORECASTS, observed, scores, animation=animation)
    context.obj.answer(text)
    for path in paths:
        context.obj.note(f"  {path}")


def report(
    context: typer.Context,
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="report.html in that folder by default.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """Write a self-contained HTML report of a discovery."""
    from bayespde.discovery.report import report as write_report

    context.obj.answer(write_report(run, output, title=title))
