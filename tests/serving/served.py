"""A small model of many answer shapes, and servers of it that run in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import torch
from fastapi import FastAPI

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.model import MultiTaskModel, build
from motet.serving import running
from motet.serving.limits import Limits
from motet.serving.server import create_app
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.language import MaskedLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

TASKS: dict[str, Task] = {
    "mood": Classification("mood", source="s", classes=("bad", "good")),
    "topics": MultiLabel("topics", source="s", classes=("film", "rain", "Zürich")),
    "stars": Ordinal("stars", source="s", classes=("one", "two", "three")),
    "size": Regression("size", source="s", mean=3.0, scale=2.0),
    "places": Tagging("places", source="s", classes=("B-place", "O"), outside="O"),
    "within": Classification("within", source="s", text=("text", "other"), classes=("no", "yes")),
    "where": Spans("where", source="s", stride=4),
    "order": Ranking("order", source="s", highest=1.0),
    "hidden": MaskedLanguage("hidden", source="s"),
}


def make_model(encoder: Path, tasks: Mapping[str, Task] = TASKS, max_length: int = 64) -> MultiTaskModel:
    torch.manual_seed(1)
    return build(Encoder(str(encoder), max_length=max_length), HardSharing(), tasks).eval()


@pytest.fixture(scope="session")
def served_model(tiny_encoder: Path) -> MultiTaskModel:
    """A model that answers in many shapes."""
    return make_model(tiny_encoder)


class Served(NamedTuple):
    app: FastAPI
    url: str

    def post(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx2.post(self.url + path, content=content, timeout=30, **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return httpx2.get(self.url + path, timeout=30, **options)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def serving(
    predictor: Any, limits: Limits | None = None, token: str = "", wait: bool = True, hosts: Sequence[str] = ()
) -> Iterator[Served]:
    """A server in a thread; it is ready unless asked not to wait, and has ended behind the block."""
    limits = limits or Limits()
    app = create_app(predictor, limits=limits, token=token, name="toy", hosts=hosts)
    listener = running.listen("127.0.0.1", 0)
    server = running.server(app, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    served = Served(app, running.address(listener))
    thread.start()
    try:
        if wait:
            assert app.state.service.worker.warm.wait(60)
        yield served
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()
