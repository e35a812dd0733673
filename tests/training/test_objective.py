from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from motet.data.batches import Chunk, Padding, training_chunks
from motet.model import MultiTaskModel
from motet.tasks.ranking import Ranking
from motet.training.distillation import Teacher
from motet.training.objective import Held, Objective
from motet.training.plan import Prepared, prepare
from motet.training.responses import Distill


class Constant(Teacher):
    """The same logits for every unit."""

    def __init__(self, *logits: float) -> None:
        self._logits = torch.tensor(logits)

    def logits(self, chunk: Chunk, task: str) -> Tensor:
        return self._logits.expand(int(chunk.owned[task].lengths.sum()), -1)


@pytest.fixture
def prepared(toys: Any) -> Prepared:
    tasks = [replace(task, weight=weight) for task, weight in zip(toys.tasks, (1.0, 0.5, 2.0, 3.0), strict=True)]
    return prepare(toys.experiment(tasks=tuple(tasks)))


def chunks_of(prepared: Prepared, rows: int, *, largest: int = 4096, overhead: int = 32) -> list[Chunk]:
    """The first so many rows of every table, cut in a given way."""
    train = prepared.corpus.examples("train")
    groups: dict[int, dict[str, Any]] = {}
    for task, examples in train.items():
        groups.setdefault(id(examples.tokens), {})[task] = examples
    drawn = [(owners, np.arange(rows)) for owners in groups.values()]
    return training_chunks(drawn, Padding(pad=0, largest=largest, overhead=overhead))


def gradients(prepared: Prepared, losses: dict[str, Tensor]) -> Tensor:
    prepared.model.zero_grad()
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.reshape(-1) for p in prepared.model.parameters() if p.grad is not None])


def by_hand(prepared: Prepared, rows: int) -> dict[str, float]:
    """The mean loss of every task, one row at a time."""
    found = {}
    for task, examples in prepared.corpus.examples("train").items():
        total, units = 0.0, 0
        for at in range(len(examples)):
            if examples.rows[at] < rows:
                (chunk,) = training_chunks([({task: examples}, examples.rows[at : at + 1])], Padding(pad=0))
                target = torch.from_numpy(examples.target(at))
                resolved = prepared.model.tasks[task]
                lengths = chunk.owned[task].lengths
                total += resolved.weight * resolved.loss(prepared.model(chunk)[task], target, lengths).item()
                units += len(target)
        found[task] = total / units
    return found


def test_losses_are_those_of_a_plain_loop(prepared: Prepared) -> None:
    objective = Objective(prepared.model.train(), prepared.devices)
    losses = {task: loss.item() for task, loss in objective.losses(chunks_of(prepared, 12)).items()}
    assert losses == pytest.approx(by_hand(prepared, 12), rel=1e-5)


@pytest.mark.parametrize("held", [False, True])
def test_losses_do_not_depend_on_how_rows_are_cut(prepared: Prepared, held: bool) -> None:
    objective = Objective(prepared.model.train(), prepared.devices)
    if held:
        objective.held["mood"] = Held(Distill(weight=0.3, blend=True), Constant(1.0, -1.0))
        objective.held["places"] = Held(Distill(temperature=2.0), Constant(0.5, 0.0))
    whole = chunks_of(prepared, 20, largest=10**6, overhead=10**6)
    pieces = chunks_of(prepared, 20, largest=40)
    assert len(whole) == 1
    assert len(pieces) > 10
    one, many = objective.losses(whole), objective.losses(pieces)
    assert one.keys() == many.keys() == set(prepared.model.tasks)
    for task, loss in one.items():
        assert loss.item() == pytest.approx(many[task].item(), rel=1e-5)
    torch.testing.assert_close(gradients(prepared, one), gradients(prepared, many), atol=1e-5, rtol=1e-4)


def test_units_without_label_count_for_distillation_alone(prepared: Prepared) -> None:
    objective = Objective(prepared.model.train(), prepared.devices)
    chunks = chunks_of(prepared, 10, largest=10**6, overhead=10**6)
    target = chunks[0].owned["places"].target
    assert target is not None
    labelled = objective.losses(chunks)["places"].item()
    objective.held["places"] = Held(Distill(), Constant(0.5, 0.0))
    taught = objective.losses(chunks)["places"].item()
    target[len(target) // 2 :] = -100
    assert objective.losses(chunks)["places"].item() == pytest.approx(taught)
    del objective.held["places"]
    half = prepared.model(chunks[0])["places"][: len(target) // 2]
    expected = prepared.model.tasks["places"].loss(half, target[: len(half)], np.asarray([len(half)])) / len(half)
    assert objective.losses(chunks)["places"].item() == pytest.approx(3.0 * expected.item(), rel=1e-5)
    assert labelled != pytest.approx(3.0 * expected.item(), rel=1e-5)


def test_kinds(prepared: Prepared) -> None:
    held = {"b": Held(Distill(), Constant(0.0)), "c": Held(Distill(blend=True), Constant(0.0))}
    objective = Objective(prepared.model, prepared.devices, held)
    assert [objective.kind(task) for task in "abc"] == ["truth", "distill", "blend"]


@pytest.fixture
def shapes(shape_toys: Any) -> Prepared:
    return prepare(shape_toys.experiment())


class ByRow(Teacher):
    """Logits that depend on the example alone, however rows are cut."""

    def __init__(self, model: MultiTaskModel) -> None:
        self._tasks = model.tasks

    def logits(self, chunk: Chunk, task: str) -> Tensor:
        owned, width = chunk.owned[task], self._tasks[task].outputs
        units = [
            torch.sin(10.0 * int(at) + torch.arange(int(length) * width)).view(-1, width)
            for at, length in zip(owned.examples, owned.lengths, strict=True)
        ]
        return torch.cat(units)


def step_of(prepared: Prepared, *, largest: int = 4096, overhead: int = 32, shards: int = 1) -> list[Chunk]:
    """The first half of every table, in whole examples."""
    padding = replace(prepared.model.padding(largest), overhead=overhead)
    train = prepared.corpus.examples("train")
    groups: dict[int, dict[str, Any]] = {}
    for task, examples in train.items():
        groups.setdefault(id(examples.tokens), {})[task] = examples
    drawn = [
        (owners, first.rows[: len(first.rows) // 2] if first.groups is None else first.rows[first.groups < 6])
        for owners in groups.values()
        for first in [next(iter(owners.values()))]
    ]
    return training_chunks(drawn, padding, shards=shards, salt=3)


@pytest.mark.parametrize("held", [False, True])
def test_no_shape_depends_on_how_rows_are_cut(shapes: Prepared, held: bool) -> None:
    objective = Objective(shapes.model.train(), shapes.devices)
    if held:
        recordable = [name for name, task in shapes.model.tasks.items() if task.recordable]
        objective.held = {name: Held(Distill(temperature=2.0), ByRow(shapes.model)) for name in recordable}
    whole, pieces = step_of(shapes, largest=10**6, overhead=10**6), step_of(shapes, largest=30)
    assert len(whole) == 1
    assert len(pieces) > 20
    one, many = objective.losses(whole), objective.losses(pieces)
    assert one.keys() == many.keys() == set(shapes.model.tasks)
    for task, loss in one.items():
        assert loss.item() == pytest.approx(many[task].item(), rel=1e-5)
    torch.testing.assert_close(gradients(shapes, one), gradients(shapes, many), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", ["listwise", "pairwise", "pointwise"])
def test_a_query_is_judged_whole(shapes: Prepared, form: Any) -> None:
    listwise = shapes.model.tasks["order"]
    assert isinstance(listwise, Ranking)
    shapes.model.tasks["order"] = order = replace(listwise, form=form)
    found = Objective(shapes.model.train(), shapes.devices).losses(step_of(shapes, largest=30))["order"].item()
    examples = shapes.corpus.examples("train")["order"]
    assert examples.groups is not None
    total, answers = 0.0, 0
    for group in range(6):
        at = np.flatnonzero(examples.groups == group)
        (chunk,) = training_chunks([({"order": examples}, examples.rows[at])], Padding(pad=0, overhead=10**6))
        order_of_rows = np.argsort(chunk.owned["order"].examples)
        logits = shapes.model(chunk)["order"][order_of_rows]
        target = torch.from_numpy(np.concatenate([examples.target(int(row)) for row in at]))
        total += order.loss(logits, target, np.asarray([len(at)])).item()
        answers += order.labelled(target, np.asarray([len(at)]))
    assert found == pytest.approx(total / answers, rel=1e-5)


@pytest.mark.parametrize("held", [False, True])
def test_processes_add_up_to_one(shapes: Prepared, held: bool) -> None:
    objective = Objective(shapes.model.train(), shapes.devices)
    if held:
        objective.held["order"] = Held(Distill(weight=0.3, blend=True), ByRow(shapes.model))
    whole = objective.losses(step_of(shapes))
    shared, total = step_of(shapes, shards=3), dict.fromkeys(whole, 0.0)
    for rank in range(3):
        one: Any = SimpleNamespace(process_index=rank, num_processes=3)
        objective.devices._accelerator = one
        for task, loss in objective.losses(shared).items():
            total[task] += loss.item()
    assert total == pytest.approx({task: loss.item() for task, loss in whole.items()}, rel=1e-5)
