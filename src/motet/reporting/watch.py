"""The watch server: a page on this machine that follows runs while they are written, or shows them afterwards.

It answers `/`, `/run/NAME` for the runs it was given, and nothing else; a name is looked up, never made into a path.
Only `GET` and `HEAD` are understood, so that no page in a browser can make it do anything, and a request must name
this machine in `Host`, so that no foreign page can read the answers through a name of its own.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import is_
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from motet.errors import RunError
from motet.reporting.watch_follow import Follower, Watched
from motet.reporting.watch_page import render_all, render_run, rules
from motet.reporting.watch_view import View, view_of

__all__ = ["PORT", "WatchServer"]

PORT = 8710
# Requests that are answered at a time; others wait.
CONNECTIONS = 16
SECONDS = 20
# A page that takes longer than this to draw is drawn again only after so many times that long.
SLOW, RESTS = 1.0, 4.0


@dataclass(frozen=True)
class Drawn:
    """A page, what it was drawn from, and until when it is good enough."""

    views: list[View]
    text: str
    until: float


class WatchServer(ThreadingHTTPServer):
    """Serves the watch page of some runs.

    Args:
        paths: run folders, folders of runs, or paths where a run is going to be.
        host: the address to listen at.
        port: the port to listen at; 0 for any that is free, None for the usual one or else any that is free.

    Raises:
        RunError: the address or the port cannot be had.

    Example:
        >>> with WatchServer([Path("runs/first")], port=0) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    daemon_threads = True

    def __init__(self, paths: Sequence[Path], *, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.watched = Watched(paths)
        self.host = host
        self._drawn: dict[str, Drawn] = {}
        self._views: dict[str, View] = {}
        self._drawing = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, PORT if port is None else port), _Handler)
        except (OSError, OverflowError) as error:
            if port is not None:
                remedy = "choose another one with --port, or --port 0 for any that is free"
                raise RunError(f"{host} port {port} cannot be had ({error}): {remedy}.") from error
            try:
                super().__init__((host, 0), _Handler)
            except OSError as again:
                raise RunError(f"{host} is no address of this machine ({again}): choose one with --host.") from again

    def server_bind(self) -> None:
        """Bind without asking a name server how this machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/"

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host == "localhost" or _is_loopback(self.host)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, once there are not too many."""
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who left is no error; what is one was answered with 500."""

    def page(self, path: str) -> str | None:
        """The page at a path; None where there is none."""
        runs = self.watched.runs()
        if path == "/" and not (self.watched.single and len(runs) == 1):
            return self._page(path, runs, lambda views: render_all(views, self.watched.left_out))
        if path != "/" and not path.startswith("/run/"):
            return None
        name = next(iter(runs)) if path == "/" else unquote(path.removeprefix("/run/"))
        if name not in runs:
            return None
        return self._page(path, {name: runs[name]}, lambda views: render_run(views[0], alone=self.watched.single))

    def _page(self, path: str, runs: Mapping[str, Follower], render: Callable[[list[View]], str]) -> str:
        """The page as it was drawn before, while nothing has happened since or drawing it took long."""
        with self._drawing:
            begin, old = time.monotonic(), self._drawn.get(path)
            if old is not None and begin < old.until:
                return old.text
            views = [self._view(name, follower) for name, follower in runs.items()]
            if old is not None and len(old.views) == len(views) and all(map(is_, old.views, views)):
                return old.text
            text, end = render(views), time.monotonic()
            rest = RESTS * (end - begin) if end - begin > SLOW else 0.0
            self._drawn[path] = Drawn(views, text, end + rest)
            return text

    def _view(self, name: str, follower: Follower) -> View:
        """What there is of a run by now; the same object while that has not changed."""
        new, old = view_of(name, follower), self._views.get(name)
        if old is None or (old.events, old.state, old.problem) != (new.events, new.state, new.problem):
            self._views[name] = new
        return self._views[name]

    def knows(self, host: str) -> bool:
        """Whether a `Host` header names this machine: by a number, or by a name that it was given itself."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return _is_number(name) or name in {"localhost", self.host.lower(), socket.gethostname().lower()}


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_number(host) and ipaddress.ip_address(host).is_loopback


class _Handler(BaseHTTPRequestHandler):
    """One connection; it is closed after its answer."""

    server: WatchServer
    timeout = SECONDS

    def do_GET(self) -> None:
        if not self.server.knows(self.headers.get("Host", "")):
            self._answer(HTTPStatus.FORBIDDEN, "This is no address of motet watch: use the one that it printed.")
            return
        try:
            page = self.server.page(urlsplit(self.path).path)
        except Exception:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The page could not be drawn.")
            raise
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, "There is no such run here. The page of all runs is at /")
        else:
            self._page(page)

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "Runs can only be looked at.", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _page(self, page: str) -> None:
        tag = f'"{hashlib.sha256(page.encode()).hexdigest()[:32]}"'
        if self.headers.get("If-None-Match") == tag:
            self._answer(HTTPStatus.NOT_MODIFIED, "", {"ETag": tag})
        else:
            self._answer(HTTPStatus.OK, page, {"ETag": tag, "Content-Security-Policy": rules()}, "text/html")

    def _answer(
        self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None, kind: str = "text/plain"
    ) -> None:
        body = text.encode()
        self.send_response(status)
        fixed = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """The name of the server, without versions."""
        return "motet"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the terminal belongs to the person who watches."""
