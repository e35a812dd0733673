"""What tasks, runs and comparisons show in a notebook: the same as HTML, escaped and alone, and as plain text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import motet
from motet.notebook import Card
from motet.reporting.study_view import Cell, Comparison, Gain, Task, Variant
from motet.runs import RunFolder
from motet.significance import Interval, OverSeeds
from motet.training.run import Run

EVIL = '<script>alert("1")</script> & co'


class Piece(HTMLParser):
    """Reads a piece of HTML strictly."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.words.append(data)


def shown(value: Any) -> tuple[str, Piece]:
    """Both faces of an object, held against what is true of all."""
    bundle = value._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/html"}
    html = bundle["text/html"]
    assert value._repr_html_() == html
    piece = Piece(html)
    assert set(piece.tags) <= {"div", "style", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert not re.search(r"https?:|//|url\(|@import|on[a-z]+=|#[0-9a-f]{3}", html), "nothing external, no fixed colour"
    assert all(word.strip() in re.sub(r"\s+", " ", bundle["text/plain"]) for word in piece.words)
    return bundle["text/plain"], piece


TASKS: list[Any] = [
    motet.Classification("topic", source="data/topic"),
    motet.Classification("pair", source="data/pair", text=("one", "two"), where={"shop": "books"}, weight=2.0),
    motet.MultiLabel("many", source="data/many"),
    motet.Regression("stars", source="reviews.csv", value="stars"),
    motet.Ordinal("scale", source="reviews.csv"),
    motet.Tagging("entities", source="data/wnut17", tokens="tokens", labels="tags"),
    motet.Spans("answers", source="data/squad"),
    motet.Ranking("rank", source="data/rank"),
    motet.Generation("summary", source="data/sums"),
    motet.MaskedLanguage("words", source="data/words"),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_kind_of_task(task: Any) -> None:
    text, _ = shown(task)
    lines = text.splitlines()
    assert lines[0] == task.name
    assert lines[1].startswith(type(task).__name__)
    assert f"judged by  {task.headline}" in text
    assert "0 labels" not in text


def test_a_task_tells_what_was_given_and_no_defaults() -> None:
    text, _ = shown(TASKS[1])
    assert text.splitlines() == [
        "pair",
        "Classification",
        "",
        "source     data/pair",
        "reads      one, two",
        "answers    label",
        "judged by  accuracy, higher is better",
        "where      {'shop': 'books'}",
        "weight     2.0",
    ]
    assert "2 labels" in shown(motet.Classification("a", source="b", classes=("x", "y")))[0].splitlines()[1]


def test_a_table_in_memory_is_not_written_out() -> None:
    rows = [{"text": "secret", "label": str(number)} for number in range(1000)]
    for source in (rows, motet.Source(rows)):
        text, _ = shown(motet.Classification("topic", source=source))
        assert "source     a table in memory" in text
        assert "secret" not in text
    assert "source     data/x" in shown(motet.Classification("topic", source=motet.Source(Path("data/x"))))[0]


def test_a_run(tmp_path: Path) -> None:
    scores: dict[str, dict[str, Any]] = {
        "topic": {"metric": "macro_f1", "final": 0.8431, "se": 0.0109, "peak": 0.851, "state": "converged"},
        EVIL: {"metric": "rmse", "final": None, "se": None, "peak": None, "state": "learning"},
    }
    text, piece = shown(Run(RunFolder(tmp_path / "first"), "steps", scores))
    assert text.splitlines()[0] == "first"
    assert text.splitlines()[1] == f"ended: steps · {tmp_path / 'first'}"
    assert re.search(r"topic +macro_f1  0.843 ± 0.011  0.851  converged", text)
    assert EVIL in piece.words
    assert "script" not in piece.tags


def comparison(name: str = "shipped") -> Comparison:
    gain = Gain(Interval(-0.0123, -0.02, -0.01, 0.02), OverSeeds(5, -0.0123, 0.01, 0.01, None, None, None), 0.04, 0.03)
    tasks = (Task("topic", "accuracy", True, 100, True), Task("stars", "rmse", False, 100, False))
    variants = tuple(
        Variant(each, (0, 1), mean, None, of, None, None, 1.0, None, 100, 1000, 10.0)
        for each, mean, of in (("none", 0.81, None), (name, 0.7977, gain))
    )
    cells = tuple(
        Cell(task.name, variant.name, {0: 0.5}, 0.5, None) for task in tasks for variant in variants
    )  # fmt: skip
    return Comparison("first study", "none", "steps", tasks, variants, cells, seeds=(0, 1), notes=("2 seeds are few",))


def test_a_comparison() -> None:
    text, _ = shown(comparison())
    lines = text.splitlines()
    assert lines[0] == "first study"
    assert lines[1] == (
        "2 variants · 2 seeds · budget in steps · gain of the mean over none, in points · 2 seeds are few"
    )
    assert lines[3].split("  ")[0] == "variant"
    assert re.search(r"none +0.500 +0.500  0.810 +–  baseline", lines[4])
    assert re.search(r"shipped +0.500 +0.500  0.798  −1.2  worse", lines[5])
    assert EVIL in shown(comparison(EVIL))[1].words


def test_a_card_without_a_table() -> None:
    assert Card("alone").text() == "alone"
    assert "table" not in Piece(Card("alone").html()).tags
