"""The part of a passage that answers a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem
from motet.metrics.text import spans
from motet.registry import register
from motet.tasks.base import Answers, Inputs, Level, Scores, Task

__all__ = ["SpanAnswer", "Spans"]


class SpanAnswer(TypedDict):
    """A part of the passage, where it begins and ends in characters, and how much surer that is than no answer.

    The text is empty and both places are 0 where there is no answer; the margin is null where the passage has no word.
    """

    text: str
    start: int
    end: int
    margin: float | None


@register("task", "spans")
@dataclass(frozen=True)
class Spans(Task):
    """The part of a passage that answers a question, or that there is none.

    A long passage is read in overlapping windows. In each, one distribution over the words says where the answer
    begins and another where it ends; the first token of the row stands for "not here". The answer is the best span of
    all windows, unless every window is surer that it has none. Both losses are cross-entropies, averaged over begin
    and end. Source: Devlin, Chang, Lee, Toutanova 2019, "BERT"; Rajpurkar, Jia, Liang 2018, "Know What You Don't Know".

    Args:
        question: the column of the question; empty if there is only a passage.
        context: the column of the passage.
        answers: the column of the true answers: a list of ``{text, start}``, or the two lists ``{text, answer_start}``
            of SQuAD, begins in characters of the passage; empty where there is none. The first is learnt from, all
            are right.
        stride: sub-words that neighbouring windows share.
        longest: most sub-words in an answer.

    Relations:
        `Tagging` finds any number of parts; `Generation` writes the answer in words of its own.

    Example:
        >>> import motet
        >>> motet.Spans("answer", source="data/subjqa").headline
        'token_f1'
    """

    _: KW_ONLY
    question: str = "question"
    context: str = "context"
    answers: str = "answers"
    stride: int = 32
    longest: int = 30

    level: ClassVar[Level] = "word"
    metrics: ClassVar[tuple[str, ...]] = ("token_f1", "exact_match")
    answer_type: ClassVar[Any] = SpanAnswer
    compares_texts: ClassVar[bool] = True

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.stride < 0:
            yield Problem("stride", "must be at least 0", str(self.stride))
        if self.longest < 1:
            yield Problem("longest", "must be at least 1", str(self.longest))

    @property
    def inputs(self) -> Inputs:
        return Inputs(tuple(filter(None, (self.question, self.context))), stride=self.stride)

    @property
    def target(self) -> str:
        return self.answers

    @property
    def outputs(self) -> int:
        return 2

    @property
    def answer(self) -> str:
        return "a span"

    def resolve(self, answers: Sequence[Any]) -> Self:
        if not any(map(_spans, answers)):
            rule = "needs an answer in the training split, found only questions without"
            raise DataError(Problem(f"tasks.{self.name}", rule, remedy=f"Is `{self.answers}` the right column?"))
        return self

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        passage = row[self.context] or ""
        try:
            spans = _spans(answer)
        except (KeyError, TypeError, ValueError):
            return f"must be a list of {{text, start}}, found {str(answer)[:60]!r}"
        for span in spans:
            if not span.text or not 0 <= span.start < span.end <= len(passage):
                return f"a span must lie inside its passage, found `{span.text[:40]}` at {span.start} of {len(passage)}"
            if passage[span.start : span.end] != span.text:
                there = passage[span.start : span.end][:40]
                return f"a span must be what the passage has there, found `{span.text[:40]}` for `{there}`"
        return ""

    def encode(self, answer: Any) -> Sequence[float]:
        first = next(iter(_spans(answer)), None)
        return (-1, -1) if first is None else (first.start, first.end)

    def align(self, target: np.ndarray, chars: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [_units_of(int(target[0]), int(target[1]), window.reshape(-1, 2)) for window in chars]

    def labelled(self, target: Tensor, lengths: np.ndarray) -> int:
        return len(lengths)

    def answered(self, lengths: np.ndarray) -> int:
        return len(lengths)

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        if not len(lengths):
            return 0.0 * logits.float().sum()
        log_p, _ = _log_softmax(logits, lengths, 1.0)
        places = target.long().view(-1, 1, 2)
        return -log_p.gather(1, places).sum() / 2

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        if not len(lengths):
            return 0.0 * logits.float().sum()
        log_p, real = _log_softmax(logits, lengths, temperature)
        log_q, _ = _log_softmax(teacher, lengths, temperature)
        return -(temperature**2) * (log_q.exp() * log_p)[real].sum() / 2

    def constant(self, targets: Iterable[np.ndarray]) -> np.ndarray | None:
        """That there is no answer, where some questions have none: no place is likelier than that."""
        return np.zeros(2) if any(not target.any() for target in targets) else None

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        return [
            self._best(rows, record, answers) for rows, record in zip(answers.examples, answers.records, strict=True)
        ]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        guesses = [answer["text"] for answer in self.decode(answers)]
        return spans(guesses, [[span.text for span in _spans(r[self.answers])] for r in answers.records])

    def _best(self, rows: np.ndarray, record: Mapping[str, Any], answers: Answers) -> dict[str, Any]:
        """The best span of the windows of one passage, and how much surer the model is of it than of none."""
        best, place, none = -np.inf, (0, 0), np.inf
        values = answers.rows
        for row in rows:
            begin, end = values[row].astype(np.float64).T
            none = min(none, begin[0] + end[0])
            score, (first, last) = _best_span(begin[1:], end[1:], self.longest)
            if score > best:
                chars = answers.chars[row].reshape(-1, 2)[1:]
                best, place = score, (int(chars[first, 0]), int(chars[last, 1]))
        margin = float(best - none) if np.isfinite(best) else None  # a passage without any word
        start, end = place if margin is not None and margin > 0 else (0, 0)
        return {"text": str(record[self.context])[start:end], "start": start, "end": end, "margin": margin}


class _Span(NamedTuple):
    start: int
    end: int
    text: str


def _spans(answer: Any) -> list[_Span]:
    """The true answers in either notation."""
    if isinstance(answer, Mapping):
        pairs = list(zip(answer["answer_start"], answer["text"], strict=True))
    else:
        pairs = [(span["start"], span["text"]) for span in answer]
    return [_Span(int(start), int(start) + len(text), text) for start, text in pairs]


def _units_of(start: int, end: int, chars: np.ndarray) -> np.ndarray:
    """The first and last unit of a span in a window; the unit 0 twice if it is not wholly there."""
    inside = 1 + np.flatnonzero((chars[1:, 1] > start) & (chars[1:, 0] < end))
    if start < 0 or not len(inside) or chars[inside[0], 0] > start or chars[inside[-1], 1] < end:
        return np.zeros(2, dtype=np.float32)
    return np.asarray([inside[0], inside[-1]], dtype=np.float32)


def _log_softmax(logits: Tensor, lengths: np.ndarray, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-chances ``[rows, units, 2]`` over the units of each row, and which of them are no padding."""
    padded = pad_sequence(
        list(torch.split(logits.float(), lengths.tolist())), batch_first=True, padding_value=-torch.inf
    )
    counts = torch.from_numpy(lengths).to(logits.device)
    real = torch.arange(padded.shape[1], device=logits.device) < counts[:, None]
    return (padded / temperature).log_softmax(dim=1), real


def _best_span(begin: np.ndarray, end: np.ndarray, longest: int) -> tuple[float, tuple[int, int]]:
    """The highest ``begin[i] + end[j]`` with ``i <= j < i + longest``."""
    if not len(begin):
        return -np.inf, (0, 0)
    reach = np.lib.stride_tricks.sliding_window_view(np.append(end, np.full(longest - 1, -np.inf)), longest)
    best = begin + reach.max(axis=1)
    first = int(best.argmax())
    return float(best[first]), (first, first + int(reach[first].argmax()))
