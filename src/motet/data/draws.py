"""Drawing rows: a validation split cut off train, and a number of rows of a split.

A row's rank depends on the seed, the purpose and its number alone. So a draw is the same with every version of every
library, and the rows of a smaller draw are among those of a larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from datasets import Dataset

from motet.data.cache import table_once
from motet.data.mapping import trim
from motet.data.splits import digest
from motet.errors import DataError

__all__ = ["cut", "draw"]


def cut(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """A train split without, and a validation split of, a share of the rows.

    Raises:
        DataError: there is only one row.
    """
    total = len(dataset)
    if total < 2:
        raise DataError("There is one row only: nothing can be cut off for validation.")
    chosen = _drawn(min(max(1, round(share * total)), total - 1), total, "validation", seed)
    return _keep(dataset, ~chosen, "train", share, seed), _keep(dataset, chosen, "validation", share, seed)


def draw(dataset: Dataset, count: int, split: str, seed: int) -> Dataset:
    """At most `count` rows of a split, in their order."""
    if count >= len(dataset):
        return dataset
    return _keep(dataset, _drawn(count, len(dataset), f"rows of {split}", seed), "rows", split, count, seed)


def _drawn(count: int, total: int, purpose: str, seed: int) -> np.ndarray:
    def rank(row: int) -> bytes:
        return hashlib.blake2b(f"{seed} {purpose} {row}".encode(), digest_size=16).digest()

    begins = np.fromiter((int.from_bytes(rank(row)[:8], "big") for row in range(total)), dtype=np.uint64, count=total)
    last = np.partition(begins, count - 1)[count - 1]
    mask = np.asarray(begins < last)
    level = sorted(np.flatnonzero(begins == last).tolist(), key=rank)  # ranks that begin alike are compared in full
    mask[level[: count - int(mask.sum())]] = True
    return mask


def _keep(dataset: Dataset, mask: np.ndarray, *how: object) -> Dataset:
    """Some rows as a table of their own, on disk if the data set is there.

    A selection by `datasets` would keep the whole table behind a list of positions, and reading columns in place would
    see through it.
    """
    table, fingerprint = dataset.data.table, digest(dataset._fingerprint, how)
    if dataset.cache_files:
        return Dataset(table_once(fingerprint, lambda: (table.schema, _filtered(table, mask))), fingerprint=fingerprint)
    return Dataset(pa.Table.from_batches(_filtered(table, mask), table.schema), fingerprint=fingerprint)


def _filtered(table: pa.Table, mask: np.ndarray) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in table.to_batches():
        yield batch.filter(pa.array(mask[start : start + len(batch)]))
        start += len(batch)
        trim()
