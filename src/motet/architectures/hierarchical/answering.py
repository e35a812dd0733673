"""Answers that other tasks can read: chances of labels, and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.data.batches import Owned
from motet.tasks.base import Task
from motet.tasks.classification import IGNORED, Classification
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

__all__ = ["Answering", "unreadable"]

Form = Literal["one", "any", "steps", "number"]

_FORMS: tuple[tuple[type[Task], Form], ...] = (
    (Classification, "one"),
    (Tagging, "one"),
    (MultiLabel, "any"),
    (Ordinal, "steps"),
    (Regression, "number"),
)


@dataclass(frozen=True)
class Answering:
    """How the logits of a task become an answer that others can read.

    One label out of several is read as the chances of all, of which the sum is 1; any number of labels, and the steps
    of a scale, as the chance of each; a number as it is learnt, less its mean and divided by its scale. The chances of
    a conditional random field are those of each word by itself.

    Args:
        form: of the answer.
        words: whether words have answers of their own. The head is then applied to every sub-word, since where words
            begin is known of the rows that the task labels alone.
        outputs: numbers of an answer.
        learnt: rows behind the logits that are no answers.

    Example:
        >>> mood = Answering.of(Classification("mood", source="s", classes=("good", "bad")))
        >>> mood.chances(torch.tensor([0.0, 0.0]))
        tensor([0.5000, 0.5000])
        >>> mood.truth(torch.tensor([1.0]))[0]
        tensor([[0., 1.]])
    """

    form: Form
    words: bool
    outputs: int
    learnt: int = 0

    @classmethod
    def of(cls, task: Task) -> Answering:
        """That of a task.

        Raises:
            TypeError: other tasks could not read it; `unreadable` says why.
        """
        form = next((form for kind, form in _FORMS if isinstance(task, kind)), None)
        if form is None:
            raise TypeError(f"{task.name} {unreadable(task)}")
        return cls(form, task.level == "word", task.outputs, task.learnt)

    def chances(self, logits: Tensor) -> Tensor:
        """What is read, ``[..., outputs]``."""
        logits = logits.float()
        if self.form == "number":
            return logits
        return logits.softmax(dim=-1) if self.form == "one" else logits.sigmoid()

    def truth(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """True answers in the same form, ``[units, outputs]``, and which of them are known, ``[units]``."""
        if self.form == "one":
            known = target != IGNORED
            return functional.one_hot(target.long() * known, self.outputs).float(), known
        values = target.float().view(-1, 1 if self.form == "steps" else self.outputs)
        if self.form == "steps":
            values = (values > torch.arange(self.outputs, device=target.device)).float()
        return values, torch.ones_like(values[:, 0], dtype=torch.bool)

    def everywhere(self, head: nn.Module, states: Tensor, mask: Tensor) -> Tensor:
        """What a task says about all rows, whoever labels them.

        Args:
            head: of the task.
            states: that it reads, ``[rows, length, width]``.
            mask: 1 where there is a token, ``[rows, length]``.

        Returns:
            Chances ``[rows, places, outputs]``; places are the sub-words, or one for the whole text.
        """
        rows, length = mask.shape
        every = torch.arange(rows, device=mask.device)
        words = None
        if self.words:
            tokens = torch.arange(length, device=mask.device)
            words = torch.stack([every.repeat_interleave(length), tokens.repeat(rows)])
        units = np.full(rows, length if self.words else 1)
        logits = head(states, mask, Owned(every, words, units, np.arange(rows)))
        return self.chances(logits[: int(units.sum())].view(rows, -1, self.outputs))


def unreadable(task: Task) -> str:
    """Why other tasks cannot read the answers of a task, as the end of a sentence; empty if they can."""
    if isinstance(task, tuple(kind for kind, _ in _FORMS)):
        return ""
    if isinstance(task, Ranking):
        return "gives scores that mean nothing but the order of the candidates of one query"
    if isinstance(task, Spans):
        return "gives scores that compare the places of one passage, which are no labels"
    return "answers with words, which are no labels"
