from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.data.synthetic import SPECIAL, examples_of, table_of
from tests.training.conftest import source
from torch import Tensor

from motet.data.batches import Chunk, Padding, collate, cut, reading_chunks, training_chunks
from motet.data.corpus import Corpus, load_corpus
from motet.data.examples import Examples
from motet.data.masking import Masking
from motet.encoders import Encoder, load_tokenizer
from motet.tasks.classification import Classification
from motet.tasks.language import MaskedLanguage
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

PADDING = Padding(pad=0, largest=120, overhead=8)
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=8).map(lambda found: np.asarray(sorted(found)[::-1]))


def price(pieces: list[slice], lengths: np.ndarray, overhead: int) -> int:
    return sum(len(lengths[piece]) * int(lengths[piece][0]) + overhead for piece in pieces)


def every_cut(count: int) -> Iterator[list[slice]]:
    for borders in product([False, True], repeat=count - 1):
        at = [0, *(place for place, border in enumerate(borders, 1) if border), count]
        yield [slice(start, end) for start, end in pairwise(at)]


def allowed(pieces: list[slice], lengths: np.ndarray, largest: int) -> bool:
    return all(len(lengths[p]) == 1 or len(lengths[p]) * lengths[p][0] <= largest for p in pieces)


@given(LENGTHS, st.integers(1, 60), st.integers(0, 20))
def test_cut_is_the_cheapest_of_all_cuts(lengths: np.ndarray, largest: int, overhead: int) -> None:
    found = cut(lengths, Padding(pad=0, largest=largest, overhead=overhead))
    assert [row for piece in found for row in range(len(lengths))[piece]] == list(range(len(lengths)))
    assert allowed(found, lengths, largest)
    candidates = [pieces for pieces in every_cut(len(lengths)) if allowed(pieces, lengths, largest)]
    assert price(found, lengths, overhead) == min(price(pieces, lengths, overhead) for pieces in candidates)


def test_nothing_is_cut_into_nothing() -> None:
    assert cut(np.zeros(0, dtype=np.int64), PADDING) == []


def test_little_padding_on_mixed_lengths() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(4, 128, 200))[::-1]
    padded = price(cut(lengths, Padding(pad=0)), lengths, 0)
    assert padded < 1.06 * lengths.sum()
    assert lengths.max() * len(lengths) > 1.8 * lengths.sum(), "which is what one block would cost"


@pytest.fixture(scope="module")
def corpus(tiny_encoder: Path) -> Corpus:
    shared = source(train=30, validation=4)
    for number, row in enumerate(shared["train"]):
        row["mood"] = None if number % 3 == 0 else row["mood"]
        row["count"] = None if number % 5 == 0 else row["count"]
    tasks = [
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
        Classification("within", source=source(20, 4, seed=7), text=("text", "other"), label="within"),
        Tagging("places", source=source(20, 4, seed=8), tokens="tokens", labels="tags"),
    ]
    return load_corpus(tasks, load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder), 16)


def drawn(corpus: Corpus, *tasks: str) -> Any:
    """All table rows of the tables behind some tasks, each table once."""
    train = corpus.examples("train")
    groups: dict[int, dict[str, Any]] = {}
    for task in tasks:
        groups.setdefault(id(train[task].tokens), {})[task] = train[task]
    return [(owners, np.arange(len(next(iter(owners.values())).tokens.lengths))) for owners in groups.values()]


EVERY = ("mood", "count", "within", "places")


def test_every_example_is_in_one_chunk(corpus: Corpus) -> None:
    seen: dict[str, Counter[int]] = {task: Counter() for task in EVERY}
    chunks = training_chunks(drawn(corpus, *EVERY), PADDING)
    for chunk in chunks:
        for task, own in chunk.owned.items():
            seen[task].update(own.examples.tolist())
    assert seen == {task: dict.fromkeys(range(len(e)), 1) for task, e in corpus.examples("train").items()}
    assert len(chunks) > 3
    assert all(chunk.padded <= PADDING.largest or len(chunk.tokens) == 1 for chunk in chunks)
    assert all(chunk.real == int(chunk.mask.sum()) for chunk in chunks)


def test_rows_that_nobody_labels_are_left_out(corpus: Corpus) -> None:
    owned_by_both = {number for number in range(30) if number % 3 or number % 5}
    (group,) = drawn(corpus, "mood", "count")
    chunks = training_chunks([group], PADDING)
    assert sum(len(chunk.tokens) for chunk in chunks) == len(owned_by_both)
    alone = training_chunks([({"mood": group[0]["mood"]}, group[1])], PADDING)
    assert sum(len(chunk.tokens) for chunk in alone) == 20
    assert training_chunks([], PADDING) == []


def test_targets_tokens_and_words_belong_together(corpus: Corpus) -> None:
    train = corpus.examples("train")
    for chunk in training_chunks(drawn(corpus, *EVERY), PADDING):
        for task, own in chunk.owned.items():
            examples = train[task]
            expected = [examples.target(at)[: own.lengths[n]] for n, at in enumerate(own.examples)]
            assert own.target is not None
            np.testing.assert_array_equal(own.target.numpy(), np.concatenate(expected))
            for place, at in zip(own.rows.tolist(), own.examples, strict=True):
                row = int(examples.rows[at])
                assert chunk.tokens[place][chunk.mask[place] == 1].tolist() == examples.tokens.tokens[row].tolist()
                if examples.tokens.types is not None:
                    assert chunk.types is not None
                    assert chunk.types[place][chunk.mask[place] == 1].tolist() == examples.tokens.types[row].tolist()
                if own.words is not None and examples.tokens.words is not None:
                    assert own.words[1][own.words[0] == place].tolist() == examples.tokens.words[row].tolist()


def test_words_cut_off_have_no_target(corpus: Corpus, tiny_encoder: Path) -> None:
    tasks = [Tagging("places", source=source(20, 4, seed=8), tokens="tokens", labels="tags")]
    short = load_corpus(tasks, load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder), 8)
    examples = short.examples("train")["places"]
    for chunk in training_chunks(drawn(short, "places"), PADDING):
        own = chunk.owned["places"]
        assert own.target is not None
        assert own.words is not None
        assert own.words.shape[1] == len(own.target) == own.lengths.sum()
    assert sum(len(examples.target(at)) for at in range(len(examples))) > sum(
        int(chunk.owned["places"].lengths.sum()) for chunk in training_chunks(drawn(short, "places"), PADDING)
    )


def test_a_part_holds_what_the_whole_holds(corpus: Corpus) -> None:
    for chunk in training_chunks(drawn(corpus, *EVERY), Padding(pad=0, largest=4096, overhead=10**6)):
        assert len(chunk.owned) == 4, "the whole step is one chunk"
        for task, own in chunk.owned.items():
            part = chunk.part(task)
            (name, alone), *others = part.owned.items()
            assert (name, others) == (task, [])
            assert torch.equal(part.tokens, chunk.tokens[own.rows])
            assert torch.equal(_read(part, task), _read(chunk, task))
            assert part.real == int(part.mask.sum())
            assert (alone.examples == own.examples).all()


def _read(chunk: Chunk, task: str) -> Tensor:
    """The tokens that the units of a task are read at."""
    own = chunk.owned[task]
    return chunk.tokens[own.rows] if own.words is None else chunk.tokens[own.words[0], own.words[1]]


def test_a_chunk_moves_whole(corpus: Corpus) -> None:
    chunk = training_chunks(drawn(corpus, *EVERY), Padding(pad=0, overhead=10**6))[0].to(torch.device("meta"))
    own = chunk.owned["places"]
    assert chunk.types is not None
    assert own.words is not None
    assert own.target is not None
    assert {t.device.type for t in (chunk.tokens, chunk.mask, chunk.types, own.rows, own.words, own.target)} == {"meta"}


def test_collate_pads_to_the_longest(corpus: Corpus) -> None:
    table = corpus.examples("train")["within"].tokens
    tokens, mask, types = collate(table, [3, 1, 4], pad=7)
    assert tokens.shape == mask.shape == (3, max(table.lengths[[3, 1, 4]]))
    assert types is not None
    assert (tokens[mask == 0] == 7).all()
    assert tokens[1][mask[1] == 1].tolist() == table.tokens[1].tolist()


def test_reading_takes_every_row_once(corpus: Corpus) -> None:
    examples = corpus.examples("train")["places"]
    words = examples.tokens.words
    assert words is not None
    rows = np.arange(0, len(examples.tokens.lengths), 2)
    seen = []
    topic = Classification("topic", source={})
    for chunk, here in reading_chunks(examples.tokens, rows, {"places": examples.task, "topic": topic}, PADDING):
        assert chunk.owned["places"].lengths.tolist() == [len(words[int(row)]) for row in here]
        assert chunk.owned["topic"].words is None
        assert chunk.owned["topic"].target is chunk.owned["places"].target is None
        assert chunk.padded <= PADDING.largest
        seen += here.tolist()
    assert sorted(seen) == rows.tolist()


def test_reading_examples_gives_each_task_its_rows_with_their_answers(corpus: Corpus) -> None:
    train = corpus.examples("train")
    both = {"mood": train["mood"].take(11, seed=0), "count": train["count"].take(9, seed=1)}
    rows = np.union1d(both["mood"].rows, both["count"].rows)
    tasks = {name: examples.task for name, examples in both.items()}
    tokens = train["mood"].tokens
    seen: dict[str, list[int]] = {name: [] for name in both}
    for chunk, here in reading_chunks(tokens, rows, tasks, PADDING, both):
        shown = [chunk.tokens[at][chunk.mask[at] == 1].tolist() for at in range(len(here))]
        assert shown == [tokens.tokens[int(row)].tolist() for row in here]
        for name, own in chunk.owned.items():
            assert here[own.rows].tolist() == both[name].rows[own.examples].tolist()
            assert own.target is not None
            assert own.target.tolist() == [both[name].target(at).item() for at in own.examples]
            seen[name] += here[own.rows].tolist()
    assert {name: sorted(found) for name, found in seen.items()} == {n: e.rows.tolist() for n, e in both.items()}


ORDER = Ranking("order", source="a.csv", query="number", candidate="number", relevance="number")
MOOD = Classification("mood", source="a.csv", text="number", label="number")
OTHER = Classification("other", source="a.csv", text="number", label="number")
Drawn = list[tuple[dict[str, Examples], np.ndarray]]


def step_of(lengths: list[int], ties: list[int]) -> Drawn:
    """Rows drawn from two tables: in the first a task ties rows and another does not, in the second there are no ties.

    The tied task labels all rows but every third, the other all but every fourth.
    """
    first, second = table_of(lengths), table_of([5] * 7)
    every = range(len(lengths))
    labelled = [row for row in every if row % 3 != 2]
    groups = list(dict.fromkeys(ties[row] for row in labelled))
    order = examples_of(ORDER, first, labelled, [groups.index(ties[row]) for row in labelled])
    mood = examples_of(MOOD, first, [row for row in every if row % 4 != 3])
    other = examples_of(OTHER, second, range(7))
    return [({"order": order, "mood": mood}, np.arange(len(lengths))), ({"other": other}, np.arange(1, 7, 2))]


STEPS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), min_size=1, max_size=25).map(
    lambda rows: step_of([length for length, _ in rows], [tie for _, tie in rows])
)


def units_of(chunks: list[Chunk]) -> Counter[Any]:
    """What every task is asked, with the row it is asked of."""
    found: Counter[Any] = Counter()
    for chunk in chunks:
        for task, own in chunk.owned.items():
            assert own.target is not None
            for place, at, target in zip(own.rows.tolist(), own.examples.tolist(), own.target.tolist(), strict=True):
                found[task, at, target, tuple(chunk.tokens[place][chunk.mask[place] == 1].tolist())] += 1
    return found


@given(STEPS, st.integers(1, 4))
def test_processes_share_what_one_would_do(step: Drawn, shards: int) -> None:
    chunks = training_chunks(step, PADDING, shards=shards)
    found = units_of(chunks)
    assert set(found.values()) <= {1}
    assert found == units_of(training_chunks(step, PADDING))
    assert {chunk.shard for chunk in chunks} <= set(range(shards))
    assert [chunk.shard for chunk in chunks] == sorted(chunk.shard for chunk in chunks)
    assert all(chunk.padded <= PADDING.largest or len(chunk.tokens) == 1 for chunk in chunks)


@given(STEPS, st.integers(2, 4))
def test_an_example_goes_to_one_process(step: Drawn, shards: int) -> None:
    where: dict[int, set[int]] = {}
    for chunk in training_chunks(step, PADDING, shards=shards):
        if "order" in chunk.owned:
            groups = chunk.owned["order"].groups
            assert groups is not None
            for group in groups.tolist():
                where.setdefault(group, set()).add(chunk.shard)
    assert len(where) == len(step[0][0]["order"])
    assert all(len(shards_of) == 1 for shards_of in where.values())


@given(STEPS, st.integers(2, 4))
def test_processes_get_about_as_much(step: Drawn, shards: int) -> None:
    chunks = training_chunks(step, PADDING, shards=shards)
    loads = [sum(chunk.real for chunk in chunks if chunk.shard == shard) for shard in range(shards)]
    tied, rows = step[0][0]["order"], step[0][1]
    lengths = tied.tokens.lengths[rows]
    assert tied.groups is not None
    largest = max(np.bincount(tied.groups, weights=tied.tokens.lengths[tied.rows]).max(), lengths.max(), 5)
    assert max(loads) - min(loads) <= largest


def test_many_rows_are_dealt_out_evenly() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 200).tolist()
    step: Drawn = [({"mood": examples_of(MOOD, table_of(lengths), range(200))}, np.arange(200))]
    chunks = training_chunks(step, Padding(pad=0), shards=4)
    loads = [sum(chunk.real for chunk in chunks if chunk.shard == shard) for shard in range(4)]
    assert max(loads) < 1.01 * min(loads)
    assert sum(loads) == sum(lengths)
    padded = [sum(chunk.padded for chunk in chunks if chunk.shard == shard) for shard in range(4)]
    assert max(padded) < 1.15 * min(padded)


def test_a_process_may_be_left_without_work() -> None:
    step: Drawn = [({"mood": examples_of(MOOD, table_of([4, 6]), [0, 1])}, np.arange(2))]
    chunks = training_chunks(step, PADDING, shards=4)
    assert sorted(chunk.shard for chunk in chunks) == [0, 1]
    assert training_chunks([], PADDING, shards=3) == []


def test_words_are_hidden_by_the_salt_of_the_step_in_any_chunk() -> None:
    hidden = MaskedLanguage("hidden", source="a.csv", text="number", share=0.3)
    step: Drawn = [({"hidden": examples_of(hidden, table_of(range(10, 30)), range(20))}, np.arange(20))]
    masking = Masking(mask=1, size=900, special=frozenset(range(SPECIAL)))
    whole = Padding(pad=0, overhead=10**6, masking=masking)
    small = Padding(pad=0, largest=40, masking=masking)
    (one,) = training_chunks(step, whole, salt=5)
    assert units_hidden([one]) == units_hidden(training_chunks(step, small, salt=5, shards=3))
    assert units_hidden([one]) != units_hidden(training_chunks(step, whole, salt=6))
    own = one.owned["hidden"]
    assert own.words is not None
    assert own.target is not None
    assert own.lengths.sum() == own.words.shape[1] == len(own.target)
    truth, shown = table_of(range(10, 30)), one.tokens[own.words[0], own.words[1]]
    original = [truth.tokens[int(own.examples[own.rows.tolist().index(row)])][at] for row, at in own.words.T.tolist()]
    assert own.target.tolist() == original
    assert 0.6 < (shown == masking.mask).float().mean() < 0.95


def units_hidden(chunks: list[Chunk]) -> dict[int, list[int]]:
    """The sub-words to guess in every row."""
    found: dict[int, list[int]] = {}
    for chunk in chunks:
        own = chunk.owned["hidden"]
        assert own.target is not None
        for at, target in zip(own.examples, torch.split(own.target, own.lengths.tolist()), strict=True):
            found[int(at)] = target.tolist()
    return found
