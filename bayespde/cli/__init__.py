"""The command line -> files: every verb reads one kind of file and writes one; only this folder prints or exits.

`discover` holds `run`, `discover` and `derivatives`; `assess` holds `diagnose`, `compare`, `forecast` and `report`;
`data` holds `simulate` and `smooth`; `models` lists, shows and checks the shipped declarations. `options` are shared.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bayespde import __version__
from bayespde.cli import assess, data, discover, models
from bayespde.cli.interrupts import interruptible
from bayespde.core.errors import BayespdeError


class InterruptibleGroup(TyperGroup):
    """Verbs that end within two seconds of Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with interruptible():
            return super().invoke(ctx)


app = typer.Typer(
    cls=InterruptibleGroup,
    no_args_is_help=True,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayespde {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find the partial differential equation behind a video, and say how sure it is."""


app.command()(discover.run)
app.command()(discover.discover)
app.command()(discover.derivatives)
app.command()(data.smooth)
app.command()(assess.diagnose)
app.command()(assess.compare)
app.command()(assess.forecast)
app.command()(assess.report)
app.command()(data.simulate)

zoo = typer.Typer(help="The shipped declarations.", no_args_is_help=True)
zoo.command("list")(models.list_models)
zoo.command("show")(models.show_model)
zoo.command("check")(models.check_models)
app.add_typer(zoo, name="models")


def main() -> None:
    """Entry point: an error made by the user's input is a message and exit code 2, not a traceback."""
    warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
    try:
        app()
    except BayespdeError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
