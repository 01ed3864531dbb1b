"""The shipped declarations: `models list`, `models show`, `models check`."""

from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING, Annotated

import typer

from bayespde.cli.options import Model
from bayespde.core.errors import BayespdeError
from bayespde.zoo.shipped import declaration_file, declaration_names, declaration_title

if TYPE_CHECKING:
    from bayespde.cli.terminal import Terminal
    from bayespde.zoo.declaration import Declaration


def list_models(context: typer.Context) -> None:
    """Name and title of every shipped declaration."""
    for name in declaration_names():
        context.obj.answer(f"{name:24} {declaration_title(declaration_file(name))}")


def show_model(context: typer.Context, name: Model) -> None:
    """The card and the declaration of a model."""
    declaration = declaration_file(name)
    for file in (declaration.with_name("README.md"), declaration):
        if file.is_file():
            context.obj.answer(file.read_text(encoding="utf-8", errors="backslashreplace"))


def check_models(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Shipped models, or folders; all shipped by default.")
    ] = None,
    noise_seed: Annotated[
        int | None, typer.Option(min=0, help="Other noise: compare with the true equation only.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Record what is found as the reference posterior.")] = False,
) -> None:
    """Run models and compare what they find with their references. Exits with 1 if any differs.

    Compared are the most probable equation with the true one, and the exact posterior with the reference posterior:
    probabilities, evidence, means and standard deviations. Takes minutes for all shipped models.
    """
    if write and noise_seed is not None:
        raise typer.BadParameter("a reference posterior is of the declared noise; leave out --noise-seed")
    files = [declaration_file(name) for name in names or declaration_names()]
    from bayespde.zoo.declaration import read_declaration, references_of

    chosen = [read_declaration(file) for file in files]
    if noise_seed is not None:
        chosen = [declaration.with_noise(noise_seed) for declaration in chosen]
    for declaration in chosen:
        references_of(declaration)
    met = [_meets(declaration, context.obj, write=write) for declaration in chosen]
    differ = [declaration.name for declaration, well in zip(chosen, met, strict=True) if not well]
    context.obj.answer(f"{sum(met)} of {len(met)} met the reference")
    if differ:
        typer.secho("did not: " + ", ".join(differ), fg="red", err=True)
        raise typer.Exit(1)


def _meets(declaration: Declaration, terminal: Terminal, *, write: bool) -> bool:
    """Run one model and say what was found, and what differs from its references."""
    from bayespde.zoo.declaration import parts_of
    from bayespde.zoo.reference import compare_with_posterior, compare_with_truth, write_reference_posterior

    started, met = process_time(), True
    terminal.answer(f"{declaration.name}: {declaration.title}")
    try:
        for name, found in parts_of(declaration.run(progress=terminal.progress)).items():
            known = declaration.references[name]
            complaints = compare_with_truth(found, known)
            if known.posterior and not write:
                complaints += compare_with_posterior(found, known.posterior)
            if write and not complaints:
                write_reference_posterior(found, declaration.reference_file(name))
            best, met = found.equations(top=1)[0], met and not complaints
            terminal.answer(f"  {best}, probability {best.probability:.3f}")
            for complaint in complaints:
                typer.secho(f"  differs: {complaint}", fg="red")
            if not complaints:
                held = "written" if write else "met" if known.posterior else "not recorded"
                terminal.answer(f"  ok: the true equation; reference posterior {held}")
    except BayespdeError as error:
        typer.secho(f"  failed: {error}", fg="red")
        return False
    terminal.note(f"  {process_time() - started:.0f} s of processor time")
    return met
