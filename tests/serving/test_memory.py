from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from motet.serving import memory as module
from motet.serving.memory import Memory


def test_it_gives_back_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    given: list[int] = []
    memory = Memory()
    monkeypatch.setattr(memory, "_trim", given.append)
    for second in (101.0, 104.9, 105.0, 106.0, 109.9, 111.0):
        now[0] = second
        memory.tidy()
    assert given == [0, 0], "at 105 and at 111"


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells of a process")
def test_holes_in_the_heap_go_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    if Memory()._trim is None:
        pytest.skip("the C library is not glibc")
    monkeypatch.setattr(module, "_EVERY", 0.0)
    kept = [torch.ones(25_000) for _ in range(1000)]  # 100 MB in pieces that come from the heap
    before = _resident()
    del kept[::2]  # what is left lies in between
    Memory().tidy()
    assert _resident() < before - 25 * 2**20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
