"""One task for every value of a column: a domain, a language, a shop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from motet.data.sources import as_source, read, values
from motet.tasks.base import Task

__all__ = ["per_value"]


def per_value(task: Task, column: str, folder: Path | None = None) -> list[Task]:
    """A copy of a task for every value of a column, restricted to the rows that have it.

    The copies are named after the task and the value, as ``sentiment-books``.

    Args:
        task: what they have in common.
        column: a column of its source.
        folder: where a relative path is looked up, besides the working directory.

    Raises:
        DataError: the source cannot be read, or has no such column.

    Example:
        >>> from motet.tasks.classification import Classification
        >>> rows = [{"text": "t", "label": "l", "shop": shop} for shop in ("books", "toys") * 10]
        >>> [part.name for part in per_value(Classification("mood", source=rows), "shop")]
        ['mood-books', 'mood-toys']
    """
    found = values(read(as_source(task.source), folder), column)
    return [
        replace(task, name=f"{task.name}-{value}".replace("/", "_"), where={**task.where, column: value})
        for value in found
    ]
