"""The regularisers of a run: what they are given of the model, and what they add to a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from motet.architectures.heads import Heads, key
from motet.balancing.regularisers.base import Features, Parameters, Penalty, Regulariser
from motet.errors import Problem, RecipeError
from motet.model import MultiTaskModel
from motet.registry import part_name
from motet.training.devices import Devices

__all__ = ["Penalties", "parameters_of", "require_fitting"]


class Penalties(nn.Module):
    """Regularisers at work; those of weight 0 are left out altogether.

    A penalty on representations sees the rows of one batch and, with several processes, of one process; it counts as
    the mean over them. One on parameters is the same for all, and is added once a step.

    Args:
        regularisers: of the experiment.
        model: being trained.
        devices: of this process.

    Attributes:
        reads: whether any of them wants representations.
        values: this process's part of every penalty of the step, by name.
    """

    def __init__(self, regularisers: Sequence[Regulariser], model: MultiTaskModel, devices: Devices) -> None:
        super().__init__()
        self._processes = devices.count
        parameters, active = parameters_of(model), [part for part in regularisers if part.active]
        self.reads = any(part.reads for part in active)
        self.values: dict[str, Tensor] = {}
        self._reading: dict[str, Penalty] = {}
        self._plain: dict[str, Penalty] = {}
        for part in active:
            name = _free(part_name(part), {**self._reading, **self._plain})
            (self._reading if part.reads else self._plain)[name] = part.build(parameters)
        self.of = nn.ModuleList([*self._reading.values(), *self._plain.values()])

    def begin(self, step: int, live: Sequence[str]) -> None:
        """Hear which step comes next, and with which tasks."""
        self.values = {}
        for penalty in (*self._reading.values(), *self._plain.values()):
            penalty.begin(step, live)

    def of_batch(
        self, features: Mapping[str, Features], extras: Mapping[str, Tensor], share: float
    ) -> dict[str, Tensor]:
        """What is to be added to the losses of a batch; without the rows that it asks for, a penalty is left out.

        Args:
            features: of the tasks that have rows in the batch.
            extras: this process's part of what the architecture adds.
            share: of the batch in its step.
        """
        found = {name: share * penalty(features) / self._processes for name, penalty in self._reading.items()}
        found |= {name: share * value for name, value in extras.items()}
        for name, value in found.items():
            self.values[name] = self.values.get(name, torch.zeros(())) + value.detach()
        return {name: value for name, value in found.items() if value.requires_grad}

    def backward(self) -> None:
        """Add the gradients of penalties on parameters to those that are there, which all processes share."""
        for name, penalty in self._plain.items():
            value = penalty({})
            self.values[name] = value.detach() / self._processes
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]


def require_fitting(regularisers: Sequence[Regulariser], model: MultiTaskModel) -> None:
    """Refuse regularisers that have nothing to do in a model.

    Raises:
        RecipeError: there are some.
    """
    parameters = parameters_of(model)
    problems = [
        problem.under(f"regularisers.{place}")
        for place, part in enumerate(regularisers)
        if part.active
        for problem in [*part.misfits(parameters), *_unseen(part, model)]
    ]
    if problems:
        raise RecipeError(problems)


def _unseen(part: Regulariser, model: MultiTaskModel) -> Iterator[Problem]:
    if part.reads and not model.arrangement.one_pass:
        rule = f"compares what the trunk makes of a batch, and `{part_name(model.architecture)}` reads it several times"
        yield Problem("", rule)


def parameters_of(model: MultiTaskModel) -> Parameters:
    """The trained parameters of a model, by whom they serve."""
    own = {task: [p for p in model.arrangement.own_parameters(task) if p.requires_grad] for task in model.tasks}
    single = {id(p) for of in own.values() for p in of}
    shared = [p for p in model.parameters() if p.requires_grad and id(p) not in single]
    heads = {id(p) for module in model.modules() if isinstance(module, Heads) for p in module.parameters()}
    return Parameters(shared, own, {task: _layers(model, task, own[task], heads) for task in own})


def _layers(model: MultiTaskModel, task: str, own: Sequence[nn.Parameter], heads: set[int]) -> dict[str, nn.Parameter]:
    """A task's own parameters below its head, by their names in the model without that of the task."""
    wanted = {id(p) for p in own} - heads
    named = ((name.split("."), p) for name, p in model.named_parameters() if id(p) in wanted)
    return {".".join("*" if part == key(task) else part for part in parts): p for parts, p in named}


def _free(name: str, taken: Mapping[str, object]) -> str:
    """The name, with a number where it comes again."""
    number = 1 + sum(other.partition("#")[0] == name for other in taken)
    return name if number == 1 else f"{name}#{number}"
