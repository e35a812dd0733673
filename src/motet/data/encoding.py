"""Token rows: a table tokenised once, cached by content, read memory-mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from motet.data.mapping import mapped, trim
from motet.data.sources import quietly
from motet.data.workers import workers
from motet.tasks.base import Inputs

__all__ = ["Ragged", "TokenRows", "token_rows", "tokenise", "tokenise_batch", "windows"]

_FORMAT = "2"  # part of every cache key; raise it when what is stored changes


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
        lengths = np.zeros(len(self), dtype=np.int32)
        for start, (offsets, _) in zip(self._starts, self._chunks, strict=False):
            lengths[start : start + len(offsets) - 1] = np.diff(offsets)
            trim()
        return lengths


@dataclass(frozen=True)
class TokenRows:
    """The tokenised rows of one split for one choice of inputs.

    Args:
        tokens: sub-word ids of every row, special tokens included.
        types: 0 for the first text of a pair, 1 for the second; None when the encoder does not ask.
        words: the position of every unit, where a row has several: the first sub-word of each word, those cut off
            absent; for windows the first token of the row, which stands for "nowhere", and all of the passage.
        truncated: share of the rows that were cut.
        chars: for windows, begin and end in the passage of every unit, ``[2 * units]`` a row.
        origin: for windows, the row of the data set that each belongs to, ascending; None when rows are rows.
    """

    tokens: Ragged
    types: Ragged | None
    words: Ragged | None
    truncated: float
    chars: Ragged | None = None
    origin: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Sub-words of every row."""
        return self.tokens.lengths

    def record(self, row: int) -> int:
        """The row of the data set that a row was made of."""
        return row if self.origin is None else int(self.origin[row])

    def rows_of(self, records: np.ndarray) -> np.ndarray:
        """All rows made of some rows of the data set, ascending."""
        return records if self.origin is None else np.flatnonzero(np.isin(self.origin, records)).astype(records.dtype)


def tokenise(dataset: Dataset, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenRows:
    """Tokenise a split, or find it in the cache of `datasets`.

    Rows whose text is missing become rows without content; no task owns them.
    """
    key = (_FORMAT, dataset._fingerprint, inputs, max_length, _digest(tokenizer))
    fingerprint = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
    columns = list(dict.fromkeys(inputs.columns))
    read = dataset.select_columns(columns, new_fingerprint=f"{fingerprint}-read")
    with quietly(), workers(read) as count:
        tokenised = read.map(
            _Tokenisation(inputs, tokenizer, max_length),
            batched=True,
            batch_size=_rows_of_a_batch(read),
            writer_batch_size=_rows_of_a_batch(read),
            with_indices=True,
            remove_columns=columns,
            new_fingerprint=fingerprint,
            num_proc=count,
        )
    files = [Path(file["filename"]) for file in tokenised.cache_files]
    tables = [pa.ipc.open_stream(mapped(file)).read_all() for file in files]
    return token_rows(pa.concat_tables(tables) if tables else tokenised.data.table)


@dataclass(frozen=True)
class _Tokenisation:
    """`tokenise_batch` with all but the rows; can be sent to another process."""

    inputs: Inputs
    tokenizer: PreTrainedTokenizerBase
    max_length: int

    def __call__(self, batch: Mapping[str, Sequence[Any]], places: Sequence[int]) -> dict[str, list[Any]]:
        trim()
        return tokenise_batch(batch, self.inputs, self.tokenizer, self.max_length, places)


def _rows_of_a_batch(dataset: Dataset) -> int:
    """As many as make batches that are neither slow to open nor large in memory."""
    return int(np.clip((1 << 20) * len(dataset) // max(1, dataset.data.nbytes), 1000, 20_000))


def token_rows(table: pa.Table) -> TokenRows:
    """The rows of a table with the columns of `tokenise_batch`, read in place."""
    names = ("tokens", "types", "words", "chars")
    columns = {name: Ragged(table.column(name)) for name in names if name in table.column_names}
    cut = table.column("truncated").to_numpy()
    return TokenRows(
        columns["tokens"],
        columns.get("types"),
        columns.get("words"),
        float(cut.mean()) if len(cut) else 0.0,
        columns.get("chars"),
        table.column("origin").to_numpy() if "origin" in table.column_names else None,
    )


def tokenise_batch(
    batch: Mapping[str, Sequence[Any]],
    inputs: Inputs,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    places: Sequence[int] = (),
) -> dict[str, list[Any]]:
    """Sub-word ids, and the positions of units where there are several, of some rows given column by column.

    Args:
        batch: the columns.
        inputs: how they are read.
        tokenizer: of the encoder.
        max_length: longest row.
        places: the row of the data set of each; windows name theirs.
    """
    texts = [_readable(batch[column], inputs.words, tokenizer) for column in inputs.columns]
    if inputs.written:
        return _written(texts[0], tokenizer, inputs.written)
    if inputs.stride is not None:
        return windows(texts, inputs.stride, tokenizer, max_length, places)
    if inputs.template:
        texts = [[_filled(inputs, cells) for cells in zip(*texts, strict=True)]]
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
    if "token_type_ids" in encoded and len(texts) > 1:
        rows["types"] = [np.asarray(types, dtype=np.int8) for types in encoded["token_type_ids"]]
    if inputs.words:
        rows["words"] = [
            first_positions(encoding.word_ids, len(words or ()), bool(encoding.overflowing))
            for encoding, words in zip(encodings, batch[inputs.columns[0]], strict=True)
        ]
    return rows


def _written(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, longest: int) -> dict[str, list[Any]]:
    """Texts as a decoder is to write them, to the token that ends a text.

    The token that some tokenizers begin a text with stays only where encoders begin with it too, as in BART.
    """
    end, begin = tokenizer.eos_token_id, tokenizer.bos_token_id
    rows: dict[str, list[Any]] = {"tokens": [], "truncated": []}
    for ids in tokenizer(text_target=list(texts), return_attention_mask=False)["input_ids"]:
        words = ids[1:] if ids and ids[0] == begin != tokenizer.cls_token_id else list(ids)
        words = words if words and words[-1] == end else [*words, end]
        rows["tokens"].append(np.asarray(words, dtype=np.int32))
        rows["truncated"].append(len(words) > longest + 1)
    return rows


def windows(
    texts: Sequence[Sequence[str]],
    stride: int,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    places: Sequence[int],
) -> dict[str, list[Any]]:
    """The last of the texts in overlapping windows, each behind the first if there are two.

    A question that would leave less than half of a row to the passage is cut.
    """
    passage = len(texts) - 1
    if passage:
        texts = [[_beginning(text, tokenizer, max_length // 2) for text in texts[0]], texts[1]]
    encoded = tokenizer(
        *texts,
        truncation="only_second" if passage else True,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_attention_mask=False,
    )
    rows: dict[str, list[Any]] = {name: [] for name in ("tokens", "words", "chars", "truncated", "origin")}
    for encoding, source in zip(encoded.encodings, encoded["overflow_to_sample_mapping"], strict=True):
        within = [at for at, part in enumerate(encoding.sequence_ids) if part == passage]
        rows["tokens"].append(np.asarray(encoding.ids, dtype=np.int32))
        rows["words"].append(np.asarray([0, *within], dtype=np.int32))
        rows["chars"].append(np.asarray([0, 0, *(c for at in within for c in encoding.offsets[at])], dtype=np.int32))
        rows["truncated"].append(False)  # nothing of a passage is lost
        rows["origin"].append(places[source] if len(places) else source)
    if "token_type_ids" in encoded and passage:
        rows["types"] = [np.asarray(encoding.type_ids, dtype=np.int8) for encoding in encoded.encodings]
    return rows


def _beginning(text: str, tokenizer: PreTrainedTokenizerBase, most: int) -> str:
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text if len(offsets) <= most else text[: offsets[most - 1][1]]


def _filled(inputs: Inputs, cells: Sequence[str]) -> str:
    return inputs.template.format_map(dict(zip(inputs.columns, cells, strict=True)))


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


def _readable(values: Sequence[Any], words: bool, tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    if not words:
        return ["" if value is None else str(value) for value in values]
    # to such tokenizers (GPT-2, RoBERTa) a word with no space before it is the rest of another
    space = " " if getattr(tokenizer, "add_prefix_space", None) is False else ""
    rows = [list(map(str, value)) if value else [""] for value in values]
    return [[row[0], *(space + word for word in row[1:])] for row in rows]


def _digest(tokenizer: PreTrainedTokenizerBase) -> str:
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    settings.pop("truncation"), settings.pop("padding")  # left behind by the last call, no part of the tokenizer
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
