"""Models of other runs that teach from the first step: what is learnt from them, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Toys, require_same_model
from tests.training.test_objective import step_of
from torch.nn import functional

from motet.architectures.modular.adapters import Adapters
from motet.architectures.modular.mpt import MPT
from motet.architectures.modular.prompts import PromptTuning
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders import Encoder
from motet.errors import RecipeError
from motet.model import load
from motet.recipe import loads
from motet.runs import Event
from motet.study.planning import _alone
from motet.training.convergence import Patience
from motet.training.experiment import Experiment
from motet.training.guidance import read_by_heads
from motet.training.objective import Held, Objective
from motet.training.pilots import alone
from motet.training.plan import Prepared, prepare
from motet.training.pretrained_teachers import PretrainedTeacher
from motet.training.responses import Continue, Distill
from motet.training.run import Run, resume, train


def teacher(toys: Toys, *tasks: int, **fields: Any) -> Run:
    """A finished run of some of the toy tasks."""
    chosen = tuple(toys.tasks[at] for at in tasks) or toys.tasks
    return toys.start(toys.experiment(tasks=chosen, steps=3, seed=5, **fields))


def taught(toys: Toys, *by: PretrainedTeacher, **fields: Any) -> Experiment:
    return replace(toys.experiment(**fields), teachers=by)


def losses(prepared: Prepared, guided: bool = True, step: int = 0) -> dict[str, float]:
    steps = prepared.experiment.training.steps
    timed = {name: guide.timed(lambda: step, steps) for name, guide in prepared.guides.items()}
    objective = Objective(prepared.model.train(), prepared.devices, guides={**timed} if guided else {})
    return {name: loss.item() for name, loss in objective.losses(step_of(prepared, largest=60)).items()}


def by_hand(prepared: Prepared, run: Run, temperature: float) -> dict[str, tuple[float, float]]:
    """For every task of a run, distillation from it and the distance of what is read, from one chunk with all rows."""
    (chunk,), older = step_of(prepared, largest=10**6, overhead=10**6), load(run.folder.path)
    found = {}
    for name, task in older.tasks.items():
        with (
            read_by_heads(prepared.model.arrangement, [name]) as ours,
            read_by_heads(older.arrangement, [name]) as theirs,
        ):
            said, truth = prepared.model(chunk)[name], older(chunk.part(name))[name]
        lengths = chunk.owned[name].lengths
        soft = prepared.model.tasks[name].distillation(said, task.soft(truth, lengths), lengths, temperature)
        distance = functional.mse_loss(ours[name], theirs[name]).item()
        found[name] = soft.item() / task.answered(lengths), distance
    return found


def test_a_loss_is_the_truth_and_what_the_teacher_says_and_reads(toys: Toys) -> None:
    run = teacher(toys, architecture=Adapters())
    recipe = PretrainedTeacher(str(run.folder.path), weight=0.7, temperature=2.0, states=3.0)
    prepared = prepare(taught(toys, recipe))
    plain, both, expected = losses(prepared, False), losses(prepared), by_hand(prepared, run, 2.0)
    assert both.keys() == expected.keys() == plain.keys()
    for name, (soft, distance) in expected.items():
        weight = prepared.model.tasks[name].weight
        assert distance > 0
        assert both[name] == pytest.approx(plain[name] + weight * (0.7 * soft + 3.0 * distance), rel=1e-4)


def test_only_the_tasks_of_the_other_run_are_taught(toys: Toys) -> None:
    prepared = prepare(taught(toys, PretrainedTeacher(str(teacher(toys, 0, 3).folder.path))))
    plain, both = losses(prepared, False), losses(prepared)
    assert {name for name in plain if plain[name] != both[name]} == {"mood", "places"}
    objective = Objective(prepared.model, prepared.devices, guides={**prepared.guides})
    assert {name for name in plain if objective.kind(name) == "blend"} == {"mood", "places"}
    notes = [note for note in prepared.plan["notes"] if "taught by" in note]
    assert len(notes) == 2


def test_a_held_task_listens_to_its_own_peak_alone(toys: Toys) -> None:
    run = teacher(toys, 0)
    prepared = prepare(taught(toys, PretrainedTeacher(str(run.folder.path), states=1.0)))
    chunks = step_of(prepared)
    held = {"mood": Held(Distill(), prepared.guides["mood"].teacher)}
    with_guides = Objective(prepared.model, prepared.devices, held, guides={**prepared.guides}).losses(chunks)
    without = Objective(prepared.model, prepared.devices, held).losses(chunks)
    assert with_guides["mood"].item() == without["mood"].item()


def test_annealing_goes_from_the_teacher_to_the_truth(toys: Toys) -> None:
    run = teacher(toys, 0)
    recipe = PretrainedTeacher(str(run.folder.path), weight=0.5, states=2.0, anneal=True)
    prepared = prepare(taught(toys, recipe, steps=8))
    soft, distance = by_hand(prepared, run, 1.0)["mood"]
    truth = losses(prepared, False)["mood"]
    for step, u in ((0, 0.0), (2, 0.25), (8, 1.0)):
        assert losses(prepared, step=step)["mood"] == pytest.approx(
            u * truth + (1 - u) * (0.5 * soft + 2 * distance), rel=1e-4
        )


def test_every_shape_can_be_taught_however_rows_are_cut(shape_toys: Toys) -> None:
    run = teacher(shape_toys)
    prepared = prepare(taught(shape_toys, PretrainedTeacher(str(run.folder.path), temperature=2.0)))
    compared = prepare(
        taught(shape_toys, PretrainedTeacher(str(teacher(shape_toys, 0, 1, 2, 3).folder.path), states=1.0))
    )
    for of in (prepared, compared):
        objective = Objective(of.model.train(), of.devices, guides={**of.guides})
        whole = objective.losses(step_of(of, largest=10**6, overhead=10**6))
        pieces = objective.losses(step_of(of, largest=30))
        assert whole.keys() == pieces.keys() == set(of.model.tasks)
        for name in (name for name, task in of.model.tasks.items() if task.recordable):
            assert whole[name].item() == pytest.approx(pieces[name].item(), rel=1e-5)


def test_a_student_comes_to_answer_as_its_teacher(toys: Toys) -> None:
    run = teacher(toys, 0)
    settings = {"tasks": toys.tasks[:1], "steps": 30, "learning_rate": 1e-2}
    recipe = PretrainedTeacher(str(run.folder.path), weight=20.0, states=20.0)
    prepared = prepare(taught(toys, recipe, **settings))
    soft, distance = by_hand(prepared, run, 1.0)["mood"]
    student = toys.start(taught(toys, recipe, **settings))
    prepared.model.load_state_dict(load(student.folder.path).state_dict())
    after = by_hand(prepared, run, 1.0)["mood"]
    assert after[0] < soft
    assert after[1] < 0.2 * distance


def test_the_teacher_changes_nothing_but_the_losses(toys: Toys) -> None:
    run = teacher(toys)
    plain = prepare(toys.experiment()).model.state_dict()
    drawn = torch.rand(3)
    other = prepare(taught(toys, PretrainedTeacher(str(run.folder.path)))).model.state_dict()
    assert torch.equal(torch.rand(3), drawn)
    assert all(torch.equal(plain[name], weight) for name, weight in other.items())
    before = load(run.folder.path).state_dict()
    toys.start(taught(toys, PretrainedTeacher(str(run.folder.path), states=1.0), steps=4))
    assert all(torch.equal(before[name], weight) for name, weight in load(run.folder.path).state_dict().items())


@pytest.mark.parametrize("anneal", [False, True])
def test_a_run_goes_on_bit_for_bit(dropout_toys: Toys, anneal: bool) -> None:
    run = teacher(dropout_toys, 0, 1)
    recipe = PretrainedTeacher(str(run.folder.path), states=0.5, anneal=anneal)
    experiment = taught(dropout_toys, recipe, convergence=Patience(checks=1))
    whole = dropout_toys.start(experiment)
    require_same_model(dropout_toys.goes_on(experiment, "check", 6), whole)


def test_prompts_of_single_tasks_teach_a_shared_one(toys: Toys) -> None:
    """The first stage of multitask prompt tuning."""
    runs = [teacher(toys, at, architecture=PromptTuning(length=3)) for at in (0, 2)]
    recipes = [PretrainedTeacher(str(run.folder.path), weight=0.9, states=0.9) for run in runs]
    experiment = taught(toys, *recipes, tasks=(toys.tasks[0], toys.tasks[2]), architecture=MPT(length=3, dropout=0.0))
    prepared = prepare(experiment)
    chunks = step_of(prepared)
    with torch.no_grad():
        expected = {name: value for run in runs for name, value in by_hand(prepared, run, 1.0).items()}
    plain, both = losses(prepared, False), losses(prepared)
    for name, (soft, distance) in expected.items():
        assert both[name] == pytest.approx(plain[name] + 0.9 * (soft + distance), rel=1e-4)
    objective = Objective(prepared.model, prepared.devices, guides={**prepared.guides})
    torch.stack(list(objective.losses(chunks).values())).sum().backward()  # type: ignore[no-untyped-call]
    shared: Any = dict(prepared.model.named_parameters())
    assert any(name.endswith("shared") and of.grad is not None and of.grad.any() for name, of in shared.items())
    toys.start(experiment)


REFUSED: Mapping[str, tuple[Any, str]] = {
    "no model": (lambda run: [PretrainedTeacher("nowhere")], r"teachers\.0\.run = nowhere\s+holds no model"),
    "twice": (lambda run: [PretrainedTeacher(run)] * 2, r"teachers\.1\.run = \S+\s+teaches `mood`, which another"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_teachers_that_cannot_be(toys: Toys, case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(RecipeError, match=message):
        prepare(taught(toys, *make(str(teacher(toys, 0).folder.path))))


def test_a_teacher_without_a_task_of_the_recipe(toys: Toys) -> None:
    run = str(teacher(toys, 0).folder.path)
    with pytest.raises(RecipeError, match=r"answers none of the tasks count, within: it has mood"):
        prepare(taught(toys, PretrainedTeacher(run), tasks=toys.tasks[1:3]))


def test_a_teacher_that_answers_otherwise_or_reads_less(toys: Toys) -> None:
    run = str(teacher(toys, 0).folder.path)
    strange = replace(toys.tasks[1], name="mood")
    with pytest.raises(RecipeError, match=r"answers `mood` with classification \(.*\), and the recipe with regression"):
        prepare(taught(toys, PretrainedTeacher(run), tasks=(strange,)))
    longer = replace(taught(toys, PretrainedTeacher(run)), encoder=Encoder(str(toys.encoder), max_length=48))
    with pytest.raises(RecipeError, match=r"reads 32 sub-words at most, and the recipe 48"):
        prepare(longer)


def test_states_that_cannot_be_compared(shape_toys: Toys) -> None:
    run = str(teacher(shape_toys, 4).folder.path)
    with pytest.raises(RecipeError, match=r"teachers\.0\.states = 1\.0\s+compares .*`words` has none"):
        prepare(taught(shape_toys, PretrainedTeacher(run, states=1.0)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": -1.0}, "weight"),
        ({"states": float("nan")}, "states"),
        ({"temperature": 0.0}, "temperature"),
        ({"weight": 0.0}, "it would teach nothing"),
    ],
)
def test_settings_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PretrainedTeacher("runs/first", **fields)


def test_a_recipe_names_runs(toys: Toys, tmp_path: Path) -> None:
    area = {"type": "classification", "source": "docstrings", "label": "area"}
    named = loads({"tasks": {"area": area}, "teachers": ["runs/area", {"run": "runs/kind", "anneal": True}]}).teachers
    assert named == (PretrainedTeacher("runs/area"), PretrainedTeacher("runs/kind", anneal=True))
    run = teacher(toys, 0)
    trained = train(
        toys.tasks,
        encoder=Encoder(str(toys.encoder), max_length=32),
        architecture=HardSharing(dropout=0.0),
        convergence=Patience(then=Continue()),
        training=toys.experiment().training,
        teachers=[str(run.folder.path)],
        out=tmp_path / "python",
    )
    told: list[Event] = [event for event in trained.folder.events() if event["event"] == "plan"]
    assert told[0]["settings"]["teachers"][0]["run"] == str(run.folder.path)
    with pytest.raises(ValueError, match="is finished"):
        resume(trained.folder.path, taught(toys))


def test_a_model_for_a_task_alone_has_no_teacher(toys: Toys) -> None:
    experiment = taught(toys, PretrainedTeacher(str(teacher(toys, 0).folder.path)))
    assert alone(experiment, experiment.tasks[1], 5).teachers == ()
    assert "teachers=[]" in _alone(experiment, "count")
