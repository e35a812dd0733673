"""Ray clusters: joined for as long as they are needed, and left whatever happens."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from motet.errors import RunError

__all__ = ["joined"]

_KNOCK = 5.0  # seconds that the head of a cluster is given to answer


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Ray, for as long as it is needed.

    Args:
        address: of the head of a cluster, `auto` for the cluster of this machine, or `local` for one that is started
            here and ends here.

    Raises:
        RunError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise RunError("--ray needs a package that is not here. Run: pip install 'motet[ray]'") from error
    try:
        _require_answer(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(f"there is no Ray cluster at `{address}` ({error}). `local` starts one here.") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Knock at an address before Ray does, which would go on knocking for a minute."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=_KNOCK).close()
