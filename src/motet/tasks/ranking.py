"""The order of candidates for a query."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal, Union

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem
from motet.metrics.ranking import ranking
from motet.registry import register
from motet.tasks.base import Answers, Inputs, Level, Scores, Task

__all__ = ["Candidate", "OrderAnswer", "RankedAnswer", "Ranking", "ScoreAnswer"]


class ScoreAnswer(TypedDict):
    """To a query with one candidate: a number that is comparable with those of other candidates for the same query."""

    score: float


class OrderAnswer(TypedDict):
    """To the candidates of a query: their places, best first, and the score of each."""

    order: list[int]
    scores: list[float]


class Candidate(TypedDict):
    """A candidate and its score."""

    candidate: str
    score: float


class RankedAnswer(TypedDict):
    """The same with the candidates themselves, best first, as a model answers a query with its candidates."""

    ranked: list[Candidate]


@register("task", "ranking")
@dataclass(frozen=True)
class Ranking(Task):
    """The order of candidates for a query: one row a candidate, read together with its query.

    An example is a query with all its candidates, and an epoch is a pass over the queries. The losses:

    * ``listwise``: cross-entropy between the shares of relevance and the softmax of the scores of a query; queries
      without a relevant candidate teach nothing. Cao, Qin, Liu, Tsai, Li 2007, "Learning to Rank: From Pairwise
      Approach to Listwise Approach".
    * ``pairwise``: logistic loss of every pair of unequal relevance. Burges et al. 2005, "Learning to Rank using
      Gradient Descent".
    * ``pointwise``: binary cross-entropy of the relevance of each candidate, as a share of the highest.

    Each is distilled in its own form, on the same candidates.

    Args:
        query: the column of the query.
        candidate: the column of the candidate.
        relevance: the column of its relevance: 0, or a number above.
        query_id: the column that tells queries apart; by default the query itself.
        form: which loss.
        highest: the relevance that counts as 1; by default the highest in the training split.
        relevant: the relevance from which on the scores but `ndcg` take a candidate for relevant; 0 for any above 0.
            The losses go by all grades.

    Relations:
        `Classification` of pairs judges each candidate alone.

    Example:
        >>> import motet
        >>> motet.Ranking("answers", source="data/epqa_ranking", query_id="query_id").headline
        'map'
    """

    _: KW_ONLY
    query: str = "query"
    candidate: str = "candidate"
    relevance: str = "relevance"
    query_id: str = ""
    form: Literal["listwise", "pairwise", "pointwise"] = "listwise"
    highest: float | None = None
    relevant: float = 0.0

    level: ClassVar[Level] = "text"
    metrics: ClassVar[tuple[str, ...]] = ("map", "mrr", "ndcg", "precision_at_1", "recall_at_5")
    answer_type: ClassVar[Any] = Union[ScoreAnswer, OrderAnswer, RankedAnswer]  # noqa: UP007  evaluated on 3.10

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.highest is not None and not 0 < self.highest < math.inf:
            yield Problem("highest", "must be a positive number", str(self.highest))
        if not 0 <= self.relevant < math.inf:
            yield Problem("relevant", "must be 0 or a number above", str(self.relevant))

    @property
    def inputs(self) -> Inputs:
        return Inputs((self.query, self.candidate))

    @property
    def target(self) -> str:
        return self.relevance

    @property
    def group(self) -> str:
        return self.query_id or self.query

    @property
    def outputs(self) -> int:
        return 1

    @property
    def answer(self) -> str:
        return "an order"

    def resolve(self, answers: Sequence[Any]) -> Self:
        values = {float(answer) for answer in answers}
        if len(values) < 2:
            rule = "needs relevant and irrelevant candidates in the training split"
            raise DataError(Problem(f"tasks.{self.name}", rule, remedy=f"Is `{self.relevance}` the right column?"))
        if self.relevant > max(values):
            rule = f"is above the highest relevance in the training split, {max(values):g}"
            raise DataError(Problem(f"tasks.{self.name}.relevant", rule, str(self.relevant)))
        return replace(self, highest=self.highest or max(values))

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        if isinstance(answer, bool) or not isinstance(answer, (int, float)):
            return f"must be a number, found {answer!r}"
        return "" if 0 <= answer < math.inf else f"must be 0 or a number above, found {answer}"

    def barren(self, answers: Sequence[Any]) -> bool:
        return not any(answer > 0 for answer in answers)

    def encode(self, answer: Any) -> Sequence[float]:
        return (float(answer) / self._highest,)

    def labelled(self, target: Tensor, lengths: np.ndarray) -> int:
        if self.form == "pointwise" or not len(lengths):
            return int(lengths.sum())
        relevance, real = _by_query(target.float(), lengths)
        if self.form == "listwise":
            return int((relevance.sum(dim=1) > 0).sum())
        return int((_differences(relevance, real) != 0).sum())

    def answered(self, lengths: np.ndarray) -> int:
        if self.form == "pointwise":
            return int(lengths.sum())
        return len(lengths) if self.form == "listwise" else int((lengths * (lengths - 1) // 2).sum())

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        scores = logits.float().squeeze(-1)
        if self.form == "pointwise" or not len(lengths):
            return functional.binary_cross_entropy_with_logits(scores, target.float().clamp(max=1), reduction="sum")
        padded, real = _by_query(scores, lengths)
        relevance, _ = _by_query(target.float(), lengths)
        if self.form == "listwise":
            shares = relevance / relevance.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
            return -(shares * _log_softmax(padded, real)).sum()
        margins, better = (_differences(values, real) for values in (padded, relevance))
        return functional.softplus(-margins * better.sign())[better != 0].sum()

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        scores, wanted = logits.float().squeeze(-1) / temperature, teacher.float().squeeze(-1) / temperature
        if self.form == "pointwise" or not len(lengths):
            crossed = functional.binary_cross_entropy_with_logits(scores, wanted.sigmoid(), reduction="sum")
            return temperature**2 * crossed
        padded, real = _by_query(scores, lengths)
        taught, _ = _by_query(wanted, lengths)
        if self.form == "listwise":
            shares = _log_softmax(taught, real).exp() * real
            return -(temperature**2) * (shares * _log_softmax(padded, real)).sum()
        margins, wished = (_differences(values, real) for values in (padded, taught))
        return temperature**2 * functional.binary_cross_entropy_with_logits(margins, wished.sigmoid(), reduction="sum")

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        scores = answers.values[:, 0]
        return [
            {"order": np.argsort(-scores[rows], kind="stable").tolist(), "scores": scores[rows].tolist()}
            if len(rows) > 1
            else {"score": float(scores[rows[0]])}
            for rows in answers.examples
        ]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        relevance = self.grades(targets)
        groups = np.arange(len(relevance)) if answers.groups is None else answers.groups
        return ranking(answers.values[:, 0], relevance, groups, self.relevant)

    def grades(self, targets: Sequence[np.ndarray]) -> np.ndarray:
        """The relevance of every candidate, from encoded answers."""
        # kept as float32 shares of the highest, these are whole grades again in float32 alone
        return (np.concatenate([np.zeros(0), *targets]) * self._highest).astype(np.float32)

    @property
    def _highest(self) -> float:
        if self.highest is None:
            raise ValueError(f"task {self.name} is not resolved")
        return self.highest


def _by_query(values: Tensor, lengths: np.ndarray) -> tuple[Tensor, Tensor]:
    """Values ``[queries, candidates]`` padded with 0, and which of them are no padding."""
    padded = pad_sequence(list(torch.split(values, lengths.tolist())), batch_first=True)
    counts = torch.from_numpy(lengths).to(values.device)
    return padded, torch.arange(padded.shape[1], device=values.device) < counts[:, None]


def _log_softmax(scores: Tensor, real: Tensor) -> Tensor:
    """Log-chances over the candidates of each query, 0 for padding."""
    log_p = scores.masked_fill(~real, -torch.inf).log_softmax(dim=1)
    return log_p.masked_fill(~real, 0.0)


def _differences(values: Tensor, real: Tensor) -> Tensor:
    """By how much one candidate of a query is above another, for every pair once."""
    length = values.shape[1]
    first, second = torch.triu_indices(length, length, offset=1, device=values.device)
    pairs = real[:, first] & real[:, second]
    return (values[:, first] - values[:, second])[pairs]
