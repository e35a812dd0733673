"""What a server says of itself to Prometheus.

>>> monitor = Monitor()
>>> monitor.batch(inputs=3, tokens=40, seconds=0.01)
>>> "motet_tokens_total 40.0" in monitor.page("")[0].decode()
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Monitor", "Watched"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COUNTS = tuple(float(2**power) for power in range(11))
_TOKENS = tuple(float(2**power) for power in range(4, 15))


class Monitor:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "motet_requests", "Requests by route and status.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "motet_answer_seconds",
            "From a request to its answers, by task.",
            ("task",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._inputs = Counter("motet_inputs", "Inputs answered, by task.", ("task",), registry=registry)
        self._cut = Counter("motet_cut_inputs", "Inputs of which a part was not read.", registry=registry)
        self._dropped = Counter(
            "motet_dropped_requests", "Requests given up by their client, or timed out.", registry=registry
        )
        self._queue = Gauge("motet_queue_inputs", "Inputs that wait to be read.", registry=registry)
        self._ready = Gauge("motet_ready", "1 once the model is warm, until it stops.", registry=registry)
        self._batch_inputs = Histogram("motet_batch_inputs", "Inputs of a batch.", buckets=_COUNTS, registry=registry)
        self._batch_tokens = Histogram(
            "motet_batch_tokens", "Sub-words of a batch.", buckets=_TOKENS, registry=registry
        )
        self._batch_seconds = Histogram(
            "motet_batch_seconds", "Time that the model takes for a batch.", buckets=_SECONDS, registry=registry
        )
        self._tokens = Counter("motet_tokens", "Sub-words read.", registry=registry)

    def watch(self, queue: Callable[[], float], ready: Callable[[], float]) -> None:
        """Say where the length of the queue and the state are read."""
        self._queue.set_function(queue)
        self._ready.set_function(ready)

    def request(self, route: str, status: int) -> None:
        """A request was answered, or refused."""
        self._requests.labels(route, str(status)).inc()

    def answered(self, tasks: Iterable[str], inputs: int, cut: int, seconds: float) -> None:
        """The answers to a request are there."""
        for task in tasks:
            self._seconds.labels(task).observe(seconds)
            self._inputs.labels(task).inc(inputs)
        self._cut.inc(cut)

    def dropped(self) -> None:
        """Nobody waits for a request any more."""
        self._dropped.inc()

    def batch(self, inputs: int, tokens: int, seconds: float) -> None:
        """A batch was read."""
        self._batch_inputs.observe(inputs)
        self._batch_tokens.observe(tokens)
        self._batch_seconds.observe(seconds)
        self._tokens.inc(tokens)

    def page(self, accept: str) -> tuple[bytes, str]:
        """All of it as text, and the content type.

        Args:
            accept: the header of the request, which chooses the format.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class Watched:
    """Counts requests by route and status.

    Args:
        app: that answers them.
        monitor: that is told.
    """

    def __init__(self, app: ASGIApp, monitor: Monitor) -> None:
        self._app, self._monitor = app, monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")
                self._monitor.request(path, message["status"])
            await send(message)

        await self._app(scope, receive, watched)
