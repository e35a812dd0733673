"""Tasks about a whole text that read words, as tagging does: one table, one stream, one pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.data.batches import Chunk
from motet.data.corpus import load_corpus
from motet.data.streams import streams_of
from motet.encoders import Encoder, load_tokenizer
from motet.errors import DataError, RecipeError
from motet.model import build
from motet.tasks import Classification, MultiLabel, Ordinal, Regression, Tagging, Task

ROWS = [
    {
        "words": ["Anna", "met", "Ben", "."] if row % 2 else ["the", "film"],
        "said": "Anna met Ben ." if row % 2 else "the film",
        "tags": ["B-person", "O", "B-person", "O"] if row % 2 else ["O", "O"],
        "mood": None if row == 3 else "yn"[row % 2],
        "moods": ["y"] if row % 2 else ["n"] * (row % 4 > 0),
        "stars": row % 5,
    }
    for row in range(20)
]
SOURCE = {"train": ROWS, "validation": ROWS}
TAGS = Tagging("tags", source=SOURCE, tokens="words", labels="tags")
MAKERS: dict[str, Callable[..., Task]] = {
    "classification": lambda **keys: Classification("whole", source=SOURCE, label="mood", **keys),
    "multilabel": lambda **keys: MultiLabel("whole", source=SOURCE, labels="moods", **keys),
    "ordinal": lambda **keys: Ordinal("whole", source=SOURCE, label="stars", **keys),
    "regression": lambda **keys: Regression("whole", source=SOURCE, value="stars", **keys),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@pytest.fixture
def load(tiny_encoder: Path) -> Any:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)
    return lambda *tasks: load_corpus(tasks, tokenizer, 16)


@each
def test_words_are_read_as_tagging_reads_them(make: Callable[..., Task], load: Any) -> None:
    task = make(text="words", words=True)
    assert task.inputs == TAGS.inputs
    corpus = load(task, TAGS)
    train = corpus.examples("train")
    assert train["whole"].tokens is train["tags"].tokens
    (stream,) = streams_of(corpus, seed=0)
    assert stream.tasks == ("whole", "tags")


@each
def test_texts_and_words_are_drawn_apart(make: Callable[..., Task], load: Any) -> None:
    assert len(streams_of(load(make(text="said"), TAGS), seed=0)) == 2


@each
def test_pairs_are_texts(make: Callable[..., Task]) -> None:
    with pytest.raises(RecipeError, match="must be false for a pair"):
        make(text=("words", "said"), words=True)


@each
@pytest.mark.parametrize(("text", "words", "wanted"), [("said", True, "lists of text"), ("words", False, "text")])
def test_a_column_of_another_kind_is_refused(
    make: Callable[..., Task], load: Any, text: str, words: bool, wanted: str
) -> None:
    with pytest.raises(DataError, match=f"must hold {wanted}, found"):
        load(make(text=text, words=words))


def test_one_pass_answers_both(load: Any, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = load(MAKERS["classification"](text="words", words=True), TAGS)
    torch.manual_seed(0)
    model = build(Encoder(str(tiny_encoder), max_length=16), HardSharing(), corpus.tasks).eval()
    passes: list[tuple[str, ...]] = []
    forward = model.arrangement.forward

    def counted(chunk: Chunk) -> dict[str, torch.Tensor]:
        passes.append(tuple(chunk.owned))
        return dict(forward(chunk))

    monkeypatch.setattr(model.arrangement, "forward", counted)
    answer = model.predict("Anna met Ben .")
    assert passes == [("whole", "tags")]
    assert answer["whole"]["label"] in ("n", "y")
    assert len(answer["tags"]["tags"]) == 4
    apart = Classification("whole", source=SOURCE, text="said", label="mood", classes=("n", "y"), positive="y")
    model.tasks["whole"] = apart  # the same sub-words, so the same answer
    assert np.isclose(model.predict("Anna met Ben .")["whole"]["scores"]["y"], answer["whole"]["scores"]["y"])
