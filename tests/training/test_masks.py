"""The search for sub-networks, from a recipe to a model that reads with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Toys

from motet.architectures.modular.pruning import density, prunable
from motet.architectures.modular.sparse_sharing import SparseSharing, read_masks, write_masks
from motet.errors import RecipeError, RunError
from motet.model import load
from motet.training import masks as searching
from motet.training.experiment import Experiment
from motet.training.masks import search_masks
from motet.training.pilots import alone
from motet.training.plan import prepare


@pytest.fixture
def wanted(toys: Toys) -> Experiment:
    return toys.experiment(tasks=toys.tasks[:2], learning_rate=0.02)


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_tasks_find_masks_and_read_with_them(toys: Toys, wanted: Experiment, tmp_path: Path) -> None:
    told: list[str] = []
    file = search_masks(wanted, tmp_path / "masks.safetensors", density=0.25, rounds=2, steps=3, tell=told.append)
    found = read_masks(file)
    assert set(found) == {"mood", "count"}
    for masks in found.values():
        assert density(masks) == pytest.approx(0.25, abs=1e-3)
    assert not equal(found["mood"], found["count"])
    assert told[0] == "mood: round 1 of 2, keeps 50.0% of the weights"
    assert [line.split(":")[0] for line in told] == ["mood", "mood", "count", "count"]
    assert [path.name for path in tmp_path.iterdir() if "masks" in path.name] == ["masks.safetensors"]

    run = toys.start(replace(wanted, architecture=SparseSharing(masks=str(file))))
    file.unlink()  # the model has them by now
    model = load(run.folder.path)
    assert model.architecture == SparseSharing(density=density(found["mood"]))
    arrangement: Any = model.arrangement
    for task, masks in found.items():
        assert equal(arrangement.masks[f"of_{task}"](), masks)


def test_every_round_starts_from_the_same_weights(wanted: Experiment, tmp_path: Path) -> None:
    """What goes in the first round is what is smallest after some steps on the task alone."""
    file = search_masks(wanted, tmp_path / "m.safetensors", density=0.5, rounds=1, steps=2)
    single = alone(replace(wanted, architecture=SparseSharing(density=0.5)), wanted.tasks[0], 2)
    prepared = prepare(single)
    arrangement: Any = prepared.model.arrangement
    every = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable(arrangement.trunk).items()}
    arrangement.use("mood", every)
    before = {name: weight.detach().clone() for name, weight in prunable(arrangement.trunk).items()}
    searching._train(prepared)
    after = prunable(arrangement.trunk)
    assert any(not torch.equal(after[name], weight) for name, weight in before.items())
    kept = read_masks(file)["mood"]
    smallest = min(float(after[name].detach().abs()[mask].min()) for name, mask in kept.items())
    largest = max(float(after[name].detach().abs()[~mask].max()) for name, mask in kept.items() if not mask.all())
    assert smallest >= largest


def test_a_search_that_was_stopped_goes_on(wanted: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search_masks(wanted, tmp_path / "whole.safetensors", density=0.25, rounds=2, steps=2)
    train, count = searching._train, [0]

    def interrupted(prepared: Any) -> None:
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        train(prepared)

    monkeypatch.setattr(searching, "_train", interrupted)
    cut = tmp_path / "cut.safetensors"
    with pytest.raises(KeyboardInterrupt):
        search_masks(wanted, cut, density=0.25, rounds=2, steps=2)
    with pytest.raises(RunError, match="other settings"):
        search_masks(wanted, cut, density=0.5, rounds=2, steps=2)
    told: list[str] = []
    search_masks(wanted, cut, density=0.25, rounds=2, steps=2, tell=told.append)
    assert [line[:14] for line in told] == ["count: round 2"]
    assert all(equal(masks, read_masks(cut)[task]) for task, masks in read_masks(whole).items())
    with pytest.raises(RunError, match="is there already"):
        search_masks(wanted, cut, density=0.25)


def test_the_best_round_is_kept_on_request(wanted: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.9, 0.3, 0.9, 0.1, 0.3])
    monkeypatch.setattr(searching, "_score", lambda prepared, task: next(scores))
    monkeypatch.setattr(searching, "_train", lambda prepared: None)
    told: list[str] = []
    file = search_masks(
        wanted, tmp_path / "m.safetensors", density=0.25, rounds=2, steps=1, best=True, tell=told.append
    )
    found = read_masks(file)
    assert density(found["mood"]) == pytest.approx(0.5, abs=1e-3)
    assert density(found["count"]) == 1
    assert told[1] == "mood: round 2 of 2, score 0.9000, keeps 25.0% of the weights"


def test_the_judge_is_the_headline_on_validation(wanted: Experiment) -> None:
    prepared = prepare(alone(wanted, wanted.tasks[1], 1))
    (task,) = prepared.corpus.tasks.values()
    assert task.name == "count"
    assert -1 <= searching._score(prepared, task) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, "density = 0.0"),
        ({"density": 1.5}, "density = 1.5"),
        ({"density": 0.5, "rounds": 0}, "rounds"),
    ],
)
def test_settings_that_mean_nothing(wanted: Experiment, tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        search_masks(wanted, tmp_path / "m.safetensors", **options)
    assert not any(tmp_path.iterdir())


def test_a_file_that_does_not_fit_is_refused(toys: Toys, wanted: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"

    def refused() -> str:
        with pytest.raises(RecipeError) as caught:
            prepare(replace(wanted, architecture=SparseSharing(masks=str(file))))
        return str(caught.value)

    assert "`motet masks RECIPE` writes one" in refused()
    file.write_bytes(b"no masks")
    assert "cannot be read" in refused()
    model: Any = prepare(replace(wanted, architecture=SparseSharing(density=0.5))).model
    masks = model.arrangement.masks["of_mood"]()
    write_masks({"mood": masks, "counts": masks}, file)
    assert "has no masks of the task `count`. Did you mean `counts`?" in refused()
    write_masks({"mood": masks, "count": {"encoder.weight": torch.ones(2, 2, dtype=torch.bool)}}, file)
    assert "of the task `count` that are those of another encoder" in refused()
    full = {name: torch.ones_like(mask) for name, mask in masks.items()}
    write_masks({"mood": full, "count": full}, file)
    dense = toys.start(replace(wanted, architecture=SparseSharing(masks=str(file)))).folder
    assert load(dense.path).architecture == SparseSharing(density=1.0)
