"""The command `motet`: all commands, and what happens when one fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from motet.cli import compare, export, modules, parts, serve, start, train, use, watch
from motet.cli.terminal import print_result, say
from motet.errors import UserError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Train one text model on many tasks and keep every task at its own best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(start.demo)
app.command()(start.init)
app.command()(start.fill)
app.command()(train.check)
app.command()(train.train)
app.command()(train.resume)
app.command("eval")(use.evaluate)
app.command()(use.predict)
app.command()(compare.compare)
app.command()(compare.sweep)
app.command()(parts.architectures)
app.command()(modules.masks)
app.command()(modules.prompts)
app.command()(serve.serve)
app.command()(use.report)
app.command()(watch.watch)
app.command()(export.export)
app.command()(export.push)
app.command()(use.info)


def _print_version(wanted: bool) -> None:
    if wanted:
        from motet import __version__

        print_result(f"motet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: with a sentence for a mistake of the user, with a traceback for one of ours."""
    try:
        app(arguments, prog_name="motet")
    except UserError as error:
        say(str(error))
        sys.exit(1)
