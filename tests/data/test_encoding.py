from __future__ import annotations

import copy
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from motet.data.encoding import Ragged, TokenRows, first_positions, token_rows, tokenise, tokenise_batch, windows
from motet.data.sources import read
from motet.encoders import Encoder, load_tokenizer
from motet.tasks.base import Inputs

TEXT = Inputs(("text",))
WORDS = Inputs(("words",), words=True)
PASSAGES = Inputs(("question", "passage"), stride=2)
PASSAGE = "The train to Lisbon leaves at nine,  Anna met Ben in Paris on Monday. Does it rain in London today?"
LONG = f"{PASSAGE} {PASSAGE}"
QUESTION = "does it rain?"
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


def windows_of(
    tokenizer: PreTrainedTokenizerBase, *texts: list[str], length: int = 16, stride: int = 2, places: Any = ()
) -> TokenRows:
    return token_rows(pa.table(windows(texts, stride, tokenizer, length, places)))


def passage_of(tokenizer: PreTrainedTokenizerBase, tokens: TokenRows, row: int) -> list[str]:
    """The sub-words that the units of a window are read at, without that of "nowhere"."""
    assert tokens.words is not None
    return list(tokenizer.convert_ids_to_tokens(tokens.tokens[row][tokens.words[row][1:]].tolist()))


@pytest.mark.parametrize("texts", [[[LONG]], [[QUESTION], [LONG]]], ids=["passage alone", "with a question"])
@pytest.mark.parametrize("stride", [0, 1, 4])
def test_windows_overlap_by_the_stride_and_miss_nothing(
    tokenizer: PreTrainedTokenizerBase, texts: list[list[str]], stride: int
) -> None:
    tokens = windows_of(tokenizer, *texts, stride=stride)
    parts = [passage_of(tokenizer, tokens, row) for row in range(len(tokens.lengths))]
    assert len(parts) > 2
    assert all(left[len(left) - stride :] == right[:stride] for left, right in pairwise(parts))
    whole = parts[0] + [piece for part in parts[1:] for piece in part[stride:]]
    assert whole == tokenizer.tokenize(LONG)
    assert tokens.lengths.max() == 16
    assert tokens.truncated == 0.0


@pytest.mark.parametrize("texts", [[[PASSAGE]], [[QUESTION], [PASSAGE]]], ids=["passage alone", "with a question"])
def test_units_point_at_their_characters(tokenizer: PreTrainedTokenizerBase, texts: list[list[str]]) -> None:
    tokens = windows_of(tokenizer, *texts)
    assert tokens.chars is not None
    assert tokens.words is not None
    for row in range(len(tokens.lengths)):
        nowhere, *places = tokens.chars[row].reshape(-1, 2).tolist()
        assert nowhere == [0, 0]
        assert tokens.words[row][0] == 0, "which is read at the first token"
        assert len(places) == len(tokens.words[row]) - 1
        spelled = [PASSAGE[begin:end].lower() for begin, end in places]
        assert spelled == [piece.removeprefix("##") for piece in passage_of(tokenizer, tokens, row)]


def test_every_window_begins_with_the_question(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = windows_of(tokenizer, [QUESTION], [PASSAGE])
    begin = tokenizer.convert_tokens_to_ids(["[CLS]", "does", "it", "rain", "?", "[SEP]"])
    assert tokens.types is not None
    for row in range(len(tokens.lengths)):
        assert tokens.tokens[row][:6].tolist() == begin
        assert tokens.types[row].tolist() == [0] * 6 + [1] * (len(tokens.tokens[row]) - 6)
    assert windows_of(tokenizer, [PASSAGE]).types is None


def test_a_question_leaves_half_of_a_row_to_the_passage(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = windows_of(tokenizer, ["rain " * 30], [PASSAGE])
    for row in range(len(tokens.lengths)):
        pieces = tokenizer.convert_ids_to_tokens(tokens.tokens[row].tolist())
        assert pieces[:10] == ["[CLS]", *["rain"] * 8, "[SEP]"]
    parts = [passage_of(tokenizer, tokens, row) for row in range(len(tokens.lengths))]
    assert max(map(len, parts)) == 16 - 8 - tokenizer.num_special_tokens_to_add(pair=True)
    assert parts[0] + [piece for part in parts[1:] for piece in part[2:]] == tokenizer.tokenize(PASSAGE)


def test_a_passage_that_fits_is_one_window(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = windows_of(tokenizer, ["a film", "", "a film"])
    assert tokens.words is not None
    assert tokens.chars is not None
    assert [tokens.words[row].tolist() for row in range(3)] == [[0, 1, 2], [0], [0, 1, 2]]
    assert [tokens.chars[row].tolist() for row in range(3)] == [[0, 0, 0, 1, 2, 6], [0, 0], [0, 0, 0, 1, 2, 6]]


def test_windows_know_their_passage(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = windows_of(tokenizer, ["a film", PASSAGE, "the train"], places=[5, 6, 9])
    count = len(tokens.lengths)
    assert [tokens.record(row) for row in range(count)] == [5, *[6] * (count - 2), 9]
    assert tokens.rows_of(np.asarray([5, 9])).tolist() == [0, count - 1]
    assert tokens.rows_of(np.asarray([6, 7])).tolist() == list(range(1, count - 1))


def test_rows_that_are_no_windows_are_their_own_records(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = token_rows(pa.table(tokenise_batch({"text": ["a film"] * 3}, TEXT, tokenizer, 16)))
    assert tokens.origin is None
    assert tokens.record(2) == 2
    assert tokens.rows_of(np.asarray([0, 2])).tolist() == [0, 2]


def test_a_split_is_cut_in_windows_across_batches(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [{"question": QUESTION, "passage": PASSAGE if n % 2 else "a film"} for n in range(1002)]
    tokens = tokenise(read({"train": rows, "validation": rows[:1]}).splits["train"], PASSAGES, tokenizer, 16)
    few = windows_of(tokenizer, [QUESTION], [PASSAGE])
    assert tokens.origin is not None
    assert np.bincount(tokens.origin).tolist() == [1, len(few.lengths)] * 501
    last = tokens.rows_of(np.asarray([1001]))
    assert [tokens.tokens[row].tolist() for row in last] == [few.tokens[n].tolist() for n in range(len(few.lengths))]


def test_a_template_is_read_in_place_of_its_columns(tokenizer: PreTrainedTokenizerBase) -> None:
    inputs = Inputs(("city", "time"), template="the train to {city} leaves at {time}")
    rows = tokenise_batch({"city": ["Lisbon", None], "time": ["nine", 9]}, inputs, tokenizer, 32)
    assert [tokenizer.decode(tokens.tolist()[1:-1]) for tokens in rows["tokens"]] == [
        "the train to lisbon leaves at nine",
        "the train to leaves at 9",
    ]


@pytest.mark.parametrize(
    ("begin", "encoders_begin", "first"),
    [(None, "[CLS]", ["[CLS]"]), ("[CLS]", "[CLS]", ["[CLS]"]), ("[CLS]", None, [])],
    ids=["no token of its own", "as encoders begin", "decoders alone"],
)
def test_texts_to_be_written(
    tokenizer: PreTrainedTokenizerBase, begin: str | None, encoders_begin: str | None, first: list[str]
) -> None:
    writer = copy.deepcopy(tokenizer)
    writer.bos_token, writer.cls_token, writer.eos_token = begin, encoders_begin, "[SEP]"
    rows = tokenise_batch({"text": ["a film", None, "in Paris on Monday"]}, Inputs(("text",), written=3), writer, 4)
    said = [writer.convert_ids_to_tokens(tokens.tolist()) for tokens in rows["tokens"]]
    assert said == [[*first, *words, "[SEP]"] for words in (["a", "film"], [], ["in", "paris", "on", "monday"])]
    assert rows["truncated"] == [False, False, True], "but nothing is cut here"


def test_a_text_ends_where_the_tokenizer_leaves_that_to_others(tokenizer: PreTrainedTokenizerBase) -> None:
    writer = copy.deepcopy(tokenizer)
    writer.eos_token = "[MASK]"  # which the tokenizer puts nowhere
    rows = tokenise_batch({"text": ["a film"]}, Inputs(("text",), written=9), writer, 4)
    assert writer.convert_ids_to_tokens(rows["tokens"][0].tolist())[-2:] == ["[SEP]", "[MASK]"]
