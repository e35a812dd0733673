from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet.data.corpus import Corpus, counts, load_corpus, load_tables
from motet.encoders import Encoder, load_tokenizer
from motet.errors import DataError
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

ROWS: list[dict[str, Any]] = [
    {
        "id": f"row {number}",
        "text": None if number == 3 else f"a film of {number}",
        "mood": None if number % 4 == 0 else "yn"[number % 2],
        "size": float(number),
        "words": ["film", "in", "Paris"],
        "tags": ["O", None if number == 1 else "O", "B-place"],
    }
    for number in range(24)
]
SOURCE = {"train": ROWS, "validation": ROWS[:9], "test": ROWS[:6]}
MOOD = Classification("mood", source=SOURCE, label="mood")
SIZE = Regression("size", source=SOURCE, value="size")
TAGS = Tagging("tags", source=SOURCE, tokens="words", labels="tags")


@pytest.fixture
def load(tiny_encoder: Path) -> Any:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)

    def load(*tasks: Task, splits: tuple[str, ...] = ("train", "validation")) -> Corpus:
        return load_corpus(tasks, tokenizer, 16, splits=splits)

    return load


def test_rows_without_answer_or_text_belong_to_nobody(load: Any) -> None:
    train = load(MOOD, SIZE).examples("train")
    labelled = [number for number in range(24) if number % 4 and number != 3]
    assert train["mood"].rows.tolist() == labelled
    assert train["size"].rows.tolist() == [number for number in range(24) if number != 3]
    assert train["mood"].ids == [f"row {number}" for number in labelled]
    assert train["mood"].id(1) == "row 2"


def test_targets_lie_beside_their_rows(load: Any) -> None:
    corpus = load(MOOD, SIZE, TAGS)
    train, tasks = corpus.examples("train"), corpus.tasks
    for name, column in (("mood", "mood"), ("size", "size"), ("tags", "tags")):
        for at, row in enumerate(train[name].rows):
            expected = tasks[name].encode(ROWS[row][column])
            np.testing.assert_allclose(train[name].target(at), expected, rtol=1e-6)
    assert train["tags"].target(1).tolist() == [1.0, -100.0, 0.0]


def test_tasks_with_the_same_inputs_share_their_tokens(load: Any) -> None:
    train = load(MOOD, SIZE, TAGS).examples("train")
    assert train["mood"].tokens is train["size"].tokens
    assert train["mood"].tokens is not train["tags"].tokens


def test_only_the_splits_asked_for_are_loaded(load: Any) -> None:
    assert load(MOOD).examples("test") == {}
    assert counts(load(MOOD, splits=("test",)).examples("test")) == {"mood": 3}


def test_a_draw_of_examples_is_the_same_every_time(load: Any) -> None:
    size = load(SIZE).examples("train")["size"]
    few = size.take(7, seed=3)
    assert few.rows.tolist() == size.take(7, seed=3).rows.tolist() != size.take(7, seed=4).rows.tolist()
    assert few.rows.tolist() == sorted(few.rows.tolist())
    for at, row in enumerate(few.rows):
        assert few.target(at) == size.target(size.rows.tolist().index(row))
    assert size.take(None, seed=3) is size.take(99, seed=3) is size


def test_fingerprints_follow_the_content(load: Any) -> None:
    same = Classification("mood", source={split: [*rows] for split, rows in SOURCE.items()}, label="mood")
    other = Classification("mood", source={**SOURCE, "train": ROWS[:23]}, label="mood")
    assert load(MOOD).fingerprints == load(same).fingerprints
    assert load(MOOD).fingerprints != load(other).fingerprints


def test_a_source_is_read_once() -> None:
    tables = load_tables([MOOD, SIZE, TAGS])
    assert tables["mood"] is tables["size"] is tables["tags"]


def test_every_problem_of_every_task_at_once(load: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(Classification("one", source=SOURCE, label="mod"), Regression("two", source=SOURCE, value="mood"))
    message = str(caught.value)
    assert "one" in message
    assert "`mood`" in message
    assert "two" in message
    with pytest.raises(DataError) as missing:
        load_tables([SIZE, Classification("a", source=tmp_path / "x"), Classification("b", source=tmp_path / "y")])
    assert len(missing.value.problems) == 2
