"""Memory that a server does not hold on to."""

from __future__ import annotations

import ctypes
import sys
import time

__all__ = ["Memory"]

_EVERY = 5.0  # seconds; giving back takes milliseconds, and what is given back has to be fetched again


class Memory:
    """Gives memory that is free back to the system from time to time.

    Batches of ever other sizes leave holes in the heap that the next ones do not fit into; without this, a server that
    has been at work for some minutes holds twice the memory that it began with. Only glibc needs it, and has it.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
        self._last = time.monotonic()

    def tidy(self) -> None:
        """Give back what is free, if it is time."""
        if self._trim is not None and time.monotonic() - self._last >= _EVERY:
            self._trim(0)
            self._last = time.monotonic()
