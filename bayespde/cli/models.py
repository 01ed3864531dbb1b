"""The shipped declarations: `models list`, `models show`, `models check`."""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING, Annotated

import typer

from bayespde.core.errors import BayespdeError

if TYPE_CHECKING:
    from bayespde.zoo.declaration import Declaration


def list_models() -> None:
    """Name and title of every shipped declaration."""
    from bayespde.zoo.declaration import declaration_names, read_declaration

    for name in declaration_names():
        typer.echo(f"{name:24} {read_declaration(name).title}")


def show_model(name: str) -> None:
    """The card and the declaration of a model."""
    from bayespde.zoo.declaration import read_declaration

    folder = read_declaration(name).folder
    for file in ("README.md", "model.toml"):
        if (folder / file).is_file():
            typer.echo((folder / file).read_text(encoding="utf-8"))


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
    from bayespde.zoo.declaration import declaration_names, read_declaration, references_of

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
    from bayespde.zoo.declaration import parts_of
    from bayespde.zoo.reference import compare_with_posterior, compare_with_truth, write_reference_posterior

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
