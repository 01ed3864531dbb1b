"""Videos -> equations: `run`, `discover`, `discover-system`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayespde.cli.options import Output, Seed, SolverConfig, Variable, library_section, read_settings, split_names

if TYPE_CHECKING:
    from bayespde.discovery.discovery import Discovery


def run(
    model: Annotated[str, typer.Argument(help="A shipped model's name, a folder with a model.toml, or that file.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; runs/NAME by default.")] = None,
    data: Annotated[Path | None, typer.Option(help="Read this file in place of the declared data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the declared seed.")] = None,
    check: Annotated[bool, typer.Option(help="Exit with 1 unless the reference equation is found.")] = False,
    workers: Annotated[int, typer.Option(help="Sampler runs at a time.")] = 1,
) -> None:
    """The whole way for a declaration, from data to answers. A rerun resumes after finished stages."""
    from bayespde.zoo.declaration import parts_of, read_declaration, references_of
    from bayespde.zoo.reference import compare_with_truth

    declaration = read_declaration(model)
    typer.echo(declaration.title)
    references = references_of(declaration) if check else {}
    folder = output or Path("runs") / declaration.name
    parts = parts_of(declaration.run(folder=folder, data=data, seed=seed, workers=workers, progress=True))
    for name, part in parts.items():
        _show(part, folder / name)
    complaints = [c for name, known in references.items() for c in compare_with_truth(parts[name], known)]
    for complaint in complaints:
        typer.secho(f"not the reference: {complaint}", fg="red", err=True)
    if complaints:
        raise typer.Exit(1)
    for name, known in references.items():
        typer.echo(
            f"the reference equation{f' of {name}' if name else ''} was found, its coefficients within "
            f"{known.relative_tolerance:.0%} and {known.sd_tolerance:g} posterior sd"
        )


def discover(
    field: Annotated[Path, typer.Argument(help="netCDF, or .npz with t, x (y, z) and u as (t, y, x).")],
    output: Output = Path("runs/discovery"),
    terms: Annotated[str | None, typer.Option(help="Candidate terms in place of the default, by commas.")] = None,
    extra: Annotated[str | None, typer.Option(help="Terms beside the default, by commas; 1 is the constant.")] = None,
    method: SolverConfig = None,
    config: Annotated[Path | None, typer.Option(help="TOML: library, smooth, form, prior, sample, refine.")] = None,
    variable: Variable = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Sampler runs at a time.")] = 1,
    holdout_frames: Annotated[int, typer.Option(help="Last frames that are predicted, and not seen.")] = 0,
) -> None:
    """Find the equation behind a field."""
    from bayespde.discovery.config import DiscoverConfig
    from bayespde.discovery.discover import discover as discover_field
    from bayespde.io.read import describe_field, read_field
    from bayespde.library.declared import library_from_mapping

    data = read_field(field, variable)
    typer.echo(f"read {describe_field(data)}")
    settings = read_settings(config, method)
    section = library_section(settings.pop("library", {}), terms, extra)
    library = library_from_mapping(section, space=data.ndim - 1, variable=str(data.name))
    found = discover_field(
        data,
        library=library,
        config=DiscoverConfig.from_mapping(settings),
        seed=seed,
        holdout_frames=holdout_frames,
        folder=output,
        workers=workers,
        progress=True,
    )
    _show(found, output, seed)


def discover_system(
    fields: Annotated[Path, typer.Argument(help="netCDF, or .npz with t, x (y, z) and all fields.")],
    variables: Annotated[str, typer.Option(help="Names of the fields, separated by commas.")] = "u,v",
    output: Output = Path("runs/system"),
    method: SolverConfig = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML: library.u, library.v, smooth, form, prior, sample.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Sampler runs at a time.")] = 1,
    holdout_frames: Annotated[int, typer.Option(help="Last frames that are predicted, and not seen.")] = 0,
) -> None:
    """Find the equations behind fields that move each other; one folder for each in that of the run."""
    from bayespde.discovery.config import DiscoverConfig
    from bayespde.discovery.discover import discover_system as discover_fields
    from bayespde.discovery.files import write_coupled_forecast
    from bayespde.io.read import describe_field, read_fields
    from bayespde.library.declared import libraries_from_mapping

    names = split_names(variables)
    data = read_fields(fields, names)
    typer.echo("\n".join(f"read {describe_field(data[name])}" for name in names))
    settings, space = read_settings(config, method), data[names[0]].ndim - 1
    found = discover_fields(
        data,
        libraries=libraries_from_mapping(settings.pop("library", {}), space=space, variables=names),
        config=DiscoverConfig.from_mapping(settings),
        seed=seed,
        holdout_frames=holdout_frames,
        folder=output,
        workers=workers,
        progress=True,
    )
    for name, part in found.parts.items():
        _show(part, output / name)
    if holdout_frames:
        typer.echo(write_coupled_forecast(found, output, seed=seed))
    typer.echo(f"\n{found.best()}")


def _show(found: Discovery, folder: Path, seed: int = 0) -> None:
    from bayespde.discovery.files import write_results
    from bayespde.results.equations import group_masses

    paths = write_results(found, folder)
    typer.echo(f"\n{found}")
    for group, mass in group_masses(found.posterior):
        typer.echo(f"interchangeable here: {group.describe()}, together with probability {mass:.3f}")
    if found.holdout is not None and not found.posterior.library.coupled_variables:
        paths |= _foretell(found, folder, seed)
    typer.echo("\nwritten:")
    stages = [folder / name for name in ("smooth.nc", "statistics.nc", "weak_posterior.nc", "posterior.nc")]
    for path in [*filter(Path.is_file, stages), *paths.values()]:
        typer.echo(f"  {path}")
    typer.echo(f"\na page about it, to be sent around: bayespde report {folder}")


def _foretell(found: Discovery, folder: Path, seed: int) -> dict[str, Path]:
    """Predict what was held out, write it, and say how good it is."""
    from bayespde.discovery.files import write_forecast

    prediction, scores = found.forecast_holdout(seed=seed)
    paths, text = write_forecast(prediction, folder, found.holdout, scores)
    typer.echo(f"\nof the frames that were held out: {text}")
    return {path.name: path for path in paths}
