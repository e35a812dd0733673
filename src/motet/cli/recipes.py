"""What commands that take a recipe share: reading it, and telling its problems with their lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from motet.cli.terminal import say
from motet.errors import DataError, RecipeError

if TYPE_CHECKING:
    from motet.recipe import Loaded
    from motet.runs import RunFolder

__all__ = ["FolderOption", "Json", "Quiet", "RecipePath", "SetOption", "Settings", "folder_of", "opened"]

RecipePath: TypeAlias = Annotated[Path, typer.Argument(metavar="RECIPE", help="A .yaml, .json or .toml file.")]
Settings: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Other values for its keys: training.steps=100")
]
SetOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="The same as an option.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
FolderOption: TypeAlias = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="Where relative paths of sources are looked up.")
]


def folder_of(run: RunFolder, loaded: Loaded) -> Path:
    """Where the data of a run was looked up when it was begun; where it would be now, if the run does not say."""
    noted = run.read_json(run.manifest_file).get("folder")
    return Path(noted) if noted else loaded.folder


@contextmanager
def opened(path: Path, settings: Sequence[str] = ()) -> Iterator[Loaded]:
    """A recipe to work with. What is wrong with it, or with its data, is told with the lines of its keys."""
    from motet.recipe import load

    loaded = None
    try:
        loaded = load(path, settings)
        yield loaded
    except (RecipeError, DataError) as error:
        say(str(loaded.located(error) if loaded else error))
        if error.problems:
            say(f"\nNothing was started. `motet fill {path}` shows every key with its default.")
        raise typer.Exit(1) from error
