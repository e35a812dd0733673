"""A number, for a text or a pair of texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem
from motet.metrics.regression import regression
from motet.registry import register
from motet.tasks.base import Answers, Inputs, Level, Scores, Task
from motet.tasks.classification import text_columns, text_problems

__all__ = ["NumberAnswer", "Regression"]


class NumberAnswer(TypedDict):
    """A number in the units of the data."""

    value: float


@register("task", "regression")
@dataclass(frozen=True)
class Regression(Task):
    """A number, for a text or a pair of texts.

    The model learns ``(value - mean) / scale``; predictions and scores are in the units of the data. Both losses are
    squared errors in the normalised space; the temperature has no meaning here and is ignored.

    Args:
        text: the column of the text, or two columns for a pair.
        value: the column of the number.
        words: the column holds lists of words; `Tagging` of the same column is then read in the same pass.
        mean: subtracted from every value; by default the training mean.
        scale: divides every value; by default the training standard deviation.

    Relations:
        `Classification` when the values are names rather than amounts.

    Example:
        >>> import motet
        >>> motet.Regression("similarity", source="data/stsb", text=("text_a", "text_b"), value="score").headline
        'spearman'
    """

    _: KW_ONLY
    text: str | tuple[str, str] = "text"
    value: str = "value"
    words: bool = False
    mean: float | None = None
    scale: float | None = None

    level: ClassVar[Level] = "text"
    metrics: ClassVar[tuple[str, ...]] = ("spearman", "pearson", "rmse", "mae")
    answer_type: ClassVar[Any] = NumberAnswer

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from text_problems(self.text, self.words)
        if self.scale is not None and not 0 < self.scale < math.inf:
            yield Problem("scale", "must be a positive number", str(self.scale))
        if self.mean is not None and not math.isfinite(self.mean):
            yield Problem("mean", "must be a number", str(self.mean))

    @property
    def inputs(self) -> Inputs:
        return Inputs(text_columns(self.text), words=self.words)

    @property
    def target(self) -> str:
        return self.value

    @property
    def outputs(self) -> int:
        return 1

    @property
    def answer(self) -> str:
        return "a number"

    def resolve(self, answers: Sequence[Any]) -> Self:
        values = np.fromiter(map(float, answers), dtype=np.float64, count=len(answers))
        if (values == values[:1]).all():  # not by the deviation, which rounding may leave above 0
            raise DataError(
                Problem(
                    f"tasks.{self.name}",
                    "needs at least two different values in the training split",
                    remedy=f"Is `{self.value}` the right column?",
                )
            )
        mean = float(values.mean()) if self.mean is None else self.mean
        return replace(self, mean=mean, scale=float(values.std()) if self.scale is None else self.scale)

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        if isinstance(answer, bool) or not isinstance(answer, (int, float)):
            return f"must be a number, found {answer!r}"
        return "" if math.isfinite(answer) else f"must be finite, found {answer}"

    def encode(self, answer: Any) -> Sequence[float]:
        mean, scale = self._normalisation()
        return ((float(answer) - mean) / scale,)

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        return (logits.float().squeeze(-1) - target.float()).square().sum()

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        return (logits.float() - teacher.float()).square().sum()

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """The mean."""
        return np.asarray([np.fromiter((target[0] for target in targets), dtype=np.float64).mean()])

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        return [{"value": value} for value in self._denormalise(answers.values).tolist()]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        mean, scale = self._normalisation()
        truth = np.concatenate([np.zeros(0), *targets]) * scale + mean
        return regression(truth, self._denormalise(answers.values))

    def _denormalise(self, logits: np.ndarray) -> np.ndarray:
        mean, scale = self._normalisation()
        return np.asarray(logits[:, 0].astype(np.float64) * scale + mean)

    def _normalisation(self) -> tuple[float, float]:
        if self.mean is None or self.scale is None:
            raise ValueError(f"task {self.name} is not resolved")
        return self.mean, self.scale
