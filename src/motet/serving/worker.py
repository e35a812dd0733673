"""The one thread that owns the model: it takes batches, reads them and hands the answers back."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from motet.answering import answerable
from motet.serving.asks import Ask, Part
from motet.serving.batcher import Batcher, Entry, Order, QueueClosedError
from motet.serving.limits import Limits
from motet.serving.memory import Memory
from motet.serving.passes import Answer, Cost, Predictor, answer

__all__ = ["Observer", "Ticket", "Worker"]

_log = logging.getLogger(__name__)
_LONGEST_RETRY = 60


class Observer(Protocol):
    """Is told of every batch."""

    def batch(self, inputs: int, tokens: int, seconds: float) -> None:
        """A batch was read."""


class Ticket(Order[Ask]):
    """A request that waits for its answers.

    Args:
        asks: its inputs.
        costs: of each.
        done: called once, in the thread of the model, when all answers are there or the request has failed.
    """

    def __init__(self, asks: Sequence[Ask], costs: Sequence[Cost], done: Callable[[], None]) -> None:
        super().__init__(asks, [cost.tokens for cost in costs])
        self.answers: list[Answer] = [{} for _ in asks]
        self.failure: Exception | None = None
        self._left = len(asks)
        self._done = done

    def give(self, place: int, found: Answer) -> None:
        """Take the answer to one input."""
        self.answers[place] = found
        self._left -= 1
        if not self._left and self.failure is None:
            self._done()

    def fail(self, error: Exception) -> None:
        """Give up, and let no more of it be read."""
        if self.failure is None and self._left:
            self.failure, self.cancelled = error, True
            self._done()


class Worker(threading.Thread):
    """Reads batches until it is told to stop, and answers all that was accepted by then.

    Where a batch fails, its requests are read again one by one, so that none fails for the sake of another.

    Args:
        predictor: the model; nobody else may use it from now on.
        limits: of a batch and of the queue.
        observer: is told of every batch.
    """

    def __init__(self, predictor: Predictor, limits: Limits, observer: Observer) -> None:
        super().__init__(name="motet-model", daemon=True)
        self.batcher: Batcher[Ask] = Batcher(limits.max_batch_tokens, limits.max_wait, limits.max_queue)
        self.warm = threading.Event()
        self._predictor, self._observer = predictor, observer
        self._pace = 0.0  # seconds an input, lately
        self._memory = Memory()

    @property
    def ready(self) -> bool:
        """Whether requests are answered now."""
        return self.warm.is_set() and self.is_alive() and not self.batcher.closed

    @property
    def retry_after(self) -> int:
        """Seconds in which what waits now will have been read."""
        return min(_LONGEST_RETRY, max(1, math.ceil(len(self.batcher) * self._pace)))

    def stop(self) -> None:
        """Take no more requests; what was accepted is still answered."""
        self.batcher.close()

    def run(self) -> None:
        """Warm up, then read batch after batch."""
        try:
            self._warm_up()
            while batch := self.batcher.take():
                self._read(batch)
                self._memory.tidy()
        finally:
            self.batcher.close()
            for entry in self.batcher.rest():  # only where the thread breaks down: nobody shall wait for ever
                _ticket(entry).fail(QueueClosedError("the model has stopped."))

    def _warm_up(self) -> None:
        """One answer of every task, so that the first request does not wait for what is made at first use."""
        for name, task in answerable(self._predictor.tasks).items():
            text = ("a",) * len(task.inputs.columns)
            answer(self._predictor, [Ask((Part(text if len(text) > 1 else text[0], (name,)),))])
        self.warm.set()

    def _read(self, batch: Sequence[Entry[Ask]]) -> None:
        started = time.perf_counter()
        try:
            found = answer(self._predictor, [entry.item for entry in batch])
        except Exception as error:  # noqa: BLE001  whatever a model raises is the answer to one request at most
            self._read_apart(batch, error)
        else:
            for entry, of_input in zip(batch, found, strict=True):
                _ticket(entry).give(entry.place, of_input)
        seconds = time.perf_counter() - started
        self._pace = 0.8 * self._pace + 0.2 * seconds / len(batch)
        self._observer.batch(len(batch), sum(entry.cost for entry in batch), seconds)

    def _read_apart(self, batch: Sequence[Entry[Ask]], error: Exception) -> None:
        orders = {id(entry.order): entry.order for entry in batch}
        if len(orders) == 1:
            _log.error("a request failed", exc_info=error)
            _ticket(batch[0]).fail(error)
            return
        for order in orders.values():
            mine = [entry for entry in batch if entry.order is order]
            try:
                found: Iterable[Any] = answer(self._predictor, [entry.item for entry in mine])
            except Exception as own:  # noqa: BLE001  as above
                self._read_apart(mine, own)
                continue
            for entry, of_input in zip(mine, found, strict=True):
                _ticket(entry).give(entry.place, of_input)


def _ticket(entry: Entry[Ask]) -> Ticket:
    if not isinstance(entry.order, Ticket):
        raise TypeError("only tickets are put into the queue of a worker")
    return entry.order
