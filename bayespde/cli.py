"""The command line: every verb reads one kind of file and writes one. The only module that prints or exits."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayespde.core.errors import BayespdeError

if TYPE_CHECKING:
    from bayespde.core.posterior import Posterior
    from bayespde.discovery import Discovery
    from bayespde.zoo import Declaration

app = typer.Typer(
    help="Find the partial differential equation behind a video, and say how sure it is.",
    no_args_is_help=True,
    add_completion=False,
)
models = typer.Typer(help="The shipped declarations.", no_args_is_help=True)
app.add_typer(models, name="models")

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Variable = Annotated[str | None, typer.Option(help="Variable to read from the file.")]
Method = Annotated[str | None, typer.Option(help="Smoothing: auto; spline, without neural fields; or network.")]


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="A shipped model's name, a folder with a model.toml, or that file.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; runs/NAME by default.")] = None,
    data: Annotated[Path | None, typer.Option(help="Read this file in place of the declared data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the declared seed.")] = None,
    check: Annotated[bool, typer.Option(help="Exit with 1 unless the reference equation is found.")] = False,
    workers: Annotated[int, typer.Option(help="Sampler runs at a time.")] = 1,
) -> None:
    """The whole way for a declaration, from data to answers. A rerun resumes after finished stages."""
    from bayespde.reference import compare_with_truth
    from bayespde.zoo import parts_of, read_declaration, references_of

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


@app.command()
def discover(
    field: Annotated[Path, typer.Argument(help="netCDF, or .npz with t, x (y, z) and u[t, y, x].")],
    output: Output = Path("runs/discovery"),
    terms: Annotated[str | None, typer.Option(help="Candidate terms, separated by commas.")] = None,
    method: Method = None,
    config: Annotated[Path | None, typer.Option(help="TOML: library, smooth, form, prior, sample, refine.")] = None,
    variable: Variable = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Sampler runs at a time.")] = 1,
    holdout_frames: Annotated[int, typer.Option(help="Last frames that are predicted, and not seen.")] = 0,
) -> None:
    """Find the equation behind a field."""
    from bayespde.config import DiscoverConfig, library_from_mapping
    from bayespde.core.field_files import describe_field, read_field
    from bayespde.pipeline import discover as discover_field

    data = read_field(field, variable)
    typer.echo(f"read {describe_field(data)}")
    settings = _settings(config, method)
    section = settings.pop("library", {})
    if terms is not None:
        section = {"terms": [t.strip() for t in terms.split(",")]}
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


@app.command("discover-system")
def discover_system(
    fields: Annotated[Path, typer.Argument(help="netCDF, or .npz with t, x (y, z) and all fields.")],
    variables: Annotated[str, typer.Option(help="Names of the fields, separated by commas.")] = "u,v",
    output: Output = Path("runs/system"),
    method: Method = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML: library.u, library.v, smooth, form, prior, sample.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Sampler runs at a time.")] = 1,
    holdout_frames: Annotated[int, typer.Option(help="Last frames that are predicted, and not seen.")] = 0,
) -> None:
    """Find the equations behind fields that move each other; one folder for each in that of the run."""
    from bayespde.answers import write_foretold
    from bayespde.config import DiscoverConfig, libraries_from_mapping
    from bayespde.core.field_files import describe_field, read_fields
    from bayespde.pipeline import discover_system as discover_fields

    names = [name.strip() for name in variables.split(",")]
    data = read_fields(fields, names)
    typer.echo("\n".join(f"read {describe_field(data[name])}" for name in names))
    settings, space = _settings(config, method), data[names[0]].ndim - 1
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
        typer.echo(write_foretold(found, output, seed=seed))
    typer.echo(f"\n{found.best()}")


@app.command()
def smooth(
    field: Annotated[Path, typer.Argument(help="netCDF, or .npz with t, x (y, z) and u[t, y, x].")],
    output: Output = Path("derivatives.nc"),
    method: Annotated[str, typer.Option(help="auto, spline or network.")] = "auto",
    noise: Annotated[str, typer.Option(help="auto, gaussian, student_t, poisson or logit.")] = "auto",
    device: Annotated[str, typer.Option(help="Where networks are trained: cpu or cuda.")] = "cpu",
    deviations: Annotated[bool, typer.Option("--deviations", help="Those of networks too: minutes.")] = False,
    space: Annotated[int, typer.Option(help="Highest order of space derivatives.")] = 2,
    time: Annotated[int, typer.Option(help="Highest order of time derivatives.")] = 1,
    variable: Variable = None,
    seed: Seed = 0,
) -> None:
    """Smooth a field and write its derivatives, with their standard deviations if the spline is chosen."""
    from bayespde.core.field_files import describe_field, read_field
    from bayespde.core.files import atomic_path
    from bayespde.smooth.differentiate import differentiate
    from bayespde.smooth.fit import Smoothing, fit_field

    options = Smoothing(method=method, noise=noise, device=device)
    data = read_field(field, variable)
    typer.echo(f"read {describe_field(data)}")
    with atomic_path(output) as temporary:
        fitted = fit_field(data, options=options, seed=seed, progress=True)
        found = differentiate(fitted, space=space, time=time, deviations=deviations or None)
        found.to_netcdf(temporary, engine="h5netcdf")
    typer.echo(fitted.summary())
    typer.echo(output)


@app.command()
def diagnose(
    posterior: Annotated[Path, typer.Argument(help="A run folder, or a posterior.nc.")],
) -> None:
    """Say whether a posterior can be believed, and what to do if not. Exits with 1 unless it is sound."""
    from bayespde.results.diagnose import diagnose as diagnose_posterior

    found = diagnose_posterior(_posterior(posterior))
    typer.echo(found)
    if found.failed:
        raise typer.Exit(1)


@app.command()
def compare(
    posteriors: Annotated[list[Path], typer.Argument(help="Run folders, or files, of the same rows.")],
) -> None:
    """Compare libraries or priors: evidence, predictive densities of blocks, stacking weights."""
    from bayespde.results.compare import compare as compare_posteriors
    from bayespde.results.compare import format_comparison

    names = [str(path) for path in posteriors]
    found = {name: _posterior(path) for name, path in zip(names, posteriors, strict=True)}
    typer.echo(format_comparison(compare_posteriors(found)))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a discovery.")],
    until: Annotated[float, typer.Option(help="Last time, in the unit of the field.")],
    frames: Annotated[int, typer.Option(help="How many, evenly spaced after the last one.")] = 50,
    draws: Annotated[int, typer.Option(help="Of the posterior.")] = 100,
    boundary: Annotated[str, typer.Option(help="auto, periodic, no-flux, fixed or open.")] = "auto",
    observed: Annotated[Path | None, typer.Option(help="Frames that came: scores are written.")] = None,
    animation: Annotated[str, typer.Option(help="gif, mp4 or none.")] = "gif",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="By default predicted/ in that of the run.")
    ] = None,
    variable: Variable = None,
    seed: Seed = 0,
) -> None:
    """Integrate the law of a discovery on from the end of the frames that it has seen."""
    from bayespde.answers import times_until, write_prediction
    from bayespde.core.field_files import read_field
    from bayespde.folder import check_belong, read_smooth
    from bayespde.prediction import predict_onward
    from bayespde.results.foretold import score_prediction
    from bayespde.smooth.frame_draws import mean_field
    from bayespde.starts import Forecast

    smooth_field, posterior = read_smooth(run / "smooth.nc"), _posterior(run)
    check_belong(posterior, smooth_field)
    came = None if observed is None else read_field(observed, variable)
    times = times_until(until, frames, smooth_field, came)
    options = Forecast(draws=draws, boundary=boundary)
    found = predict_onward(posterior, smooth_field, times, options=options, seed=seed, progress=True)
    scores = None if came is None else score_prediction(found, came, before=mean_field(smooth_field))
    paths, text = write_prediction(found, output or run / "predicted", came, scores, animation=animation)
    typer.echo(text)
    for path in paths:
        typer.echo(f"  {path}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a discovery.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="report.html in that folder by default.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """Write one HTML page about a discovery, with every picture inside, to be sent around."""
    from bayespde.reporting import report as write_report

    typer.echo(write_report(run, output, title=title))


@app.command()
def simulate(
    model: Annotated[str, typer.Argument(help="A declaration with a [simulate] section.")],
    output: Output = Path("field.nc"),
    noise: Annotated[float | None, typer.Option(help="Relative noise level, overrides the declaration.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise, overrides the declaration.")] = None,
) -> None:
    """Integrate a declared equation and write the video."""
    from bayespde.core.files import atomic_path
    from bayespde.solve.simulate import SimulationSpec
    from bayespde.solve.simulate import simulate as simulate_field
    from bayespde.zoo import read_declaration

    changes = {k: v for k, v in {"noise": noise, "seed": seed}.items() if v is not None}
    spec = SimulationSpec.from_mapping(dict(read_declaration(model).simulation) | changes)
    with atomic_path(output) as temporary:
        simulate_field(spec, progress=True).to_netcdf(temporary, engine="h5netcdf")
    typer.echo(output)


@models.command("list")
def list_models() -> None:
    """Name and title of every shipped declaration."""
    from bayespde.zoo import declaration_names, read_declaration

    for name in declaration_names():
        typer.echo(f"{name:24} {read_declaration(name).title}")


@models.command("show")
def show_model(name: str) -> None:
    """The card and the declaration of a model."""
    from bayespde.zoo import read_declaration

    folder = read_declaration(name).folder
    for file in ("README.md", "model.toml"):
        if (folder / file).is_file():
            typer.echo((folder / file).read_text(encoding="utf-8"))


@models.command("check")
def check_models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Shipped models, or folders; all shipped by default.")
    ] = None,
    noise_seed: Annotated[int | None, typer.Option(help="Other noise: compare with the true equation only.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Record what is found as the reference posterior.")] = False,
) -> None:
    """Run models and compare what they find with their references. Exits with 1 if any differs.

    Compared are the most probable equation with the true one, and the exact posterior with the reference posterior:
    probabilities, evidence, means and standard deviations. Takes minutes for all shipped models.
    """
    from bayespde.zoo import declaration_names, read_declaration, references_of

    if write and noise_seed is not None:
        raise typer.BadParameter("a reference posterior is of the declared noise; leave out --noise-seed")
    chosen = [read_declaration(name) for name in names or declaration_names()]
    if noise_seed is not None:
        chosen = [declaration.with_noise(noise_seed) for declaration in chosen]
    for declaration in chosen:
        references_of(declaration)
    met = [_meets(declaration, write=write) for declaration in chosen]
    differ = [declaration.name for declaration, well in zip(chosen, met, strict=True) if not well]
    typer.echo(f"{sum(met)} of {len(met)} met the reference")
    if differ:
        typer.secho("did not: " + ", ".join(differ), fg="red", err=True)
        raise typer.Exit(1)


def _meets(declaration: Declaration, *, write: bool) -> bool:
    """Run one model and say what was found, and what differs from its references."""
    from bayespde.reference import compare_with_posterior, compare_with_truth, write_reference_posterior
    from bayespde.zoo import parts_of

    started, met = process_time(), True
    typer.echo(f"{declaration.name}: {declaration.title}")
    try:
        for name, found in parts_of(declaration.run(progress=True)).items():
            known = declaration.references[name]
            complaints = compare_with_truth(found, known)
            if known.posterior and not write:
                complaints += compare_with_posterior(found, known.posterior)
            if write and not complaints:
                write_reference_posterior(found, declaration.reference_file(name))
            best, met = found.equations(top=1)[0], met and not complaints
            typer.echo(f"  {best}, probability {best.probability:.3f}")
            for complaint in complaints:
                typer.secho(f"  differs: {complaint}", fg="red")
            if not complaints:
                held = "written" if write else "met" if known.posterior else "not recorded"
                typer.echo(f"  ok: the true equation; reference posterior {held}")
    except BayespdeError as error:
        typer.secho(f"  failed: {error}", fg="red")
        return False
    typer.echo(f"  {process_time() - started:.0f} s of processor time")
    return met


def _settings(config: Path | None, method: str | None) -> dict[str, Any]:
    """Of a file, with the method of smoothing from the command line."""
    from bayespde.config import read_toml

    settings = read_toml(config) if config else {}
    if method is not None:
        settings["smooth"] = settings.get("smooth", {}) | {"method": method}
    return settings


def _posterior(path: Path) -> Posterior:
    """Of a run folder, or a file."""
    from bayespde.results.inference_data import load

    return load(path / "posterior.nc" if path.is_dir() else path)


def _show(found: Discovery, folder: Path, seed: int = 0) -> None:
    from bayespde.answers import write_answers
    from bayespde.results.equations import group_masses

    paths = write_answers(found, folder)
    typer.echo(f"\n{found}")
    for group, mass in group_masses(found.posterior):
        typer.echo(f"interchangeable here: {group.describe()}, together with probability {mass:.3f}")
    if found.holdout is not None and not found.posterior.library.others:
        paths |= _foretell(found, folder, seed)
    typer.echo("\nwritten:")
    stages = [folder / name for name in ("smooth.nc", "statistics.nc", "rows.nc", "posterior.nc")]
    for path in [*filter(Path.is_file, stages), *paths.values()]:
        typer.echo(f"  {path}")
    typer.echo(f"\na page about it, to be sent around: bayespde report {folder}")


def _foretell(found: Discovery, folder: Path, seed: int) -> dict[str, Path]:
    """Predict what was held out, write it, and say how good it is."""
    from bayespde.answers import write_prediction

    prediction, scores = found.foretold(seed=seed)
    paths, text = write_prediction(prediction, folder, found.holdout, scores)
    typer.echo(f"\nof the frames that were held out: {text}")
    return {path.name: path for path in paths}


def main() -> None:
    """Entry point: an error made by the user's input is a message and exit code 2, not a traceback."""
    warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
    try:
        app()
    except BayespdeError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
