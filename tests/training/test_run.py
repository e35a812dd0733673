from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import source
from torch import Tensor

from motet.errors import RecipeError, RunError
from motet.runs import Event, RunFolder
from motet.training.checkpoints import Checkpoints
from motet.training.convergence import Patience
from motet.training.run import Interrupted, Run, resume, start, train


class CtrlC:
    """Presses Ctrl-C at some step, once."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Event) -> None:
        if event["event"] == "step" and event["step"] == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def weights(run: Run) -> dict[str, Tensor]:
    return {**load_file(run.folder.model / "model.safetensors"), **load_file(run.folder.model / "heads.safetensors")}


def losses(run: Run) -> list[Any]:
    return [(event["step"], event["losses"]) for event in run.folder.events() if event["event"] == "step"]


@pytest.mark.parametrize("step", [1, 6, 7])
def test_an_interrupted_run_goes_on_exactly(dropout_toys: Any, step: int) -> None:
    experiment = dropout_toys.experiment(steps=10)
    whole = dropout_toys.start(experiment)
    out = dropout_toys.folder / "interrupted"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=f"Stopped at step {step}.*motet resume"):
        start(experiment, out, listeners=[CtrlC(step)])
    assert signal.getsignal(signal.SIGINT) is before
    folder = RunFolder(out)
    assert folder.events()[-1]["event"] == "interrupted"
    assert Checkpoints(folder).state()["physical"] == step
    resumed = resume(out, experiment)
    assert losses(resumed) == losses(whole)
    assert resumed.scores == whole.scores
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name])
    with pytest.raises(RunError, match="is finished"):
        resume(out, experiment)


@pytest.mark.usefixtures("interrupts")
def test_a_second_ctrl_c_is_not_held_back(toys: Any) -> None:
    def twice(event: Event) -> None:
        if event["event"] == "step":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start(toys.experiment(steps=4), toys.folder / "run", listeners=[twice])


def test_a_folder_holds_one_run(toys: Any) -> None:
    experiment = toys.experiment(steps=2)
    run = toys.start(experiment)
    with pytest.raises(RunError, match=r"holds a run already\. Choose another folder, or `motet resume"):
        start(experiment, run.folder.path)


def interrupted(toys: Any, experiment: Any) -> Any:
    out = toys.folder / "begun"
    with pytest.raises(Interrupted):
        start(experiment, out, listeners=[CtrlC(2)])
    return out


def test_a_changed_recipe_cannot_go_on(toys: Any) -> None:
    experiment = toys.experiment(steps=6)
    out = interrupted(toys, experiment)
    changed = replace(experiment, training=replace(experiment.training, learning_rate=0.5, seed=3))
    with pytest.raises(RunError) as caught:
        resume(out, changed)
    assert "training.learning_rate" in str(caught.value)
    assert "was 0.003 when the run was begun, is 0.5 now" in str(caught.value)
    assert "was 0 when the run was begun, is 3 now" in str(caught.value)
    with pytest.raises(RunError, match=r"convergence.checks\n.*was None.*is 3 now"):
        resume(out, replace(experiment, convergence=Patience()))


def test_changed_data_cannot_go_on(toys: Any) -> None:
    folder = toys.folder / "data"
    folder.mkdir()
    for split, rows in source(30, 10).items():
        (folder / f"{split}.csv").write_text("text,mood\n" + "".join(f"{r['text']},{r['mood']}\n" for r in rows))
    experiment = toys.experiment(steps=6, tasks=(replace(toys.tasks[0], source=str(folder)),))
    out = interrupted(toys, experiment)
    before = RunFolder(out).read_json(out / "manifest.json")["data"]["mood"]
    with (folder / "train.csv").open("a") as file:
        file.write("a good day,yes\n")
    with pytest.raises(RunError, match=f"the data has 1 problem\n\nmood\n.*was '{before}' when .* is '\\w+' now"):
        resume(out, experiment)


def test_nothing_to_go_on_with(toys: Any) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        resume(toys.folder / "none", toys.experiment())


def test_a_run_that_was_killed_before_its_first_check_begins_again(toys: Any) -> None:
    def kill(event: Event) -> None:
        if event["event"] == "step":
            raise KeyboardInterrupt

    experiment = toys.experiment(steps=4)
    whole = toys.start(experiment)
    with pytest.raises(KeyboardInterrupt):
        start(experiment, toys.folder / "killed", listeners=[kill])
    resumed = resume(toys.folder / "killed", experiment)
    assert losses(resumed) == losses(whole)
    assert [event["event"] for event in resumed.folder.events()][:2] == ["resumed", "plan"]


def test_a_loss_that_is_not_finite_stops_the_run(toys: Any) -> None:
    experiment = toys.experiment(steps=12, learning_rate=1e20, warmup=0.0, check_every=1)
    out = toys.folder / "run"
    with pytest.raises(RunError, match=r"the loss of `\w+` is not finite at step \d+ .rows 0-\d+"):
        start(experiment, out)
    folder = RunFolder(out)
    warnings = [event for event in folder.events() if event["event"] == "warning"]
    assert [event["code"] for event in warnings] == ["loss-not-finite"]
    checkpoints = Checkpoints(folder)
    state = checkpoints.state()
    assert state["physical"] < warnings[0]["step"]
    assert checkpoints.names() >= {state["snapshot"]}
    assert checkpoints.weights(state["snapshot"])
    assert checkpoints.progress(state["snapshot"])["clock"]["physical"] == state["physical"]


def test_the_best_mean_may_become_the_model(toys: Any) -> None:
    run = toys.run(steps=12, final="best_mean")
    (event,) = [event for event in run.folder.events() if event["event"] == "candidates"]
    assert event["chosen"] == "best_mean"
    best = event["best_mean"]
    for task, score in run.scores.items():
        assert score["final"] == best["scores"][task][score["metric"]]["value"]
    name = next(name for name in Checkpoints(run.folder).names() if int(name.split("-")[0]) == best["step"])
    kept, model = Checkpoints(run.folder).weights(name), run.model().state_dict()
    assert all(torch.equal(kept[key], value) for key, value in model.items())


EAGER = Patience(checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False)


def test_every_shape_converges_and_is_held(shape_toys: Any) -> None:
    run = shape_toys.run(EAGER, steps=24, check_every=2, learning_rate=1e-3)
    events = run.folder.events()
    assert {event["task"] for event in events if event["event"] == "converged"} >= {"topics", "size", "where", "order"}
    recorded = {event["task"]: event["rows"] for event in events if event["event"] == "soft_labels"}
    assert "words" not in recorded, "what is hidden changes with every step"
    assert recorded["order"] == 36, "a soft label for every candidate"
    assert recorded["where"] > 36, "and for every window"
    model = run.model()
    pairs = model.predict([("paris", "good film in paris " * 9), ("dry", "cold")])
    assert [list(answer) for answer in pairs] == [["where", "order"]] * 2
    assert list(model.predict("a good film")) == ["topics", "size"]


def test_an_interrupted_run_of_every_shape_goes_on_exactly(shape_toys: Any) -> None:
    experiment = shape_toys.experiment(EAGER, steps=12, check_every=3, learning_rate=1e-3)
    whole = shape_toys.start(experiment)
    out = shape_toys.folder / "interrupted"
    with pytest.raises(Interrupted):
        start(experiment, out, listeners=[CtrlC(8)])
    resumed = resume(out, experiment)
    assert losses(resumed) == losses(whole)
    assert resumed.scores == whole.scores
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name])


def test_train_is_the_short_way(toys: Any) -> None:
    training = toys.experiment().training
    run = train(
        toys.tasks[:1], encoder=str(toys.encoder), training=training, steps=3, out=toys.folder / "short", listeners=[]
    )
    assert run.reason == "steps"
    assert [event["step"] for event in run.folder.events() if event["event"] == "end"] == [3]
    with pytest.raises(RecipeError, match="at least one task"):
        train([], out=toys.folder / "none")
