"""A first recipe from cards and columns, with everything that was decided told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from motet.data.sources import as_source, read
from motet.errors import DataError, RecipeError
from motet.recipe import load
from motet.recipe.draft import draft
from motet.recipe.guess import guess
from motet.recipe.parsing import parse_yaml
from motet.registry import part_name


def folder_with_card(folder: Path, *tasks: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    row = {"text": "t", "text_a": "t", "text_b": "t", "label": "a", "score": 1.0, "tokens": ["t"], "tags": ["O"]}
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return folder


def card_task(name: str, of_type: str, inputs: list[str], target: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of_type, "inputs": inputs, "target": target, **more}


def tasks_of(text: str) -> dict[str, Any]:
    return dict(parse_yaml(text).data["tasks"])


def test_types_columns_and_metrics_of_a_card(tmp_path: Path) -> None:
    pair = ["text_a", "text_b"]
    folder = folder_with_card(
        tmp_path / "set",
        card_task("a", "classification", ["text"], "label", metric="mcc"),
        card_task("b", "pair_classification", pair, "label", metric="f1_positive", positive="a"),
        card_task("c", "pair_regression", pair, "score", metric="spearman"),
        card_task("d", "sequence_tagging", ["tokens"], "tags", metric="span_f1"),
        card_task("e", "classification", ["text"], "label", task_per="domain"),
        card_task("f", "translation", ["text"], "target", metric="bleu"),
        card_task("g", "classification", ["a", "b", "c"], "label"),
        card_task("h", "regression", ["text"], "score", metric="ndcg"),
    )
    made = draft([folder], tmp_path)
    assert tasks_of(made.text) == {
        "a": {"type": "classification", "source": "set", "text": "text", "label": "label", "metric": "matthews"},
        "b": {
            "type": "classification",
            "source": "set",
            "text": pair,
            "label": "label",
            "metric": "f1_positive",
            "positive": "a",
        },
        "c": {"type": "regression", "source": "set", "text": pair, "value": "score", "metric": "spearman"},
        "d": {"type": "tagging", "source": "set", "tokens": "tokens", "labels": "tags", "metric": "span_f1"},
        "e": {"type": "classification", "source": "set", "text": "text", "label": "label", "per": "domain"},
        "h": {"type": "regression", "source": "set", "text": "text", "value": "score"},
    }
    assert made.notes == (
        "set: `f` (translation) is left out; motet has no such task yet.",
        "set: `g` (classification) is left out; motet has no such task yet.",
        "set: `h` is scored by ndcg elsewhere, which `regression` does not have.",
    )


def test_a_card_of_several_labels_spans_candidates_and_plain_text(tmp_path: Path) -> None:
    folder = folder_with_card(
        tmp_path / "set",
        card_task("a", "multilabel_classification", ["text"], "labels", metric="micro_f1", positive="joy"),
        card_task("b", "span_extraction", ["question", "context"], "answers", metric="token_f1", task_per="domain"),
        card_task("c", "ranking", ["asked", "offered"], "grade", metric="p_at_1", group="asked_id"),
        card_task("d", "ranking", ["asked", "offered"], "grade", metric="mrr"),
        card_task("e", "language_modeling", ["text"], "text", metric="perplexity"),
    )
    made = draft([folder], tmp_path)
    ranking = {"type": "ranking", "source": "set", "query": "asked", "candidate": "offered", "relevance": "grade"}
    assert tasks_of(made.text) == {
        "a": {"type": "multilabel", "source": "set", "text": "text", "labels": "labels", "metric": "micro_f1"},
        "b": {
            "type": "spans",
            "source": "set",
            "question": "question",
            "context": "context",
            "answers": "answers",
            "metric": "token_f1",
            "per": "domain",
        },
        "c": {**ranking, "metric": "precision_at_1", "query_id": "asked_id"},
        "d": {**ranking, "metric": "mrr"},
        "e": {"type": "masked_language", "source": "set", "text": "text", "metric": "perplexity"},
    }
    assert made.notes == ("set: `e` becomes `masked_language`; with a decoder, take `causal_language`.",)


@pytest.mark.parametrize(
    "spelled",
    [
        card_task("a", "ranking", ["query"], "relevance"),
        card_task("a", "sequence_tagging", ["tokens", "words"], "tags"),
        card_task("a", "language_modeling", ["text", "title"], "text"),
        card_task("a", "multilabel_classification", ["text"], ""),
        card_task("a", "classification", [], "label"),
    ],
)
def test_columns_that_a_type_has_no_use_for(tmp_path: Path, spelled: dict[str, Any]) -> None:
    folder = folder_with_card(tmp_path / "set", spelled, card_task("b", "classification", ["text"], "label"))
    made = draft([folder], tmp_path)
    assert list(tasks_of(made.text)) == ["b"]
    assert made.notes == (f"set: `a` ({spelled['type']}) is left out; motet has no such task yet.",)


def test_spans_of_another_form_are_left_out(tmp_path: Path) -> None:
    folder = folder_with_card(
        tmp_path / "set",
        card_task("a", "span_extraction", ["requested_slots", "text"], "slots", metric="span_f1"),
        card_task("b", "span_extraction", ["question", "context"], "spans"),
        card_task("c", "classification", ["text"], "label"),
    )
    made = draft([folder], tmp_path)
    assert list(tasks_of(made.text)) == ["c"]
    reason = "is left out; its columns are not question, context and answers."
    assert made.notes == (f"set: `a` (span_extraction) {reason}", f"set: `b` (span_extraction) {reason}")


def test_tasks_that_write_are_left_out_beside_others(tmp_path: Path) -> None:
    folder = folder_with_card(
        tmp_path / "set",
        card_task("a", "generation", ["text"], "target", metric="bleu"),
        card_task("b", "classification", ["text"], "label"),
    )
    made = draft([folder], tmp_path)
    assert list(tasks_of(made.text)) == ["b"]
    assert "encoder" not in parse_yaml(made.text).data
    (note,) = made.notes
    assert note.startswith("set: `a` writes texts, which takes an encoder-decoder or a decoder")
    assert note.endswith("it is left out.")


def test_tasks_that_write_by_themselves_get_an_encoder_that_can(tmp_path: Path) -> None:
    folder = folder_with_card(
        tmp_path / "set",
        card_task("a", "generation", ["text_a", "text_b"], "label", metric="rouge_l"),
        card_task("b", "generation", ["text"], "label", metric="slot_error_rate"),
    )
    made = draft([folder], tmp_path)
    assert tasks_of(made.text) == {
        "a": {
            "type": "generation",
            "source": "set",
            "text": ["text_a", "text_b"],
            "target": "label",
            "metric": "rouge_l",
        },
        "b": {"type": "generation", "source": "set", "text": "text", "target": "label"},
    }
    assert made.notes[0] == "set: `b` is scored by slot_error_rate elsewhere, which `generation` does not have."
    assert [note.endswith(": the recipe names google-t5/t5-small.") for note in made.notes[1:]] == [True, True]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(made.text, encoding="utf-8")
    assert load(recipe).experiment.encoder.name == "google-t5/t5-small"


def test_names_that_clash_get_that_of_their_source(tmp_path: Path) -> None:
    one = card_task("mood", "classification", ["text"], "label")
    folders = [folder_with_card(tmp_path / name, one) for name in ("x", "y")]
    (tmp_path / "deeper").mkdir()
    folders.append(folder_with_card(tmp_path / "deeper" / "x", one))
    made = draft(folders, tmp_path)
    assert list(tasks_of(made.text)) == ["x-mood", "y-mood", "x-2-mood"]
    assert parse_yaml(made.text).data["sources"]["x-2"] == {"path": "deeper/x"}


def test_sources_without_a_task_are_left_out(tmp_path: Path) -> None:
    known = folder_with_card(tmp_path / "known", card_task("a", "classification", ["text"], "label"))
    unknown = folder_with_card(tmp_path / "unknown", card_task("b", "parsing", ["text"], "label"))
    assert list(parse_yaml(draft([known, unknown], tmp_path).text).data["sources"]) == ["known"]


def test_a_plain_file_is_guessed_at_and_the_recipe_loads(tmp_path: Path) -> None:
    rows = "id,review,stars\n" + "".join(f"r{n},text number {n},{n % 5}\n" for n in range(50))
    (tmp_path / "reviews.csv").write_text(rows, encoding="utf-8")
    made = draft([tmp_path / "reviews.csv"], tmp_path)
    assert made.notes == (f"{tmp_path / 'reviews.csv'}: guessed a classification (text review, label stars).",)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(made.text, encoding="utf-8")
    (task,) = load(recipe).experiment.tasks
    assert (task.name, task.inputs.columns, task.target) == ("reviews", ("review",), "stars")


def test_nothing_to_learn_is_said(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("text\n" + "".join(f"text {n}\n" for n in range(20)), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"no task in this data.*\n.*no column looks like the answer"):
        draft([tmp_path / "plain.csv"], tmp_path)


def test_a_card_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="is no card"):
        draft([tmp_path], tmp_path)


def test_every_real_card_makes_a_recipe_that_loads(data_folder: Path, tmp_path: Path) -> None:
    folders = sorted(card.parent for card in data_folder.glob("*/dataset.json"))
    recipe = tmp_path / "recipe.yaml"
    made = draft(folders, tmp_path)
    recipe.write_text(made.text, encoding="utf-8")
    experiment = load(recipe).experiment
    kinds = {part_name(task) for task in experiment.tasks}
    assert kinds == {"classification", "multilabel", "regression", "tagging", "spans", "ranking", "masked_language"}
    drafted = {as_source(task.source).name for task in experiment.tasks}
    writing = {"cogs", "e2e_nlg", "hetpqa_answers", "rnnlg", "semipqa_d2t"}  # and nothing else
    assert {folder.name for folder in folders} - drafted == writing
    assert not [note for note in made.notes if "no such task" in note]


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        (lambda n: {"tokens": ["a", "b"], "ner_tags": ["O", "O"], "lemma": ["a", "b"]}, ("tokens", "ner_tags")),
        (
            lambda n: {"sentence1": f"a {n}", "sentence2": f"b {n}", "label": n % 2},
            (["sentence1", "sentence2"], "label"),
        ),
        (
            lambda n: {"sentence1": f"a {n}", "sentence2": f"b {n}", "score": n / 3},
            (["sentence1", "sentence2"], "score"),
        ),
        (lambda n: {"label": "ab"[n % 2], "text": f"t {n}", "note": "xy"[n % 2]}, ("text", "label")),
        (lambda n: {"kind": "ab"[n % 2], "short": f"{n}", "long": f"a longer text {n}"}, ("long", "kind")),
        (lambda n: {"text": f"t {n}", "spam": n % 3 == 0}, ("text", "spam")),
        (lambda n: {"text": f"t {n}", "year": 1900 + n % 25}, ("text", "year")),
    ],
)
def test_columns_by_name_and_by_content(row: Any, meant: tuple[Any, str]) -> None:
    found = guess(read([row(n) for n in range(60)]))
    text = found.get("tokens", found.get("text"))
    answer = found.get("labels", found.get("label", found.get("value")))
    assert (text, answer) == meant


@pytest.mark.parametrize(
    "row",
    [
        lambda n: {"text": f"t {n}", "id": n},
        lambda n: {"text": f"t {n}", "label": "always"},
        lambda n: {"label": "ab"[n % 2], "stars": n % 3},
        lambda n: {"tokens": ["a", "b"]},
    ],
)
def test_columns_that_say_nothing(row: Any) -> None:
    assert guess(read([row(n) for n in range(60)])) == {}
