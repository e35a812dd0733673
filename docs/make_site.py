"""Bring all pages together: those that are written by hand, and those that are made of the source.

    python docs/make_site.py build/docs
    zensical build --strict --clean

`make docs` does both. The pages are Markdown that any other tool reads as well.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import make_commands
import make_methods
import make_python
import make_reference

__all__ = ["generated", "stage"]

_HERE = Path(__file__).parent
_MARKED = re.compile(r"^(```\w+) .*$", re.MULTILINE)  # `python run` is for the tests; renderers know `python` alone


def generated() -> dict[str, str]:
    """The pages that are made of the source, by their path below the folder of the documentation."""
    return {
        "reference/recipe.md": make_reference.page(),
        "reference/commands.md": make_commands.page(),
        "reference/python.md": make_python.page(),
        **make_methods.pages(),
    }


def stage(folder: Path) -> None:
    """Write all pages into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    written = {str(page.relative_to(_HERE)): page.read_text(encoding="utf-8") for page in _HERE.rglob("*.md")}
    for path, text in {**written, **generated()}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_MARKED.sub(r"\1", text), encoding="utf-8")
    for sheet in _HERE.glob("*.css"):
        shutil.copy(sheet, folder / sheet.name)


if __name__ == "__main__":
    stage(Path(sys.argv[1] if len(sys.argv) > 1 else "build/docs"))
