"""By which names a server may be called: a page of somebody else must not reach it through a name of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.serving.served import Served, serving

from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.serving.admission import LOOPBACK, host_names


@pytest.fixture(scope="module")
def served(served_model: MultiTaskModel) -> Iterator[Served]:
    with serving(served_model, hosts=[*LOOPBACK, "Model.example"]) as of:
        yield of


def answer(served: Served, *headers: str, version: str = "1.1", path: str = "/health") -> bytes:
    """All that comes back to a request with these headers."""
    lines = (f"GET {path} HTTP/{version}", *headers, "Connection: close", "", "")
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "127.0.0.1:{port}",
        "[::1]",
        "[::1]:8000",
        "model.example:443",
        "localhost:",
    ],
)
def test_its_own_names_are_answered_with_any_port(host: str, served: Served) -> None:
    assert answer(served, f"Host: {host.format(port=served.port)}").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil@localhost",
        "localhost@evil.example",
        "localhost/x",
        "localhost:80:80",
        "localhost..",
        "::1",
        "[::1",
        "[::2]",
        "0.0.0.0",
        "127.0.0.2",
        "2130706433",
        "localh\xf6st",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/", "/info", "/openapi.json", "/nowhere"])
def test_other_names_are_refused_on_every_route(host: str, path: str, served: Served) -> None:
    found = answer(served, f"Host: {host.format(port=served.port)}", path=path)
    assert found.startswith(b"HTTP/1.1 421")
    assert b'"error_type":"wrong_host"' in found and b"--allow-host" in found and b'"hint"' in found


def test_a_body_for_another_name_is_not_read(served: Served) -> None:
    refused = served.post("/predict", {"inputs": "a"}, headers={"Host": "evil.example"})
    assert refused.status_code == 421
    assert set(refused.json()) == {"error", "error_type", "hint"}
    assert "/predict" not in served.get("/metrics").text


def test_no_name_at_all(served: Served) -> None:
    assert answer(served, version="1.0").startswith(b"HTTP/1.1 421")
    assert answer(served).startswith(b"HTTP/1.1 400")
    assert answer(served, "Host: localhost", "Host: evil.example").startswith(b"HTTP/1.1 400")


def test_every_name_is_answered_where_none_is_given(served_model: MultiTaskModel) -> None:
    with serving(served_model) as of:
        assert answer(of, "Host: evil.example").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "name", ["", "http://a.example", "a.example:80", "a.example/x", "*.example", "a b", "[::1]:80", "x@y"]
)
def test_what_is_no_name_cannot_be_allowed(name: str) -> None:
    with pytest.raises(RunError, match="is no name of a host"):
        host_names([name])
