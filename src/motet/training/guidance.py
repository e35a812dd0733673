"""Pretrained teachers at work: what they say, and what their heads read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Arrangement
from motet.architectures.heads import Head, key
from motet.data.batches import Chunk
from motet.errors import Problem, RecipeError, RunError
from motet.model import MultiTaskModel, load
from motet.registry import part_name
from motet.tasks.base import Task
from motet.training.devices import Devices
from motet.training.distillation import Annealing, OnlineTeacher
from motet.training.pretrained_teachers import PretrainedTeacher

__all__ = ["Guide", "guides_of", "read_by_heads"]


@dataclass
class Guide:
    """A pretrained teacher at work on one task.

    Args:
        recipe: what counts how much.
        model: of the teacher; never trains.
        teacher: the same, as what gives logits.
        annealing: how much of what is learnt is the truth by now, where that changes.
    """

    recipe: PretrainedTeacher
    model: MultiTaskModel
    teacher: OnlineTeacher
    annealing: Annealing | None = None
    _read: dict[str, Tensor] = field(default_factory=dict, init=False)

    def timed(self, now: Callable[[], int], steps: int) -> Guide:
        """The same in a run of so many logical steps, in whose course it gives way to the truth, if it is to."""
        return replace(self, annealing=Annealing(now, 0, steps)) if self.recipe.anneal else self

    @property
    def temperature(self) -> float:
        """Softens teacher and student."""
        return self.recipe.temperature

    @property
    def shares(self) -> tuple[float, float]:
        """What the distillation loss and the true-label loss are multiplied by."""
        return self.recipe.weight * self._share, 1.0 if self.annealing is None else self.annealing.truth

    @property
    def _share(self) -> float:
        """What is left of the teacher by now."""
        return 1.0 if self.annealing is None else 1 - self.annealing.truth

    def logits(self, chunk: Chunk, task: str) -> Tensor | None:
        """What the teacher says to the rows that the task owns in a chunk."""
        wanted = [task] if self.recipe.states else []
        with read_by_heads(self.model.arrangement, wanted) as self._read:
            return self.teacher.logits(chunk, task)

    def distance(self, features: Tensor, task: str) -> Tensor:
        """By how much what the head of a task reads differs from the teacher's, in the rows that this has read last.

        Args:
            features: of the student, ``[units, width]``.
            task: whose head it is.

        Returns:
            The sum over the units of mean squared differences, times the weight that it has by now.
        """
        difference = functional.mse_loss(features.float(), self._read[task].float(), reduction="sum")
        return self.recipe.states * self._share * difference / features.shape[1]


def guides_of(teachers: Sequence[PretrainedTeacher], model: MultiTaskModel, devices: Devices) -> dict[str, Guide]:
    """The teacher of every task that has one.

    Args:
        teachers: of the experiment.
        model: to be taught.
        devices: of this process.

    Raises:
        RecipeError: models that are not there, that teach none of the tasks or answer them otherwise, or teach one
            task both.
    """
    found: dict[str, Guide] = {}
    problems: list[Problem] = []
    for place, recipe in enumerate(teachers):
        try:
            with torch.random.fork_rng(devices=[]):  # weights are drawn before they are read; the run draws as without
                older = load(recipe.run)
        except RunError as error:
            problems.append(Problem(f"teachers.{place}.run", f"holds no model: {error}", recipe.run))
            continue
        taught = [name for name in model.tasks if name in older.tasks]
        faults = [*_strange(recipe, older, model, taught), *(_twice(name, recipe) for name in taught if name in found)]
        problems += [problem.under(f"teachers.{place}") for problem in faults]
        older = older.to(devices.device).requires_grad_(False).eval()
        teacher = OnlineTeacher([older], older.tasks, devices)
        found |= {name: Guide(recipe, older, teacher) for name in taught}
    if problems:
        raise RecipeError(problems)
    return found


@contextmanager
def read_by_heads(arrangement: Arrangement, tasks: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """What the heads of tasks read while a model answers, ``[units, width]``, by task; of several times, the last."""
    seen: dict[str, Tensor] = {}
    listening = [
        head.dropout.register_forward_pre_hook(_keeping(seen, name))
        for name in tasks
        if (head := _head(arrangement, name)) is not None
    ]
    try:
        yield seen
    finally:
        for of_head in listening:
            of_head.remove()


def _keeping(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
    def keep(module: nn.Module, given: tuple[Tensor]) -> None:
        seen[name] = given[0]

    return keep


def _head(arrangement: Arrangement, task: str) -> Head | None:
    head = dict(arrangement.heads.items()).get(key(task))
    return head if isinstance(head, Head) else None


def _twice(name: str, recipe: PretrainedTeacher) -> Problem:
    return Problem("run", f"teaches `{name}`, which another teacher does too", recipe.run)


def _strange(
    recipe: PretrainedTeacher, older: MultiTaskModel, model: MultiTaskModel, taught: Sequence[str]
) -> Iterator[Problem]:
    """What keeps a model from teaching another."""
    if not taught:
        rule = f"answers none of the tasks {', '.join(model.tasks)}: it has {', '.join(older.tasks)}"
        yield Problem("run", rule, recipe.run)
    if older.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        yield Problem("run", "has another tokeniser than the recipe's encoder", recipe.run)
    elif older.max_length < model.max_length:
        rule = f"reads {older.max_length} sub-words at most, and the recipe {model.max_length}"
        yield Problem("run", rule, recipe.run, f"Set encoder.max_length to {older.max_length}.")
    for name in taught:
        theirs, ours = _answer(older.tasks[name]), _answer(model.tasks[name])
        there, here = _width(older, name), _width(model, name)
        if theirs != ours:
            yield Problem("run", f"answers `{name}` with {theirs}, and the recipe with {ours}", recipe.run)
        elif recipe.states and there != here:
            rule = f"compares what heads read, {there} numbers for `{name}` there and {here} here"
            yield Problem("states", rule, str(recipe.states), "Set it to 0.")
        elif recipe.states and not here:
            rule = f"compares what heads read, and `{name}` has none: it answers with the words of the encoder"
            yield Problem("states", rule, str(recipe.states), "Set it to 0.")


def _answer(task: Task) -> str:
    """The kind of a task, and what it chooses from."""
    return f"{part_name(task)} ({', '.join(task.choices) or task.answer})"


def _width(model: MultiTaskModel, task: str) -> int:
    head = _head(model.arrangement, task)
    return 0 if head is None else head.linear.in_features
