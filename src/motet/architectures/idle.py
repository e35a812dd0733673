"""The parameters that some tasks of a model do without."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from motet.architectures.base import Arrangement
from motet.architectures.cost import row_of
from motet.tasks.base import Task

__all__ = ["idle_parameters"]


def idle_parameters(
    arrangement: Arrangement, tasks: Mapping[str, Task], asked: Collection[str]
) -> dict[str, nn.Parameter]:
    """The parameters of other tasks' own that no answer of the asked tasks is made with, by name.

    Tasks may rest on what belongs to others: a pipeline reads the answers of earlier tasks. Which they do is seen by
    answering a row of each asked task, whatever the weights are by then.

    Args:
        arrangement: of the model, in the state in which it answers.
        tasks: all of the model.
        asked: names of some.
    """
    own = {id(p) for name in tasks if name not in asked for p in arrangement.own_parameters(name)}
    with torch.no_grad(), _Noted() as noted:
        for name in asked:
            arrangement(row_of(tasks[name], 8, arrangement.trunk.embeddings.weight.device))
    idle = own - noted.seen
    named = arrangement.named_parameters(remove_duplicate=False)
    return {name: parameter for name, parameter in named if id(parameter) in idle}


class _Noted(TorchFunctionMode):
    """Remembers every parameter that is handed to torch, also where no gradient would tell."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen.update(map(id, _parameters((args, kwargs))))
        return func(*args, **(kwargs or {}))


def _parameters(given: Any) -> Iterator[nn.Parameter]:
    if isinstance(given, nn.Parameter):
        yield given
    elif isinstance(given, Mapping):
        yield from _parameters(tuple(given.values()))
    elif isinstance(given, (tuple, list)):
        for each in given:
            yield from _parameters(each)
