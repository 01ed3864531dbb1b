"""Videos -> equations: `run`, `discover`, `derivatives`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayespde.cli.interrupts import interruptible
from bayespde.cli.options import (
    FieldFile,
    Model,
    Output,
    RunFolder,
    Seed,
    SettingsFile,
    Smoother,
    SpaceOrder,
    TimeOrder,
    Variable,
    Workers,
    existing,
    library_section,
    load_posterior,
    read_settings,
    split_names,
)

if TYPE_CHECKING:
    from bayespde.cli.terminal import Terminal
    from bayespde.core.equation import Library
    from bayespde.discovery.coupled import CoupledDiscovery
    from bayespde.discovery.discovery import Discovery

Budget = Annotated[float | None, typer.Option(help="CPU seconds for all stages; 300 by default.")]


def run(
    context: typer.Context,
    model: Model,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; runs/NAME by default.")] = None,
    data: Annotated[
        Path | None, typer.Option(callback=existing, help="Read this file in place of the declared data.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the declared seed.")] = None,
    check: Annotated[bool, typer.Option(help="Exit with 1 unless the reference equation is found.")] = False,
    workers: Workers = None,
) -> None:
    """Run all stages of a declared model, from data to results. A rerun resumes after finished stages."""
    from bayespde.zoo.declaration import parts_of, read_declaration, references_of
    from bayespde.zoo.reference import compare_with_truth

    declaration = read_declaration(model)
    context.obj.note(declaration.title)
    references = references_of(declaration) if check else {}
    folder = output or Path("runs") / declaration.name
    with interruptible(folder):
        parts = parts_of(
            declaration.run(folder=folder, data=data, seed=seed, workers=workers, progress=context.obj.progress)
        )
        for name, part in parts.items():
            _show(context.obj, part, folder / name)
    complaints = [c for name, known in references.items() for c in compare_with_truth(parts[name], known)]
    for complaint in complaints:
        typer.secho(f"not the reference: {complaint}", fg="red", err=True)
    if complaints:
        raise typer.Exit(1)
    for name, known in references.items():
        context.obj.answer(
            f"the reference equation{f' of {name}' if name else ''} was found, its coefficients within "
            f"{known.relative_tolerance:.0%} and {known.sd_tolerance:g} posterior sd"
        )


def discover(
    context: typer.Context,
    field: FieldFile,
    output: Output = Path("runs/discovery"),
    terms: Annotated[str | None, typer.Option(help="Candidate terms in place of the default, comma-separated.")] = None,
    add_terms: Annotated[
        str | None, typer.Option(help="Terms added to the default, comma-separated; 1 is the constant.")
    ] = None,
    smoother: Smoother = None,
    config: SettingsFile = None,
    variable: Variable = None,
    variables: Annotated[
        str | None, typer.Option(help="Names of coupled fields, comma-separated; a folder for each in that of the run.")
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    holdout_frames: Annotated[int, typer.Option(help="Number of last frames to hold out and forecast.")] = 0,
    budget: Budget = None,
) -> None:
    """Find the equation of a field, or with --variables the coupled equations of several."""
    from dataclasses import replace

    from bayespde.discovery.config import DiscoverConfig
    from bayespde.discovery.discover import discover as discover_field

    names = None if variables is None else split_names(variables)
    data = _read(context.obj, field, variable, names)
    settings = read_settings(config, smoother)
    library: Any = _library(data, library_section(settings.pop("library", {}), terms, add_terms), names)
    declared = DiscoverConfig.from_mapping(settings)
    chosen = replace(declared, holdout_frames=holdout_frames, sampler=replace(declared.sampler, workers=workers))
    chosen = chosen if budget is None else replace(chosen, budget=budget)
    with interruptible(output):
        found: Any = discover_field(
            data, library=library, config=chosen, seed=seed, folder=output, progress=context.obj.progress
        )
        if names is None:
            _show(context.obj, found, output, seed)
        else:
            _show_coupled(context.obj, found, output, seed)


def derivatives(
    context: typer.Context,
    run: RunFolder,
    smoother: Annotated[str, typer.Option(help="network (DLTVR, seconds to minutes) or spline.")] = "network",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="derivatives_SMOOTHER.nc in that folder by default.")
    ] = None,
    space: SpaceOrder = 2,
    time: TimeOrder = 1,
    seed: Seed = 0,
) -> None:
    """Write derivative maps of the field of a discovery by another smoother, and a figure of them."""
    from bayespde.discovery.discovery import smoothed_by
    from bayespde.discovery.files import write_derivatives
    from bayespde.stages.run_folder import read_smooth

    smooth, show = read_smooth(run / "smooth.nc"), context.obj.progress
    with interruptible(run):
        smooth = smoothed_by(smoother, smooth, load_posterior(run), folder=run, seed=seed, progress=show)
        context.obj.note(smooth.summary())
        for path in write_derivatives(smooth, output or run / f"derivatives_{smoother}.nc", space=space, time=time):
            context.obj.answer(f"  {path}")


def _read(terminal: Terminal, file: Path, variable: str | None, names: list[str] | None) -> Any:
    from bayespde.io.read import describe_field, read_field

    fields: Any = read_field(file, variable) if names is None else read_field(file, variables=names)
    for one in (fields,) if names is None else fields.data_vars.values():
        terminal.note(f"read {describe_field(one)}")
    return fields


def _library(data: Any, section: dict[str, Any], names: list[str] | None) -> Library | dict[str, Library]:
    from bayespde.library.declared import libraries_from_mapping, library_from_mapping

    if names is None:
        return library_from_mapping(section, space=data.ndim - 1, variable=str(data.name))
    return libraries_from_mapping(section, space=data[names[0]].ndim - 1, variables=names)


def _show_coupled(terminal: Terminal, found: CoupledDiscovery, folder: Path, seed: int) -> None:
    from bayespde.discovery.files import write_coupled_forecast

    for name, part in found.parts.items():
        _show(terminal, part, folder / name)
    if all(part.holdout is not None for part in found.parts.values()):
        terminal.answer(write_coupled_forecast(found, folder, seed=seed))
    terminal.answer(f"\n{found.best()}")


def _show(terminal: Terminal, found: Discovery, folder: Path, seed: int = 0) -> None:
    from bayespde.discovery.files import write_results
    from bayespde.results.equations import group_masses

    paths = write_results(found, folder)
    terminal.answer(f"\n{found}")
    for group, mass in group_masses(found.posterior):
        terminal.answer(f"interchangeable here: {group.describe()}, together with probability {mass:.3f}")
    if found.holdout is not None and not found.posterior.library.coupled_variables:
        paths |= _forecast_holdout(terminal, found, folder, seed)
    terminal.note("\nwritten:")
    names = ["smooth.nc", "statistics.nc", "posterior.nc"]
    names += ["weak_posterior.nc"] * (found.weak_posterior is not found.posterior)
    names += ["trajectories.nc"] * (found.trajectories is not None)
    for path in [*(folder / name for name in names), *paths.values()]:
        terminal.note(f"  {path}")
    terminal.note(f"\nfor an HTML report: bayespde report {folder}")


def _forecast_holdout(terminal: Terminal, found: Discovery, folder: Path, seed: int) -> dict[str, Path]:
    """Forecast the held-out frames, write the forecast, and print its scores."""
    from bayespde.discovery.files import write_forecast

    ahead, scores = found.forecast_holdout(seed=seed)
    paths, text = write_forecast(ahead, folder, found.holdout, scores)
    terminal.answer(f"\nheld-out frames: {text}")
    return {path.name: path for path in paths}
