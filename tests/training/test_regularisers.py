"""Regularisers in a run: what they are given, what they add to an update, and that a run with them goes on exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training import penalised
from tests.training.conftest import Toys, source
from torch import Tensor

from motet import registry
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.balancing.base import Balance
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.losses.dwa import DWA
from motet.balancing.losses.sum import Sum
from motet.balancing.regularisers.base import Features, Regulariser
from motet.balancing.regularisers.kl import KL, divergence
from motet.balancing.regularisers.l2_to_start import L2ToStart
from motet.balancing.regularisers.mmd import MMD
from motet.balancing.regularisers.orthogonality import Orthogonality
from motet.balancing.regularisers.soft_sharing import SoftSharing
from motet.balancing.regularisers.successive import Successive
from motet.balancing.regularisers.supervised_contrastive import SupervisedContrastive
from motet.data.batches import Chunk
from motet.errors import RecipeError
from motet.model import load
from motet.recipe import loads
from motet.runs import RunFolder
from motet.tasks.classification import Classification
from motet.tasks.ordinal import Ordinal
from motet.training.convergence import Patience
from motet.training.distillation import Teacher
from motet.training.experiment import Experiment
from motet.training.objective import Held, Objective
from motet.training.penalties import Penalties, parameters_of
from motet.training.plan import Prepared, prepare
from motet.training.representations import Representations
from motet.training.responses import Distill, Drop
from motet.training.run import start
from motet.training.trainer import Trainer

REPOSITORY = Path(__file__).resolve().parents[2]
LAYERS = HardSharing(dropout=0.0, task_layers={"mood": 1, "count": 1})
NEEDS: dict[str, Regulariser] = {
    "l2_to_start": L2ToStart(weight=0.5, own=0.1),
    "successive": Successive(weight=0.5, own=0.5),
    "orthogonality": Orthogonality(tasks=(("mood", "places"),)),
}
NAMES = registry.names("regulariser")
every = pytest.mark.parametrize("name", NAMES)


def part_of(name: str) -> Regulariser:
    part = NEEDS[name] if name in NEEDS else registry.find("regulariser", name)()
    assert isinstance(part, Regulariser)
    return part


def penalised_by(experiment: Experiment, *parts: Regulariser) -> Experiment:
    return replace(experiment, regularisers=parts)


def steps_of(run: RunFolder) -> list[dict[str, Any]]:
    return [event for event in run.events() if event["event"] == "step"]


def require_equal(one: Any, other: Any) -> None:
    left, right = (load(run.folder.path).state_dict() for run in (one, other))
    for key, weight in left.items():
        torch.testing.assert_close(right[key], weight, rtol=0, atol=0)


@every
def test_an_interrupted_run_goes_on_exactly(toys: Toys, name: str) -> None:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False, then=Drop())
    plain = toys.experiment(rule, steps=8, check_every=2, architecture=LAYERS, seed=3)
    experiment = penalised_by(plain, part_of(name))
    whole = toys.start(experiment)
    found = [event["penalties"] for event in steps_of(whole.folder)]
    assert {key for penalties in found for key in penalties} == {name}
    assert max(penalties[name] for penalties in found) > 0

    cut = toys.goes_on(experiment, "check", 6)
    require_equal(cut, whole)
    assert [event["penalties"] for event in steps_of(cut.folder)] == found


@every
def test_weight_0_is_no_regulariser(toys: Toys, name: str) -> None:
    plain = toys.experiment(steps=4, check_every=4, architecture=LAYERS)
    own = {"own": 0.0} if name in ("l2_to_start", "successive") else {}
    without, off = (toys.start(of) for of in (plain, penalised_by(plain, replace(part_of(name), weight=0.0, **own))))
    require_equal(off, without)
    assert all(event["penalties"] == {} for event in steps_of(off.folder) + steps_of(without.folder))


def test_two_of_a_kind_are_told_apart(toys: Toys) -> None:
    pairs = KL(tasks=(("mood", "places"),)), KL(tasks=(("mood", "within"),))
    run = toys.start(penalised_by(toys.experiment(steps=2, check_every=2), *pairs))
    assert [set(event["penalties"]) for event in steps_of(run.folder)] == [{"kl", "kl#2"}] * 2


# What a step leaves in the parameters.


def gradients(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> tuple[Trainer, dict[str, Tensor], Prepared]:
    """The gradients of the first step, as the optimiser sees them."""
    prepared = prepare(experiment)
    journal = SimpleNamespace(
        batch=lambda *_: None,
        balanced=lambda *_: None,
        penalised=lambda *_: None,
        step=lambda *_: None,
        counting=lambda _: pytest.MonkeyPatch.context(),
    )
    trainer = Trainer(
        prepared.experiment,
        prepared.corpus,
        prepared.model,
        prepared.devices,
        prepared.feed,
        journal,  # type: ignore[arg-type]
    )
    seen: dict[str, Tensor] = {}

    def look(*_: Any) -> Tensor:
        seen.update({n: p.grad.clone() for n, p in prepared.model.named_parameters() if p.grad is not None})
        return torch.zeros(())

    monkeypatch.setattr(trainer.optimiser, "step", look)
    trainer.step()
    return trainer, seen, prepared


def by_hand(experiment: Experiment, penalty: Callable[[Prepared, list[Any]], Tensor]) -> dict[str, Tensor]:
    """The gradient of a penalty on the batch of the first step, from a formula."""
    prepared = prepare(experiment)
    prepared.model.train()
    named = dict(prepared.model.named_parameters())
    value = penalty(prepared, prepared.feed.next(list(prepared.corpus.tasks)))
    found = torch.autograd.grad(value, list(named.values()), materialize_grads=True, allow_unused=True)
    return dict(zip(named, found, strict=True))


def means(prepared: Prepared, chunks: list[Any], task: str) -> Tensor:
    """The mean state of each row of a task, one row at a time."""
    found = []
    for chunk in chunks:
        for row in chunk.owned[task].rows.tolist() if task in chunk.owned else ():
            tokens = chunk.tokens[row, chunk.mask[row] == 1][None]
            types = None if chunk.types is None else chunk.types[row, chunk.mask[row] == 1][None]
            found.append(prepared.model.arrangement.trunk(tokens, torch.ones_like(tokens), types).last[0].mean(dim=0))
    return torch.stack(found)


def matched(prepared: Prepared, chunks: list[Any]) -> Tensor:
    return 5.0 * divergence(means(prepared, chunks, "mood"), means(prepared, chunks, "places"))


def tied(prepared: Prepared, chunks: list[Any]) -> Tensor:
    parameters = parameters_of(prepared.model)
    distances = [(parameters.layers["mood"][n] - p).norm() for n, p in parameters.layers["count"].items()]
    lengths = [p.square().sum() for of in parameters.own.values() for p in of]
    return 0.2 * torch.stack(distances).sum() + 0.05 * torch.stack(lengths).sum()


PENALTIES: dict[str, tuple[tuple[Regulariser, ...], Callable[[Prepared, list[Any]], Tensor]]] = {
    "representations": ((KL(weight=5.0, tasks=(("mood", "places"),)),), matched),
    "parameters": ((SoftSharing(weight=0.2), L2ToStart(weight=1.0, own=0.1)), tied),
}
BALANCES: dict[str, Balance] = {
    "sum": Sum(),
    "dwa": DWA(),
    "pcgrad": PCGrad(),
    "pcgrad of the last layer": PCGrad(where="last_layer"),
    "mgda": MGDA(),
    "mgda at the representation": MGDA(where="representation"),
}


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("balance", BALANCES)
def test_penalties_are_added_as_they_are(toys: Toys, monkeypatch: pytest.MonkeyPatch, balance: str, kind: str) -> None:
    parts, formula = PENALTIES[kind]
    plain = toys.experiment(balance=BALANCES[balance], architecture=LAYERS, tokens_per_batch=300)
    alone, without, _ = gradients(plain, monkeypatch)
    beside, found, _ = gradients(penalised_by(plain, *parts), monkeypatch)
    assert {t: w.item() for t, w in beside.balancer.weights.items()} == pytest.approx(
        {t: w.item() for t, w in alone.balancer.weights.items()}, rel=1e-4
    )
    for name, added in by_hand(plain, formula).items():
        before = without.get(name, torch.zeros_like(added))
        torch.testing.assert_close(found.get(name, torch.zeros_like(added)), before + added, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_penalty_on_parameters_counts_once_a_step(
    toys: Toys, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    plain = toys.experiment(architecture=LAYERS, accumulate=accumulate)
    _, without, _ = gradients(plain, monkeypatch)
    trainer, found, _ = gradients(penalised_by(plain, *PENALTIES["parameters"][0]), monkeypatch)
    for name, added in by_hand(plain, tied).items():
        before = without.get(name, torch.zeros_like(added))
        torch.testing.assert_close(found.get(name, torch.zeros_like(added)), before + added, atol=1e-5, rtol=1e-4)
    assert trainer.penalties.values["soft_sharing"] > 0


def test_batches_of_a_step_share_a_penalty(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = penalised_by(toys.experiment(accumulate=2, tokens_per_batch=300), *PENALTIES["representations"][0])
    trainer, _, _ = gradients(experiment, monkeypatch)
    prepared = prepare(experiment)
    prepared.model.train()
    parts = [matched(prepared, prepared.feed.next(list(prepared.corpus.tasks))).item() for _ in range(2)]
    assert trainer.penalties.values["kl"].item() == pytest.approx(sum(parts) / 2, rel=1e-4)


# What they are given.


@pytest.fixture
def prepared(toys: Toys) -> Prepared:
    return prepare(toys.experiment(tokens_per_batch=400))


class Indifferent(Teacher):
    """Finds both answers as likely."""

    def logits(self, chunk: Chunk, task: str) -> Tensor:
        return torch.zeros(int(chunk.owned[task].lengths.sum()), 2)


def features_of(prepared: Prepared, chunks: list[Any], held: tuple[str, ...] = ()) -> dict[str, Features]:
    objective = Objective(prepared.model, prepared.devices, representations=Representations(prepared.model))
    objective.held.update({task: Held(Distill(), Indifferent()) for task in held})
    objective.losses(chunks)
    return dict(objective.features)


def test_representations_are_means_of_last_states(prepared: Prepared) -> None:
    chunks = prepared.feed.next(list(prepared.corpus.tasks))
    assert len(chunks) > 1
    found = features_of(prepared, chunks)
    assert set(found) == set(prepared.corpus.tasks)
    for task, of in found.items():
        torch.testing.assert_close(of.states, means(prepared, chunks, task), atol=1e-5, rtol=1e-4)


def test_labels_are_those_of_tasks_that_give_texts_a_class(prepared: Prepared) -> None:
    chunks: list[Any] = prepared.feed.next(list(prepared.corpus.tasks))
    found = features_of(prepared, chunks)
    assert {task for task, of in found.items() if of.labels is not None} == {"mood", "within"}
    truth = [label for chunk in chunks if "mood" in chunk.owned for label in chunk.owned["mood"].target.tolist()]
    assert found["mood"].labels is not None
    assert found["mood"].labels.tolist() == truth


def test_a_held_task_shows_no_labels(prepared: Prepared) -> None:
    chunks = prepared.feed.next(list(prepared.corpus.tasks))
    found = features_of(prepared, chunks, held=("mood",))
    assert found["mood"].labels is None
    assert found["within"].labels is not None


def test_every_batch_is_seen_alone(prepared: Prepared) -> None:
    objective = Objective(prepared.model, prepared.devices, representations=Representations(prepared.model))
    for _ in range(2):
        chunks = prepared.feed.next(["mood"])
        objective.losses(chunks)
        assert set(objective.features) == {"mood"}
        assert len(objective.features["mood"].states) == sum(len(c.owned["mood"].rows) for c in chunks)
    assert not prepared.model.arrangement.trunk._forward_hooks


def test_nobody_listens_where_nobody_asks(toys: Toys) -> None:
    prepared = prepare(penalised_by(toys.experiment(), L2ToStart()))
    penalties = Penalties(prepared.experiment.regularisers, prepared.model, prepared.devices)
    assert not penalties.reads
    assert Objective(prepared.model, prepared.devices).features == {}


def test_parameters_are_sorted_by_whom_they_serve(toys: Toys) -> None:
    model = prepare(toys.experiment(architecture=LAYERS)).model
    found = parameters_of(model)
    own = sum(len(of) for of in found.own.values())
    assert len(found.shared) + own == len(list(model.parameters()))
    assert set(found.layers["mood"]) == set(found.layers["count"])
    assert all(name.startswith("arrangement.layers.*.") for name in found.layers["mood"])
    assert found.layers["places"] == {}
    assert len(found.own["places"]) == 2


def test_a_process_of_several_counts_by_its_share(toys: Toys) -> None:
    prepared = prepare(toys.experiment(architecture=LAYERS))
    parts = (KL(), SoftSharing())
    alone, one_of_two = (
        Penalties(parts, prepared.model, SimpleNamespace(count=count))  # type: ignore[arg-type]
        for count in (1, 2)
    )
    rows = {task: Features(torch.randn(3, 4)) for task in ("a", "b")}
    for penalties in (alone, one_of_two):
        prepared.model.zero_grad()
        penalties.begin(0, ["a", "b"])
        penalties.of_batch(rows, {}, 1.0)
        penalties.backward()
    for name, value in alone.values.items():
        assert value > 0
        assert one_of_two.values[name].item() == pytest.approx(value.item() / 2)


@pytest.mark.slow
def test_two_processes_do_what_one_does(tiny_encoder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = [str(Path(penalised.__file__)), str(tiny_encoder), str(tmp_path / "two")]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    two, one = RunFolder(tmp_path / "two"), penalised.train(tiny_encoder, tmp_path / "one").folder
    for left, right in zip(steps_of(one), steps_of(two), strict=True):
        assert right["penalties"] == pytest.approx(left["penalties"], rel=1e-4)
        assert right["losses"] == pytest.approx(left["losses"], rel=1e-3)
    for file in ("model.safetensors", "heads.safetensors"):
        first, second = load_file(one.model / file), load_file(two.model / file)
        for name, value in first.items():
            if not name.endswith(("key.bias", "in_proj_bias")):  # no loss depends on the keys': gradients are rounding
                torch.testing.assert_close(second[name], value, atol=1e-5, rtol=1e-4)


# What is wrong is told before the first step.


def test_strangers_and_misfits_are_told_at_once(toys: Toys) -> None:
    parts = (KL(tasks=(("mood", "moood"),)), SupervisedContrastive(tasks=("count",)), Orthogonality())
    with pytest.raises(RecipeError) as raised:
        penalised_by(toys.experiment(batches="single", architecture=LAYERS), *parts)
    assert [problem.name for problem in raised.value.problems] == [
        "regularisers.0.tasks.0",
        "training.batches",
        "regularisers.1.tasks",
        "regularisers.2.tasks",
        "training.batches",
    ]


def test_layers_in_common_are_asked_for_before_the_run_begins(toys: Toys) -> None:
    with pytest.raises(RecipeError, match="have none in common") as raised:
        start(penalised_by(toys.experiment(), L2ToStart(), SoftSharing()), toys.folder / "out")
    assert raised.value.problems[0].name == "regularisers.1.tasks"
    assert not (toys.folder / "out").exists()


def test_a_regulariser_that_is_off_asks_for_nothing(toys: Toys) -> None:
    assert prepare(penalised_by(toys.experiment(), SoftSharing(weight=0.0))).plan["warnings"] == []


def test_the_recipe_spells_them_as_python_does() -> None:
    tasks = {
        "mood": {"type": "classification", "source": "a.csv"},
        "stars": {"type": "ordinal", "source": "a.csv", "classes": ["1", "2"]},
    }
    spelled = ["l2_to_start", {"type": "mmd", "weight": 0.3, "tasks": [["mood", "stars"]]}]
    read = loads({"tasks": tasks, "regularisers": spelled})
    made = Experiment(
        tasks=(
            Classification("mood", source="a.csv"),
            Ordinal("stars", source="a.csv", classes=("1", "2")),
        ),
        regularisers=(L2ToStart(), MMD(weight=0.3, tasks=(("mood", "stars"),))),
    )
    assert read.regularisers == made.regularisers
    assert loads(made.describe()).regularisers == made.regularisers


@pytest.mark.parametrize(
    ("spelled", "told"),
    [
        ("mmd", 'regularisers = "mmd"\n    must be a list of words and mappings with `type`'),
        (["mmdd"], 'regularisers.0 = "mmdd"\n    is no regulariser. Did you mean `mmd`?'),
        ([{"weight": 1}], "regularisers.0.type\n    is missing"),
        ([{"type": "kl", "wieght": 1}], "regularisers.0.wieght\n    unknown key. Did you mean `weight`?"),
        (["kl", {"type": "kl", "weight": -1}], "regularisers.1.weight = -1.0\n    must be a number of at least 0"),
        ([{"type": "kl", "tasks": ["mood"]}], "must be a list of lists of two texts"),
        ([{"type": "kl", "tasks": [["mood", "x"]]}], "regularisers.0.tasks.0 = x\n    names no task"),
    ],
)
def test_a_recipe_that_spells_them_wrong(spelled: Any, told: str) -> None:
    tasks = {name: {"type": "classification", "source": "a.csv"} for name in ("mood", "topic")}
    with pytest.raises(RecipeError) as raised:
        loads({"tasks": tasks, "regularisers": spelled})
    assert told in str(raised.value)


def test_motet_train_takes_them(tiny_encoder: Path, tmp_path: Path) -> None:
    import motet

    tasks = [motet.Classification("mood", source=source(train=12, validation=6), label="mood")]
    run = motet.train(
        tasks,
        encoder=str(tiny_encoder),
        regularisers=[motet.SupervisedContrastive(weight=0.5)],
        steps=2,
        out=tmp_path / "run",
    )
    assert "supervised_contrastive" in steps_of(run.folder)[-1]["penalties"]
