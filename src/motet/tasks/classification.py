"""One label out of several, for a text or a pair of texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem, below_one, nearest
from motet.metrics.classification import classification
from motet.registry import register
from motet.tasks.answers import Label
from motet.tasks.base import Answers, Inputs, Level, Scores, Task

__all__ = [
    "Classification",
    "LabelAnswer",
    "class_problems",
    "cross_entropy",
    "frequencies",
    "natural",
    "soft_cross_entropy",
    "text_columns",
    "text_problems",
]


class LabelAnswer(TypedDict):
    """One label, and how likely each is; the chances add up to 1."""

    label: Label
    scores: dict[Label, float]


@register("task", "classification")
@dataclass(frozen=True)
class Classification(Task):
    """One label out of several, for a text or a pair of texts.

    True-label loss: cross-entropy. Distillation: cross-entropy against the teacher's softmax at a temperature, times
    its square (Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network").

    Args:
        text: the column of the text, or two columns for a pair.
        label: the column of the label.
        words: the column holds lists of words; `Tagging` of the same column is then read in the same pass.
        classes: all labels; by default those found in the training split, sorted.
        positive: the label that `f1_positive` is about; by default the last one.
        label_smoothing: share of the target spread evenly over all labels.

    Relations:
        `Tagging` gives a label to every word; `Regression` gives a number.

    Example:
        >>> import motet
        >>> motet.Classification("emotion", source="data/emotion", text="text", label="label").headline
        'accuracy'
    """

    _: KW_ONLY
    text: str | tuple[str, str] = "text"
    label: str = "label"
    words: bool = False
    classes: tuple[str, ...] = ()
    positive: str = ""
    label_smoothing: float = 0.0

    level: ClassVar[Level] = "text"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "micro_f1", "matthews", "f1_positive")
    answer_type: ClassVar[Any] = LabelAnswer

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from class_problems(self.classes, self.label_smoothing)
        yield from text_problems(self.text, self.words)
        if self.positive and self.classes and self.positive not in self.classes:
            yield Problem(
                "positive", f"is not one of the labels. {nearest(self.positive, self.classes)}", self.positive
            )

    @property
    def inputs(self) -> Inputs:
        return Inputs(text_columns(self.text), words=self.words)

    @property
    def target(self) -> str:
        return self.label

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def choices(self) -> tuple[str, ...]:
        return self.classes

    @property
    def answer(self) -> str:
        return f"{len(self.classes)} labels"

    def resolve(self, answers: Sequence[Any]) -> Self:
        counts = Counter(map(str, answers))
        if len(counts) < 2:
            found = f"only `{next(iter(counts))}`" if counts else "no label at all"
            raise DataError(
                Problem(
                    f"tasks.{self.name}",
                    f"needs at least two classes in the training split, found {found}",
                    remedy=f"Is `{self.label}` the right column?",
                )
            )
        classes = self.classes or tuple(sorted(counts, key=natural))
        return replace(self, classes=classes, positive=self.positive or classes[-1])

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        if isinstance(answer, (list, dict)):
            return f"must be one label, found {type(answer).__name__}"
        if self.classes and str(answer) not in self.classes:
            return f"`{answer}` is not in the label set. {nearest(str(answer), self.classes)}"
        return ""

    def encode(self, answer: Any) -> Sequence[float]:
        return (self.classes.index(str(answer)),)

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        return cross_entropy(logits, target, self.label_smoothing)

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        return soft_cross_entropy(logits, teacher, temperature)

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """The most frequent label."""
        return frequencies(targets, len(self.classes))

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        chances = softmax(answers.values)
        return [
            {"label": self.classes[int(row.argmax())], "scores": dict(zip(self.classes, row.tolist(), strict=True))}
            for row in chances
        ]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        truth = np.concatenate([np.zeros(0), *targets]).astype(np.int64)
        guess = answers.values.argmax(axis=1)
        return classification(truth, guess, classes=len(self.classes), positive=self.classes.index(self.positive))


def text_columns(text: str | Sequence[str]) -> tuple[str, ...]:
    """One or two column names, as a tuple."""
    return (text,) if isinstance(text, str) else tuple(text)


def text_problems(text: str | Sequence[str], words: bool) -> Iterable[Problem]:
    """What is wrong with the way in which a text or a pair is read."""
    if words and len(text_columns(text)) > 1:
        yield Problem("words", "must be false for a pair: words are read from one column alone", "true")


def class_problems(classes: tuple[str, ...], label_smoothing: float, least: int = 2) -> Iterable[Problem]:
    """What is wrong with a label set of at least so many labels and its smoothing."""
    twice = [label for label, count in Counter(classes).items() if count > 1]
    if twice:
        yield Problem("classes", "must name each label once", ", ".join(twice))
    if 0 < len(classes) < least:
        yield Problem("classes", "must hold at least two labels", classes[0])
    yield from below_one(label_smoothing=label_smoothing)


def frequencies(targets: Iterable[np.ndarray], classes: int) -> np.ndarray:
    """How often each class is the target of a unit; a unit without a true label does not count."""
    counts = Counter(number for target in targets for number in target.tolist())
    return np.asarray([counts[number] for number in range(classes)], dtype=np.float64)


def cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy summed over units, in float32."""
    return functional.cross_entropy(
        logits.float(), target.long(), ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="sum"
    )


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``-temperature**2 * sum(q * log p)`` with q and p the softmax of teacher and student at the temperature.

    Its gradient at temperature 1 is ``p - q``, as that of the divergence KL(q || p), from which it differs by the
    teacher's entropy.
    """
    q = functional.softmax(teacher.float() / temperature, dim=-1)
    log_p = functional.log_softmax(logits.float() / temperature, dim=-1)
    return -(temperature**2) * (q * log_p).sum()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


IGNORED = -100  # the target of a unit that has no true label


def natural(label: str) -> tuple[int, float, str]:
    """Numbers by value, then words by spelling; `nan` has no place among numbers."""
    with suppress(ValueError):
        number = float(label)
        if not math.isnan(number):
            return 0, number, label
    return 1, 0.0, label
