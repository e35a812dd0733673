"""The server as clients see it: routes, statuses, bodies, and what happens when they misbehave."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests.serving.served import Served, serving

from motet.model import MultiTaskModel
from motet.serving.asks import Ask, Part
from motet.serving.limits import Limits
from motet.serving.passes import TokenCounter, passes

LIMITS = Limits(
    max_inputs=20, max_queue=40, max_characters=1000, max_body=100_000, body_timeout=1.0, header_timeout=1.0
)
CLOSING = "Host: a\r\nConnection: close"


class Slow:
    """A model that waits for leave before it answers, breaks at a word, and remembers what it was asked."""

    def __init__(self, model: MultiTaskModel) -> None:
        self.model, self.tasks, self.tokenizer = model, model.tasks, model.tokenizer
        self.leave = threading.Event()
        self.leave.set()
        self.asked: list[list[Any]] = []
        self.threads: set[str] = set()

    @property
    def max_length(self) -> int:
        return self.model.max_length

    def predict(self, texts: list[Any], tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
        self.asked.append(texts)
        self.leave.wait(20)
        self.threads.add(threading.current_thread().name)
        if "poison" in texts:
            raise FloatingPointError("a fault of the model")
        return self.model.predict(texts, tasks)


@pytest.fixture(scope="module")
def served(served_model: MultiTaskModel) -> Iterator[Served]:
    with serving(served_model, LIMITS) as of:
        yield of


@pytest.fixture
def slow(served_model: MultiTaskModel) -> Iterator[Slow]:
    model = Slow(served_model)
    yield model
    model.leave.set()


def require_refusal(response: Any, status: int, error_type: str, *words: str) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "error_type", "hint"}
    assert body["error_type"] == error_type
    assert "Traceback" not in response.text
    assert body["error"].endswith(".") and body["hint"]
    for word in words:
        assert word in body["error"] + body["hint"]


def test_one_text_is_answered_by_every_task_that_reads_it(served: Served, served_model: MultiTaskModel) -> None:
    found = served.post("/predict", {"inputs": "a good film"})
    assert found.status_code == 200 and found.headers["content-type"] == "application/json"
    (answers,) = found.json()["answers"]
    assert answers.keys() == {"mood", "topics", "stars", "size", "places"}
    assert answers["mood"]["scores"] == pytest.approx(served_model.predict("a good film")["mood"]["scores"], abs=1e-5)


def test_one_task_answers_alone(served: Served) -> None:
    found = served.post("/predict/mood", {"inputs": ["a good film", "rain"]}).json()
    assert [set(answer) for answer in found["answers"]] == [{"label", "scores"}] * 2


def test_candidates_are_ordered(served: Served) -> None:
    (found,) = served.post("/predict/order", {"inputs": {"query": "rain", "candidates": ["a", "b"]}}).json()["answers"]
    assert sorted(row["candidate"] for row in found["ranked"]) == ["a", "b"]
    assert found["ranked"][0]["score"] >= found["ranked"][1]["score"]


def test_an_object_is_read_by_columns(served: Served) -> None:
    body = {"inputs": {"text": "a film", "other": "film", "tokens": ["Paris", "rains"]}}
    (found,) = served.post("/predict", body).json()["answers"]
    assert found.keys() == {"mood", "topics", "stars", "size", "places", "within"}
    assert len(found["places"]["tags"]) == 2


def test_long_texts_are_cut_and_counted_or_refused(served: Served) -> None:
    texts = ["short", "rain " * 100]
    assert served.post("/predict/mood", {"inputs": texts}).json()["truncated"] == 1
    refused = served.post("/predict/mood", {"inputs": texts, "truncate": False})
    require_refusal(refused, 422, "too_long", "Input 2 has 102 sub-words", "reads 64")
    windows = served.post("/predict/where", {"inputs": [["where?", "rain " * 100]], "truncate": False})
    assert windows.json()["truncated"] == 0, "windows read all of a passage"


BAD: dict[str, tuple[Any, int, str, tuple[str, ...]]] = {
    "no JSON": (b"{", 400, "malformed", ("line 1, column 2",)),
    "nothing": (b"", 400, "malformed", ()),
    "no UTF-8": (b'{"inputs": "\xff"}', 400, "malformed", ("at byte 12",)),
    "UTF-16": ('{"inputs": "a"}'.encode("utf-16"), 400, "malformed", ("UTF-8",)),
    "deep": (b"[" * 40_000, 400, "malformed", ("nested too deeply",)),
    "not a number": (b'{"inputs": NaN}', 400, "malformed", ()),
    "digits": (b'{"inputs": ' + b"1" * 10_000 + b"}", 400, "malformed", ()),
    "no object": ([1], 422, "bad_content", ("must be an object",)),
    "no inputs": ({}, 422, "bad_content", ("no `inputs`",)),
    "a typo": ({"input": "a"}, 422, "bad_content", ("Did you mean `inputs`?",)),
    "no input": ({"inputs": []}, 422, "bad_content", ("is empty",)),
    "empty": ({"inputs": ["a", ""]}, 422, "bad_content", ("Input 2 is an empty text",)),
    "a number": ({"inputs": 5}, 422, "bad_content", ("Input 1",)),
    "null": ({"inputs": [None]}, 422, "bad_content", ()),
    "three texts": ({"inputs": [["a", "b", "c"]]}, 422, "bad_content", ()),
    "two forms": ({"inputs": ["a", ["b", "c"]]}, 422, "bad_content", ("input 2 is a pair",)),
    "half a pair": ({"inputs": "\ud800"}, 422, "bad_content", ("surrogate",)),
    "half in words": ({"inputs": {"tokens": ["\udfff"]}}, 422, "bad_content", ("`tokens`, word 1",)),
    "half in a key": ({"\ud800": 1}, 422, "bad_content", ()),
    "a strange column": ({"inputs": {"txet": "a"}}, 422, "bad_content", ("no columns that a task reads",)),
    "a missing column": ({"inputs": {"text": "a"}, "tasks": ["within"]}, 422, "bad_content", ("lacks `other`",)),
    "a text for a pair": ({"inputs": "a", "tasks": ["within"]}, 422, "bad_content", ('[["...", "..."]]',)),
    "no candidates": ({"inputs": {"query": "a", "candidates": []}}, 422, "bad_content", ("no candidates",)),
    "no task": ({"inputs": "a", "tasks": []}, 422, "bad_content", ()),
    "twice a task": ({"inputs": "a", "tasks": ["mood", "mood"]}, 422, "bad_content", ("twice",)),
    "truncate": ({"inputs": "a", "truncate": "yes"}, 422, "bad_content", ("true or false",)),
    "an unknown task": ({"inputs": "a", "tasks": ["modo"]}, 404, "unknown_task", ("Did you mean `mood`?",)),
    "no answers": ({"inputs": "a", "tasks": ["hidden"]}, 404, "unknown_task", ()),
    "half a task": ({"inputs": "a", "tasks": ["\ud800"]}, 404, "unknown_task", ()),
    "many": ({"inputs": ["a"] * 10_000}, 413, "too_large", ("10000 inputs", "at most 20")),
    "many candidates": ({"inputs": {"query": "a", "candidates": ["b"] * 21}}, 413, "too_large", ("21",)),
    "many in all": ({"inputs": [{"query": "a", "candidates": ["b"] * 11}] * 2}, 413, "too_large", ("22",)),
    "huge": ({"inputs": "a" * 1001}, 413, "too_large", ("1001 characters",)),
    "a huge body": (b"x" * 120_000, 413, "too_large", ("100000 bytes",)),
    "a vast body": (b"x" * 1_000_000, 413, "too_large", ()),
}


@pytest.mark.parametrize("body", BAD)
def test_bad_bodies_are_told_what_is_wrong(body: str, served: Served) -> None:
    content, status, error_type, words = BAD[body]
    require_refusal(served.post("/predict", content), status, error_type, *words)


@pytest.mark.parametrize("text", [" ", "\n\t", "a\x00b", "\x1b[31mred", "\u202eback", "a" * 1000, "😀" * 300, "\ufeff"])
def test_odd_texts_are_texts(text: str, served: Served) -> None:
    assert served.post("/predict", {"inputs": text}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/predict/modo", "/predict/..", "/predict/%2e%2e", "/predict/%00", "/predict/mood%20", "/predict/hidden"],
)
def test_unknown_tasks_of_a_path(path: str, served: Served) -> None:
    with Raw(served, f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n" + '{"inputs": "a"}') as answer:
        assert answer.startswith(b"HTTP/1.1 404"), answer
        assert b'"error_type":"unknown_task"' in answer


@pytest.mark.parametrize("path", ["/predict/", "/predict/a/b", "/etc/passwd", "/../../etc/passwd", "//", "/%2e%2e/x"])
def test_unknown_routes(path: str, served: Served) -> None:
    with Raw(served, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n") as answer:
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 405")), answer
        assert b'"error_type"' in answer and b"root:" not in answer


def test_a_wrong_method_is_told_the_right_one(served: Served) -> None:
    refused = served.get("/predict")
    require_refusal(refused, 405, "wrong_method", "POST")
    assert refused.headers["allow"] == "POST"


class Raw:
    """All that a server answers to bytes that no library would send, until it closes the connection."""

    def __init__(self, served: Served, request: str | bytes) -> None:
        self.request = request if isinstance(request, bytes) else request.replace("Host: a", CLOSING).encode("latin-1")
        self.socket = socket.create_connection(("127.0.0.1", served.port), timeout=10)

    def __enter__(self) -> bytes:
        self.socket.sendall(self.request)
        found = b""
        while part := self.socket.recv(65536):
            found += part
        return found

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def test_what_is_no_http_is_refused(served: Served) -> None:
    with Raw(served, b"\x16\x03\x01 nonsense\r\n\r\n") as answer:
        assert answer.startswith(b"HTTP/1.1 400") and b'"error_type": "malformed"' in answer


def test_a_slow_head_is_not_waited_for(served: Served) -> None:
    started = time.monotonic()
    with Raw(served, "POST /predict HTTP/1.1\r\nHost: a\r\n") as answer:
        assert answer == b""
    assert time.monotonic() - started < 4


def test_a_slow_body_is_not_waited_for(served: Served) -> None:
    with Raw(served, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n{") as answer:
        assert answer.startswith(b"HTTP/1.1 408") and b'"error_type":"too_slow"' in answer


def test_a_slow_client_keeps_nobody_waiting(served: Served) -> None:
    slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(30)]
    for each in slow:
        each.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
    assert served.post("/predict", {"inputs": "a"}).status_code == 200
    for each in slow:
        each.close()


def test_token(served_model: MultiTaskModel) -> None:
    with serving(served_model, token="secret") as guarded:
        assert guarded.get("/health").status_code == guarded.get("/ready").status_code == 200
        assert guarded.get("/").status_code == 200
        for path in ("/info", "/metrics", "/openapi.json", "/docs"):
            refused = guarded.get(path)
            require_refusal(refused, 401, "unauthorised", "Bearer")
            assert refused.headers["www-authenticate"] == "Bearer"
            assert guarded.get(path, headers={"Authorization": "Bearer secret"}).status_code == 200
        for header in ("Bearer secre", "Bearer secret2", "Basic secret", "secret", "Bearer", "Bearer s\xe9cret"):
            with Raw(guarded, f"GET /info HTTP/1.1\r\nHost: a\r\nAuthorization: {header}\r\n\r\n") as answer:
                assert answer.startswith(b"HTTP/1.1 401")
        wrong = {"Authorization": "Bearer wrong"}
        require_refusal(guarded.post("/predict", {"inputs": "a"}, headers=wrong), 401, "unauthorised", "is wrong")
        require_refusal(guarded.post("/predict/none", {"inputs": "a"}, headers=wrong), 401, "unauthorised")
        right = {"Authorization": "bearer secret"}
        assert guarded.post("/predict", {"inputs": "a"}, headers=right).status_code == 200


def test_not_ready_until_warm_and_never_unhealthy(slow: Slow) -> None:
    slow.leave.clear()
    with serving(slow, wait=False) as of:
        require_refusal(of.get("/ready"), 503, "not_ready", "not warm")
        refused = of.post("/predict", {"inputs": "a"})
        require_refusal(refused, 503, "not_ready")
        assert refused.headers["retry-after"] == "1"
        assert of.get("/health").json() == {"status": "ok"}
        assert of.get("/info").status_code == of.get("/metrics").status_code == 200
        slow.leave.set()
        assert of.app.state.service.worker.warm.wait(20)
        assert of.get("/ready").status_code == 200


def together(*calls: Any) -> list[Any]:
    found: list[Any] = [None] * len(calls)

    def call(place: int) -> None:
        found[place] = calls[place]()

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def until(true: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_a_full_queue_refuses_with_the_time_to_come_again(slow: Slow) -> None:
    with serving(slow, LIMITS) as of:
        slow.leave.clear()
        queue = of.app.state.service.worker.batcher
        slow.asked.clear()
        clients = [threading.Thread(target=of.post, args=("/predict/mood", {"inputs": ["a"] * 20})) for _ in range(3)]
        clients[0].start()
        until(lambda: slow.asked)  # it is being read before the others come, which would be read with it
        for client in clients[1:]:
            client.start()
        until(lambda: len(queue) == 40)
        refused = of.post("/predict", {"inputs": "a"})
        require_refusal(refused, 429, "queue_full", "Come again in")
        assert int(refused.headers["retry-after"]) >= 1
        assert of.get("/health").status_code == 200
        slow.leave.set()
        for client in clients:
            client.join(20)
        assert of.post("/predict", {"inputs": "a"}).status_code == 200


def test_requests_for_different_tasks_are_read_together(slow: Slow) -> None:
    with serving(slow) as of:
        slow.leave.clear()
        slow.asked.clear()
        first = threading.Thread(target=of.post, args=("/predict/mood", {"inputs": "first"}))
        first.start()
        until(lambda: slow.asked)
        queue = of.app.state.service.worker.batcher

        def let_go() -> None:
            until(lambda: len(queue) == 3)
            slow.leave.set()

        threading.Thread(target=let_go).start()
        bodies = [("/predict/mood", "a"), ("/predict/topics", "b"), ("/predict/size", "c")]
        calls = [lambda path=path, text=text: of.post(path, {"inputs": text}) for path, text in bodies]
        mood, topics, size = [response.json()["answers"][0] for response in together(*calls)]
        first.join(20)
        assert len(slow.asked) == 2 and sorted(slow.asked[1]) == ["a", "b", "c"]
        assert (set(mood), set(topics), set(size)) == ({"label", "scores"}, {"labels", "scores"}, {"value"})
        assert slow.threads == {"motet-model"}


def test_a_request_that_breaks_the_model_fails_alone(slow: Slow) -> None:
    with serving(slow, Limits(max_wait=0.5)) as of:
        texts = ("a", "poison", "b")
        calls = [lambda text=text: of.post("/predict/mood", {"inputs": text}) for text in texts]
        good, bad, other = together(*calls)
        assert good.status_code == other.status_code == 200
        require_refusal(bad, 500, "failed", "log")
        assert "FloatingPointError" not in bad.text
        assert of.post("/predict/mood", {"inputs": "again"}).status_code == 200


def test_a_closed_connection_is_dropped_before_it_is_read(slow: Slow) -> None:
    with serving(slow, LIMITS) as of:
        slow.leave.clear()
        queue = of.app.state.service.worker.batcher
        first = threading.Thread(target=of.post, args=("/predict/mood", {"inputs": "first"}))
        first.start()
        until(lambda: ["first"] in slow.asked)
        body = b'{"inputs": "nobody waits"}'
        gone = socket.create_connection(("127.0.0.1", of.port))
        gone.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        until(lambda: len(queue) == 1)
        gone.close()
        until(lambda: "motet_dropped_requests_total 1.0" in of.get("/metrics").text)
        slow.leave.set()
        first.join(20)
        assert of.post("/predict/mood", {"inputs": "last"}).status_code == 200
        assert "nobody waits" not in [text for texts in slow.asked for text in texts]


def test_a_request_that_takes_too_long_is_given_up(slow: Slow) -> None:
    with serving(slow, Limits(request_timeout=0.3)) as of:
        slow.leave.clear()
        refused = of.post("/predict", {"inputs": "a"})
        require_refusal(refused, 503, "timed_out", "0.3 seconds")
        assert "retry-after" in refused.headers
        slow.leave.set()
        assert of.post("/predict", {"inputs": "a"}).status_code == 200


def test_shutdown_answers_what_was_accepted(slow: Slow) -> None:
    with serving(slow) as of:
        slow.leave.clear()
        slow.asked.clear()
        found: list[Any] = []
        clients = [
            threading.Thread(target=lambda: found.append(of.post("/predict", {"inputs": ["a", "b"]}))) for _ in range(5)
        ]
        for client in clients:
            client.start()
        queue = of.app.state.service.worker.batcher
        until(lambda: len(queue) + sum(len(ask) for ask in slow.asked[:1]) == 10)
        threading.Timer(0.3, slow.leave.set).start()
    for client in clients:
        client.join(20)
    assert [response.status_code for response in found] == [200] * 5
    assert not of.app.state.service.worker.is_alive()


def test_numbers_that_are_not_finite_are_no_answer(served_model: MultiTaskModel) -> None:
    class Broken(Slow):
        def predict(self, texts: list[Any], tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
            return [{name: {"value": float("nan")} for name in tasks or ()} for _ in texts]

    with serving(Broken(served_model)) as of:
        require_refusal(of.post("/predict/size", {"inputs": "a"}), 500, "failed", "not finite")


def test_tokens_are_counted_as_the_model_reads_them(served_model: MultiTaskModel) -> None:
    counter = TokenCounter(served_model)
    texts = ["a good film", "the train to Lisbon leaves at nine", "xyz"]
    asks = [Ask((Part(text, ("mood", "size")),)) for text in texts]
    lengths = [len(served_model.tokenizer(text)["input_ids"]) for text in texts]
    assert [cost.tokens for cost in counter.count(asks)] == lengths
    (twice,) = counter.count([Ask((Part("a good film", ("mood", "places")),))])
    assert twice.tokens == 2 * lengths[0], "words are read in a pass of their own"
    (query,) = counter.count([Ask((Part(("a", ["b", "c"]), ("order",)),))])
    assert query.tokens == 2 * len(served_model.tokenizer("a", "b")["input_ids"])


def test_texts_of_different_widths_are_not_read_together(served_model: MultiTaskModel) -> None:
    asks = [Ask((Part("a", ("mood",)),)), Ask((Part(("a", "b"), ("within",)),)), Ask((Part(("a", ["b"]), ("order",)),))]
    assert [each.texts for each in passes(asks, served_model.tasks)] == [["a"], [("a", "b")], [("a", ["b"])]]


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_command_serves_until_it_is_stopped(
    stop: signal.Signals, code: int, served_model: MultiTaskModel, tmp_path: Path
) -> None:
    served_model.save_pretrained(tmp_path / "model")
    (tmp_path / "token").write_text("secret\n")
    program = [sys.executable, "-c", "from motet.cli.app import main; main()"]
    options = ["--port", "0", "--token-file", str(tmp_path / "token"), "--allow-host", "Model.example"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*program, "serve", str(tmp_path / "model"), *options], **pipes) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), process.communicate(timeout=10)[1]
            of = Served(FastAPI(), url)
            until(lambda: of.get("/ready").status_code == 200, 30)
            assert of.post("/predict", {"inputs": "a"}).status_code == 401
            hosts = {"model.example": 200, f"localhost:{of.port}": 200, "other.example": 421}
            assert {host: of.get("/health", headers={"Host": host}).status_code for host in hosts} == hosts
            right = {"Authorization": "Bearer secret"}
            assert of.post("/predict", {"inputs": "a"}, headers=right).status_code == 200
            process.send_signal(stop)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err


def test_a_taken_port_is_told(served: Served, motet: Any, served_model: MultiTaskModel, tmp_path: Path) -> None:
    served_model.save_pretrained(tmp_path)
    done = motet("serve", tmp_path, "--port", served.port)
    assert done.code == 1 and "Try another --host or --port" in done.err and not done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-inputs", "0"), "max_inputs = 0"),
        (("--host", "no.such.host.invalid"), "cannot be listened at"),
        (("--token-file", "no-such-file"), "no-such-file cannot be read"),
        (("--allow-host", "http://model.example"), "`http://model.example` is no name of a host"),
        ((), "is no model folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_served(
    arguments: Sequence[str], said: str, motet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror("not known")

    if "--host" in arguments:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    done = motet("serve", tmp_path, "--port", "0", *arguments)
    assert done.code == 1 and said in done.err and not done.out


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    motet: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = motet("serve", tmp_path)
    assert done.code == 1 and "pip install 'motet[serve]'" in done.err


def test_the_page_of_routes_names_every_route_and_nothing_outside(served: Served) -> None:
    page = served.get("/docs")
    for path in json.loads(served.get("/openapi.json").text)["paths"]:
        assert path in page.text
    assert "http:" not in page.text and "https:" not in page.text
