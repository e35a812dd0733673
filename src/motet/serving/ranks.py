"""The rank of every candidate among those of its query, from rows that come one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from motet.errors import RunError

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["Ranks"]

_REMEMBERED = 100_000  # queries that are known when they come again
Answer = dict[str, Any]


class Ranks:
    """Holds answers back until all candidates of their queries are there, and gives each its rank, 1 for the best.

    The rows of a query must follow each other, so no more than those of one query are held.

    Args:
        tasks: of the model; those whose examples are several rows give ranks, the others pass through.

    Example:
        >>> from motet.tasks.ranking import Ranking
        >>> ranks = Ranks({"order": Ranking("order", source="shop.csv")})
        >>> ranks.take(1, {"query": "tea"}, {"order": {"score": 0.25}})
        []
        >>> ranks.take(2, {"query": "tea"}, {"order": {"score": 0.75}})
        []
        >>> ranks.rest()
        [{'order': {'score': 0.25, 'rank': 2}}, {'order': {'score': 0.75, 'rank': 1}}]
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = {name: task for name, task in tasks.items() if task.group}
        self._open: dict[str, str] = {}
        self._candidates: dict[str, list[Answer]] = {name: [] for name in self._tasks}
        self._ended: dict[int, None] = {}
        self._held: deque[Answer] = deque()

    def take(self, row: int, value: Any, answer: Answer) -> list[Answer]:
        """The answers that are complete once one more is there.

        Args:
            row: its number, for messages.
            value: what was read: a text, a list of texts or an object.
            answer: to it, by task.

        Raises:
            RunError: a query comes again after another.
        """
        queries = {name: _query(task, value) for name, task in self._tasks.items() if name in answer}
        for name in [name for name, query in self._open.items() if queries.get(name) != query]:
            self._end(name)
        for name, query in queries.items():
            if name not in self._open and hash((name, query)) in self._ended:
                raise RunError(
                    f"row {row}: the query `{query[:60]}` comes again after another. `{name}` ranks rows that follow "
                    f"each other: sort the file by `{self._tasks[name].group}`, or leave the task out."
                )
            self._open[name] = query
            self._candidates[name].append(answer[name])
        self._held.append(answer)
        return self._complete()

    def rest(self) -> list[Answer]:
        """The answers that are left when no more rows come."""
        for name in list(self._open):
            self._end(name)
        return self._complete()

    def _end(self, name: str) -> None:
        candidates = self._candidates[name]
        for rank, candidate in enumerate(sorted(candidates, key=lambda candidate: -candidate["score"]), 1):
            candidate["rank"] = rank
        self._candidates[name] = []
        self._ended[hash((name, self._open.pop(name)))] = None
        if len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _complete(self) -> list[Answer]:
        found = []
        while self._held and all("rank" in self._held[0][name] for name in self._tasks if name in self._held[0]):
            found.append(self._held.popleft())
        return found


def _query(task: Task, value: Any) -> str:
    """What tells the query of a row apart: the column of its ids if the row has it, else its text."""
    if not isinstance(value, Mapping):
        return str(value[0])
    query = value.get(task.group)
    return str(value[task.inputs.columns[0]] if query is None else query)
