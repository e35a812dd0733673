"""Other processes for work on many rows."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from datasets import Dataset

__all__ = ["workers"]

_MANY = 50_000  # rows for which starting processes pays
_EACH = 25_000  # rows of each, at least
_THREADS = "TOKENIZERS_PARALLELISM"


@contextmanager
def workers(dataset: Dataset) -> Iterator[int | None]:
    """How many processes `Dataset.map` should start to tokenise a data set; None for this one alone.

    Tokenizers use no threads of their own meanwhile. The environment, which `map` leaves changed, is put back.
    """
    count = _count(dataset)
    if count is None:
        yield None
        return
    environment, before = os.environ, os.environ.get(_THREADS)
    environment[_THREADS] = "false"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # the children start no threads
            yield count
    finally:
        os.environ = environment  # noqa: B003  the object that others hold, instead of the copy that `map` leaves
        if before is None:
            del environment[_THREADS]
        else:
            environment[_THREADS] = before


def _count(dataset: Dataset) -> int | None:
    """As many as there are processors.

    But a table in memory would have to be sent to them, and where processes are not forked they begin with the program
    of the user, which need not be ready for that.
    """
    if len(dataset) <= _MANY or not dataset.cache_files or multiprocessing.get_all_start_methods()[0] != "fork":
        return None
    ours = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # processes of the run that do the same on this machine
    count = min((os.cpu_count() or 1) // ours, len(dataset) // _EACH)
    return count if count > 1 else None
