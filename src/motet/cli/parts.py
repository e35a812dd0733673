"""Commands about the parts that there are: architectures."""

from __future__ import annotations

from motet.cli.recipes import Json
from motet.cli.terminal import print_json

__all__ = ["architectures"]

_WIDE = 160  # a table that is piped somewhere is not cut to a terminal


def architectures(json: Json = False) -> None:
    """List the architectures with what each costs.

    For a BERT of six layers and width 384 with five tasks: parameters that tasks share and parameters that learn, in
    millions; those of one task alone, in thousands; multiply-adds of a text relative to hard sharing.
    """
    from dataclasses import asdict

    from rich.console import Console

    from motet.architectures.catalogue import catalogue
    from motet.reporting.architectures import architecture_table

    entries = [asdict(entry) for entry in catalogue()]
    if json:
        print_json(entries)
        return
    terminal = Console()
    (terminal if terminal.is_terminal else Console(width=_WIDE)).print(architecture_table(entries))
