"""Who may ask: those who send the token, and those who call the server by a name of its own."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from motet.errors import RunError
from motet.serving.refusals import Refusal, shown

__all__ = ["LOOPBACK", "Hosts", "guard", "host_names"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# A name or an IPv4 number, or an IPv6 number in brackets; then perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d*)?", re.ASCII)


def guard(token: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses requests without the token; an empty one is not asked for."""
    wanted = token.encode()

    async def check(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), wanted)
        if wanted and (scheme.lower() != "bearer" or not right):
            error = "The token is wrong." if given else "The request has no token."
            raise Refusal(
                "unauthorised", error, "Send the header Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"}
            )

    return check


def host_names(hosts: Iterable[str]) -> list[str]:
    """Hosts as they are compared: in small letters, numbers without brackets.

    Raises:
        RunError: one is more or less than a name.

    Example:
        >>> host_names(["Model.example", "[::1]"])
        ['model.example', '::1']
    """
    return [_checked(host) for host in hosts]


def _checked(host: str) -> str:
    bare = host.lower().removesuffix(".").removeprefix("[").removesuffix("]")
    if not bare or _name(f"[{bare}]" if ":" in bare else bare) != bare:
        raise RunError(f"`{host}` is no name of a host. Give it as model.example, without scheme and port.")
    return bare


def _name(host: str) -> str:
    """The name in a header `Host`, without the port; empty where there is none."""
    found = _HOST.fullmatch(host.lower())
    return (found[1] or found[2]).removesuffix(".") if found else ""


class Hosts:
    """Refuses requests to any other host, so that no foreign page reads answers through a name of its own.

    A browser asks a server at whatever address the name of a page leads to, and lets the page read what comes back.
    Whoever owns a name can make it lead to the loopback address; the header `Host` still says it.

    Args:
        app: what answers the others.
        names: as `host_names` gives them.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "") if scope["type"] == "http" else ""
        if scope["type"] != "http" or _name(host) in self._names:
            await self._app(scope, receive, send)
            return
        hint = "Use the address that the server printed, or start it with --allow-host and this name."
        told = Refusal("wrong_host", f"The server does not answer to the name {shown(host)}.", hint)
        await JSONResponse(told.body, told.status)(scope, receive, send)
