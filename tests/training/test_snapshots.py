from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from motet.errors import RunError
from motet.runs import RunFolder, read_events
from motet.training.checkpoints import Checkpoints
from motet.training.convergence import Patience
from motet.training.responses import Distill
from motet.training.run import Run, resume, start

EAGER = Patience(checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False)


class Stop:
    """Interrupts a run at the n-th event of a kind."""

    def __init__(self, event: str, count: int) -> None:
        self.event, self.left = event, count

    def __call__(self, event: dict[str, Any]) -> None:
        self.left -= event["event"] == self.event
        if self.left == 0:
            raise KeyboardInterrupt


def bytes_of_snapshots(run: Run) -> dict[str, set[str]]:
    return {folder.name: {file.name for file in folder.iterdir()} for folder in run.folder.checkpoints.iterdir()}


@pytest.mark.parametrize("snapshots", [1, 3])
@pytest.mark.parametrize("rewind", ["none", "full"])
def test_what_is_kept_is_what_the_state_refers_to(toys: Any, rewind: Any, snapshots: int) -> None:
    then = Distill(teacher="online", snapshots=snapshots)
    run = toys.run(replace(EAGER, checks=snapshots, rewind=rewind, then=then), steps=30, check_every=2)
    state = Checkpoints(run.folder).state()
    kept = bytes_of_snapshots(run)
    teachers = {name for standing in state["standings"].values() for name in standing["teachers"]}
    learning = [s["tracker"]["checks"] for s in state["standings"].values() if s["status"] == "learning"]
    assert teachers
    assert teachers | {state["snapshot"], state["best_mean"]["snapshot"]} <= set(kept)
    assert len(kept) <= len(teachers) + snapshots * len(learning) + 3
    assert "optimiser.safetensors" in kept[state["snapshot"]]
    assert all({"model.safetensors", "progress.json"} <= files for files in kept.values())


def test_a_resumed_run_says_what_is_damaged(toys: Any) -> None:
    experiment = toys.experiment(EAGER, steps=12, check_every=2)
    out = toys.folder / "run"
    with pytest.raises(KeyboardInterrupt):
        start(experiment, out, listeners=[Stop("check", 4)])
    name = Checkpoints(RunFolder(out)).state()["snapshot"]
    file = out / "checkpoints" / name / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match=f"{name}/model.safetensors is damaged"):
        resume(out, experiment)


def test_leavings_of_a_killed_process_are_cleared_away(toys: Any) -> None:
    experiment = toys.experiment(EAGER, steps=8, check_every=2)
    out = toys.folder / "run"
    with pytest.raises(KeyboardInterrupt):
        start(experiment, out, listeners=[Stop("check", 2)])
    leaving = out / "checkpoints" / ".00000006-0.1.partial"
    leaving.mkdir()
    (leaving / "model.safetensors").write_bytes(b"half")
    run = resume(out, experiment)
    assert not [path for path in out.rglob("*") if ".partial" in path.name]
    assert [event["step"] for event in read_events(run.folder.events_file) if event["event"] == "end"] == [8]
