"""The command line -> files: every verb reads one kind of file and writes one; only this folder prints or exits.

`discover` holds `run`, `discover` and `derivatives`; `assess` holds `diagnose`, `compare`, `forecast` and `report`;
`data` holds `simulate` and `smooth`; `models` lists, shows and checks the shipped declarations. `options` are shared.
What is printed goes through a `Terminal`; an error ends in `complain`, which says it and gives the exit code.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from bayespde import __version__
from bayespde.cli import assess, data, discover, models
from bayespde.cli.terminal import SharedOptions, Terminal, complain

app = typer.Typer(
    cls=SharedOptions,
    no_args_is_help=True,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayespde {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print results only, no notes and no bars.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
) -> None:
    """Find the partial differential equation behind a video, and say how sure it is.

    --quiet and --debug may stand anywhere. Exit codes: 0, done; 1, a run failed or a check did not pass; 2, the
    arguments or the input are wrong; 130, interrupted.
    """
    context.obj = Terminal(quiet=quiet)


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
    """Entry point: whatever goes wrong is a message and an exit code, not a traceback, unless --debug is given."""
    warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character gets its escape.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        sys.exit(complain(error, debug="--debug" in sys.argv))
