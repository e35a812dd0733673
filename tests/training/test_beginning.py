"""Tasks that are added to a finished run: what they leave as it was, what they learn, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import Toys, require_same_model

from motet.architectures.base import Architecture
from motet.architectures.hierarchical.task_attention import TaskAttention
from motet.architectures.modular.adapters import Adapters
from motet.architectures.modular.attempt import ATTEMPT
from motet.architectures.modular.ca_mtl import CAMTL
from motet.architectures.modular.hyperformer import Hyperformer
from motet.architectures.modular.ia3 import IA3
from motet.architectures.modular.lora import LoRA
from motet.architectures.modular.mpt import MPT
from motet.architectures.modular.mtl_lora import MTLLoRA
from motet.architectures.modular.pals import PALs
from motet.architectures.modular.prefix import PrefixTuning
from motet.architectures.modular.prompts import PromptTuning
from motet.architectures.parallel.cross_stitch import CrossStitch
from motet.architectures.parallel.group_trunks import GroupTrunks
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders import Encoder
from motet.errors import RecipeError
from motet.model import load
from motet.recipe import loads
from motet.training.beginning import Start
from motet.training.experiment import Experiment
from motet.training.plan import prepare
from motet.training.run import Run, resume, start, train

TEXTS = ["good film in paris", "slow train, cold rain", "nine warm hearts"]
ADDING: dict[str, Architecture] = {
    "adapters": Adapters(norms=True),
    "attempt": ATTEMPT(length=3, sources=2),
    "ca_mtl": CAMTL(task_size=4, length=8, blocks=2),
    "hard_sharing": HardSharing(task_layers={"mood": 1}),
    "hyperformer": Hyperformer(task_size=6, place_size=4, hidden=8, size=6),
    "ia3": IA3(),
    "lora": LoRA(rank=2, shared=True),
    "mpt": MPT(length=3),
    "mtl_lora": MTLLoRA(rank=2),
    "pals": PALs(rank=8, heads=2),
    "prefix_tuning": PrefixTuning(length=3, hidden=8),
    "prompt_tuning": PromptTuning(length=3),
}


def first(toys: Toys, architecture: Architecture) -> Run:
    """Two tasks, of texts."""
    return toys.start(toys.experiment(architecture=architecture, tasks=toys.tasks[:2], steps=2))


def further(toys: Toys, older: Run, **fields: Any) -> Experiment:
    """Another two, one of pairs and one of words, to be added to them."""
    plain = toys.experiment(tasks=toys.tasks[2:], steps=3, learning_rate=0.02)
    usual: dict[str, Any] = {"encoder": Encoder(), "architecture": HardSharing()}
    return replace(plain, start_from=Start(str(older.folder.path)), **{**usual, **fields})


@pytest.mark.parametrize("name", ADDING)
def test_old_tasks_answer_as_before_to_the_last_bit(toys: Toys, name: str) -> None:
    older = first(toys, ADDING[name])
    newer = toys.start(further(toys, older))
    before, after = load(older.folder.path), load(newer.folder.path)
    assert list(after.tasks) == ["mood", "count", "within", "places"]
    assert after.predict(TEXTS, ["mood", "count"]) == before.predict(TEXTS, ["mood", "count"])
    theirs, ours = before.state_dict(), after.state_dict()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    assert set(newer.scores) == {"within", "places"}


@pytest.mark.parametrize("name", ["adapters", "lora", "hard_sharing"])
def test_new_tasks_answer_as_they_were_trained(toys: Toys, name: str) -> None:
    """Their scores at the end of the run are those of the model that it leaves."""
    from motet.training.evaluation import evaluate_run

    older = first(toys, ADDING[name])
    wanted = further(toys, older)
    newer = toys.start(wanted)
    scores = evaluate_run(newer.folder, wanted, split="validation")["scores"]
    for task, of in newer.scores.items():
        assert scores[task][of["metric"]]["value"] == of["final"]
    heads = load_file(newer.folder.model / "heads.safetensors")
    assert any("of_within" in weight for weight in heads)


def test_new_tasks_learn_and_nothing_else_has_a_state(toys: Toys) -> None:
    older = first(toys, ADDING["adapters"])
    wanted = further(toys, older)
    model = prepare(wanted).model
    learning = [p for p in model.parameters() if p.requires_grad]
    own = {id(p) for task in model.tasks for p in model.arrangement.own_parameters(task)}
    assert learning
    assert {id(p) for p in learning} <= own
    newer = toys.start(wanted)
    (state,) = sorted(newer.folder.checkpoints.glob("*/optimiser.safetensors"))[-1:]
    moments = sum(value.nbytes for name, value in load_file(state).items() if not name.endswith(".step"))
    assert moments == 2 * sum(p.nbytes for p in learning)
    fresh, trained = model.state_dict(), load(newer.folder.path).state_dict()
    moved = {name for name, weight in fresh.items() if not torch.equal(trained[name], weight)}
    assert moved
    assert all("of_within" in name or "of_places" in name for name in moved)


def test_a_third_run_is_added_to_the_second(toys: Toys) -> None:
    one = toys.start(toys.experiment(architecture=LoRA(rank=2), tasks=toys.tasks[:1], steps=3))
    two = toys.start(replace(further(toys, one), tasks=toys.tasks[1:2]))
    three = toys.start(replace(further(toys, two), tasks=toys.tasks[3:]))
    assert list(load(three.folder.path).tasks) == ["mood", "count", "places"]
    for older in (one, two):
        model = load(older.folder.path)
        assert load(three.folder.path).predict(TEXTS, list(model.tasks)) == model.predict(TEXTS)


def test_it_goes_on_exactly(toys: Toys) -> None:
    older = first(toys, LoRA(rank=2))
    wanted = further(toys, older)
    wanted = replace(wanted, training=replace(wanted.training, steps=6))
    whole = toys.start(wanted)
    require_same_model(toys.goes_on(wanted, "check", 3), whole)


def test_without_freezing_everything_goes_on_learning(toys: Toys) -> None:
    older = first(toys, HardSharing())
    wanted = toys.experiment(tasks=toys.tasks[1:3], steps=3, learning_rate=0.02)
    begun: Any = {"encoder": Encoder(), "architecture": HardSharing()}
    wanted = replace(wanted, **begun, start_from=Start(str(older.folder.path), freeze=False))
    theirs = load(older.folder.path)
    model = prepare(wanted).model
    for name, weight in model.arrangement.state_dict().items():
        assert ("of_within" in name) is not torch.equal(weight, theirs.arrangement.state_dict().get(name, weight + 1))
    assert all(p.requires_grad for p in model.parameters())
    newer = load(toys.start(wanted).folder.path)
    assert list(newer.tasks) == ["count", "within"]
    moved = [
        n
        for n, w in newer.arrangement.trunk.state_dict().items()
        if not torch.equal(w, theirs.state_dict()["arrangement.trunk." + n])
    ]
    assert moved


def test_encoder_and_architecture_are_those_of_the_run(toys: Toys) -> None:
    older = first(toys, Adapters(reduction=4))
    wanted = further(toys, older)
    assert wanted.architecture == Adapters(reduction=4)
    assert wanted.encoder == Encoder(str(older.folder.model), max_length=32)
    spelled = wanted.describe()
    assert spelled["start_from"] == {"run": str(older.folder.path), "freeze": True}
    assert replace(wanted) == wanted
    assert "start_from" not in toys.experiment().describe()


def test_a_recipe_says_it_in_a_word(toys: Toys, tmp_path: Path) -> None:
    older = first(toys, Adapters(reduction=4))
    file = tmp_path / "more.csv"
    file.write_text("text,label\n" + "".join(f"good film {n},yes\nbad train {n},no\n" for n in range(20)), "utf-8")
    recipe: dict[str, Any] = {
        "tasks": {"verdict": {"type": "classification", "source": str(file)}},
        "start_from": str(older.folder.path),
        "training": {"steps": 2, "precision": "fp32", "device": "cpu"},
    }
    wanted = loads(recipe)
    assert loads(wanted.describe()) == wanted
    run = start(wanted, tmp_path / "run")
    (plan,) = (event for event in run.folder.events() if event["event"] == "plan")
    assert f"kept as they are in {older.folder.path}: mood, count" in plan["notes"]
    assert list(load(run.folder.path).tasks) == ["mood", "count", "verdict"]
    assert resume_refuses(run, wanted)
    trained = train(wanted.tasks, start_from=older.folder.path, training=wanted.training, out=tmp_path / "python")
    require_same_model(trained, run)


def resume_refuses(run: Run, wanted: Experiment) -> bool:
    with pytest.raises(ValueError, match="is finished"):
        resume(run.folder.path, wanted)
    return True


def test_tasks_that_are_named_are_named_together(toys: Toys) -> None:
    older = toys.start(toys.experiment(architecture=HardSharing(read_layer={"mood": 1}), tasks=toys.tasks[:2], steps=2))
    wanted = further(toys, older, architecture=HardSharing(read_layer={"places": 1}))
    newer = load(toys.start(wanted).folder.path)
    assert newer.architecture == HardSharing(read_layer={"mood": 1, "places": 1})


@pytest.mark.parametrize(
    ("architecture", "fields", "told"),
    [
        (HardSharing(), {"encoder": Encoder("elsewhere")}, "encoder = elsewhere\n    is that of"),
        (LoRA(rank=2), {"architecture": LoRA(rank=3)}, r"architecture.rank = 3\n    is 2 in .*stay as they are"),
        (LoRA(rank=2), {"architecture": Adapters()}, r"architecture.type = adapters\n    is lora in"),
    ],
)
def test_what_is_another_is_refused(toys: Toys, architecture: Any, fields: Any, told: str) -> None:
    older = first(toys, architecture)
    plain = further(toys, older)
    with pytest.raises(RecipeError, match=told):
        replace(plain, **fields)


def test_a_task_that_is_there_has_nothing_to_learn(toys: Toys) -> None:
    older = first(toys, HardSharing())
    with pytest.raises(RecipeError, match=r"tasks.count\n    is a task of .* already, which keeps its weights"):
        replace(further(toys, older), tasks=toys.tasks[1:])


def test_no_run_is_there(toys: Toys, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"start_from.run = .*nowhere\n    holds no model"):
        replace(toys.experiment(), start_from=Start(str(tmp_path / "nowhere")))


def test_an_architecture_that_is_about_its_tasks_alone_has_to_be_told(toys: Toys) -> None:
    older = first(toys, GroupTrunks(groups={"a": ("mood",), "b": ("count",)}))
    with pytest.raises(RecipeError, match=r"architecture.groups\n    must name at least one"):
        further(toys, older)


@pytest.mark.parametrize(
    "architecture",
    [CrossStitch(), TaskAttention(), GroupTrunks(groups={"a": ("mood",), "b": ("count",)})],
    ids=["cross_stitch", "task_attention", "group_trunks"],
)
def test_architectures_whose_tasks_read_each_other_take_none_in(toys: Toys, architecture: Any) -> None:
    older = first(toys, architecture)
    same: Any = {"architecture": GroupTrunks(groups={"c": ("within", "places")})}
    fields = same if isinstance(architecture, GroupTrunks) else {}
    with pytest.raises(RecipeError, match=r"start_from.freeze = true\n    lets the answers of a task depend"):
        prepare(further(toys, older, **fields))
