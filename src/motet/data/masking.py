"""Hiding sub-words, for tasks that have to guess them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from transformers import PreTrainedTokenizerBase

__all__ = ["Hidden", "Masking"]


@dataclass(frozen=True)
class Hidden:
    """A row with some of its sub-words hidden.

    Args:
        shown: the row as the model reads it.
        places: where something was hidden, ascending.
    """

    shown: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Masking:
    """What a vocabulary offers to hide words by.

    Args:
        mask: the sub-word that stands for a hidden one.
        size: sub-words in the vocabulary.
        special: those that are never hidden.
    """

    mask: int
    size: int
    special: frozenset[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Masking | None:
        """That of a tokenizer; None if it has no sub-word for hidden ones."""
        if tokenizer.mask_token_id is None:
            return None
        return cls(cast(int, tokenizer.mask_token_id), len(tokenizer), frozenset(tokenizer.all_special_ids))

    def hide(self, row: np.ndarray, share: float, random: np.random.Generator) -> Hidden:
        """Hide a share of the sub-words, at least one: four in five by the mask, one in ten by any sub-word.

        The last one in ten stays as it is, so that what is shown has to be understood too. Source: Devlin, Chang, Lee,
        Toutanova 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding".
        """
        open_ = np.flatnonzero(~np.isin(row, list(self.special)))
        places = np.sort(random.permutation(open_)[: max(1, round(share * len(open_)))])
        kind = random.random(len(places))
        strangers = random.integers(self.size, size=len(places))
        shown = row.copy()
        shown[places] = np.where(kind < 0.8, self.mask, np.where(kind < 0.9, strangers, row[places]))
        return Hidden(shown, places)
