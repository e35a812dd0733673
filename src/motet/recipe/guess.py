"""Which columns of a table look like a text and its answer, for data without a card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from datasets import Dataset

from motet.data.sources import Table
from motet.data.splits import ID

__all__ = ["guess"]

_WORDS = ("tokens", "words", "text", "sentence")
_TAGS = ("tags", "ner_tags", "labels", "slots", "column_1")
_PAIRS = (("text_a", "text_b"), ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"))
_TEXTS = ("text", "sentence", "review", "content", "body", "document", "utterance", "query", "question", "title")
_LABELS = ("label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "rating", "score")
_SAMPLE = 2000  # rows that are looked at
_MOST_LABELS = 200


def guess(table: Table) -> dict[str, Any]:
    """The keys of a task that may be meant; empty if nothing looks like an answer.

    Example:
        >>> from motet.data.sources import read
        >>> rows = [{"title": "too loud for me", "stars": n % 5, "id": f"r{n}"} for n in range(50)]
        >>> guess(read(rows))
        {'type': 'classification', 'text': 'title', 'label': 'stars'}
    """
    train = table.splits["train"]
    rows = train.select(range(min(len(train), _SAMPLE)))
    names = [name for name in rows.column_names if name != ID]
    lists = [name for name in names if pa.types.is_list(_type(rows, name))]
    if len(lists) >= 2:
        words = _first(_WORDS, lists) or lists[0]
        others = [name for name in lists if name != words]
        return {"type": "tagging", "tokens": words, "labels": _first(_TAGS, others) or others[-1]}
    texts = [name for name in names if pa.types.is_string(_type(rows, name))]
    answers = {name: kind for name in names if (kind := _answer(rows, name))}
    label = _first(_LABELS, answers) or next(reversed(answers), "")
    pair = next((pair for pair in _PAIRS if set(pair) <= set(texts)), None)
    text = list(pair) if pair else _first(_TEXTS, texts) or _longest(rows, [name for name in texts if name != label])
    if not label or not text or label in text:
        return {}
    return {"type": answers[label], "text": text, "label" if answers[label] == "classification" else "value": label}


def _answer(rows: Dataset, name: str) -> str:
    """The type of task that a column may be the answer of; empty if it is none."""
    values = [value for value in rows[name][:] if value is not None]
    different = len(set(map(str, values)))
    repeated = 2 <= different <= len(values) / 2
    kind = _type(rows, name)
    if pa.types.is_floating(kind):
        return "regression" if different >= 2 else ""
    if pa.types.is_integer(kind):
        return "" if not repeated else "classification" if different <= 20 else "regression"
    nominal = pa.types.is_boolean(kind) or pa.types.is_string(kind)
    return "classification" if nominal and repeated and different <= _MOST_LABELS else ""


def _type(rows: Dataset, name: str) -> pa.DataType:
    return rows.data.table.schema.field(name).type


def _first(wanted: Iterable[str], there: Iterable[str]) -> str:
    found = list(there)
    return next((name for name in wanted if name in found), "")


def _longest(rows: Dataset, names: Sequence[str]) -> str:
    """The column with the most text."""
    return max(names, key=lambda name: sum(len(value or "") for value in rows[name][:]), default="")
