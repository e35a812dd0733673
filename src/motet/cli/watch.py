"""The command watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motet.cli.terminal import print_result, say

__all__ = ["watch"]


def watch(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="Run folders, or folders of runs.", show_default="runs"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Where to listen; 0 for any free port.", show_default="8710, or any free"),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at; by default only this machine can reach it.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Serve a page that follows runs, live or afterwards."""
    from motet.reporting.watch import WatchServer

    with WatchServer(runs or [Path("runs")], host=host, port=port) as server:
        print_result(server.url)
        if not server.local:
            say(f"warning: whoever can reach {host} can read these runs.")
        say("Ctrl-C ends it; the runs go on.")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            say("")
