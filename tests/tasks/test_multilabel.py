from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from motet.errors import DataError, RecipeError
from motet.tasks.base import Answers
from motet.tasks.multilabel import MultiLabel

TASK = MultiLabel("defects", source="a.csv")


def test_a_single_label_is_there_or_not() -> None:
    task = TASK.resolve([["scratch"], [], ["scratch"], []])
    assert (task.classes, task.outputs, task.answer) == (("scratch",), 1, "a label or none")
    assert [list(task.encode(answer)) for answer in (["scratch"], [])] == [[1.0], [0.0]]
    logits, target, lengths = torch.tensor([[2.0], [-1.0]]), torch.tensor([1.0, 0.0]), np.ones(2, dtype=np.int64)
    expected = -(torch.sigmoid(logits[0]).log() + torch.sigmoid(-logits[1]).log()).item()
    assert task.loss(logits, target, lengths).item() == pytest.approx(expected)
    answers = Answers(logits.numpy(), lengths)
    assert [answer["labels"] for answer in task.decode(answers)] == [["scratch"], []]
    assert task.score(answers, [np.ones(1), np.zeros(1)])["micro_f1"].value == 1.0


def test_a_single_label_may_be_named_beforehand() -> None:
    assert replace(TASK, classes=("scratch",)).resolve([["scratch"], []]).classes == ("scratch",)
    with pytest.raises(RecipeError, match="must name each label once"):
        replace(TASK, classes=("scratch", "scratch"))


@pytest.mark.parametrize("answers", [[["scratch"]], [[]]])
def test_a_label_that_all_or_none_have_cannot_be_learnt(answers: list[list[str]]) -> None:
    with pytest.raises(DataError, match=r"tasks\.defects"):
        TASK.resolve(answers)
