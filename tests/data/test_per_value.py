"""One task for every value of a column."""

from __future__ import annotations

import pytest

from motet.data.per_value import per_value
from motet.data.sources import Source
from motet.errors import DataError
from motet.tasks.classification import Classification

ROWS = [{"text": f"t {n}", "label": "ab"[n % 2], "shop": ["books", "CDs/DVDs", None][n % 3]} for n in range(60)]


def test_a_task_a_value_in_order_and_nothing_for_null() -> None:
    task = Classification("mood", source=Source(ROWS), where={"label": "a"}, metric="macro_f1")
    first, second = per_value(task, "shop")
    assert (first.name, first.where) == ("mood-CDs_DVDs", {"label": "a", "shop": "CDs/DVDs"})
    assert (second.name, second.where) == ("mood-books", {"label": "a", "shop": "books"})
    assert first.source is second.source is task.source
    assert first.metric == "macro_f1"


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="Did you mean `shop`"):
        per_value(Classification("mood", source=ROWS), "shpo")
