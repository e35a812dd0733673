"""Token tables and examples that are made up without a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.encoding import TokenRows, token_rows
from motet.data.examples import Examples, Flat
from motet.data.sources import read
from motet.tasks.base import Task

SPECIAL = 3  # sub-words from 0 to 2 are special


def table_of(lengths: Sequence[int], **columns: Sequence[Any]) -> TokenRows:
    """Rows of so many sub-words; no sub-word occurs twice."""
    ends = SPECIAL + np.cumsum(lengths)
    tokens = [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    return token_rows(pa.table({"tokens": tokens, "truncated": [False] * len(tokens), **columns}))


def examples_of(
    task: Task, tokens: TokenRows, rows: Sequence[int], groups: Sequence[int] | None = None, **columns: Sequence[Any]
) -> Examples:
    """Some rows of a table; the target of each is its number, ten times."""
    count = 1 + max(map(tokens.record, range(len(tokens.lengths))), default=0)
    records = [{"number": n, **{name: column[n] for name, column in columns.items()}} for n in range(count)]
    return Examples(
        task,
        np.asarray(rows, dtype=np.int64),
        Flat.of([np.asarray([10.0 * row], dtype=np.float32) for row in rows]),
        tokens,
        "train",
        read({"train": records, "validation": records[:1]}),
        None if groups is None else np.asarray(groups, dtype=np.int64),
    )
