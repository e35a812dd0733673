"""Who is read together: requests in, batches out, and nothing about models or the network.

>>> batcher = Batcher(budget=10, wait=0.0, room=100)
>>> first, second = Order(["a", "b"], [6, 3]), Order(["c"], [4])
>>> batcher.put(first), batcher.put(second)
(None, None)
>>> [entry.item for entry in batcher.take()], [entry.item for entry in batcher.take()]
(['a', 'b'], ['c'])
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from motet.errors import RunError

__all__ = ["Batcher", "Entry", "Order", "QueueClosedError", "QueueFullError"]

T = TypeVar("T")


class QueueFullError(RunError):
    """There is no room for all items of an order."""


class QueueClosedError(RunError):
    """No more orders are taken."""


class Order(Generic[T]):
    """Items that were asked for together; a batch may hold some of them, and another batch the rest.

    Args:
        items: whatever is to be read.
        costs: of each, in tokens.
    """

    def __init__(self, items: Sequence[T], costs: Sequence[int]) -> None:
        self.items = items
        self.costs = costs
        self.cancelled = False  # set by whoever no longer waits; its items are dropped when their turn comes


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One item on its way into a batch.

    Args:
        order: it belongs to.
        place: among the items of the order.
        arrived: when, by the clock of the batcher.
    """

    order: Order[T]
    place: int
    arrived: float

    @property
    def item(self) -> T:
        """What is to be read."""
        return self.order.items[self.place]

    @property
    def cost(self) -> int:
        """Its tokens."""
        return self.order.costs[self.place]


class Batcher(Generic[T]):
    """A bounded queue that gives away its oldest items in batches.

    A batch is ready when its budget is spent, or when its oldest item has waited long enough: one deadline for each
    batch, which later arrivals do not move. Items leave in the order in which they came, none is overtaken, and a batch
    costs no more than the budget unless it is a single item. Any number of threads may put, one takes.

    Args:
        budget: the most that a batch costs.
        wait: seconds that the oldest item waits for others.
        room: items that may wait.
        clock: tells seconds.
    """

    def __init__(self, budget: int, wait: float, room: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget, self._wait, self._room, self._clock = budget, wait, room, clock
        self._waiting: deque[Entry[T]] = deque()
        self._cost = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, order: Order[T]) -> None:
        """Take all items of an order or none.

        Raises:
            QueueClosedError: after `close`.
            QueueFullError: there is no room; a queue without anything in it has room for an order of any size.
        """
        with self._changed:
            if self._closed:
                raise QueueClosedError("no more orders are taken.")
            if len(self._waiting) + len(order.items) > self._room:
                self._drop_cancelled()
            if self._waiting and len(self._waiting) + len(order.items) > self._room:
                raise QueueFullError(f"{len(self._waiting)} items wait, and there is room for {self._room}.")
            now = self._clock()
            self._waiting.extend(Entry(order, place, now) for place in range(len(order.items)))
            self._cost += sum(order.costs)
            self._changed.notify()

    def take(self) -> list[Entry[T]]:
        """The next batch, once it is ready; empty when the batcher is closed and nothing is left."""
        with self._changed:
            while True:
                rest = self._until_ready()
                if rest == 0:
                    batch = self._cut()
                    if batch:
                        return batch
                elif self._closed:
                    return []
                else:
                    self._changed.wait(rest)

    def cut_if_ready(self) -> list[Entry[T]]:
        """The next batch if it is ready now, else nothing."""
        with self._changed:
            return self._cut() if self._until_ready() == 0 else []

    def cancel(self, order: Order[T]) -> None:
        """Drop what still waits of an order."""
        with self._changed:
            order.cancelled = True

    @property
    def closed(self) -> bool:
        """Whether no more orders are taken."""
        return self._closed

    def rest(self) -> list[Entry[T]]:
        """All that waits, whatever it costs."""
        with self._changed:
            entries, self._waiting, self._cost = list(self._waiting), deque(), 0
            return [entry for entry in entries if not entry.order.cancelled]

    def close(self) -> None:
        """Take no more orders, and give away at once what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _until_ready(self) -> float | None:
        """Seconds until the next batch is ready; None while nothing waits."""
        if self._waiting and self._waiting[0].order.cancelled:
            self._drop_cancelled()
        if not self._waiting:
            return None
        if self._closed or self._cost >= self._budget:
            return 0.0
        return max(0.0, self._waiting[0].arrived + self._wait - self._clock())

    def _cut(self) -> list[Entry[T]]:
        batch: list[Entry[T]] = []
        spent = 0
        while self._waiting:
            first = self._waiting[0]
            if not first.order.cancelled:
                if batch and spent + first.cost > self._budget:
                    break
                batch.append(first)
                spent += first.cost
            self._waiting.popleft()
            self._cost -= first.cost
        return batch

    def _drop_cancelled(self) -> None:
        self._waiting = deque(entry for entry in self._waiting if not entry.order.cancelled)
        self._cost = sum(entry.cost for entry in self._waiting)
