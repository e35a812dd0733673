"""Checks of options that name tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from motet.errors import Problem, nearest

__all__ = ["no_strangers"]


def no_strangers(option: str, named: Iterable[str], tasks: Mapping[str, object] | Iterable[str]) -> Iterator[Problem]:
    """Names in an option that no task has."""
    known = list(tasks)
    for name in named:
        if name not in known:
            yield Problem(f"balance.{option}.{name}", f"names no task. {nearest(name, known)}")
