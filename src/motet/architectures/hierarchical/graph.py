"""Which tasks read what others say: a graph without circles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from motet.errors import Problem, RecipeError, nearest

__all__ = ["TaskGraph"]


@dataclass(frozen=True)
class TaskGraph:
    """Edges from tasks to those that read them.

    Args:
        feeds: for each task that reads others, their names.

    Raises:
        RecipeError: a task waits for itself, reads nothing, or reads another twice.

    Example:
        >>> graph = TaskGraph({"intent": ("slots", "topic"), "slots": ("topic",)})
        >>> graph.order
        ('topic', 'slots', 'intent')
        >>> graph.needed(["slots"])
        ['topic', 'slots']
        >>> TaskGraph({"intent": ("slots",), "slots": ("intent",)})
        Traceback (most recent call last):
        motet.errors.RecipeError: feeds = intent -> slots -> intent
            must not lead back to where it began
    """

    feeds: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for name, sources in self.feeds.items():
            if not sources:
                raise RecipeError(Problem(f"feeds.{name}", "must name at least one task"))
            if len(set(sources)) < len(sources):
                raise RecipeError(Problem(f"feeds.{name}", "must name each task once", ", ".join(sources)))
        try:
            TopologicalSorter(self.feeds).prepare()
        except CycleError as error:
            path = " -> ".join(error.args[1])
            raise RecipeError(Problem("feeds", "must not lead back to where it began", path)) from error

    @property
    def order(self) -> tuple[str, ...]:
        """The tasks of all edges, each behind those that it reads."""
        return tuple(TopologicalSorter(self.feeds).static_order())

    @property
    def sources(self) -> tuple[str, ...]:
        """The tasks that others read."""
        read = {source for sources in self.feeds.values() for source in sources}
        return tuple(name for name in self.order if name in read)

    def needed(self, tasks: Iterable[str]) -> list[str]:
        """What some tasks take, they included, each behind those that it reads; tasks without edges are left out."""
        wanted = set(tasks)
        for name in reversed(self.order):
            if name in wanted:
                wanted.update(self.feeds.get(name, ()))
        return [name for name in self.order if name in wanted]

    def strangers(self, tasks: Iterable[str], place: str) -> Iterator[Problem]:
        """The names that no task has.

        Args:
            tasks: that there are.
            place: of the graph in the recipe.
        """
        known = list(tasks)
        for name, sources in self.feeds.items():
            if name not in known:
                yield Problem(f"{place}.{name}", f"names no task. {nearest(name, known)}")
            for source in sources:
                if source not in known:
                    yield Problem(f"{place}.{name}", f"names no task. {nearest(source, known)}", source)
