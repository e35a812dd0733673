"""Text becomes plain data with lines; what cannot be read says where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import RecipeError
from motet.recipe.parsing import parse_yaml, read_document
from motet.recipe.writing import to_yaml

# YAML turns the next-line character into a space, even between quotes.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=20)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts)
plain_data = st.dictionaries(
    texts,
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)),
    max_size=5,
)


def value(text: str) -> Any:
    return parse_yaml(f"key: {text}").data["key"]


@given(plain_data)
def test_written_data_reads_back(data: dict[str, Any]) -> None:
    document = parse_yaml(to_yaml(data))
    assert (document.data or {}) == data
    assert not document.problems


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1E3", 1000.0),
        (".inf", float("inf")),
        ("010", 10),
        ("1:20", "1:20"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("[1, a, [b]]", [1, "a", ["b"]]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, meant: Any) -> None:
    assert value(text) == meant
    assert type(value(text)) is type(meant)


def test_every_key_and_item_has_its_line() -> None:
    document = parse_yaml("a:\n  b: 1\n  c:\n    - x\n    - y\n\nd: {e: 2}\n")
    assert document.lines == {"a": 1, "a.b": 2, "a.c": 3, "a.c.0": 4, "a.c.1": 5, "d": 7, "d.e": 7}
    assert document.line("a.b.unknown") == 2
    assert document.line("elsewhere") is None


def test_keys_are_texts() -> None:
    assert parse_yaml("1: a\ntrue: b\n").data == {"1": "a", "true": "b"}


def test_anchors_and_merges() -> None:
    document = parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [{x: 5}, *a]}\n")
    assert document.data["b"] == {"x": 1, "y": 3}
    assert document.data["c"] == {"x": 1, "y": 2}
    assert document.data["d"] == {"x": 5, "y": 2}
    assert not document.problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3  a\n    is given twice, first on line 1"),
        ("a: {b: 1, b: 2}", "line 1  a.b\n    is given twice, first on line 1"),
        ("a: &a\n  b: *a\n", "line 1  a.b\n    refers to itself"),
        ("a: !env HOME", "line 1  a\n    has the tag `!env`; a recipe has plain values only"),
        ("a: !!python/name:os.system", "a recipe has plain values only"),
        ("? [1, 2]\n: 3\n", "line 1  the file\n    has a key that is no text"),
        ("a: {<<: 3}", "line 1  a\n    merges what is no mapping"),
    ],
)
def test_what_is_wrong_without_being_a_syntax_error(text: str, problem: str) -> None:
    (found,) = parse_yaml(text).problems
    assert problem in str(found)


def test_several_problems_are_kept() -> None:
    assert len(parse_yaml("a: 1\na: 2\nb: !x 1\nb: 2\n").problems) == 3


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("a: 1\n\tb: 2\n", "line 2  column 1", "Indent with spaces."),
        ("a: b: c\n", "line 1  column 5", "in quotes"),
        ("a: @b\n", "line 1  column 4", "in quotes"),
        ("a: [1, 2\nb: 3\n", "line 2  column 2", ""),
        ("a: 'open\n", "line 2", ""),
        ("a: 1\n---\nb: 2\n", "line 2", "one document"),
        ("a: *nowhere\n", "line 1  column 4", ""),
    ],
)
def test_a_syntax_error_has_line_and_column(text: str, place: str, remedy: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_yaml(text)
    assert str(error.value).startswith(place)
    assert remedy in str(error.value)


def test_control_characters_are_refused() -> None:
    with pytest.raises(RecipeError, match="no text that YAML allows"):
        parse_yaml("a: \x00")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.yaml", "training: {steps: 3}"),
        ("r.yml", "training:\n  steps: 3\n"),
        ("r.YAML", "\ufefftraining: {steps: 3}"),
        ("r.json", '{"training": {"steps": 3}}'),
    ],
)
def test_the_ending_chooses_the_format(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_document(tmp_path / name).data == {"training": {"steps": 3}}


def test_toml(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    (tmp_path / "r.toml").write_text("[training]\nsteps = 3\n", encoding="utf-8")
    assert read_document(tmp_path / "r.toml").data == {"training": {"steps": 3}}
    (tmp_path / "r.toml").write_text("[training\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"r\.toml has 1 problem"):
        read_document(tmp_path / "r.toml")


def test_json_knows_keys_given_twice_and_the_line_of_an_error(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text('{"training": {"steps": 3, "steps": 4}}', encoding="utf-8")
    assert [str(problem) for problem in read_document(file).problems] == ["steps\n    is given twice"]
    file.write_text('{"training":\n  3,}', encoding="utf-8")
    with pytest.raises(RecipeError, match="line 2  column 5"):
        read_document(file)


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_document(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError, match=r"Did you mean `recipe\.yaml`"):
        read_document(tmp_path / "recpie.yaml")
    with pytest.raises(RecipeError, match=r"must end in \.yaml"):
        read_document(tmp_path / "recipe.txt")
    with pytest.raises(RecipeError, match="cannot be read"):
        (tmp_path / "folder.yaml").mkdir()
        read_document(tmp_path / "folder.yaml")
