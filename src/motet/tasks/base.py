"""What every task is: columns, an answer shape, two losses, a decoding and scores.

A *row* is what the encoder reads at once. Most examples are one row; a long passage is several, cut in windows, and a
query to rank candidates for is one row a candidate. Answers are counted in *units*: a classified row has one unit, a
tagged sentence one a word. Outputs of a head are logits of shape ``[units, outputs]``, and targets are numbers, over
all rows of a batch in row order. One reduction serves every shape: the sum of the losses, divided by the number of
answers in the whole step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, Field, dataclass, field, fields
from os import PathLike
from textwrap import shorten
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor
from typing_extensions import Self

from motet.errors import Problem, nearest, require
from motet.metrics.base import METRICS, Score
from motet.notebook import Card, Shown
from motet.tasks.answers import schema_of

__all__ = ["Answers", "Inputs", "Level", "Scores", "Task"]

Level = Literal["text", "word", "masked", "next", "sequence"]
Scores = dict[str, Score]


@dataclass(frozen=True)
class Inputs:
    """What a task reads. Tasks whose source and inputs are equal share one tokenised table and one pass of the encoder.

    Args:
        columns: one text, or the two of a pair.
        words: the column holds lists of words rather than texts.
        stride: the last column is read in windows that overlap by so many sub-words; None cuts it off.
        template: a text with the columns in braces, which is read in their place.
        hidden: share of the sub-words that are hidden, others in every step.
        written: the column holds texts to be written, of at most so many sub-words; 0 for texts to be read.
    """

    columns: tuple[str, ...]
    words: bool = False
    stride: int | None = None
    template: str = ""
    hidden: float = 0.0
    written: int = 0

    @property
    def manner(self) -> tuple[bool, int | None, str]:
        """How texts are cut into tokens; what is equal in it reads the same texts in one pass of the encoder."""
        return self.words, self.stride, self.template


@dataclass(frozen=True)
class Answers:
    """What a model says to some rows of one task.

    Args:
        values: ``[units, width]``, row after row: logits, or what `Task.kept` leaves of them.
        lengths: units of every row, ``[rows]``.
        groups: the example that each row belongs to, counted from 0, ``[rows]``; None when every row is
            an example.
        records: the columns of every example's first row; empty where no answer needs them.
        chars: for windows, begin and end in the text of every unit, ``[2 * units]`` a row.
        texts: what was generated for each row.
    """

    values: np.ndarray
    lengths: np.ndarray
    groups: np.ndarray | None = None
    records: Sequence[Mapping[str, Any]] = ()
    chars: Sequence[np.ndarray] = ()
    texts: Sequence[str] = ()

    @property
    def rows(self) -> list[np.ndarray]:
        """The values of every row."""
        return np.split(self.values, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []

    @property
    def examples(self) -> list[np.ndarray]:
        """The rows of every example."""
        if self.groups is None:
            return list(np.arange(len(self.lengths))[:, None])
        if not len(self.groups):
            return []
        return np.split(np.argsort(self.groups, kind="stable"), np.cumsum(np.bincount(self.groups))[:-1])


@dataclass(frozen=True)
class Task(Shown, ABC):
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
    compares_texts: ClassVar[bool] = False  # whether its answers or scores need the columns of the rows
    answers_texts: ClassVar[bool] = True  # whether it has an answer to a text that nobody has answered
    mergeable: ClassVar[bool] = True  # whether a mean of what `soft` leaves of several logits makes sense
    recordable: ClassVar[bool] = True  # whether a row is read in the same way in every step
    answer_type: ClassVar[Any] = None  # what `decode` gives: a TypedDict or a union; None where it gives nothing

    def __post_init__(self) -> None:
        require(self.problems())

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
    def monitors(self) -> tuple[str, ...]:
        """The metrics that convergence may be judged by: with the true-label loss, where it follows from `kept`."""
        return (*self.metrics, "loss") if self.keeps_logits else self.metrics

    @property
    def keeps_logits(self) -> bool:
        """Whether `kept` leaves the logits as they are."""
        return True

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
    def written(self) -> Inputs | None:
        """How true answers that are texts are tokenised; None where they are something else."""
        return None

    @property
    def longest(self) -> int:
        """Most sub-words to write."""
        return 0

    @property
    def beams(self) -> int:
        """Texts that are followed at a time while writing."""
        return 1

    @property
    def learnt(self) -> int:
        """Rows of `outputs` numbers that depend on no text and stand behind the logits of every chunk."""
        return 0

    @property
    def group(self) -> str:
        """The column whose equal values tie rows into one example; empty when every row is one."""
        return ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the task reads or answers."""
        return tuple(dict.fromkeys(filter(None, (*self.inputs.columns, self.target, self.group))))

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Logits per unit, known once the task is resolved; 0 where each is a word of the vocabulary."""

    @property
    @abstractmethod
    def answer(self) -> str:
        """The answer shape in words, for plan and report ("10 labels")."""

    @property
    def choices(self) -> tuple[str, ...]:
        """The labels that answers are made of, known once the task is resolved; empty where they are something else."""
        return ()

    def answer_schema(self) -> dict[str, Any]:
        """JSON Schema of one answer, with the labels of the task as enumerations.

        Raises:
            TypeError: the task has no answer to a text.

        Example:
            >>> import motet
            >>> motet.Regression("stars", source="reviews.csv").answer_schema()["properties"]
            {'value': {'type': 'number'}}
        """
        if self.answer_type is None:
            raise TypeError(f"{type(self).__name__} answers no question about a text")
        return schema_of(self.answer_type, self.choices)

    @abstractmethod
    def resolve(self, answers: Sequence[Any]) -> Self:
        """This task with everything filled in that only training answers tell (labels, mean and scale).

        Raises:
            DataError: the answers cannot be learnt from, such as a single class.
        """

    @abstractmethod
    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        """What is wrong with one true answer, as the end of a sentence; empty if nothing is."""

    def barren(self, answers: Sequence[Any]) -> bool:
        """Whether an example of several rows with these answers teaches nothing and counts in no score."""
        return False

    @abstractmethod
    def encode(self, answer: Any) -> Sequence[float]:
        """One true answer as numbers: one for each unit, unless the shape says otherwise."""

    @property
    def generates(self) -> bool:
        """Whether its scores need texts to be written."""
        return False

    def soft_width(self, vocabulary: int) -> int:
        """Numbers a unit that `soft` leaves."""
        return self.outputs or vocabulary

    def fit(self, target: np.ndarray, units: int) -> np.ndarray:
        """The target of a row of which only so many units were read."""
        return target

    def align(self, target: np.ndarray, chars: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One target for each window of a passage.

        Args:
            target: what `encode` made of the answer.
            chars: for each window, begin and end in the passage of every unit, ``[2 * units]``.
        """
        raise TypeError(f"{type(self).__name__} reads no windows")

    def labelled(self, target: Tensor, lengths: np.ndarray) -> int:
        """How many answers the true-label loss of these rows is the sum of."""
        return int(lengths.sum())

    def answered(self, lengths: np.ndarray) -> int:
        """How many answers the distillation loss of these rows is the sum of."""
        return int(lengths.sum())

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        """The true-label loss, summed over answers.

        Args:
            logits: ``[units, outputs]``.
            target: encoded true answers of all rows, one after the other.
            lengths: units of each row; of each example for a task whose rows are tied by `group`.
        """

    @abstractmethod
    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        """The loss against the task's best weights, summed over answers.

        Args:
            logits: ``[units, outputs]``.
            teacher: what `soft` makes of the teacher's logits, ``[units, width]``.
            lengths: as in `loss`.
            temperature: softens teacher and student.
        """

    def soft(self, logits: Tensor, lengths: np.ndarray) -> Tensor:
        """What is kept of a teacher's logits, ``[units, width]``."""
        return logits

    def kept(self, logits: Tensor, target: Tensor | None, lengths: np.ndarray) -> Tensor:
        """What decoding and scores need of the logits, ``[units, width]``."""
        return logits

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """What is kept of every unit when all get the best answer that ignores the text, ``[width]``; None without.

        Args:
            targets: the encoded true answers of every training example.
        """
        return None

    @abstractmethod
    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        """Answers for people, one an example."""

    @abstractmethod
    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        """Every metric of the shape, from the answers to all rows and the encoded true answers of each row."""

    def _card(self) -> Card:
        """What a notebook shows: the columns, the source, the metric, and every argument that is not the default."""
        direction = "higher is better" if self.higher_is_better else "less is better"
        source = getattr(self.source, "path", self.source)
        rows = [
            ("source", str(source) if isinstance(source, (str, PathLike)) else "a table in memory"),
            ("reads", ", ".join(self.inputs.columns)),
            ("answers", self.target),
            ("judged by", f"{self.headline}, {direction}"),
        ]
        told = (self.name, self.source, self.metric, self.target, self.inputs.columns, *self.inputs.columns)
        for of in (of for of in fields(self) if _is_given(self, of)):
            value = getattr(self, of.name)
            if not any(value is known or value == known for known in told if type(value) is type(known)):
                rows.append((of.name, shorten(str(value), 100, placeholder=" …")))
        answer = [self.answer] if getattr(self, "classes", True) else []  # labels are not known before the data
        return Card(self.name, (type(self).__name__, *answer), ("", ""), rows, words=(1,))


def _is_given(task: Task, argument: Field[Any]) -> bool:
    """Whether an argument of a task differs from its default."""
    default = argument.default if argument.default_factory is MISSING else argument.default_factory()
    return bool(getattr(task, argument.name) != default)
