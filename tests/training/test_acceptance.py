"""What the method promises, each promise on runs that take seconds."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from motet.data.batches import Chunk
from motet.errors import RunError
from motet.runs import Event, RunFolder
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.training.checkpoints import Checkpoints
from motet.training.convergence import PRESETS, Check, Never, Patience, Tracker
from motet.training.distillation import RecordedTeacher, SoftLabels
from motet.training.evaluation import predict_examples
from motet.training.objective import Held
from motet.training.plan import prepare
from motet.training.responses import Continue, Distill, Drop, Stop
from motet.training.run import Run, resume, start, trainer_of
from motet.training.schedules import Sequential
from motet.training.snapshots import Snapshots
from motet.training.trainer import Trainer

EAGER = Patience(checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False)
REWINDS: tuple[Literal["full", "weights", "none"], ...] = ("full", "weights", "none")


def weights_of(run: Run) -> dict[str, Tensor]:
    return {**load_file(run.folder.model / "model.safetensors"), **load_file(run.folder.model / "heads.safetensors")}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), f"{name} differs"


def events_of(run: Run, name: str) -> list[Event]:
    return [event for event in run.folder.events() if event["event"] == name]


def hold(trainer: Trainer, folder: Path, response: Distill | None = None) -> None:
    """Hold every task by its present weights."""
    train = trainer.corpus.examples("train")
    for task, predictions in predict_examples(trainer.model, train, trainer.devices).items():
        path = folder / f"{task}.arrow"
        SoftLabels.write(path, predictions, train[task].ids, {"task": task})
        teacher = RecordedTeacher(SoftLabels.read(path, task, train[task]))
        trainer.objective.held[task] = Held(response or Distill(), teacher)


def gradients(trainer: Trainer, chunks: list[Chunk]) -> dict[str, Tensor]:
    trainer.model.zero_grad()
    torch.stack(list(trainer.objective.losses(chunks).values())).sum().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


# 1
def test_endless_patience_is_plain_joint_training_bit_for_bit(dropout_toys: Any) -> None:
    plain = dropout_toys.run(Never())
    patient = dropout_toys.run(replace(EAGER, checks=10**6))
    assert_same(weights_of(plain), weights_of(patient))


# 2
def test_a_student_equal_to_its_teacher_gets_no_gradient(toys: Any, tmp_path: Path) -> None:
    trainer = trainer_of(prepare(toys.experiment()), None)
    chunks = trainer.feed.next(trainer.live)
    largest = max(float(g.abs().max()) for g in gradients(trainer, chunks).values())
    hold(trainer, tmp_path)
    assert max(float(g.abs().max()) for g in gradients(trainer, chunks).values()) < 1e-6 * max(1.0, largest)


# 3
def test_a_full_rewind_repeats_the_same_trajectory(dropout_toys: Any) -> None:
    trainer = trainer_of(prepare(dropout_toys.experiment()), None)
    snapshots = Snapshots(trainer, Checkpoints(RunFolder(dropout_toys.folder / "rewound")))
    for _ in range(3):
        trainer.step()
    snapshots.save({})
    name = snapshots.current
    first = [_weights_after_step(trainer) for _ in range(4)]
    snapshots.rewind(name, "full")
    assert (trainer.clock.physical, trainer.clock.logical) == (7, 3)
    for before in first:
        assert_same(before, _weights_after_step(trainer))


def _weights_after_step(trainer: Trainer) -> dict[str, Tensor]:
    trainer.step()
    return {name: value.clone() for name, value in trainer.weights().items()}


# 4
def test_true_labels_of_a_held_task_reach_no_parameter(toys: Any, tmp_path: Path) -> None:
    trainer = trainer_of(prepare(toys.experiment()), None)
    chunks = trainer.feed.next(trainer.live)
    hold(trainer, tmp_path)
    trainer.step()  # away from the teacher, so that there are gradients
    before = gradients(trainer, chunks)
    for chunk in chunks:
        for owned in chunk.owned.values():
            assert owned.target is not None
            owned.target.zero_()
    assert max(float(g.abs().max()) for g in before.values()) > 0
    assert_same(before, gradients(trainer, chunks))


def test_a_blend_is_the_stated_mixture(toys: Any, tmp_path: Path) -> None:
    trainer = trainer_of(prepare(toys.experiment()), None)
    chunks = trainer.feed.next(trainer.live)
    truth = {task: loss.item() for task, loss in trainer.objective.losses(chunks).items()}
    hold(trainer, tmp_path)
    soft = {task: loss.item() for task, loss in trainer.objective.losses(chunks).items()}
    hold(trainer, tmp_path, Distill(weight=0.3, blend=True))
    for task, loss in trainer.objective.losses(chunks).items():
        assert loss.item() == pytest.approx(0.3 * soft[task] + 0.7 * truth[task], rel=1e-5)


# 5
def test_soft_labels_cover_exactly_the_training_rows(toys: Any, tmp_path: Path) -> None:
    trainer = trainer_of(prepare(toys.experiment()), None)
    hold(trainer, tmp_path)
    train = trainer.corpus.examples("train")
    for task, examples in train.items():
        with pa.memory_map(str(tmp_path / f"{task}.arrow")) as file:
            assert pa.ipc.open_file(file).read_all().column("id").to_pylist() == examples.ids
    fewer = train["mood"].take(50, seed=0)
    with pytest.raises(RunError, match="10 are of no row"):
        SoftLabels.read(tmp_path / "mood.arrow", "mood", fewer)
    with pytest.raises(RunError, match="soft labels of `mood`"):
        SoftLabels.read(tmp_path / "mood.arrow", "count", train["count"])


# 6
@pytest.mark.parametrize("rewind", ["full", "none"])
def test_a_small_noisy_task_is_held_while_a_large_one_goes_on(toys: Any, plain_run: Run, rewind: Any) -> None:
    rule = Patience(checks=4, epochs=0, min_epochs=1, min_delta=0, smooth=2, rewind=rewind)
    held = _noisy_and_large(toys, replace(rule, tasks={"large": {"checks": 100}}))
    falls = {name: run.scores["noisy"]["peak"] - run.scores["noisy"]["final"] for name, run in _named(plain_run, held)}
    assert held.scores["noisy"]["state"] == "converged"
    assert falls["plain"] > 0.08
    assert falls["held"] <= falls["plain"] / 2
    assert held.scores["large"]["final"] >= plain_run.scores["large"]["final"] - 0.06


@pytest.fixture(scope="module")
def plain_run(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory, make_toys: Any) -> Run:
    return _noisy_and_large(make_toys(tiny_encoder, tmp_path_factory.mktemp("plain")), Never())


def _named(plain: Run, held: Run) -> list[tuple[str, Run]]:
    return [("plain", plain), ("held", held)]


def _noisy_and_large(toys: Any, convergence: Any) -> Run:
    settings = {"steps": 200, "check_every": 5, "tokens_per_batch": 300, "decay": "constant"}
    run: Run = toys.run(convergence, tasks=_two_tasks(), **settings)
    return run


def _two_tasks() -> tuple[Task, ...]:
    """One that a word gives away, with 40 training rows of which many are wrong; one that has to count."""
    draw = random.Random(5)
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]

    def noisy(count: int, noise: float) -> list[dict[str, str]]:
        made = []
        for _ in range(count):
            answer = draw.random() < 0.5
            text = ["good" if answer else "bad"] * 2 + [draw.choice(words) for _ in range(3)]
            made.append({"text": " ".join(text), "label": str(answer != (draw.random() < noise))})
        return made

    def large(count: int) -> list[dict[str, str]]:
        texts = [[draw.choice(words) for _ in range(6)] for _ in range(count)]
        return [{"text": " ".join(t), "label": str(sum(w[1] < "o" for w in t) >= 3)} for t in texts]

    small = {"train": noisy(40, 0.3), "validation": noisy(200, 0.0)}
    big = {"train": large(600), "validation": large(200)}
    return Classification("noisy", source=small), Classification("large", source=big)


# 7
def test_after_a_rewind_no_peak_lies_beyond_it_or_below_the_floor(toys: Any) -> None:
    run = toys.run(replace(EAGER, rewind="full"), steps=60, check_every=2)
    switches = events_of(run, "converged")
    assert len(switches) >= 2
    assert [event["best_logical"] for event in switches] == sorted(event["best_logical"] for event in switches)
    for switch in switches:
        after = [e for e in events_of(run, "check") if e["step"] > switch["step"]]
        if after:
            assert after[0]["logical"] == switch["best_logical"] + after[0]["step"] - switch["step"]


def test_trackers_forget_what_was_thrown_away() -> None:
    tracker = Tracker(EAGER)
    for step, score in enumerate([0.5, 0.9, 0.6, 0.7]):
        tracker.observe(Check(step, step, score, 0.0, 1.0, str(step)))
    tracker.rewind_to(2, floor=True, kept={"2"})
    assert [check.step for check in tracker.checks] == [0, 1, 2]
    assert tracker.best.step == 2
    assert not tracker.converged
    across = Tracker(EAGER, checks=list(tracker.checks))
    across.rewind_to(2, floor=False, kept={"0", "2"})
    assert across.best.step == 2, "a snapshot that is gone can be no peak"


# 8
def test_sequential_with_one_task_is_single_task_training_with_early_stopping(dropout_toys: Any) -> None:
    settings = {"tasks": dropout_toys.tasks[:1], "decay": "constant", "check_every": 2}
    rule = replace(EAGER, checks=2, rewind="full")
    stopped = dropout_toys.run(rule, schedule=Sequential(), steps=60, **settings)
    (switch,) = events_of(stopped, "converged")
    assert stopped.reason == "all converged"
    alone = dropout_toys.run(Never(), steps=60, **settings)
    until = dropout_toys.run(Never(), steps=switch["best_step"], **{**settings, "warmup": 3 / switch["best_step"]})
    assert_same(weights_of(stopped), weights_of(until))
    scores = [event["headline"]["mood"] for event in events_of(alone, "check")]
    assert max(scores[: switch["step"] // 2]) == switch["score"]


def test_sequential_brings_in_one_task_after_the_other(toys: Any) -> None:
    order = ("places", "mood", "count", "within")
    run = toys.run(EAGER, schedule=Sequential(order=order), steps=80, check_every=2)
    switches = [event["task"] for event in events_of(run, "converged")]
    assert switches == list(order[: len(switches)])
    assert len(switches) >= 2
    first = events_of(run, "step")[0]
    assert {task for task, count in first["rows"].items() if count} == {"places"}


# 9
@pytest.mark.parametrize("rewind", REWINDS)
@pytest.mark.parametrize(
    "then",
    [
        Distill(),
        Distill(teacher="online"),
        Distill(snapshots=3),
        Distill(snapshots=3, combine="predictions", teacher="online"),
    ],
)
def test_a_killed_run_resumes_bit_for_bit(dropout_toys: Any, rewind: Any, then: Any) -> None:
    rule = replace(EAGER, rewind=rewind, then=then, checks=2)
    experiment = dropout_toys.experiment(rule, steps=30, check_every=2, rewound="restart")
    whole = dropout_toys.start(experiment)
    total = len(whole.folder.events())
    for kill_after in (4, total // 2, total - 3):
        out = dropout_toys.folder / f"killed{kill_after}"
        with pytest.raises(KeyboardInterrupt):
            start(experiment, out, listeners=[_Bomb(kill_after)])
        resumed = resume(out, experiment)
        assert_same(weights_of(whole), weights_of(resumed))
        assert _told(whole) == _told(resumed)


class _Bomb:
    def __init__(self, events: int) -> None:
        self.left = events

    def __call__(self, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def _told(run: Run) -> list[Any]:
    return [
        (e["event"], e.get("task"), e.get("step"), e.get("losses"), e.get("headline"))
        for e in run.folder.events()
        if e["event"] not in ("resumed", "checkpoint")
    ]


# The answers to convergence, and the rules around them


@pytest.mark.parametrize("rewind", REWINDS)
@pytest.mark.parametrize("then", [Distill(), Distill(blend=True, weight=0.5), Continue(), Drop(), Stop()])
def test_every_answer_goes_with_every_rewind(toys: Any, then: Any, rewind: Any) -> None:
    run = toys.run(replace(EAGER, then=then, rewind=rewind), steps=40, check_every=2)
    first = events_of(run, "converged")[0]
    kinds = [event["kinds"][first["task"]] for event in events_of(run, "step") if event["step"] > first["step"]]
    if isinstance(then, Stop):
        assert run.reason == "stopped"
        assert not kinds
    else:
        expected = "off" if isinstance(then, Drop) else "truth" if isinstance(then, Continue) else "distill"
        expected = "blend" if isinstance(then, Distill) and then.blend else expected
        assert set(kinds) <= {expected}
    assert bool(events_of(run, "soft_labels")) == isinstance(then, Distill)


def test_a_cap_is_not_convergence(toys: Any) -> None:
    run = toys.run(replace(PRESETS["paper"], checks=50), steps=8)
    assert run.reason == "steps"
    assert {score["state"] for score in run.scores.values()} == {"capped"}
    (capped,) = events_of(run, "capped")
    assert sorted(capped["tasks"]) == sorted(task.name for task in toys.tasks)


def test_no_task_converges_before_its_own_data_was_seen(toys: Any) -> None:
    run = toys.run(replace(EAGER, min_epochs=2.0), steps=60, check_every=2)
    assert events_of(run, "converged")
    assert all(event["own_epochs"] >= 2 for event in events_of(run, "converged"))


def test_a_fallen_task_goes_back_to_learning_once(toys: Any) -> None:
    rule = replace(EAGER, then=Drop(), reopen=1, tolerance=0.0)
    run = toys.run(rule, steps=60, check_every=2)
    reopened = events_of(run, "reopened")
    assert reopened
    assert len({event["task"] for event in reopened}) == len(reopened)


def test_a_held_task_that_rises_gets_new_soft_labels(toys: Any) -> None:
    rule = replace(EAGER, refresh_teacher=True)
    run = toys.run(rule, steps=80, check_every=2, decay="constant")
    recorded = [event["task"] for event in events_of(run, "soft_labels")]
    switched = [event["task"] for event in events_of(run, "converged")]
    assert len(recorded) > len(switched)


@pytest.mark.parametrize("then", [Distill(), Distill(snapshots=3), Distill(snapshots=3, combine="predictions")])
def test_recorded_and_online_teachers_agree(toys: Any, then: Any) -> None:
    rule = replace(EAGER, checks=2, then=then)
    recorded = toys.run(rule, steps=30, check_every=2)
    online = toys.run(replace(rule, then=replace(then, teacher="online")), steps=30, check_every=2)
    assert events_of(recorded, "converged")
    left, right = weights_of(recorded), weights_of(online)
    for name, value in left.items():
        np.testing.assert_allclose(value.numpy(), right[name].numpy(), atol=2e-4)


@pytest.mark.parametrize("rewind", REWINDS)
@pytest.mark.parametrize("combine", ["weights", "predictions"])
def test_a_teacher_is_made_of_the_best_checks(toys: Any, combine: Any, rewind: Any) -> None:
    rule = replace(EAGER, checks=3, rewind=rewind, then=Distill(snapshots=3, combine=combine))
    run = toys.run(rule, steps=40, check_every=2)
    event = events_of(run, "soft_labels")[0]
    assert len(event["snapshots"]) == 3
    assert int(event["snapshots"][0].split("-")[0]) == event["teacher_step"]
    before = [check for check in events_of(run, "check") if check["step"] <= event["step"]]
    direction = 1 if run.model().tasks[event["task"]].higher_is_better else -1
    scores = {check["step"]: direction * check["headline"][event["task"]] for check in before}
    assert [int(name.split("-")[0]) for name in event["snapshots"]] == sorted(scores, key=lambda s: (-scores[s], s))[:3]

    prepared = prepare(toys.experiment(rule))
    train, checkpoints = prepared.corpus.examples("train"), Checkpoints(run.folder)
    members = [checkpoints.weights(name) for name in event["snapshots"]]
    if combine == "weights":
        members = [{name: torch.stack([of[name] for of in members]).mean(dim=0) for name in members[0]}]
    said = []
    for weights in members:
        prepared.model.load_state_dict({name: w for name, w in weights.items() if name in prepared.model.state_dict()})
        only = {event["task"]: train[event["task"]]}
        said.append(predict_examples(prepared.model, only, prepared.devices, soft=True)[event["task"]].values)
    labels = SoftLabels.read(run.folder.path / event["file"], event["task"], train[event["task"]])
    recorded = labels.of(np.arange(len(train[event["task"]].rows))).numpy()
    np.testing.assert_allclose(recorded, np.mean(said, axis=0), atol=1e-4)


@pytest.mark.parametrize("rewind", REWINDS)
@pytest.mark.parametrize("then", [Distill(), Drop()])
def test_reopened_tasks_converge_again_whatever_is_rewound(toys: Any, then: Any, rewind: Any) -> None:
    rule = replace(EAGER, then=then, reopen=2, tolerance=0.0, rewind=rewind, cross_event_rewind=True)
    run = toys.run(rule, steps=70, check_every=2)
    assert events_of(run, "reopened")
    assert events_of(run, "end")


def test_a_step_is_never_without_rows(toys: Any) -> None:
    run = toys.run(tokens_per_batch=3, tasks=toys.tasks[:1])
    assert all(sum(event["rows"].values()) >= 1 for event in events_of(run, "step"))


def test_ruined_weights_are_never_saved(toys: Any) -> None:
    with pytest.raises(RunError, match="not finite"):
        toys.run(learning_rate=1e20, check_every=1, warmup=0.0)
    run = RunFolder(toys.folder / "run1")
    assert "NaN" not in run.events_file.read_text(encoding="utf-8")
    for snapshot in run.checkpoints.iterdir() if run.checkpoints.exists() else ():
        assert all(w.isfinite().all() for w in load_file(snapshot / "model.safetensors").values())


@pytest.mark.parametrize(("limits", "reason"), [({"max_tokens": 400}, "tokens"), ({"max_seconds": 1e-6}, "seconds")])
def test_a_run_ends_with_the_step_that_reaches_its_budget(toys: Any, limits: Any, reason: str) -> None:
    run = toys.run(steps=50, check_every=50, **limits)
    assert run.reason == reason
    tokens = [event["tokens"] for event in events_of(run, "step")]
    assert sum(tokens[:-1]) < 400 <= sum(tokens) if reason == "tokens" else len(tokens) == 1
    assert run.scores


def test_a_budget_of_tokens_goes_on_where_a_run_was_cut(toys: Any) -> None:
    experiment = toys.experiment(steps=50, check_every=2, max_tokens=1000)
    whole, cut = toys.start(experiment), toys.goes_on(experiment, "step", 3)
    assert events_of(cut, "end")[0]["step"] == events_of(whole, "end")[0]["step"]
