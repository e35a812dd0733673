"""A label for every word of a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem, nearest
from motet.metrics.tagging import tagging
from motet.registry import register
from motet.tasks.answers import Label
from motet.tasks.base import Answers, Inputs, Level, Scores, Task
from motet.tasks.classification import IGNORED, class_problems, cross_entropy, frequencies, soft_cross_entropy
from motet.tasks.crf import Transitions, log_marginals, negative_log_likelihood, viterbi

__all__ = ["Tagging", "TagsAnswer"]


class TagsAnswer(TypedDict):
    """A label for every word of the text, as far as it was read."""

    tags: list[Label]


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
        crf: learn which labels follow which too, in a linear-chain conditional random field. The loss is then the mean
            negative log-likelihood a word, the best sequence is the answer, and what is distilled are the chances of
            each label given the whole sentence. Source: Lafferty, McCallum, Pereira 2001, "Conditional Random Fields".

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
    crf: bool = False

    level: ClassVar[Level] = "word"
    metrics: ClassVar[tuple[str, ...]] = ("span_f1", "token_accuracy", "token_macro_f1")
    answer_type: ClassVar[Any] = TagsAnswer

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from class_problems(self.classes, self.label_smoothing)
        if self.crf and self.label_smoothing:
            yield Problem("label_smoothing", "must be 0 with `crf`", str(self.label_smoothing))
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
    def learnt(self) -> int:
        return len(self.classes) + 2 if self.crf else 0

    @property
    def choices(self) -> tuple[str, ...]:
        return self.classes

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

    def fit(self, target: np.ndarray, units: int) -> np.ndarray:
        return target[:units]

    def labelled(self, target: Tensor, lengths: np.ndarray) -> int:
        return int((target != IGNORED).sum())

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        if not self.crf:
            return cross_entropy(logits, target, self.label_smoothing)
        emissions, transitions = self._parts(logits)
        return negative_log_likelihood(emissions, target.long(), lengths, transitions, ignored=IGNORED)

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        if not self.crf:
            return soft_cross_entropy(logits, teacher, temperature)
        emissions, transitions = self._parts(logits)
        return soft_cross_entropy(log_marginals(emissions, lengths, transitions), teacher, temperature)

    def soft(self, logits: Tensor, lengths: np.ndarray) -> Tensor:
        if not self.crf:
            return logits
        emissions, transitions = self._parts(logits)
        return log_marginals(emissions, lengths, transitions)

    @property
    def keeps_logits(self) -> bool:
        return not self.crf

    def kept(self, logits: Tensor, target: Tensor | None, lengths: np.ndarray) -> Tensor:
        """The logits; 1 for each label of the best sequence and 0 for the others where labels depend on each other."""
        if not self.crf:
            return logits
        emissions, transitions = self._parts(logits)
        return functional.one_hot(torch.from_numpy(viterbi(emissions, lengths, transitions)), self.outputs)

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """The most frequent tag."""
        return frequencies(targets, self.outputs)

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        return [{"tags": [self.classes[i] for i in row]} for row in self._best(answers)]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        outside = self.classes.index(self.outside)
        guesses = []
        for best, truth in zip(self._best(answers), targets, strict=True):
            whole = np.full(len(truth), outside)
            whole[: len(best)] = best[: len(truth)]
            guesses.append(whole)
        return tagging([truth.astype(np.int64) for truth in targets], guesses, self.classes, ignored=IGNORED)

    def _parts(self, logits: Tensor) -> tuple[Tensor, Transitions]:
        """The logits of words, and the scores of labels behind one another, at the beginning and at the end."""
        learnt = logits[-self.learnt :].float()
        return logits[: -self.learnt], Transitions(between=learnt[:-2], start=learnt[-2], end=learnt[-1])

    def _best(self, answers: Answers) -> list[np.ndarray]:
        return [row.argmax(axis=1) if len(row) else np.zeros(0, dtype=np.int64) for row in answers.rows]
