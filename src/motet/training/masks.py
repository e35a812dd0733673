"""The search for the sub-network of each task: rounds of training and pruning, each of which is kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from motet.architectures.modular.pruning import Masks, density, find_masks
from motet.architectures.modular.sparse_sharing import SparseSharing, write_masks
from motet.errors import RunError, at_least, require, share
from motet.metrics.base import METRICS
from motet.runs import remove, write_atomically
from motet.tasks.base import Task
from motet.training.evaluation import evaluate
from motet.training.experiment import Experiment
from motet.training.feed import Feed
from motet.training.pilots import alone
from motet.training.plan import Prepared, prepare
from motet.training.run import trainer_of
from motet.training.trainer import seed_everything

__all__ = ["search_masks"]


def search_masks(
    experiment: Experiment,
    out: str | Path,
    *,
    density: float,
    rounds: int = 3,
    steps: int = 100,
    best: bool = False,
    folder: Path | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Path:
    """Search the masks of all tasks by iterative magnitude pruning, and write them to a file.

    Each task is trained alone, from the same weights in every round; what it learns is thrown away but for the weights
    that it keeps. Rounds lie beside the file until all are done: a search that is stopped goes on when it is asked for
    again.

    Args:
        experiment: tasks, encoder and training; its architecture tells pooling and dropout, if it is `SparseSharing`.
        out: the file; must not be there.
        density: share of the weights that are left after the last round.
        rounds: of training and pruning.
        steps: optimiser steps of a round.
        best: keep what was best on validation before a round pruned, rather than what the last one left.
        folder: where relative paths of sources are looked up, besides the working directory.
        tell: given a sentence after every round.

    Returns:
        The file.

    Raises:
        UserError: settings that mean nothing, a file that is there, or what keeps a run from starting.
    """
    require([*share(density=density), *at_least(1, rounds=rounds, steps=steps)])
    out = Path(out)
    if out.exists():
        raise RunError(f"{out} is there already. Choose another name with --out.")
    told = {"density": density, "rounds": rounds, "steps": steps, "best": best, "experiment": experiment.describe()}
    beside = out.with_name(f"{out.name}.rounds")
    _require_same(beside / "search.json", json.dumps(told, indent=1, default=str))
    found: dict[str, Masks] = {}
    masked = replace(experiment, architecture=_sparse(experiment))
    for task in experiment.tasks:
        kept = _Kept(beside, lambda task, at, left, score: tell(_line(task, at, rounds, left, score)))
        found |= _search(
            prepare(alone(masked, task, steps), folder), kept, rounds, 1 - density ** (1 / rounds), best=best
        )
    write_atomically(out, lambda path: write_masks(found, path))
    remove(beside)
    return out


def _sparse(experiment: Experiment) -> SparseSharing:
    """An architecture with masks, whichever they are."""
    given = experiment.architecture
    part = given if isinstance(given, SparseSharing) else SparseSharing()
    return replace(part, masks="", density=0.5)


def _search(prepared: Prepared, kept: _Kept, rounds: int, share: float, *, best: bool) -> dict[str, Masks]:
    """The masks of the one task of an experiment."""
    (task,) = prepared.corpus.tasks.values()
    arrangement: Any = prepared.model.arrangement.to(prepared.devices.device)
    judge = (lambda name: _score(prepared, task)) if best else None
    train = lambda name: _train(prepared)  # noqa: E731  a function of the task, of which there is one
    return find_masks(arrangement, [task.name], train, rounds=rounds, share=share, judge=judge, done=kept)


def _train(prepared: Prepared) -> None:
    """The steps of one round: a fresh optimiser, and the rows and the dropout of the first."""
    experiment = prepared.experiment
    seed_everything(experiment.training.seed)  # so that a search that goes on finds what it would have found
    feed = Feed(prepared.corpus, experiment, prepared.model.padding(), prepared.devices.count)
    trainer = trainer_of(prepared, None, feed)
    for _ in range(experiment.training.steps):
        trainer.step()
    trainer.require_finite()


def _score(prepared: Prepared, task: Task) -> float:
    scores = evaluate(prepared.model, prepared.corpus.examples("validation"), prepared.devices)
    value = scores[task.name][task.headline].value
    return value if METRICS[task.headline].higher_is_better else -value


def _line(task: str, at: int, rounds: int, left: Masks, score: float) -> str:
    judged = "" if score != score else f", score {abs(score):.4f}"  # not a number where nobody judged
    return f"{task}: round {min(at + 1, rounds)} of {rounds}{judged}, keeps {density(left):.1%} of the weights"


def _require_same(file: Path, told: str) -> None:
    """Refuse rounds of another search.

    Raises:
        RunError: there are some.
    """
    if not file.exists():
        write_atomically(file, lambda path: path.write_text(told, encoding="utf-8"))
    elif file.read_text(encoding="utf-8") != told:
        raise RunError(
            f"{file.parent} holds rounds of a search with other settings. Delete it, or choose another --out."
        )


class _Kept(MutableMapping[tuple[str, int], tuple[Masks, float]]):
    """Rounds in a folder.

    Args:
        folder: of all rounds.
        tell: given task, round, masks and score of each that comes.
    """

    def __init__(self, folder: Path, tell: Callable[[str, int, Masks, float], object]) -> None:
        self._folder, self._tell = folder, tell

    def __contains__(self, place: object) -> bool:
        return isinstance(place, tuple) and self._file(place).exists()

    def __getitem__(self, place: tuple[str, int]) -> tuple[Masks, float]:
        if place not in self:
            raise KeyError(place)
        with safe_open(self._file(place), "pt") as file:
            score = float((file.metadata() or {}).get("score", "nan"))
        return dict(load_file(self._file(place))), score

    def __setitem__(self, place: tuple[str, int], value: tuple[Masks, float]) -> None:
        masks, score = value
        plain = {name: mask.cpu() for name, mask in masks.items()}
        write_atomically(self._file(place), lambda path: save_file(plain, path, metadata={"score": repr(score)}))
        self._tell(*place, masks, score)

    def __delitem__(self, place: tuple[str, int]) -> None:
        remove(self._file(place))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for file in sorted(self._folder.glob("*.safetensors")):
            task, _, at = file.stem.rpartition("-")
            yield task, int(at)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _file(self, place: tuple[Any, ...]) -> Path:
        return self._folder / f"{place[0]}-{place[1]}.safetensors"
