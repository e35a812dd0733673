from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from motet.data.encoding import Ragged, first_positions, tokenise, tokenise_batch
from motet.data.sources import read
from motet.encoders import Encoder, load_tokenizer
from motet.tasks.base import Inputs

TEXT = Inputs(("text",))
WORDS = Inputs(("words",), words=True)
EMPTY = "\u200b"  # a character without width: the tokenizer leaves nothing of it


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)


@given(st.lists(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=4), min_size=1, max_size=5))
def test_ragged_reads_every_row_of_every_chunk(chunks: list[list[list[int]]]) -> None:
    ragged = Ragged(pa.chunked_array([pa.array(chunk, pa.list_(pa.int32())) for chunk in chunks]))
    rows = [row for chunk in chunks for row in chunk]
    assert len(ragged) == len(rows)
    assert [ragged[at].tolist() for at in range(len(rows))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]


def test_ragged_reads_slices_where_they_begin() -> None:
    column = pa.chunked_array([[[1], [2, 3], [4, 5, 6]], [[7], []]])
    ragged = Ragged(column.slice(1, 3))
    assert [ragged[at].tolist() for at in range(3)] == [[2, 3], [4, 5, 6], [7]]
    assert ragged.lengths.tolist() == [2, 3, 1]


def test_ragged_without_chunks_is_empty() -> None:
    ragged = Ragged(pa.chunked_array([], pa.list_(pa.int32())))
    assert len(ragged) == 0
    assert ragged.lengths.tolist() == []


@pytest.mark.parametrize(
    ("word_ids", "count", "truncated", "expected"),
    [
        ([None, 0, 0, 1, 2, 2, None], 3, False, [1, 3, 4]),
        ([None, 0, 2, None], 3, False, [1, 0, 2]),  # the second word vanished
        ([None, 0, None], 3, False, [1, 0, 0]),  # so did all behind the first
        ([None, None], 2, False, [0, 0]),
        ([None, 0, 1, None], 5, True, [1, 2]),
        ([None, 0, 2, None], 5, True, [1, 0, 2]),
        ([None, None], 5, True, []),
    ],
)
def test_first_positions(word_ids: list[int | None], count: int, truncated: bool, expected: list[int]) -> None:
    assert first_positions(word_ids, count, truncated).tolist() == expected


def test_words_begin_at_their_first_piece(tokenizer: PreTrainedTokenizerBase) -> None:
    words = ["Anna", "zebra", EMPTY, "Lisbon"]
    rows = tokenise_batch({"words": [words]}, WORDS, tokenizer, 32)
    pieces = tokenizer.convert_ids_to_tokens(rows["tokens"][0].tolist())
    first = [pieces[position] for position in rows["words"][0]]
    assert first == ["anna", "z", "[CLS]", "lisbon"]
    assert rows["truncated"] == [False]


def test_words_cut_off_are_absent(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = tokenise_batch({"words": [["film"] * 20, ["film"] * 6]}, WORDS, tokenizer, 8)
    assert [len(tokens) for tokens in rows["tokens"]] == [8, 8]
    assert [words.tolist() for words in rows["words"]] == [[1, 2, 3, 4, 5, 6]] * 2
    assert rows["truncated"] == [True, False]


def test_pairs_have_segments_and_single_texts_none(tokenizer: PreTrainedTokenizerBase) -> None:
    pair = tokenise_batch({"a": ["a film"], "b": ["the train leaves"]}, Inputs(("a", "b")), tokenizer, 32)
    assert pair["types"][0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert "types" not in tokenise_batch({"text": ["a film"]}, TEXT, tokenizer, 32)


def test_missing_texts_become_rows_without_content(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = tokenise_batch({"text": [None, "film"]}, TEXT, tokenizer, 32)
    assert tokenizer.convert_ids_to_tokens(rows["tokens"][0].tolist()) == ["[CLS]", "[SEP]"]


def test_a_split_on_disk_is_tokenised_once(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    call = type(tokenizer).__call__

    def counted(self: Any, *texts: Any, **options: Any) -> Any:
        calls.append(len(texts[0]))
        return call(self, *texts, **options)

    monkeypatch.setattr(type(tokenizer), "__call__", counted)
    rows = [json.dumps({"text": f"a film of {number} hearts"}) for number in range(30)]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    first = tokenise(read(tmp_path).splits["train"], TEXT, tokenizer, 16)
    assert sum(calls) == 30
    again = tokenise(read(tmp_path).splits["train"], TEXT, tokenizer, 16)
    assert sum(calls) == 30, "the second time comes from the cache"
    assert [again.tokens[at].tolist() for at in range(30)] == [first.tokens[at].tolist() for at in range(30)]
    shorter = tokenise(read(tmp_path).splits["train"], TEXT, tokenizer, 8)
    assert sum(calls) == 60, "another length is another table"
    assert shorter.lengths.max() == 8
    assert shorter.truncated > first.truncated


def test_the_share_of_cut_rows(tokenizer: PreTrainedTokenizerBase) -> None:
    source = {"train": [{"text": "film " * count} for count in (1, 2, 30, 40)], "validation": [{"text": "film"}]}
    tokens = tokenise(read(source).splits["train"], TEXT, tokenizer, 16)
    assert tokens.truncated == 0.5
    np.testing.assert_array_equal(tokens.lengths, [3, 4, 16, 16])
