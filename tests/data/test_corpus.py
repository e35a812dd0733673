from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet.data.corpus import Corpus, load_corpus, load_tables
from motet.data.examples import counts
from motet.encoders import Encoder, load_tokenizer
from motet.errors import DataError
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage, MaskedLanguage
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
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
    assert train["mood"].groups is train["tags"].groups is None


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


TEXT = "the train to Lisbon leaves at nine, Anna met Ben in Paris on Monday"
PLACES: list[dict[str, Any]] = [
    {"where": "Lisbon?", "in": TEXT, "found": [{"text": "Lisbon", "start": 13}]},
    {"where": "Berlin?", "in": TEXT, "found": []},
    {"where": "nobody asked", "in": TEXT, "found": None},
    {"where": "a film?", "in": "a film", "found": [{"text": "a film", "start": 0}]},
    {"where": "Paris?", "in": TEXT, "found": [{"text": "Paris", "start": 52}]},
]
SPAN = Spans(
    "span", source={"train": PLACES, "validation": PLACES[3:]}, question="where", context="in", answers="found"
)


def test_a_passage_is_an_example_of_several_rows(load: Any) -> None:
    examples = load(replace(SPAN, stride=2)).examples("train")["span"]
    assert len(examples) == 4
    assert examples.groups is not None
    sizes = np.bincount(examples.groups).tolist()
    assert sizes[2] == 1
    assert min(sizes[0], sizes[1], sizes[3]) > 1
    assert examples.ids == [f"train:{row}" for row, size in zip((1, 2, 4, 5), sizes, strict=True) for _ in range(size)]
    assert [record["where"] for record in examples.records()] == ["Lisbon?", "Berlin?", "a film?", "Paris?"]


def test_an_answer_lies_in_the_windows_that_hold_it(load: Any) -> None:
    examples = load(replace(SPAN, stride=2)).examples("train")["span"]
    assert examples.groups is not None
    assert examples.tokens.chars is not None
    said: dict[int, set[str]] = {}
    for at, row in enumerate(examples.rows):
        first, last = examples.target(at).astype(int)
        chars = examples.tokens.chars[row].reshape(-1, 2)
        group = int(examples.groups[at])
        text = examples.records()[group]["in"]
        said.setdefault(group, set()).add(text[chars[first][0] : chars[last][1]])
    assert said == {0: {"", "Lisbon"}, 1: {""}, 2: {"a film"}, 3: {"", "Paris"}}


def test_candidates_of_a_query_are_one_example(load: Any) -> None:
    queries, relevance = ["b", "a", "b", None, "c", "a", "b"], [0, 1, 0, 1, None, 1, 0]
    rows = [
        {"q": f"film {query}", "of": query, "c": "a heart", "r": relevant}
        for query, relevant in zip(queries, relevance, strict=True)
    ]
    task = Ranking(
        "order", source={"train": rows, "validation": rows}, query="q", candidate="c", relevance="r", query_id="of"
    )
    examples = load(task).examples("train")["order"]
    assert examples.rows.tolist() == [0, 1, 2, 5, 6], "those of no query and of no relevance are left out"
    assert examples.groups is not None
    assert examples.groups.tolist() == [0, 1, 0, 1, 0]
    assert len(examples) == 2


def test_language_models_need_no_answers(load: Any) -> None:
    train = load(
        MaskedLanguage("hidden", source=SOURCE),
        CausalLanguage("next", source=SOURCE),
        Regression("size", source=SOURCE, value="size"),
    ).examples("train")
    assert [examples.rows.tolist() for examples in train.values()] == [[n for n in range(24) if n != 3]] * 3
    assert train["hidden"].target(5).tolist() == train["next"].target(5).tolist() == []
    assert train["next"].tokens is train["size"].tokens


def test_texts_to_be_written_are_targets(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)
    rows = [{"text": f"film {n}", "reply": None if n == 1 else "in " * n} for n in range(5)]
    task = Generation("reply", source={"train": rows, "validation": rows[:3]}, target="reply", longest=6)
    with pytest.raises(DataError, match="this encoder has no sub-word that ends one"):
        load_corpus([task], tokenizer, 16)
    tokenizer.eos_token = "[SEP]"
    examples = load_corpus([task], tokenizer, 16).examples("train")["reply"]
    assert examples.rows.tolist() == [0, 2, 3, 4]
    written = [tokenizer.decode(examples.target(at).astype(int), skip_special_tokens=True) for at in range(4)]
    assert written == ["", "in in", "in in in", "in in in in"]
    with pytest.raises(
        DataError, match=r"2 texts of train are longer than 3 sub-words \(train:4 has 4, train:5 has 5\)"
    ):
        load_corpus([replace(task, longest=3)], tokenizer, 16)


def test_everything_that_is_wrong_is_told_at_once(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)
    tokenizer.eos_token = "[SEP]"
    good = [
        {**row, "text": "a film", "says": "dry", "odd": 1, "answers": [], "rank": n % 2} for n, row in enumerate(ROWS)
    ]
    rows = [dict(row) for row in good]
    rows[2]["says"], rows[6]["tags"] = "in " * 9, ["O"]
    rows[4]["answers"], rows[5]["answers"] = [{"text": "film", "start": 3}], [{"text": "film", "start": 2}]
    source = {"train": rows, "validation": [{**row, "odd": "x", "rank": 0} for row in good[:9]]}
    tasks = [
        Classification("odd", source=source, label="odd"),
        Tagging("tags", source=source, tokens="words", labels="tags"),
        Spans("part", source=source, question="", context="text", stride=2),
        Spans("wide", source=source, question="", context="text", stride=9),
        Ranking("best", source=source, query="mood", candidate="text", relevance="rank"),
        Generation("asked", source=source, prompt="{txet}?", target="says"),
        Generation("says", source=source, target="says", longest=3),
    ]
    with pytest.raises(DataError) as caught:
        load_corpus(tasks, tokenizer, 16)
    assert [str(problem).replace("\n   ", ":") for problem in caught.value.problems] == [
        "tasks.odd.label = odd: must hold one kind of value, but holds whole numbers in train, text in validation",
        "tasks.tags.labels = tags: 1 row of train: must have one tag a word, found 1 tags for 3 words "
        "(row 7, id row 6)",
        "tasks.part.answers = answers: 1 row of train: a span must lie inside its passage, found `film` at 3 of 6 "
        "(row 5, id row 4)",
        "tasks.wide.answers = answers: 1 row of train: a span must lie inside its passage, found `film` at 3 of 6 "
        "(row 5, id row 4)",
        "tasks.wide.stride = 9: must be below 5, what a window of 16 sub-words leaves to the passage. "
        "Raise encoder.max_length, or lower it.",
        "tasks.best.relevance = rank: none of the 2 examples of validation has anything relevant, "
        "so there is nothing to judge by",
        "tasks.asked.prompt = txet: is not a column of memory. Did you mean `text`?",
        "tasks.says.longest = says: 1 text of train is longer than 3 sub-words (row 2 has 10). 10 is enough for all.",
    ]


def test_windows_must_leave_room_to_the_passage(load: Any) -> None:
    with pytest.raises(
        DataError, match=r"tasks.span.stride = 5\n.*must be below 5, what a window of 16 sub-words leaves"
    ):
        load(replace(SPAN, stride=5))
    assert len(load(replace(SPAN, stride=4)).examples("train")["span"]) == 4
