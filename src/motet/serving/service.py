"""From the bytes of a request to the bytes of its answer, without a word about routes.

Nothing here waits for the model in the event loop: bodies are read and answers are written by a few threads, the model
has one of its own, and the event loop only moves bytes between them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from motet.answering import answerable
from motet.serving.asks import Asked, read_body, require_task
from motet.serving.batcher import QueueClosedError, QueueFullError
from motet.serving.limits import Limits
from motet.serving.monitoring import Monitor
from motet.serving.passes import Cost, Predictor, TokenCounter
from motet.serving.refusals import Refusal
from motet.serving.worker import Ticket, Worker
from motet.tasks.base import Task

__all__ = ["Service"]

_THREADS = 2
Gone = Callable[[], Awaitable[None]]


class Service:
    """A model that answers requests.

    Args:
        predictor: the model; from now on it belongs to the thread of the service.
        limits: on requests and batches.
        monitor: is told of everything.

    Raises:
        ValueError: the model has no task that answers texts.
    """

    def __init__(self, predictor: Predictor, limits: Limits, monitor: Monitor) -> None:
        self.tasks = answerable(predictor.tasks)
        if not self.tasks:
            raise ValueError("no task of the model answers texts")
        self.limits, self.monitor = limits, monitor
        self.max_length = predictor.max_length
        self.worker = Worker(predictor, limits, monitor)
        self._counter = TokenCounter(predictor)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="motet-body")
        monitor.watch(lambda: len(self.worker.batcher), lambda: self.worker.ready)

    def start(self) -> None:
        """Begin to warm up; requests are answered once that is done."""
        self.worker.start()

    def stop(self) -> None:
        """Answer what was accepted, then end."""
        self.worker.stop()
        self.worker.join(self.limits.request_timeout)
        self._threads.shutdown(wait=False)

    def require_ready(self) -> None:
        """Refuse before the model is warm, and once it stops.

        Raises:
            Refusal: one of both.
        """
        if self.worker.batcher.closed:
            raise _unready("The server shuts down.", "Ask another one, or come again.")
        if not self.worker.ready:
            raise _unready("The model is not warm yet.", "Come again in a second; GET /ready tells when.")

    def tasks_of(self, only: str | None) -> Mapping[str, Task]:
        """The tasks of a route.

        Raises:
            Refusal: there is no such task.
        """
        if only is None:
            return self.tasks
        require_task(only, self.tasks)
        return {only: self.tasks[only]}

    async def answer(self, body: bytes, only: str | None, gone: Gone) -> bytes:
        """The body of the answer to a request.

        Args:
            body: of the request.
            only: the one task of the route, if it has one.
            gone: returns when nobody waits for the answer any more.

        Raises:
            Refusal: it gets none.
        """
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        asked, costs = await loop.run_in_executor(self._threads, self._prepare, body, only)
        ticket = await self._answered(asked, costs, gone)
        cut = sum(cost.cut for cost in costs)
        names = list(dict.fromkeys(name for answers in ticket.answers for name in answers))
        self.monitor.answered(names, len(costs), cut, time.perf_counter() - started)
        return await loop.run_in_executor(self._threads, _written, ticket.answers, only, cut)

    def _prepare(self, body: bytes, only: str | None) -> tuple[Asked, list[Cost]]:
        asked = read_body(body, self.tasks_of(only), self.limits, only)
        costs = self._counter.count(asked.asks)
        place = next((place for place, cost in enumerate(costs, 1) if cost.cut), None)
        if place is not None and not asked.truncate:
            error = f"Input {place} has {costs[place - 1].longest} sub-words, and the model reads {self.max_length}."
            raise Refusal("too_long", error, "Shorten it, or leave `truncate` out to have its beginning read.")
        return asked, costs

    async def _answered(self, asked: Asked, costs: Sequence[Cost], gone: Gone) -> Ticket:
        """The ticket of a request, once all its answers are there."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop was stopped by force, so nobody waits
                loop.call_soon_threadsafe(done.set)

        ticket = Ticket(asked.asks, costs, tell)
        self._put(ticket)
        waits = [asyncio.ensure_future(done.wait()), asyncio.ensure_future(gone())]
        try:
            await asyncio.wait(waits, timeout=self.limits.request_timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = not done.is_set()
            for wait in waits:
                wait.cancel()
            if left:
                self.worker.batcher.cancel(ticket)
        if left:
            self.monitor.dropped()
            raise _unready(
                f"The answers were not there within {self.limits.request_timeout:g} seconds.",
                "Send fewer inputs at a time, or come again later.",
                "timed_out",
                self.worker.retry_after,
            )
        if isinstance(ticket.failure, QueueClosedError):
            raise _unready("The model has stopped.", "Look at the log of the server, and start it again.")
        if ticket.failure is not None:
            raise Refusal("failed", "The model failed on this request.", "The log of the server says why.")
        return ticket

    def _put(self, ticket: Ticket) -> None:
        try:
            self.worker.batcher.put(ticket)
        except QueueFullError:
            seconds = self.worker.retry_after
            hint = f"Come again in {seconds} s, or send fewer inputs at a time."
            headers = {"Retry-After": str(seconds)}
            raise Refusal("queue_full", "Too many inputs wait already.", hint, headers) from None
        except QueueClosedError:
            raise _unready("The server shuts down.", "Ask another one, or come again.") from None


def _unready(error: str, hint: str, error_type: str = "not_ready", seconds: int = 1) -> Refusal:
    return Refusal(error_type, error, hint, {"Retry-After": str(seconds)})


def _written(answers: Sequence[Mapping[str, Any]], only: str | None, cut: int) -> bytes:
    found = list(answers) if only is None else [of_input[only] for of_input in answers]
    try:
        text = json.dumps({"answers": found, "truncated": cut}, ensure_ascii=False, allow_nan=False)
    except ValueError:
        error = "The model answered with a number that is not finite."
        raise Refusal("failed", error, "Its weights may be damaged: serve another checkpoint.") from None
    return text.encode("utf-8", "replace")
