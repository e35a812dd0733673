"""Any number of labels, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem, nearest
from motet.metrics.multilabel import multilabel
from motet.registry import register
from motet.tasks.answers import Label
from motet.tasks.base import Answers, Inputs, Level, Scores, Task
from motet.tasks.classification import class_problems, natural, text_columns, text_problems

__all__ = ["LabelsAnswer", "MultiLabel", "binary_distillation", "sigmoid"]


class LabelsAnswer(TypedDict):
    """The labels whose chance is above the threshold, and the chance of each label on its own."""

    labels: list[Label]
    scores: dict[Label, float]


@register("task", "multilabel")
@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels, also none, for a text or a pair of texts.

    Every label is a decision of its own. Both losses are binary cross-entropies, averaged over the labels of a text.

    Args:
        text: the column of the text, or two columns for a pair.
        labels: the column with the list of labels.
        words: the column holds lists of words; `Tagging` of the same column is then read in the same pass.
        classes: all labels; by default those found in the training split, sorted.
        threshold: a label is given when its chance is above this.

    Relations:
        `Classification` gives exactly one label; `Ordinal` one on a scale.

    Example:
        >>> import motet
        >>> motet.MultiLabel("emotions", source="data/goemotions", text="text", labels="labels").headline
        'micro_f1'
    """

    _: KW_ONLY
    text: str | tuple[str, str] = "text"
    labels: str = "labels"
    words: bool = False
    classes: tuple[str, ...] = ()
    threshold: float = 0.5

    level: ClassVar[Level] = "text"
    metrics: ClassVar[tuple[str, ...]] = ("micro_f1", "macro_f1", "jaccard", "exact_match", "hamming_loss")
    answer_type: ClassVar[Any] = LabelsAnswer

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from class_problems(self.classes, 0.0, least=1)
        yield from text_problems(self.text, self.words)
        if not 0 < self.threshold < 1:
            yield Problem("threshold", "must be above 0 and below 1", str(self.threshold))

    @property
    def inputs(self) -> Inputs:
        return Inputs(text_columns(self.text), words=self.words)

    @property
    def target(self) -> str:
        return self.labels

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def choices(self) -> tuple[str, ...]:
        return self.classes

    @property
    def answer(self) -> str:
        return f"any of {len(self.classes)} labels" if len(self.classes) > 1 else "a label or none"

    def resolve(self, answers: Sequence[Any]) -> Self:
        found = tuple(sorted({str(label) for labels in answers for label in labels}, key=natural))
        if not found or not any(set(found) - set(map(str, labels)) for labels in answers):
            rule = "needs labels in the training split that some texts have and others lack"
            raise DataError(
                Problem(
                    f"tasks.{self.name}",
                    f"{rule}, found {', '.join(found) or 'none'}",
                    remedy=f"Is `{self.labels}` the right column?",
                )
            )
        return replace(self, classes=self.classes or found)

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        if not isinstance(answer, list):
            return f"must be a list of labels, found {type(answer).__name__}"
        if any(label is None for label in answer):
            return "must not hold null among its labels"
        strange = next((str(label) for label in answer if self.classes and str(label) not in self.classes), None)
        return "" if strange is None else f"`{strange}` is not in the label set. {nearest(strange, self.classes)}"

    def encode(self, answer: Any) -> Sequence[float]:
        given = set(map(str, answer))
        return [float(label in given) for label in self.classes]

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        truth = target.float().view_as(logits)
        return functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="sum") / self.outputs

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        return binary_distillation(logits, teacher, temperature)

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """The labels that more than half of the texts have."""
        votes = sum((target - 0.5 for target in targets), start=np.zeros(self.outputs))
        return np.where(votes > 0, np.inf, -np.inf)

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        return [
            {
                "labels": [label for label, chance in zip(self.classes, row, strict=True) if chance > self.threshold],
                "scores": dict(zip(self.classes, row.tolist(), strict=True)),
            }
            for row in sigmoid(answers.values)
        ]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        truth = np.concatenate([np.zeros(0), *targets]).reshape(-1, self.outputs).astype(np.int64)
        return multilabel(truth, (sigmoid(answers.values) > self.threshold).astype(np.int64))


def binary_distillation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``temperature**2`` times the cross-entropy of every yes or no, averaged over outputs and summed over units."""
    q = (teacher.float() / temperature).sigmoid()
    crossed = functional.binary_cross_entropy_with_logits(logits.float() / temperature, q, reduction="sum")
    return temperature**2 * crossed / logits.shape[-1]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The chance of every yes, also of logits so large that the exponential would overflow."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))
