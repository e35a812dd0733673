"""Token rows: a table tokenised once, cached by content, read memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from motet.data.sources import quietly
from motet.tasks.base import Inputs

__all__ = ["Ragged", "TokenRows", "tokenise", "tokenise_batch"]

_FORMAT = "1"  # part of every cache key; raise it when what is stored changes


class Ragged:
    """A list column read in place: rows of numbers of different lengths, not copied into memory.

    Example:
        >>> Ragged(pa.chunked_array([[[1, 2], [3]]]))[1].tolist()
        [3]
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._chunks = [(c.offsets.to_numpy(), c.values.to_numpy(zero_copy_only=False)) for c in column.chunks]
        self._starts = np.cumsum([0] + [len(chunk) for chunk in column.chunks])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> np.ndarray:
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        offsets, values = self._chunks[chunk]
        at = row - self._starts[chunk]
        return np.asarray(values[offsets[at] : offsets[at + 1]])

    @cached_property
    def lengths(self) -> np.ndarray:
        """The length of every row."""
        parts = [np.diff(offsets) for offsets, _ in self._chunks]
        return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class TokenRows:
    """The tokenised rows of one split for one choice of inputs.

    Args:
        tokens: sub-word ids of every row, special tokens included.
        types: 0 for the first text of a pair, 1 for the second; None when the encoder does not ask.
        words: for inputs of words, the position of each word's first sub-word; words cut off are absent.
        truncated: share of the rows that were cut.
    """

    tokens: Ragged
    types: Ragged | None
    words: Ragged | None
    truncated: float

    @property
    def lengths(self) -> np.ndarray:
        """Sub-words of every row."""
        return self.tokens.lengths


def tokenise(dataset: Dataset, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenRows:
    """Tokenise a split, or find it in the cache of `datasets`.

    Rows whose text is missing become rows without content; no task owns them.
    """
    key = (_FORMAT, dataset._fingerprint, inputs, max_length, _digest(tokenizer))
    with quietly():
        tokenised = dataset.map(
            lambda batch: tokenise_batch(batch, inputs, tokenizer, max_length),
            batched=True,
            remove_columns=dataset.column_names,
            new_fingerprint=hashlib.sha256(repr(key).encode()).hexdigest()[:32],
        )
    table = tokenised.data.table
    columns = {name: Ragged(table.column(name)) for name in ("tokens", "types", "words") if name in table.column_names}
    cut = table.column("truncated").to_numpy()
    return TokenRows(
        columns["tokens"], columns.get("types"), columns.get("words"), float(cut.mean()) if len(cut) else 0.0
    )


def tokenise_batch(
    batch: Mapping[str, Sequence[Any]], inputs: Inputs, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, list[Any]]:
    """Sub-word ids, and for words their first positions, of some rows given column by column."""
    texts = [_readable(batch[column], inputs.words) for column in inputs.columns]
    encoded = tokenizer(
        *texts,
        is_split_into_words=inputs.words,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_overflowing_tokens=False,
    )
    encodings = encoded.encodings or []
    rows: dict[str, list[Any]] = {
        "tokens": [np.asarray(ids, dtype=np.int32) for ids in encoded["input_ids"]],
        "truncated": [bool(encoding.overflowing) for encoding in encodings],
    }
    if "token_type_ids" in encoded and len(inputs.columns) > 1:
        rows["types"] = [np.asarray(types, dtype=np.int8) for types in encoded["token_type_ids"]]
    if inputs.words:
        rows["words"] = [
            first_positions(encoding.word_ids, len(words or ()), bool(encoding.overflowing))
            for encoding, words in zip(encodings, batch[inputs.columns[0]], strict=True)
        ]
    return rows


def first_positions(word_ids: Sequence[int | None], count: int, truncated: bool) -> np.ndarray:
    """Where each of `count` words begins.

    A word that the tokenizer leaves nothing of (a control character, say) is read at the first token of the row.
    After truncation the words behind the last one that is present are absent.
    """
    present = [word for word in word_ids if word is not None]
    kept = (max(present) + 1 if present else 0) if truncated else count
    positions = np.zeros(kept, dtype=np.int32)
    for position in range(len(word_ids) - 1, -1, -1):
        word = word_ids[position]
        if word is not None and word < kept:
            positions[word] = position
    return positions


def _readable(values: Sequence[Any], words: bool) -> list[Any]:
    if words:
        return [list(map(str, value)) if value else [""] for value in values]
    return ["" if value is None else str(value) for value in values]


def _digest(tokenizer: PreTrainedTokenizerBase) -> str:
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    settings.pop("truncation"), settings.pop("padding")  # left behind by the last call, no part of the tokenizer
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
