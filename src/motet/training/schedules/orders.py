"""Orders of tasks that several schedules share.

>>> ordered("size_desc", {"small": 10, "large": 90}, seed=0)
('large', 'small')
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from motet.errors import Problem, nearest
from motet.training.schedules.base import Moment

__all__ = ["Order", "every_task_once", "in_order", "known", "ordered", "until"]

Order = Literal["given", "size_desc", "size_asc", "easy_first", "random"]


def ordered(word: Order, sizes: Mapping[str, int], seed: int) -> tuple[str, ...]:
    """The tasks in an order that their sizes or chance decide; in the order of the recipe where neither does."""
    names = tuple(sizes)
    if word == "random":
        return tuple(names[at] for at in np.random.default_rng(seed).permutation(len(names)))
    if word in ("size_asc", "size_desc"):
        sign = 1 if word == "size_asc" else -1
        return tuple(sorted(names, key=lambda task: sign * sizes[task]))
    return names


def in_order(order: Sequence[str], now: Moment) -> tuple[str, ...]:
    """The tasks that may take part, in an order; in that of the recipe where the order is empty."""
    return tuple(task for task in order or now.tasks if task in now.tasks)


def until(order: Sequence[str], now: Moment, over: Callable[[str], bool]) -> tuple[str, ...]:
    """The tasks up to the first that is not over, and those after it that have begun: nobody who joined is sent away.

    Args:
        order: of the tasks that may take part.
        now: the passes tell who has begun.
        over: whether the next one need not wait for a task any more.
    """
    newest = next((at for at, task in enumerate(order) if not over(task)), len(order))
    return tuple(task for at, task in enumerate(order) if at <= newest or now.passes(task) > 0)


def known(option: str, named: Iterable[str], tasks: Sequence[str]) -> Iterable[Problem]:
    """Names in an option that no task has."""
    for name in dict.fromkeys(named):
        if name not in tasks:
            yield Problem(f"schedule.{option}", f"names no task. {nearest(name, tasks)}", name)


def every_task_once(option: str, order: Sequence[str], tasks: Sequence[str]) -> Iterable[Problem]:
    """Names in an order that no task has, and tasks that are not there exactly once."""
    yield from known(option, order, tasks)
    twice = [name for name in dict.fromkeys(order) if order.count(name) > 1]
    missing = [task for task in tasks if task not in order]
    remedies = [f"Missing: {', '.join(missing)}."] * bool(missing) + [f"Twice: {', '.join(twice)}."] * bool(twice)
    if remedies:
        yield Problem(f"schedule.{option}", "must name every task once", ", ".join(order), " ".join(remedies))
