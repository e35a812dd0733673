"""Where the weights of a run come from, and tasks that are added to a model that has others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor

from motet.architectures.base import Architecture
from motet.architectures.cost import row_of
from motet.architectures.naming import differing, together, without
from motet.encoders.loading import Encoder
from motet.errors import Problem, RecipeError, RunError
from motet.model import Made, MultiTaskModel, build, load, made
from motet.registry import part_name
from motet.tasks.base import Task

__all__ = ["Start", "completed", "taken"]

_PROBE = 16  # sub-words of the row on which answers are compared
_NOISE = 0.1


@dataclass(frozen=True)
class Start:
    """A finished run whose model is gone on from; by default a run begins with the pretrained encoder alone.

    Encoder and architecture are those of that model, and every part of the new model that has the name and the shape of
    a part there begins with its weights. With `freeze`, the tasks of the recipe are added to those of the model: they
    learn what serves them alone, and the others stay in the model and answer as before, to the last bit.

    Args:
        run: a run folder or a model folder.
        freeze: whether all that comes from there keeps its weights. If not, everything goes on learning, and only the
            tasks of the recipe are in the new model.

    Example:
        >>> Start("runs/first").freeze
        True
    """

    run: str = ""
    _: KW_ONLY
    freeze: bool = True

    def __bool__(self) -> bool:
        return bool(self.run)

    def made(self) -> Made:
        """How the model was made.

        Raises:
            RecipeError: there is none.
        """
        try:
            return made(self.run)
        except RunError as error:
            raise RecipeError(Problem("start_from.run", f"holds no model: {error}", self.run)) from error

    def parts(
        self, encoder: Encoder, architecture: Architecture, tasks: Sequence[Task], usual: Architecture
    ) -> tuple[Encoder, Architecture]:
        """The encoder and the architecture of a run that begins here.

        Args:
            encoder: that the recipe names, or the default.
            architecture: that the recipe names, or the default.
            tasks: of the recipe.
            usual: the default architecture.

        Raises:
            RecipeError: the recipe names others than those of the model, or a task that has nothing to learn.
        """
        found = self.made()
        chosen = self._without_others(found, tasks) if architecture == usual else architecture
        problems = [*self._other(found, encoder, chosen), *self._again(found.tasks, tasks)]
        if problems:
            raise RecipeError(problems)
        return found.encoder, chosen

    @staticmethod
    def _without_others(found: Made, tasks: Sequence[Task]) -> Architecture:
        try:
            return without(found.architecture, set(found.tasks) - {task.name for task in tasks})
        except RecipeError as error:
            raise RecipeError([problem.under("architecture") for problem in error.problems]) from error

    def _other(self, found: Made, encoder: Encoder, architecture: Architecture) -> Iterator[Problem]:
        if encoder not in (Encoder(), found.encoder):
            yield Problem("encoder", f"is that of {self.run}, where the run starts", encoder.name, "Leave it out.")
        for name in differing(found.architecture, architecture) if self.freeze else ():
            there, here = (getattr(part, name, part_name(part)) for part in (found.architecture, architecture))
            rule = f"is {there} in {self.run}, whose tasks stay as they are"
            yield Problem(f"architecture.{name}", rule, str(here), "Leave it out, or set `start_from.freeze` to false.")

    def _again(self, there: Mapping[str, Task], tasks: Sequence[Task]) -> Iterator[Problem]:
        for task in tasks:
            if self.freeze and task.name in there:
                rule = f"is a task of {self.run} already, which keeps its weights"
                yield Problem(f"tasks.{task.name}", rule, remedy="Leave it out, or set `start_from.freeze` to false.")


def taken(model: MultiTaskModel, start: Start) -> list[str]:
    """Put the weights of an older model into a fresh one, and say in sentences what that means.

    Args:
        model: with the trunk of the older one.
        start: where that is.

    Raises:
        RecipeError: tasks cannot be added to it without touching the others.
    """
    if not start:
        return []
    older = load(start.run)
    theirs, ours = older.arrangement.state_dict(), model.arrangement.state_dict()
    same = {name: weight for name, weight in theirs.items() if name in ours and ours[name].shape == weight.shape}
    model.arrangement.load_state_dict(same, strict=False)
    if not start.freeze:
        return [f"begins with the weights of {start.run}, which go on learning"]
    for name, parameter in model.arrangement.named_parameters():
        if name in same:
            parameter.requires_grad_(False)
    problems = [*_idle(model), *_touched(older, model)]
    if problems:
        raise RecipeError(problems)
    return [f"kept as they are in {start.run}: {', '.join(older.tasks)}"]


def completed(model: MultiTaskModel, start: Start) -> MultiTaskModel:
    """What a run leaves: the model, and with it the tasks that it was added to."""
    return _joined(load(start.run), model) if start and start.freeze else model


def _idle(model: MultiTaskModel) -> Iterator[Problem]:
    for name in model.tasks:
        if not any(p.requires_grad for p in model.arrangement.own_parameters(name)):
            rule = f"has nothing of its own to learn in `{part_name(model.architecture)}` when all else is kept"
            yield Problem(f"tasks.{name}", rule, remedy="Set `start_from.freeze` to false.")


def _touched(older: MultiTaskModel, model: MultiTaskModel) -> Iterator[Problem]:
    """Whether answers depend on tasks that are added, or theirs on those that were there.

    What is added begins without effect in many architectures, so that it is stirred first.
    """
    with _stirred(model):
        try:
            whole = _joined(older, model)
            same = all(_same(of, whole, name) for of in (older, model) for name in of.tasks)
        except RuntimeError:  # a part whose size depends on how many tasks there are
            same = False
    if not same:
        name = part_name(model.architecture)
        rule = f"lets the answers of a task depend on the other tasks: none can be added to those of `{name}`"
        yield Problem("start_from.freeze", rule, "true", "Set it to false, and name all tasks.")


@contextmanager
def _stirred(model: MultiTaskModel) -> Iterator[None]:
    """Other values in all that learns."""
    generator = torch.Generator().manual_seed(0)
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in learning.items()}
    with torch.no_grad():
        for p in learning.values():
            p.add_(_NOISE * torch.randn(p.shape, generator=generator))
    try:
        yield
    finally:
        with torch.no_grad():
            for name, p in learning.items():
                p.copy_(before[name])


def _joined(older: MultiTaskModel, newer: MultiTaskModel) -> MultiTaskModel:
    """A model with the tasks of two, whose common parts are the same."""
    architecture = together(older.architecture, newer.architecture)
    with torch.random.fork_rng(devices=[]):  # fresh weights are drawn and replaced; the run draws on as without
        whole = build(older.encoder, architecture, {**older.tasks, **newer.tasks})
    mine: dict[str, Tensor] = {name: w.cpu() for name, w in newer.arrangement.state_dict().items()}
    whole.arrangement.load_state_dict({**mine, **older.arrangement.state_dict()})
    return whole.eval()


@torch.no_grad()
def _same(one: MultiTaskModel, whole: MultiTaskModel, task: str) -> bool:
    """Whether a task answers in both models alike, to the last bit."""
    row = row_of(one.tasks[task], _PROBE)
    return torch.equal(_answer(one, row, task), _answer(whole, row, task))


def _answer(model: MultiTaskModel, row: Any, task: str) -> Tensor:
    with model.resting():
        found: Tensor = model(row)[task]
    return found
