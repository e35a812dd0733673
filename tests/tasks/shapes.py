"""One example of every answer shape, and random rows for it.

A new shape joins the tests of the family by one entry in `EXAMPLES`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from motet.tasks import (
    CausalLanguage,
    Classification,
    Generation,
    MaskedLanguage,
    MultiLabel,
    Ordinal,
    Ranking,
    Regression,
    Spans,
    Tagging,
    Task,
)
from motet.tasks.base import Answers
from motet.tasks.classification import IGNORED


@dataclass(frozen=True)
class Example:
    """A task, true answers it can learn from, what it must refuse, and how rows of its shape are made up.

    What follows `row` has defaults that fit tasks with one number a unit. Rows are those that the losses see: where
    `Task.group` ties rows into one example, each is such an example.

    Args:
        task: as a user writes it, not resolved.
        answers: of the training split.
        wrong: answers to refuse once resolved, with a part of the complaint.
        unlearnable: training answers that `resolve` must refuse.
        row: what else a row holds beside the answer.
        vocabulary: logits a unit, where the task leaves that to the vocabulary.
        lengths: the units of so many random rows.
        targets: the target of a random row of so many units.
        encode: a true answer as it is stored.
        sure: the logits ``[units, width]`` of a model that is sure of the target of a row.
        ignored: the number that stands in a target for "not labelled"; None where no part of a row can lack its label.
        complete: adds to answers what decoding and scores read besides the values (chars, records, texts), for rows
            of which the numbers are given.
        said: the true answer that an answer for people stands for.
        best: what a perfect model scores, for metrics where that is neither 1 nor the 0 of an error.
    """

    task: Task
    answers: Sequence[Any]
    wrong: Sequence[tuple[Any, str]]
    unlearnable: Sequence[Sequence[Any]]
    row: Callable[[Any], Mapping[str, Any]] = field(default=lambda answer: {})
    vocabulary: int = 0
    lengths: Callable[[int, np.random.Generator], np.ndarray] = field(
        default=lambda rows, random: np.ones(rows, dtype=np.int64)
    )
    targets: Callable[[Example, int, np.random.Generator], np.ndarray] = field(
        default=lambda example, units, random: random.choice(np.concatenate(example.encoded), units)
    )
    encode: Callable[[Task, Any], np.ndarray] = field(
        default=lambda task, answer: np.asarray(task.encode(answer), dtype=np.float32)
    )
    sure: Callable[[Example, np.ndarray], np.ndarray] = field(
        default=lambda example, target: 20.0 * np.eye(example.width)[target.astype(np.int64)]
    )
    ignored: float | None = None
    complete: Callable[[Answers, Sequence[int]], Answers] = field(default=lambda answers, rows: answers)
    said: Callable[[Mapping[str, Any]], Any] = field(default=lambda answer: next(iter(answer.values())))
    best: Mapping[str, float] = field(default_factory=dict)

    @property
    def resolved(self) -> Task:
        return self.task.resolve(self.answers)

    @property
    def width(self) -> int:
        return self.resolved.outputs or self.vocabulary

    @property
    def encoded(self) -> list[np.ndarray]:
        task = self.resolved
        return [self.encode(task, answer) for answer in self.answers]


FORMS: dict[str, Literal["listwise", "pairwise", "pointwise"]] = {
    "ranking": "listwise",
    "ranking in pairs": "pairwise",
    "ranking one by one": "pointwise",
}
LANGUAGE: dict[str, Task] = {
    "masked_language": MaskedLanguage("words", source="a.csv"),
    "causal_language": CausalLanguage("words", source="a.csv", top=4),
}
SPANS = [[{"text": "Lisbon", "start": 13}], [], [{"text": "leaves at nine", "start": 20}]]
REPLIES = ["at nine", "from Lisbon to Paris, all day", "no"]
PASSAGE = "the train to Lisbon leaves at nine"
PLACES = np.array([(0, 0), *(word.span() for word in re.finditer(r"\S+", PASSAGE))])  # of "nowhere", then of each word
EXAMPLES: dict[str, Example] = {
    "classification": Example(
        Classification("area", source="a.csv"),
        answers=["sport", "science", "politics", "sport", "arts"],
        wrong=[("sprot", "Did you mean `sport`?"), (["sport"], "must be one label, found list")],
        unlearnable=[[], ["sport", "sport"]],
    ),
    "regression": Example(
        Regression("likeness", source="a.csv"),
        answers=[0.5, 4, 2.25, 3.0],
        wrong=[("much", "must be a number, found 'much'"), (True, "must be a number"), (math.inf, "must be finite")],
        unlearnable=[[], [3.0, 3.0, 3.0]],
        sure=lambda example, target: target[:, None],
    ),
    "multilabel": Example(
        MultiLabel("feelings", source="a.csv"),
        answers=[["joy"], [], ["anger", "joy"], ["fear"]],
        wrong=[
            ("joy", "must be a list of labels, found str"),
            (["jyo"], "Did you mean `joy`?"),
            ([None], "must not hold null"),
        ],
        unlearnable=[[], [[], []], [["joy"], ["joy"]]],
        targets=lambda example, units, random: random.integers(2, size=units * example.width),
        sure=lambda example, target: 40.0 * (target[None] - 0.5),
    ),
    "ordinal": Example(
        Ordinal("stars", source="a.csv"),
        answers=["1", "3", "2", "10", "3"],
        wrong=[("4", "`4` is not in the label set"), (["3"], "must be one label, found list")],
        unlearnable=[[], ["3", "3"], ["good", "bad"]],
        sure=lambda example, target: np.where(np.arange(example.width) < target[:, None], 20.0, -20.0),
    ),
    **{
        name: Example(
            Ranking("answers", source="a.csv", form=form),
            answers=[0, 2.0, 1, 0.5],
            wrong=[("high", "must be a number, found 'high'"), (-1, "must be 0 or a number above, found -1")],
            unlearnable=[[], [1.0, 1.0]],
            lengths=lambda rows, random: random.integers(1, 5, rows),
            sure=lambda example, target: 2.0 * target[:, None],
            said=lambda answer: answer["score"],
        )
        for name, form in FORMS.items()
    },
    "spans": Example(
        Spans("answer", source="a.csv"),
        answers=SPANS,
        wrong=[
            ("Lisbon", "must be a list of {text, start}"),
            ([{"text": "Porto", "start": 13}], "a span must be what the passage has there"),
            ([{"text": "nine", "start": 34}], "must lie inside its passage"),
        ],
        unlearnable=[[], [[], []]],
        row=lambda answer: {"context": PASSAGE},
        lengths=lambda rows, random: random.integers(2, 1 + len(PLACES), rows),
        targets=lambda example, units, random: np.sort(random.integers(units, size=2)),
        encode=lambda task, answer: task.align(np.asarray(task.encode(answer)), [PLACES.reshape(-1)])[0],
        sure=lambda example, target: 20.0 * np.eye(len(PLACES))[target.astype(np.int64)].T,
        complete=lambda answers, rows: replace(
            answers,
            chars=[PLACES[:units].reshape(-1) for units in answers.lengths],
            records=[{"context": PASSAGE, "answers": SPANS[row % 3]} for row in rows],
        ),
        said=lambda answer: [{"text": answer["text"], "start": answer["start"]}] if answer["text"] else [],
    ),
    "generation": Example(
        Generation("reply", source="a.csv", top=4),
        answers=REPLIES,
        wrong=[(9, "must be a text, found int")],
        unlearnable=[[], ["", " "]],
        vocabulary=9,
        lengths=lambda rows, random: random.integers(1, 6, rows),
        encode=lambda task, answer: np.asarray([len(word) for word in answer.split()]),
        complete=lambda answers, rows: replace(
            answers,
            texts=[REPLIES[row % 3] for row in rows],
            records=[{"target": REPLIES[row % 3]} for row in rows],
        ),
        best={"perplexity": 1.0},
    ),
    **{
        name: Example(
            task,
            answers=["the train leaves at nine", "it rains"],
            wrong=[(9, "must be a text, found int")],
            unlearnable=[],
            vocabulary=9,
            lengths=lambda rows, random: random.integers(0, 6, rows),
            encode=lambda task, answer: np.asarray([len(word) for word in answer.split()]),
            best={"perplexity": 1.0},
        )
        for name, task in LANGUAGE.items()
    },
    "tagging": Example(
        Tagging("entities", source="a.csv"),
        answers=[["O", "B-place", "I-place"], ["B-name"], ["O", "B-name", "O", "B-place"]],
        wrong=[
            (["B-palce"], "Did you mean `B-place`?"),
            ("O", "must be a list of tags, found str"),
        ],
        unlearnable=[[], [["O", "O"], [], [None]]],
        row=lambda answer: {"tokens": ["word"] * len(answer)},
        lengths=lambda rows, random: random.integers(0, 5, rows),  # a sentence may be cut to nothing
        ignored=IGNORED,
    ),
}


@dataclass(frozen=True)
class Batch:
    """What a model and a teacher say to some rows, and what is true.

    Args:
        task: resolved.
        logits: of the model, ``[units, width]``.
        teacher: logits of the teacher, ``[units, width]``.
        lengths: units of each row.
        targets: of each row.
        rows: the number of each row.
    """

    task: Task
    logits: Tensor
    teacher: Tensor
    lengths: np.ndarray
    targets: Sequence[np.ndarray]
    rows: Sequence[int]

    @property
    def target(self) -> Tensor:
        return torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.float32), *self.targets]).astype(np.float32))

    def take(self, rows: Sequence[int]) -> Batch:
        """Some of the rows, in the order given."""
        lengths = self.lengths.tolist()
        logits, teacher = (
            torch.cat([whole[:0], *(torch.split(whole, lengths)[row] for row in rows)])
            for whole in (self.logits, self.teacher)
        )
        targets, numbers = [self.targets[row] for row in rows], [self.rows[row] for row in rows]
        return Batch(self.task, logits, teacher, self.lengths[list(rows)], targets, numbers)

    def loss(self) -> Tensor:
        return self.task.loss(self.logits, self.target, self.lengths)

    def distillation(self, temperature: float = 1.0) -> Tensor:
        soft = self.task.soft(self.teacher, self.lengths)
        return self.task.distillation(self.logits, soft, self.lengths, temperature)

    def answers(self, example: Example) -> Answers:
        """What decoding and scores are given: tied rows have one unit each."""
        values = self.task.kept(self.logits, self.target, self.lengths).numpy()
        found = Answers(values, self.lengths)
        if self.task.group:
            ones, groups = np.ones(len(values), dtype=np.int64), np.repeat(range(len(self.lengths)), self.lengths)
            found = Answers(values, ones, groups)
        return example.complete(found, self.rows)

    @property
    def truths(self) -> Sequence[np.ndarray]:
        """The targets as scores are given them: tied rows have one each."""
        return list(self.target.numpy()[:, None]) if self.task.group else self.targets


def batch_of(example: Example, seed: int = 0, rows: int = 6) -> Batch:
    """Random rows."""
    random = np.random.default_rng(seed)
    lengths = example.lengths(rows, random)
    targets = [example.targets(example, int(units), random).astype(np.float32) for units in lengths]
    logits, teacher = torch.from_numpy(random.standard_normal((2, lengths.sum(), example.width), dtype=np.float32))
    return Batch(example.resolved, logits, teacher, lengths, targets, range(rows))


def clean(example: Example) -> Batch:
    """The example's own answers, of which the model is sure."""
    task, targets = example.resolved, example.encoded
    said = [torch.from_numpy(example.sure(example, target)).float() for target in targets]
    logits = torch.cat(said)
    return Batch(task, logits, logits, np.asarray([len(row) for row in said]), targets, range(len(said)))
