"""A label for every word of a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from typing_extensions import Self

from motet import metrics
from motet.errors import DataError, Problem, nearest
from motet.registry import register
from motet.tasks.base import Inputs, Level, Scores, Task
from motet.tasks.classification import IGNORED, class_problems, cross_entropy, soft_cross_entropy

__all__ = ["Tagging"]


@register("task", "tagging")
@dataclass(frozen=True)
class Tagging(Task):
    """A label for every word of a sentence.

    A word is read at its first sub-word. Words that the length limit cuts off are answered with `outside`, so they
    count in the scores. A tag that is null is not labelled. With tags like ``B-person``, `span_f1` compares whole
    entities as the CoNLL evaluation does.

    Args:
        tokens: the column with the list of words.
        labels: the column with the list of labels, one a word.
        classes: all labels; by default those found in the training split, sorted.
        outside: the label of words that are part of nothing; by default ``O`` if there is one, else the first.
        label_smoothing: share of the target spread evenly over all labels.

    Relations:
        `Classification` gives one label to the whole text.

    Example:
        >>> import motet
        >>> motet.Tagging("entities", source="data/wnut17", tokens="tokens", labels="tags").headline
        'span_f1'
    """

    _: KW_ONLY
    tokens: str = "tokens"
    labels: str = "labels"
    classes: tuple[str, ...] = ()
    outside: str = ""
    label_smoothing: float = 0.0

    level: ClassVar[Level] = "word"
    metrics: ClassVar[tuple[str, ...]] = ("span_f1", "token_accuracy", "token_macro_f1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from class_problems(self.classes, self.label_smoothing)
        if self.outside and self.classes and self.outside not in self.classes:
            yield Problem("outside", f"is not one of the labels. {nearest(self.outside, self.classes)}", self.outside)

    @property
    def inputs(self) -> Inputs:
        return Inputs((self.tokens,), words=True)

    @property
    def target(self) -> str:
        return self.labels

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def answer(self) -> str:
        return f"{len(self.classes)} labels a word"

    def resolve(self, answers: Sequence[Any]) -> Self:
        found = sorted({str(tag) for tags in answers for tag in tags if tag is not None})
        if len(found) < 2:
            raise DataError(
                Problem(
                    f"tasks.{self.name}",
                    f"needs at least two different tags in the training split, found {found or 'none'}",
                    remedy=f"Is `{self.labels}` the right column?",
                )
            )
        classes = self.classes or tuple(found)
        return replace(self, classes=classes, outside=self.outside or ("O" if "O" in classes else classes[0]))

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        words = row[self.tokens]
        if not isinstance(answer, list):
            return f"must be a list of tags, found {type(answer).__name__}"
        if len(answer) != len(words or ()):
            return f"must have one tag a word, found {len(answer)} tags for {len(words or ())} words"
        if self.classes:
            strange = next((tag for tag in answer if tag is not None and str(tag) not in self.classes), None)
            if strange is not None:
                return f"`{strange}` is not in the label set. {nearest(str(strange), self.classes)}"
        return ""

    def encode(self, answer: Any) -> Sequence[float]:
        return [IGNORED if tag is None else self.classes.index(str(tag)) for tag in answer]

    def labelled(self, target: Tensor) -> int:
        return int((target != IGNORED).sum())

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(logits, target, self.label_smoothing)

    def distillation(self, logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
        return soft_cross_entropy(logits, teacher, temperature)

    def decode(self, logits: np.ndarray, lengths: np.ndarray) -> list[dict[str, Any]]:
        return [{"tags": [self.classes[i] for i in row]} for row in self._best(logits, lengths)]

    def score(self, logits: np.ndarray, lengths: np.ndarray, targets: Sequence[np.ndarray]) -> Scores:
        outside = self.classes.index(self.outside)
        guesses = []
        for best, truth in zip(self._best(logits, lengths), targets, strict=True):
            whole = np.full(len(truth), outside)
            whole[: len(best)] = best[: len(truth)]
            guesses.append(whole)
        return metrics.tagging([truth.astype(np.int64) for truth in targets], guesses, self.classes, ignored=IGNORED)

    @staticmethod
    def _best(logits: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        best = logits.argmax(axis=1) if len(logits) else np.zeros(0, dtype=np.int64)
        return np.split(best, np.cumsum(lengths))[:-1]  # what is left behind the last row is empty
