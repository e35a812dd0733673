from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from motet.errors import RunError
from motet.runs import RunFolder
from motet.training import checkpoints as module
from motet.training.checkpoints import Checkpoints

MODEL = {"w": torch.arange(6.0).reshape(2, 3)}
MOMENTS = {"0.step": torch.tensor(3.0)}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def checkpoints(run: RunFolder) -> Checkpoints:
    found = Checkpoints(run)
    for name in ("1", "2", "3", "4"):
        found.save(name, MODEL, MOMENTS, {"at": name})
    found.commit({"snapshot": "4"})
    return found


def files(run: RunFolder) -> set[str]:
    return {str(file.relative_to(run.checkpoints)) for file in run.checkpoints.rglob("*") if file.is_file()}


def test_a_snapshot_comes_back(checkpoints: Checkpoints, run: RunFolder) -> None:
    assert torch.equal(checkpoints.weights("2")["w"], MODEL["w"])
    assert torch.equal(checkpoints.moments("2")["0.step"], MOMENTS["0.step"])
    assert checkpoints.progress("2") == {"at": "2"}
    assert checkpoints.state() == {"snapshot": "4"}
    content = (run.checkpoints / "2" / "model.safetensors").read_bytes()
    assert checkpoints.digest("2") == hashlib.sha256(content).hexdigest()


def test_a_snapshot_of_that_name_is_kept(checkpoints: Checkpoints, run: RunFolder) -> None:
    written = checkpoints.save("2", {"w": torch.zeros(9)}, {}, {"at": "other"})
    assert checkpoints.progress("2") == {"at": "2"}
    assert written == sum(file.stat().st_size for file in (run.checkpoints / "2").iterdir())


def test_what_is_referred_to_is_kept(checkpoints: Checkpoints, run: RunFolder) -> None:
    checkpoints.keep(full={"4", "2"}, weights={"1", "2"})
    assert checkpoints.names() == {"1", "2", "4"}
    whole = {f"{name}/{file}" for name in "24" for file in ("model", "optimiser")}
    expected = {f"{file}.safetensors" for file in whole | {"1/model"}} | {f"{name}/progress.json" for name in "124"}
    assert files(run) == expected
    assert torch.equal(checkpoints.weights("1")["w"], MODEL["w"])


def test_leavings_of_a_killed_run_are_no_snapshots(checkpoints: Checkpoints, run: RunFolder) -> None:
    leaving = run.checkpoints / ".5.4711.partial"
    leaving.mkdir()
    (leaving / "model.safetensors").write_bytes(b"half")
    assert checkpoints.names() == {"1", "2", "3", "4"}
    checkpoints.keep(full={"4"}, weights=())
    assert [folder.name for folder in run.checkpoints.iterdir()] == ["4"]


@pytest.mark.parametrize("left", [0, 5, 40, -4])
def test_a_truncated_file_is_damaged(checkpoints: Checkpoints, run: RunFolder, left: int) -> None:
    file = run.checkpoints / "3" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(RunError, match=r"3/model.safetensors is damaged"):
        checkpoints.weights("3")


def test_a_missing_file_is_named(checkpoints: Checkpoints, run: RunFolder) -> None:
    (run.checkpoints / "3" / "optimiser.safetensors").unlink()
    with pytest.raises(RunError, match=r"3/optimiser.safetensors is missing"):
        checkpoints.moments("3")
    with pytest.raises(RunError, match="is missing"):
        checkpoints.progress("9")


def test_a_full_disk_leaves_the_old_state(
    checkpoints: Checkpoints, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tensors: Any, path: Path) -> None:
        path.write_bytes(b"some")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = files(run)
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", full)
        with pytest.raises(RunError, match=r"could not write .*/5: .*No space left on device.*make room"):
            checkpoints.save("5", MODEL, MOMENTS, {})
    assert files(run) == before
    monkeypatch.setattr(Path, "write_text", _no_space)
    with pytest.raises(RunError, match=r"could not write .*state.json"):
        checkpoints.commit({"snapshot": "5"})
    assert checkpoints.state() == {"snapshot": "4"}


def _no_space(*arguments: Any, encoding: str) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_before_the_first_check_there_is_no_state(run: RunFolder) -> None:
    with pytest.raises(RunError, match="stopped before its first checkpoint"):
        Checkpoints(run).state()
