"""Clients that know nothing of motet: curl, schemathesis, and Prometheus' own reader."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.served import TASKS, Served, make_model, serving

TOKEN = "secret"
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "serve.md"


@pytest.fixture(scope="module")
def served(tiny_encoder: Path) -> Iterator[Served]:
    tasks = {name: TASKS[name] for name in ("mood", "places", "within", "order", "hidden")}
    with serving(make_model(tiny_encoder, tasks, max_length=128), token=TOKEN) as of:
        yield of


def ran(*command: str, folder: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_curl(served: Served, tmp_path: Path) -> None:
    curl = shutil.which("curl") or pytest.skip("curl is not on this machine")
    send = (curl, "--silent", "--fail", f"{served.url}/predict/mood", "-H", f"Authorization: Bearer {TOKEN}")
    found = json.loads(ran(*send, "-d", '{"inputs": ["a good film", "rain"]}', folder=tmp_path))
    assert [answer["label"] in ("bad", "good") for answer in found["answers"]] == [True, True]


@pytest.mark.slow
def test_schemathesis_finds_nothing(served: Served, tmp_path: Path) -> None:
    """All its checks with their defaults: no server error, statuses and bodies as described, bad data refused."""
    pytest.importorskip("schemathesis", reason="schemathesis is not on this machine")
    program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--max-examples", "5", "--seed", "1", "--no-color", "-H", f"Authorization: Bearer {TOKEN}"]
    said = ran(*program, "run", f"{served.url}/openapi.json", *options, folder=tmp_path)
    assert "No issues found" in said
    passed = re.search(r"(\d+) generated, (\d+) passed", said)
    assert passed is not None and passed[1] == passed[2] and int(passed[2]) > 500


def test_prometheus_reads_the_metrics(served: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    served.post("/predict/mood", {"inputs": ["a good film", "rain " * 200]}, headers=headers)
    page = served.get("/metrics", headers=headers)
    assert page.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(page.text)
    found = {family.name: family for family in families}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value for of in found.values() for sample in of.samples
    }
    assert samples["motet_inputs_total", ("task", "mood")] >= 2
    assert samples["motet_requests_total", ("route", "/predict/{task}"), ("status", "200")] >= 1
    assert samples["motet_answer_seconds_count", ("task", "mood")] >= 1
    assert samples[("motet_cut_inputs_total",)] >= 1
    assert samples[("motet_queue_inputs",)] == 0
    assert samples[("motet_ready",)] == 1
    assert samples[("motet_batch_tokens_sum",)] == samples[("motet_tokens_total",)] > 100
    assert {"motet_batch_inputs", "motet_batch_seconds", "process_resident_memory_bytes"} <= found.keys()


def test_open_metrics_are_given_to_those_who_ask(served: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/openmetrics-text; version=1.0.0"}
    page = served.get("/metrics", headers=headers)
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    assert "motet_ready" in {family.name for family in openmetrics_families(page.text)}  # type: ignore[no-untyped-call]


def test_the_routes_of_the_guide_are_there(served: Served) -> None:
    described = served.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()["paths"]
    guide = GUIDE.read_text(encoding="utf-8")
    for path in ("/health", "/ready", "/info", "/metrics", "/predict"):
        assert path in described and f"{path}`" in guide
    assert "/predict/hidden" not in described
