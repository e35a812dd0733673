from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import RecipeError
from motet.training.devices import Devices, faster_in_bf16


def processes(count: int) -> list[Devices]:
    """As many devices as there would be processes; they cannot speak to one another."""
    found = []
    for rank in range(count):
        devices = Devices("cpu", "fp32")
        one: Any = SimpleNamespace(process_index=rank, num_processes=count)
        devices._accelerator = one
        found.append(devices)
    return found


@given(st.integers(0, 20), st.integers(1, 5))
def test_shares_cover_every_row_once(rows: int, count: int) -> None:
    parts = [devices.share(np.arange(rows)).tolist() for devices in processes(count)]
    assert sorted(row for part in parts for row in part) == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_speaks_to_nobody() -> None:
    devices = Devices("cpu", "fp32")
    tensor = torch.ones(3, requires_grad=True)
    pieces = {"a": {1: np.zeros(2)}}
    assert devices.main
    assert (devices.rank, devices.count) == (0, 1)
    assert devices.sum(tensor) is tensor
    assert devices.gather(pieces) is pieces
    devices.sum_gradients([torch.nn.Parameter(tensor.detach())])
    devices.barrier()


def test_precision_is_what_was_asked_for() -> None:
    a = torch.ones(2, 2)
    with Devices("cpu", "fp32").autocast():
        assert (a @ a).dtype == torch.float32
    with Devices("cpu", "bf16").autocast():
        assert (a @ a).dtype == torch.bfloat16
    assert Devices("cpu", "auto").precision in ("fp32", "bf16")


def test_no_gain_is_no_reason_for_bfloat16() -> None:
    assert not faster_in_bf16(torch.device("cpu"), margin=1e9)


def test_unknown_devices_are_a_mistake_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="auto, cpu or cuda"):
        Devices("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="is not on this machine"):
        Devices("cuda")
