"""One label on a scale, for a text or a pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional
from typing_extensions import Self

from motet.errors import DataError, Problem, nearest
from motet.metrics.ordinal import ordinal
from motet.registry import register
from motet.tasks.base import Answers, Inputs, Level, Scores, Task
from motet.tasks.classification import (
    LabelAnswer,
    class_problems,
    frequencies,
    natural,
    text_columns,
    text_problems,
)
from motet.tasks.multilabel import binary_distillation, sigmoid

__all__ = ["Ordinal"]


@register("task", "ordinal")
@dataclass(frozen=True)
class Ordinal(Task):
    """One label on a scale, such as one to five stars.

    Each step of the scale is a decision: is the label above it? An answer is as high as the number of steps it is
    above. Both losses are binary cross-entropies, averaged over the steps. Source: Frank, Hall 2001, "A Simple
    Approach to Ordinal Classification"; thresholds with shared features: Cao, Mirjalili, Raschka 2020, "Rank
    consistent ordinal regression for neural networks".

    Args:
        text: the column of the text, or two columns for a pair.
        label: the column of the label.
        words: the column holds lists of words; `Tagging` of the same column is then read in the same pass.
        classes: all labels, lowest first; by default those of the training split, which must be numbers.

    Relations:
        `Classification` knows no order; `Regression` knows distances.

    Example:
        >>> import motet
        >>> motet.Ordinal("stars", source="data/reviews", classes=("bad", "fair", "good")).answer
        '3 steps'
    """

    _: KW_ONLY
    text: str | tuple[str, str] = "text"
    label: str = "label"
    words: bool = False
    classes: tuple[str, ...] = ()

    level: ClassVar[Level] = "text"
    metrics: ClassVar[tuple[str, ...]] = ("quadratic_kappa", "mae", "accuracy", "macro_f1", "spearman")
    answer_type: ClassVar[Any] = LabelAnswer

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from class_problems(self.classes, 0.0)
        yield from text_problems(self.text, self.words)

    @property
    def inputs(self) -> Inputs:
        return Inputs(text_columns(self.text), words=self.words)

    @property
    def target(self) -> str:
        return self.label

    @property
    def outputs(self) -> int:
        return len(self.classes) - 1

    @property
    def choices(self) -> tuple[str, ...]:
        return self.classes

    @property
    def answer(self) -> str:
        return f"{len(self.classes)} steps"

    def resolve(self, answers: Sequence[Any]) -> Self:
        found = Counter(map(str, answers))
        if len(found) < 2:
            rule = f"needs at least two labels in the training split, found {', '.join(found) or 'none'}"
            raise DataError(Problem(f"tasks.{self.name}", rule, remedy=f"Is `{self.label}` the right column?"))
        if not self.classes and not all(map(_is_number, found)):
            words = ", ".join(sorted(label for label in found if not _is_number(label))[:5])
            remedy = "Name all labels in `classes`, lowest first."
            raise DataError(
                Problem(f"tasks.{self.name}.classes", "must say the order of labels that are words", words, remedy)
            )
        return replace(self, classes=self.classes or tuple(sorted(found, key=natural)))

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        if isinstance(answer, (list, dict)):
            return f"must be one label, found {type(answer).__name__}"
        if self.classes and str(answer) not in self.classes:
            return f"`{answer}` is not in the label set. {nearest(str(answer), self.classes)}"
        return ""

    def encode(self, answer: Any) -> Sequence[float]:
        return (self.classes.index(str(answer)),)

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        steps = functional.one_hot(target.long(), self.outputs + 1).flip(-1).cumsum(-1).flip(-1)[:, 1:]
        return (
            functional.binary_cross_entropy_with_logits(logits.float(), steps.float(), reduction="sum") / self.outputs
        )

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        return binary_distillation(logits, teacher, temperature)

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """The most frequent label; where distances count, the middle one."""
        shares = frequencies(targets, len(self.classes))
        middle = int(np.searchsorted(shares.cumsum(), shares.sum() / 2))
        step = middle if self.headline == "mae" else int(shares.argmax())
        return np.where(np.arange(self.outputs) < step, 1.0, -1.0)

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        above = np.minimum.accumulate(sigmoid(answers.values.astype(np.float64)), axis=1)
        ends = np.ones((len(above), 1))
        chances = np.hstack([ends, above]) - np.hstack([above, 0 * ends])
        return [
            {"label": self.classes[step], "scores": dict(zip(self.classes, row.tolist(), strict=True))}
            for step, row in zip(self._steps(answers), chances, strict=True)
        ]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        truth = np.concatenate([np.zeros(0), *targets]).astype(np.int64)
        return ordinal(truth, self._steps(answers), len(self.classes))

    @staticmethod
    def _steps(answers: Answers) -> np.ndarray:
        return np.asarray((answers.values > 0).sum(axis=1))


def _is_number(label: str) -> bool:
    with suppress(ValueError):
        return not np.isnan(float(label))
    return False
