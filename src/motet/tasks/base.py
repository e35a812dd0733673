"""What every task is: columns, an answer shape, two losses, a decoding and scores.

Answers are counted in *units*: a classified text has one unit, a tagged sentence one a word. Outputs of a head are
logits of shape ``[units, outputs]``, targets have shape ``[units]``, over all rows of a batch in row order. So one
reduction serves every shape: the sum over units, divided by their number in the whole step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor
from typing_extensions import Self

from motet.errors import Problem, RecipeError, nearest
from motet.metrics import METRICS, Score

__all__ = ["Inputs", "Scores", "Task"]

Level = Literal["text", "word"]
Scores = dict[str, Score]


@dataclass(frozen=True)
class Inputs:
    """Which columns a task reads, and whether they hold texts or lists of words.

    Tasks whose source and inputs are equal share one tokenised table and one pass of the encoder.
    """

    columns: tuple[str, ...]
    words: bool = False


@dataclass(frozen=True)
class Task(ABC):
    """An answer to give about a source.

    Args:
        name: how the task is called everywhere: recipe, events, report, service.
        source: a `motet.Source`, or anything that `motet.Source` takes as its path.
        where: only rows with these values in these columns belong to the task.
        metric: the headline metric; by default the first of the answer shape's own.
        weight: a constant factor on the loss of the task.
    """

    name: str
    _: KW_ONLY
    source: Any
    where: Mapping[str, Any] = field(default_factory=dict)
    metric: str = ""
    weight: float = 1.0

    level: ClassVar[Level]
    metrics: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        problems = list(self.problems())
        if problems:
            raise RecipeError(problems)

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the arguments, whatever the data."""
        if not self.name or "/" in self.name or self.name.startswith("."):
            yield Problem("name", "must be a word without `/` that does not begin with a dot", repr(self.name))
        if not self.weight > 0 or not np.isfinite(self.weight):
            yield Problem("weight", "must be a positive number", str(self.weight))
        if self.metric and self.metric not in self.metrics:
            yield Problem(
                "metric", f"is not one of this answer shape. {nearest(self.metric, self.metrics)}", self.metric
            )

    @property
    def headline(self) -> str:
        """The metric that is monitored."""
        return self.metric or self.metrics[0]

    @property
    def higher_is_better(self) -> bool:
        """The direction of the headline metric."""
        return METRICS[self.headline].higher_is_better

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """The columns that are encoded."""

    @property
    @abstractmethod
    def target(self) -> str:
        """The column that holds the true answers; a row in which it is null is not labelled."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Logits per unit; known once the task is resolved."""

    @property
    @abstractmethod
    def answer(self) -> str:
        """The answer shape in words, for plan and report ("10 labels")."""

    @abstractmethod
    def resolve(self, answers: Sequence[Any]) -> Self:
        """This task with everything filled in that only training answers tell (labels, mean and scale).

        Raises:
            DataError: the answers cannot be learnt from, such as a single class.
        """

    @abstractmethod
    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        """What is wrong with one true answer, as the end of a sentence; empty if nothing is."""

    @abstractmethod
    def encode(self, answer: Any) -> Sequence[float]:
        """One true answer as the numbers of its units."""

    def labelled(self, target: Tensor) -> int:
        """How many of the units ``[units]`` have a true answer; the true-label loss is their mean."""
        return target.numel()

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The true-label loss, summed over units: logits ``[units, outputs]``, target ``[units]``."""

    @abstractmethod
    def distillation(self, logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
        """The loss against recorded logits of the task's best weights, summed over units."""

    @abstractmethod
    def decode(self, logits: np.ndarray, lengths: np.ndarray) -> list[dict[str, Any]]:
        """Logits ``[units, outputs]`` of rows with `lengths` units each, as answers for people, one a row."""

    @abstractmethod
    def score(self, logits: np.ndarray, lengths: np.ndarray, targets: Sequence[np.ndarray]) -> Scores:
        """Every metric of the shape, from the logits of all rows and the encoded true answers of each row."""
