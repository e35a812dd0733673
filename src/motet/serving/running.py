"""A server that runs until it is told to stop, on uvicorn."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from motet.errors import RunError
from motet.serving.limits import Limits
from motet.serving.refusals import Refusal

__all__ = ["address", "is_loopback", "listen", "run", "server"]


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can already connect to.

    Args:
        host: a name or number of this machine.
        port: 0 for any that is free.

    Raises:
        RunError: the address is taken, or none of this machine's.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise RunError(f"{host}, port {port} cannot be listened at ({error}). Try another --host or --port.") from error
    return listener


def address(listener: socket.socket) -> str:
    """Where clients find a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can connect to a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def run(app: FastAPI, listener: socket.socket, limits: Limits, *, access_log: bool = False) -> int | None:
    """Serve until SIGINT or SIGTERM, then answer what was accepted; a second SIGINT stops at once.

    Args:
        app: made by `create_app`.
        listener: made by `listen`.
        limits: those of the application.
        access_log: write a line for every request to stderr.

    Returns:
        The signal that stopped the server.
    """
    with _noted() as seen:
        server(app, limits, access_log=access_log).run(sockets=[listener])
    return seen[0] if seen else None


def server(app: FastAPI, limits: Limits, *, access_log: bool = False) -> uvicorn.Server:
    """A server that can be run in any thread; set its `should_exit` to stop it."""

    class Protocol(_Protocol):
        header_timeout = limits.header_timeout

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=_logging(access_log),
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, round(limits.header_timeout)),
        timeout_graceful_shutdown=round(limits.body_timeout + limits.request_timeout) + 1,
    )
    return uvicorn.Server(config)


def _logging(access_log: bool) -> dict[str, Any]:
    """Faults go to stderr, and requests too where that is asked for."""
    out = {"class": "logging.StreamHandler", "formatter": "plain"}
    loggers: dict[str, Any] = {"uvicorn.error": {"level": "ERROR"}, "motet": {"level": "ERROR"}}
    if access_log:
        loggers["uvicorn.access"] = {"level": "INFO"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(message)s"}},
        "handlers": {"out": out},
        "loggers": {name: {**of, "handlers": ["out"], "propagate": False} for name, of in loggers.items()},
    }


@contextmanager
def _noted() -> Iterator[list[int]]:
    """The signals that stop a server, instead of what they would do: uvicorn raises them again once it has stopped."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Protocol(H11Protocol):
    """HTTP that waits for the head of a request for a limited time; uvicorn alone would wait for ever."""

    header_timeout = 10.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the shape of all errors."""
        told = Refusal("malformed", msg, "Send a request of HTTP/1.1.")
        body = json.dumps(told.body).encode()
        head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.header_timeout, self.transport.close)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
