"""The watch server: its pages, what it refuses, and what it answers while a run is written."""

from __future__ import annotations

import http.client
import math
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.live import balanced_run, line
from tests.reporting.synthetic import SHAPES, VOICES, believable_run
from tests.reporting.test_report import Page

from motet.errors import RunError
from motet.reporting import watch as server_module
from motet.reporting.watch import WatchServer
from motet.reporting.watch_page import render_run, rules
from motet.runs import Event


def write(folder: Path, events: list[Event]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.jsonl").write_text("".join(map(line, events)), encoding="utf-8")
    return folder


class Client:
    """Asks a server that runs in a thread of this process."""

    def __init__(self, *paths: Path, host: str = "127.0.0.1") -> None:
        self.server = WatchServer(paths, host=host, port=0)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def get(
        self, path: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], str]:
        connection = http.client.HTTPConnection(self.server.host, self.server.server_port, timeout=10)
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read().decode()
        connection.close()
        return found

    def page(self, path: str = "/") -> str:
        status, _, text = self.get(path)
        assert status == 200, text
        return text

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(server_module, "SLOW", math.inf)  # this machine may be busy
    made: list[Client] = []

    def make(*paths: Path, host: str = "127.0.0.1") -> Client:
        made.append(Client(*paths, host=host))
        return made[-1]

    yield make
    for client in made:
        client.close()


def parsed(text: str) -> Page:
    """The page without its script, held against what is true of every page."""
    body = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    page = Page(body)
    assert len(set(page.identities)) == len(page.identities)
    assert set(page.targets) <= set(page.identities)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(address.startswith(("#", "/")) or not address for address in page.addresses)
    assert not re.search(r"https?:|//[a-z]|url\((?!#)|@import|<link|<iframe|xmlns| style=| on[a-z]+=", body)
    assert not re.search(r"\b(nan|NaN|inf|None|Undefined)\b", page.text)
    return page


def test_the_page_of_one_run(tmp_path: Path, clients: Any) -> None:
    client = clients(write(tmp_path / "first", list(balanced_run())))
    page = parsed(client.page())
    for words in (
        "motet watch first",
        "5 tasks, 4 held at their peak, 1 still learning when the budget ended",
        "ended at step 3,000 all steps are done",
        "held from 780",
        "What the balance multiplies the loss of each task by.",
        "The part of all rows that each task reads.",
        "Beyond 90° two tasks pull against each other.",
        "gets only 3 passes over its rows",
        "query intent converged at step 780: best 0.811 at step 540",
    ):
        assert words in page.text
    assert "left" not in page.text.split("Tasks")[0], "a run that has ended has no time left"


def test_every_shape_of_score_can_be_watched(tmp_path: Path, clients: Any) -> None:
    client = clients(write(tmp_path / "shapes", list(balanced_run(3, SHAPES))))
    assert "perplexity" in parsed(client.page()).text


@pytest.mark.parametrize("count", [1, 2, 3, 8, 60, 61, 250])
def test_a_run_can_be_watched_from_its_first_event_on(tmp_path: Path, clients: Any, count: int) -> None:
    client = clients(write(tmp_path / "begun", list(believable_run())[:count]))
    parsed(client.page())


def test_a_run_that_does_not_exist_yet(tmp_path: Path, clients: Any) -> None:
    client = clients(tmp_path / "later")
    assert "not begun yet the page waits for its folder" in parsed(client.page()).text
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "manifest.json").write_text("{}")
    assert "being prepared" in parsed(client.page()).text
    write(tmp_path / "later", list(believable_run())[:200])
    assert "5 tasks at step" in parsed(client.page()).text


def test_many_runs_and_one_that_joins(tmp_path: Path, clients: Any) -> None:
    for seed in range(2):
        write(tmp_path / "study" / f"seed {seed}", list(balanced_run(seed))[: 200 + 400 * seed])
    client = clients(tmp_path)
    page = parsed(client.page())
    assert "2 runs, 1 silent, 1 ended" in page.text
    assert "Tasks in several runs" in page.text
    assert "/run/study/seed%200" in page.addresses
    assert "seed 0" in parsed(client.page("/run/study/seed%200")).text
    write(tmp_path / "alone", list(believable_run())[:3])
    assert "3 runs" in parsed(client.page()).text


def test_a_folder_without_runs_waits_for_one(tmp_path: Path, clients: Any) -> None:
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    client = clients(tmp_path / "runs")
    assert "No run yet" in parsed(client.page()).text


def test_everything_from_a_run_is_escaped(tmp_path: Path, clients: Any) -> None:
    evil = '<img src=x onerror=alert(1)> </script> "&'
    events = json_with(believable_run()[:250], "query intent", evil)
    client = clients(write(tmp_path / "<b>run", [*events, {"event": "warning", "code": evil, "message": evil}]))
    text = client.page()
    assert "<img" not in text
    assert "<b>run</b>" not in text
    assert text.count("</script>") == 1


def json_with(events: list[Event], old: str, new: str) -> list[Event]:
    import json

    return [json.loads(json.dumps(event).replace(json.dumps(old), json.dumps(new))) for event in events]


def test_what_cannot_be_read_is_told_on_the_page(tmp_path: Path, clients: Any) -> None:
    run = write(tmp_path / "torn", list(believable_run())[:100])
    with (run / "events.jsonl").open("a") as file:
        file.write("garbage\n")
    assert "Line 101 of" in parsed(clients(run).page()).text


def test_an_unchanged_page_is_not_sent_again(tmp_path: Path, clients: Any) -> None:
    run = write(tmp_path / "run", list(believable_run()))
    client = clients(run)
    _, headers, _ = client.get()
    again = client.get(headers={"If-None-Match": headers["ETag"]})
    assert (again[0], again[2]) == (304, "")
    with (run / "events.jsonl").open("a") as file:
        file.write(line({"event": "warning", "code": "new", "message": "something new"}))
    assert client.get(headers={"If-None-Match": headers["ETag"]})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/run/", "/run/other", "/run/../run", "/run/%2e%2e/secret", "/secret", "/run", "//etc/passwd",
        "/run//etc/passwd", "/favicon.ico", "/first", "/run/first/events.jsonl", "/run/first%00", "/%72un/first",
    ],
)  # fmt: skip
def test_other_paths_are_not_there(tmp_path: Path, clients: Any, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    client = clients(write(tmp_path / "first", list(believable_run())[:3]), tmp_path / "second")
    assert client.get("/run/first")[0] == 200
    status, _, text = client.get(path)
    assert status == 404
    assert "secret" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(tmp_path: Path, clients: Any, method: str) -> None:
    status, headers, _ = clients(tmp_path).get(method=method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


def test_a_head_has_no_body(tmp_path: Path, clients: Any) -> None:
    status, headers, text = clients(tmp_path).get(method="HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8710", "127.0.0.1.evil.example", "localhost.evil", "", "[", "a@b"]
)
def test_a_foreign_host_is_refused(tmp_path: Path, clients: Any, host: str) -> None:
    status, _, text = clients(tmp_path).get(headers={"Host": host})
    assert status == 403
    assert "motet watch" in text


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8710", "[::1]:80", "192.168.1.7", "LOCALHOST"])
def test_names_of_this_machine_are_known(tmp_path: Path, clients: Any, host: str) -> None:
    assert clients(tmp_path).get(headers={"Host": host})[0] == 200


def test_headers_let_nothing_foreign_in(tmp_path: Path, clients: Any) -> None:
    _, headers, text = clients(tmp_path).get()
    policy = headers["Content-Security-Policy"]
    assert policy == rules()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in headers["Server"]
    assert "<style>" in text


def test_a_fault_of_the_page_is_an_answer_too(
    tmp_path: Path, clients: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    client = clients(tmp_path)
    monkeypatch.setattr(server_module, "render_run", lambda *_, **__: 1 / 0)
    status, _, text = client.get()
    assert (status, text) == (500, "The page could not be drawn.")
    assert capfd.readouterr().err == ""


def test_a_reader_who_leaves_stops_nothing(tmp_path: Path, clients: Any) -> None:
    client = clients(write(tmp_path / "run", list(believable_run())))
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", client.server.server_port)) as left:
            left.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.get()[0] == 200


def test_many_readers_at_once(tmp_path: Path, clients: Any) -> None:
    client = clients(write(tmp_path / "run", list(believable_run())[:120]))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(client.get()[0])) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 40


def test_a_page_is_drawn_once_and_a_slow_one_rests(
    tmp_path: Path, clients: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write(tmp_path / "run", list(believable_run())[:30])
    drawn: list[int] = []

    def counted(view: Any, *, alone: bool) -> str:
        drawn.append(len(view.events))
        return render_run(view, alone=alone)

    monkeypatch.setattr(server_module, "render_run", counted)
    client = clients(run)
    pages = [client.page() for _ in range(3)]
    assert len(set(pages)) == len(drawn) == 1
    write(run, list(believable_run())[:40])
    assert client.page() != pages[0]
    monkeypatch.setattr(server_module, "SLOW", 0.0)
    monkeypatch.setattr(server_module, "RESTS", 1e6)
    write(run, list(believable_run())[:50])
    late = client.page()
    write(run, list(believable_run())[:60])
    assert client.page() == late
    assert drawn == [30, 40, 50]


def test_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WatchServer([tmp_path], port=0) as first:
        with pytest.raises(RunError, match=r"choose another one with --port"):
            WatchServer([tmp_path], port=first.server_port)
        monkeypatch.setattr(server_module, "PORT", first.server_port)
        with WatchServer([tmp_path]) as second:
            assert second.server_port not in (0, first.server_port)
    with pytest.raises(RunError, match="is no address of this machine"):
        WatchServer([tmp_path], host="203.0.113.7")


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False), ("127.0.0.9", True)]
)
def test_who_can_reach_it(tmp_path: Path, host: str, local: bool) -> None:
    with WatchServer([tmp_path], host=host, port=0) as server:
        assert server.local == local
        assert server.url == f"http://{host}:{server.server_port}/"


def test_task_names_keep_their_colours(tmp_path: Path, clients: Any) -> None:
    text = clients(write(tmp_path / "run", list(balanced_run()))).page()
    for section in ("weights", "shares"):
        legend = text.split(f'id="part-{section}"')[1].split("</section>")[0].split('class="legend"')[1]
        assert [re.search(rf'line (v\d)"/></svg> {voice.name}', legend) is not None for voice in VOICES] == [True] * 5
        assert re.findall(r"line v(\d)", legend) == list("01234")
