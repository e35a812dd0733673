"""Losses over a whole vocabulary, for tasks whose every unit is a sub-word."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from motet.tasks.base import Task
from motet.tasks.classification import cross_entropy, soft_cross_entropy

__all__ = ["OverVocabulary"]


class OverVocabulary(Task):
    """What generation and language models have in common.

    True-label loss: cross-entropy of every sub-word. Distillation: cross-entropy against the teacher's softmax at a
    temperature, times its square. Only the `top` highest logits are recorded; the rest of the vocabulary counts as one
    more word, of the teacher as of the student, so that nothing outside is left to itself. Source: Hinton, Vinyals,
    Dean 2015, "Distilling the Knowledge in a Neural Network"; for sequences: Kim, Rush 2016, "Sequence-Level Knowledge
    Distillation", there called word-level.
    """

    top: ClassVar[int] = 0
    mergeable: ClassVar[bool] = False  # the highest logits of two teachers are not those of the same sub-words

    @property
    def outputs(self) -> int:
        return 0

    @property
    def keeps_logits(self) -> bool:
        return False

    def soft_width(self, vocabulary: int) -> int:
        return 2 * self.top + 1 if 0 < self.top < vocabulary else vocabulary

    def loss(self, logits: Tensor, target: Tensor, lengths: np.ndarray) -> Tensor:
        return cross_entropy(logits, target, 0.0)

    def distillation(self, logits: Tensor, teacher: Tensor, lengths: np.ndarray, temperature: float = 1.0) -> Tensor:
        if teacher.shape[-1] == logits.shape[-1]:
            return soft_cross_entropy(logits, teacher, temperature)
        words, best = torch.split(teacher.float(), [self.top, self.top + 1], dim=-1)
        return soft_cross_entropy(_gathered(logits.float(), words.long()), best, temperature)

    def soft(self, logits: Tensor, lengths: np.ndarray) -> Tensor:
        """The sub-words with the highest logits, these logits, and that of all the others: ``[units, 2 * top + 1]``."""
        if self.soft_width(logits.shape[-1]) == logits.shape[-1]:
            return logits
        words = logits.float().topk(self.top, dim=-1).indices
        return torch.cat([words.float(), _gathered(logits.float(), words)], dim=-1)

    def kept(self, logits: Tensor, target: Tensor | None, lengths: np.ndarray) -> Tensor:
        """The negative log-likelihood of every true sub-word, ``[units, 1]``."""
        if target is None:
            raise ValueError("without a true text there is no likelihood")
        return functional.cross_entropy(logits.float(), target.long(), reduction="none")[:, None]


def _gathered(logits: Tensor, words: Tensor) -> Tensor:
    """The logits of some words, and behind them one for all others together, ``[units, words + 1]``."""
    rest = logits.scatter(-1, words, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return torch.cat([logits.gather(-1, words), rest], dim=-1)
