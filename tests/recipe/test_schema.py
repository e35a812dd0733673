"""What editors check a recipe against agrees with what motet accepts."""

from __future__ import annotations

import json
from typing import Any

from motet.recipe.parts import KINDS, SECTIONS, classes_of, types_of
from motet.recipe.schema import schema
from motet.training import Training


def typed(section: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in section["anyOf"] if one.get("properties", {}).get("type") == {"const": name})
    return dict(found)


def test_it_is_plain_data_with_every_section() -> None:
    whole = json.loads(json.dumps(schema()))
    assert set(whole["properties"]) == set(SECTIONS)
    assert whole["required"] == ["tasks"]
    assert whole["additionalProperties"] is False


def test_every_registered_part_is_in_it() -> None:
    properties = schema()["properties"]
    properties["regulariser"] = properties["regularisers"]["items"]
    for kind in set(KINDS.values()) - {"task", "response"}:
        assert properties[kind]["anyOf"][0]["enum"][: len(classes_of(kind))] == list(classes_of(kind))
    tasks = properties["tasks"]["additionalProperties"]
    assert [task["properties"]["type"]["const"] for task in tasks["anyOf"]] == list(classes_of("task"))


def test_regularisers_are_a_list_of_words_and_mappings() -> None:
    section = schema()["properties"]["regularisers"]
    assert section["type"] == "array"
    assert "mmd" in section["items"]["anyOf"][0]["enum"]
    pairs = typed(section["items"], "mmd")["properties"]["tasks"]
    assert pairs["items"]["prefixItems"] == [{"type": "string"}, {"type": "string"}]


def test_keys_are_fields_with_their_sentences() -> None:
    training = schema()["properties"]["training"]
    assert set(training["properties"]) == set(types_of(Training))
    assert training["properties"]["decay"]["enum"] == ["linear", "cosine", "constant"]
    assert training["properties"]["seed"] == {"type": "integer", "description": "of everything random."}


def test_the_type_may_be_left_out_where_there_is_a_default() -> None:
    properties = schema()["properties"]
    assert typed(properties["sampler"], "temperature")["required"] == []
    assert typed(properties["sampler"], "uniform")["required"] == ["type"]
    patience = typed(properties["convergence"], "patience")
    assert typed(patience["properties"]["then"], "distill")["required"] == []
    assert "paper" in properties["convergence"]["anyOf"][0]["enum"]


def test_a_task_has_no_name_but_may_have_per() -> None:
    classification = typed(schema()["properties"]["tasks"]["additionalProperties"], "classification")
    assert "name" not in classification["properties"]
    assert "per" in classification["properties"]
    assert classification["required"] == ["source", "type"]
