from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training import two_processes

from motet.runs import RunFolder

REPOSITORY = Path(__file__).resolve().parents[2]


def events(run: RunFolder, name: str, *fields: str) -> list[Any]:
    return [tuple(event[field] for field in fields) for event in run.events() if event["event"] == name]


# No loss depends on these: their gradients are rounding, and Adam steps on that.
INDIFFERENT = ("key.bias", "of_order.linear.bias", "of_where.linear.bias")


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["sum", "pcgrad"])
def test_two_processes_do_what_one_does(tiny_encoder: Path, tmp_path: Path, balance: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = [str(Path(two_processes.__file__)), str(tiny_encoder), str(tmp_path / "two"), balance]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    two, one = RunFolder(tmp_path / "two"), two_processes.train(tiny_encoder, tmp_path / "one", balance).folder

    switched = events(one, "converged", "task", "step", "best_step")
    assert switched
    assert events(two, "converged", "task", "step", "best_step") == switched
    assert events(two, "soft_labels", "task", "rows") == events(one, "soft_labels", "task", "rows")
    assert (events(one, "plan", "processes"), events(two, "plan", "processes")) == ([(1,)], [(2,)])

    fields = ("step", "kinds", "rows", "tokens")  # rows are put together differently, so padding differs
    assert events(two, "step", *fields) == events(one, "step", *fields)
    for (left,), (right,) in zip(events(one, "step", "losses"), events(two, "step", "losses"), strict=True):
        assert left == pytest.approx(right, abs=1e-5, rel=1e-5)
    for file in ("model.safetensors", "heads.safetensors"):
        left, right = load_file(one.model / file), load_file(two.model / file)
        for name, value in left.items():
            if not name.endswith(INDIFFERENT):
                torch.testing.assert_close(value, right[name], atol=1e-5, rtol=1e-5, msg=lambda text: f"{name}: {text}")
