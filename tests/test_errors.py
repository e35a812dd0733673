"""Messages for people: complete, countable, with the nearest name in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import DataError, Problem, RecipeError, RunError, UserError, nearest

KINDS = [DataError, RecipeError, RunError]


def test_a_problem_says_where_what_and_how() -> None:
    problem = Problem("training.steps", "must be at least 1.", found="0", remedy="Try 1000.", line=14)
    assert str(problem) == "line 14  training.steps = 0\n    must be at least 1. Try 1000."


def test_a_problem_leaves_out_what_is_not_known() -> None:
    assert str(Problem("steps", "is missing")) == "steps\n    is missing"


def test_a_problem_can_be_seen_from_further_out() -> None:
    inner = Problem("steps", "is missing", line=3)
    assert inner.under("training") == Problem("training.steps", "is missing", line=3)
    assert Problem("", "is missing").under("training").name == "training"
    assert inner.name == "steps"


@pytest.mark.parametrize("kind", KINDS)
def test_user_errors_are_value_errors(kind: type[UserError]) -> None:
    with pytest.raises(ValueError, match="no such file"):
        raise kind("no such file")


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_user_errors_do_not_catch_each_other(kind: type[UserError]) -> None:
    assert issubclass(kind, UserError)
    assert not any(issubclass(kind, other) for other in KINDS if other is not kind)


def test_a_sentence_has_no_problems() -> None:
    assert UserError("no such file").problems == ()
    assert str(UserError("no such file")) == "no such file"


def test_all_problems_are_shown_and_kept() -> None:
    problems = [Problem("a", "is missing"), Problem("b", "is unknown")]
    error = RecipeError(iter(problems), heading="recipe.yaml")
    assert error.problems == tuple(problems)
    assert str(error) == "recipe.yaml has 2 problems\n\na\n    is missing\nb\n    is unknown"


def test_one_problem_is_not_counted_as_several() -> None:
    error = RecipeError(Problem("a", "is missing"), heading="recipe.yaml")
    assert error.problems == (Problem("a", "is missing"),)
    assert str(error).startswith("recipe.yaml has 1 problem\n")


def test_nearest_lists_what_there_is_when_nothing_is_close() -> None:
    assert nearest("zzz", ["b", "a"]) == "There are: a, b."
    assert nearest("zzz", []) == "There are none."
    assert nearest("zzz", [], remedy="Add one.") == "Add one."


def test_nearest_does_not_list_a_thousand_names() -> None:
    sentence = nearest("zzz", [f"{number:04}" for number in range(1000)])
    assert sentence.endswith("0011 and 988 more.")


@given(st.lists(st.text("abcde", min_size=3, max_size=8), min_size=1, unique=True), st.data())
def test_nearest_finds_a_name_with_a_doubled_letter(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    found = nearest(name + name[-1], names)
    assert found.startswith("Did you mean `")
    assert found.split("`")[1] in names


def test_nearest_takes_names_of_any_type() -> None:
    assert nearest("12", [1, 12]) == "Did you mean `12`?"  # type: ignore[list-item]
