"""Arrow files that are mapped into memory, and let go of again.

Whatever was looked at of a mapped file counts as memory of the process until the machine runs short of it. So a run
would seem to need as much memory as its files are long. `trim`, called where rows are read, hands back what has
gathered; the next look finds it where the system keeps files anyway.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from weakref import WeakSet

import pyarrow as pa

__all__ = ["mapped", "trim"]

_MOST = 32 << 20  # bytes that may gather
_STATUS = Path("/proc/self/statm")
_open: WeakSet[mmap.mmap] = WeakSet()


def mapped(path: Path) -> pa.Buffer:
    """The bytes of a file, read in place.

    Raises:
        OSError: it cannot be read.
        ValueError: it is empty.
    """
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _open.add(mapping)
    return pa.py_buffer(mapping)


class _Trimmer:
    """Keeps account of how much of files the process holds."""

    def __init__(self) -> None:
        self._least = _held()

    def __call__(self) -> None:
        """Let go of mapped files once more than a few megabytes of them have gathered."""
        now = _held()
        self._least = min(self._least, now)
        if now > self._least + _MOST:
            for mapping in _open:
                mapping.madvise(mmap.MADV_DONTNEED)
            self._least = _held()


def _held() -> int:
    """Bytes of files in the memory of the process, libraries included; 0 where the system does not tell."""
    if not _STATUS.exists():
        return 0
    return int(_STATUS.read_text().split()[2]) * mmap.PAGESIZE


trim = _Trimmer()
