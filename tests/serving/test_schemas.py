"""The schemas against what they describe: answers of every shape, and bodies that are taken or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from tests.serving.served import TASKS
from tests.tasks.shapes import EXAMPLES, Example, batch_of, clean

from motet.answering import answerable
from motet.model import MultiTaskModel
from motet.registry import names, part_name
from motet.serving.asks import read_body
from motet.serving.limits import Limits
from motet.serving.refusals import Refusal
from motet.serving.request_schemas import request_schema
from motet.serving.schemas import answers_schema, components, described, paths
from motet.tasks.base import Task
from motet.tasks.classification import Classification

SERVED = answerable(TASKS)
ANSWERING = {name: example for name, example in EXAMPLES.items() if example.task.answers_texts}
FORMS: Mapping[str, tuple[Any, list[str]]] = {
    "a text": ("a film", ["mood", "topics", "stars", "size", "places"]),
    "texts": (["a film", "rain"], ["mood", "topics", "stars", "size", "places"]),
    "pairs": ([["a", "b"], ["c", "d"]], ["within", "where", "order"]),
    "a query": ({"query": "a", "candidates": ["b", "c"]}, ["order"]),
    "queries": ([{"query": "a", "candidates": ["b"]}] * 2, ["order"]),
    "an object": ({"text": "a", "other": "b", "id": 7}, ["mood", "topics", "stars", "size", "within"]),
    "an object of words": ([{"tokens": ["a", "b"]}], ["places"]),
}


def valid(schema: Any, tasks: Mapping[str, Task] = SERVED) -> Draft202012Validator:
    """A schema with what it refers to."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator({**schema, "components": {"schemas": components(tasks)}})


@pytest.mark.parametrize("example", ANSWERING.values(), ids=ANSWERING)
def test_answers_of_every_shape_are_what_their_schema_says(example: Example) -> None:
    batches = [clean(example), *(batch_of(example, seed) for seed in range(5))]
    schema = valid(batches[0].task.answer_schema())
    for batch in batches:
        for answer in batch.task.decode(batch.answers(example)):
            schema.validate(json.loads(json.dumps(answer)))


@pytest.mark.parametrize("example", ANSWERING.values(), ids=ANSWERING)
def test_a_schema_takes_no_other_answers(example: Example) -> None:
    batch = clean(example)
    schema = valid(batch.task.answer_schema())
    answer = batch.task.decode(batch.answers(example))[0]
    for wrong in ({}, {**answer, "more": 1}, dict.fromkeys(answer), [answer]):
        with pytest.raises(ValidationError):
            schema.validate(wrong)


@pytest.mark.parametrize("name", ["mood", "stars", "within"])
def test_a_label_is_one_of_an_enumeration(name: str) -> None:
    properties = SERVED[name].answer_schema()["properties"]
    assert tuple(properties["label"]["enum"]) == tuple(properties["scores"]["required"]) == SERVED[name].choices


@pytest.mark.parametrize(("name", "key"), [("topics", "labels"), ("places", "tags")])
def test_labels_are_lists_of_an_enumeration(name: str, key: str) -> None:
    properties = SERVED[name].answer_schema()["properties"]
    assert tuple(properties[key]["items"]["enum"]) == SERVED[name].choices


@pytest.mark.parametrize("example", ANSWERING.values(), ids=ANSWERING)
def test_the_description_takes_the_answers_that_the_task_does(example: Example) -> None:
    answers = [batch.task.decode(batch.answers(example)) for batch in (clean(example), batch_of(example, 1))]
    task = clean(example).task
    schema = valid(
        paths({"it": task})["/predict/it"]["post"]["responses"]["200"]["content"][JSON_TYPE]["schema"], {"it": task}
    )
    for answer in (answer for of_batch in answers for answer in of_batch):
        plain = json.loads(json.dumps(answer))
        schema.validate({"answers": [plain], "truncated": 0})
        for wrong in (*without_a_key(plain), {**plain, "more": 1}, {}, dict.fromkeys(plain)):
            assert not schema.is_valid({"answers": [wrong], "truncated": 0})


def without_a_key(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answer without one of its keys, and without the score of a label or with one of a label that is none."""
    found = [{key: value for key, value in answer.items() if key != left_out} for left_out in answer]
    scores = answer.get("scores")
    if isinstance(scores, dict):
        fewer = dict(list(scores.items())[1:])
        found += [{**answer, "scores": fewer}, {**answer, "scores": {**fewer, "no label": 0.5}}]
    return found


def test_labels_that_look_alike_in_code_stay_apart() -> None:
    labels = ("a b", "a-b", "A_B", "日本", "1")
    names = {"Mood": labels, "mood": ("bad", "good")}
    tasks = {name: Classification(name, source="s", classes=classes) for name, classes in names.items()}
    found = components(tasks)
    alike = found["MoodAnswer"]["properties"]["label"]
    assert alike["enum"] == list(labels)
    assert alike["x-enum-varnames"] == ["A_B", "A_B2", "A_B3", "VALUE", "VALUE_1"]
    assert found["Mood2Answer"]["properties"]["label"] == {"type": "string", "enum": ["bad", "good"]}
    assert len({route["post"]["operationId"].lower() for route in paths(tasks).values()}) == 3


def test_every_shape_says_whether_it_answers() -> None:
    assert {part_name(example.task) for example in EXAMPLES.values()} == set(names("task"))
    for task in (example.task for example in EXAMPLES.values() if not example.task.answers_texts):
        with pytest.raises(TypeError, match="answers no question"):
            task.answer_schema()


@pytest.mark.parametrize("form", FORMS)
def test_a_model_answers_as_the_schema_says(form: str, served_model: MultiTaskModel) -> None:
    inputs, able = FORMS[form]
    asked = read_body(json.dumps({"inputs": inputs}).encode(), SERVED, Limits())
    for part in (part for ask in asked.asks for part in ask.parts):
        for name, answer in served_model.predict([part.text], part.tasks)[0].items():
            assert name in able
            valid(SERVED[name].answer_schema()).validate(answer)


@pytest.mark.parametrize("form", FORMS)
def test_schema_and_reader_agree_on_who_reads_a_form(form: str) -> None:
    inputs, able = FORMS[form]
    schema = valid(request_schema(SERVED))
    schema.validate({"inputs": inputs})
    for name in SERVED:
        assert schema.is_valid({"inputs": inputs, "tasks": [name]}) == (name in able)
        assert taken({"inputs": inputs, "tasks": [name]}) == (name in able)


JSON_TYPE = "application/json"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "a b", " ", *SERVED, "hidden"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "other", "tokens", "question", "context", "query", "candidate", "candidates"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
SEVERAL = valid(request_schema(SERVED))
ALONE = {
    name: valid(paths(SERVED)[f"/predict/{name}"]["post"]["requestBody"]["content"][JSON_TYPE]["schema"])
    for name in SERVED
}
BODIES = st.fixed_dictionaries({"inputs": JSON}, optional={"tasks": JSON, "truncate": JSON}) | st.fixed_dictionaries(
    {"inputs": st.sampled_from([inputs for inputs, _ in FORMS.values()])},
    optional={"tasks": st.lists(st.sampled_from(list(SERVED)), max_size=3), "truncate": st.booleans()},
)


@given(body=BODIES)
def test_the_schema_takes_what_the_reader_takes_and_nothing_else(body: Any) -> None:
    assert SEVERAL.is_valid(body) == taken(body)


@given(body=JSON | BODIES, name=st.sampled_from(list(SERVED)))
def test_the_schema_of_one_task_takes_what_its_reader_takes(body: Any, name: str) -> None:
    assert ALONE[name].is_valid(body) == taken(body, {name: SERVED[name]}, name)


def taken(body: Any, tasks: Mapping[str, Task] = SERVED, only: str | None = None) -> bool:
    try:
        asked = read_body(json.dumps(body).encode(), tasks, Limits(), only)
    except Refusal as refusal:
        assert refusal.error_type in ("bad_content", "unknown_task")
        assert refusal.error.endswith(".") and refusal.hint.endswith((".", "?"))
        return False
    return bool(asked.asks)


def test_a_list_of_words_stands_for_a_text_only_where_words_are_read() -> None:
    assert taken({"inputs": {"tokens": ["a", "b"]}})
    assert not taken({"inputs": {"text": ["a", "b"]}})
    assert not taken({"inputs": {"tokens": ["a b"]}})
    assert not taken({"inputs": {"tokens": []}})


def test_the_answers_of_a_body_are_counted() -> None:
    schema = valid(answers_schema({"type": "object"}))
    assert schema.is_valid({"answers": [{}], "truncated": 0})
    assert not schema.is_valid({"answers": [{}], "truncated": -1})


def test_tasks_are_described_for_people_and_pages() -> None:
    facts = described(SERVED)
    assert "hidden" not in facts
    assert facts["places"]["words"] and facts["order"]["ranks"]
    assert facts["within"]["reads"] == ["text", "other"]
    assert facts["mood"]["labels"] == ["bad", "good"]
    json.dumps(facts)
