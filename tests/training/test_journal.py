from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motet.data.batches import Chunk, Owned
from motet.errors import RunError
from motet.runs import Event, EventLog, read_events
from motet.training.devices import Devices
from motet.training.journal import Journal

TASKS = ["a", "b"]
NORM = torch.tensor(2.0)


def chunk(**examples: list[int]) -> Chunk:
    owned = {
        task: Owned(torch.arange(len(rows)), None, np.ones(len(rows)), np.asarray(rows))
        for task, rows in examples.items()
    }
    tokens = torch.zeros(4, 5)
    return Chunk(tokens, torch.ones(4, 5), None, owned, real=13)


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {task: torch.tensor(value, requires_grad=True) for task, value in values.items()}


@pytest.fixture
def make_journal(tmp_path: Path) -> Iterator[Any]:
    made: list[Journal] = []

    def make(every: int, log: bool = True) -> Journal:
        journal = Journal(
            log=EventLog(tmp_path / "events.jsonl") if log else None,
            tasks=TASKS,
            every=every,
            devices=Devices("cpu", "fp32"),
            rate=lambda: 0.2,
            name_rows=lambda task, rows: [f"{task}{row}" for row in rows],
        )
        made.append(journal)
        return journal

    yield make
    for journal in made:
        journal.close()


def written(tmp_path: Path) -> list[Event]:
    return list(read_events(tmp_path / "events.jsonl"))


def test_losses_are_means_over_the_batches_that_had_the_task(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(2)
    journal.batch(losses(a=1.0, b=5.0), [chunk(a=[1, 2]), chunk(b=[3])])
    journal.batch(losses(a=2.0), [chunk(a=[4])])  # two batches make the first step
    journal.step(1, 1, NORM, 0.5, {})
    journal.batch(losses(a=6.0), [chunk(a=[1])])
    journal.step(2, 2, NORM, 0.25, {"a": "truth", "b": "off"})
    (event,) = written(tmp_path)
    expected = {"step": 2, "logical": 2, "losses": {"a": 3.0, "b": 5.0}, "rows": {"a": 4, "b": 1}, "seconds": 0.75}
    expected |= {"kinds": {"a": "truth", "b": "off"}, "learning_rate": 0.2, "gradient_norm": 2.0}
    expected |= {"tokens": 4 * 13, "padded": 4 * 20}
    assert expected.items() <= event.items()
    assert journal.seconds == 0.75
    assert journal.count == 1


def test_a_task_without_rows_has_no_loss(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(1)
    journal.batch(losses(a=1.0), [chunk(a=[1])])
    journal.step(1, 1, torch.tensor(float("inf")), 0.5, {})
    (event,) = written(tmp_path)
    assert event["losses"] == {"a": 1.0, "b": None}
    assert event["gradient_norm"] is None


def test_every_event_begins_anew(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(3)
    for step in (1, 2, 3, 4, 5):
        journal.batch(losses(a=float(step)), [chunk(a=[step])])
        journal.step(step, step, NORM, 1.0, {})
    journal.flush(5, 5)
    journal.flush(5, 5)
    first, second = written(tmp_path)
    assert [(e["step"], e["losses"]["a"], e["rows"]["a"]) for e in (first, second)] == [(3, 2.0, 3), (5, 4.5, 2)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_task_step_and_rows(make_journal: Any, tmp_path: Path, value: float) -> None:
    journal = make_journal(5)
    for step in (1, 2, 3):
        journal.batch(losses(a=1.0, b=value if step == 2 else 1.0), [chunk(a=[0]), chunk(b=[step, 9])])
        journal.step(step, step, NORM, 0.1, {})
    with pytest.raises(RunError, match=r"loss of `b` is not finite at step 2 \(rows b2, b9"):
        journal.flush(3, 3)
    (warning,) = written(tmp_path)
    assert (warning["code"], warning["task"], warning["step"]) == ("loss-not-finite", "b", 2)


def test_weights_are_written_beside_their_losses(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(2)
    for step, weight in ((1, 0.5), (2, 1.5)):
        journal.batch(losses(a=1.0, b=1.0), [chunk(a=[0]), chunk(b=[1])], losses(a=weight))
        journal.step(step, step, NORM, 0.1, {})
    (event,) = written(tmp_path)
    assert event["weights"] == {"a": 1.0}


def test_a_weight_that_is_not_finite_stops_the_run(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(5)
    journal.batch(losses(a=1.0), [chunk(a=[0])], losses(a=float("nan")))
    journal.step(1, 1, NORM, 0.1, {})
    with pytest.raises(RunError, match="weight of `a` is not finite at step 1"):
        journal.flush(1, 1)
    assert written(tmp_path)[0]["code"] == "weight-not-finite"


def test_other_processes_write_nothing(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(1, log=False)
    journal.batch(losses(a=1.0), [chunk(a=[1])])
    journal.step(1, 1, NORM, 0.5, {})
    journal.event("plan")
    journal.close()
    assert journal.count == 0
    assert not (tmp_path / "events.jsonl").exists()


def test_penalties_are_means_over_steps(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(2)
    for step, penalty in ((1, 0.5), (2, 1.5)):
        for _ in range(2):  # two batches make a step
            journal.batch(losses(a=1.0), [chunk(a=[0])])
        journal.penalised({"kl": torch.tensor(penalty), "mmd": torch.tensor(0.25)})
        journal.step(step, step, NORM, 0.1, {})
    (event,) = written(tmp_path)
    assert event["penalties"] == {"kl": 1.0, "mmd": 0.25}


def test_the_first_of_all_that_is_not_finite_is_told(make_journal: Any, tmp_path: Path) -> None:
    journal = make_journal(5)
    for step in (1, 2, 3):
        journal.batch(losses(a=float("nan") if step == 3 else 1.0), [chunk(a=[step])])
        journal.penalised({"kl": torch.tensor(float("inf") if step > 1 else 1.0)})
        journal.step(step, step, NORM, 0.1, {})
    with pytest.raises(RunError, match=r"penalty of `kl` is not finite at step 2\. The last"):
        journal.flush(3, 3)
    (warning,) = written(tmp_path)
    assert (warning["code"], warning["task"], warning["step"]) == ("penalty-not-finite", None, 2)
