"""A process that writes part of a run with a tracker listening: `python -m tests.tracking.process NAME RUN first`.

It may reach nothing but this machine. What it tried to reach, and what the log warned of, go to stdout.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from tests.tracking.conftest import FIRST, SECOND

from motet.runs import EventLog, RunFolder
from motet.tracking.opening import TRACKERS
from motet.tracking.tracker import Tracker


def guard(host: Any, *rest: Any, **more: Any) -> Any:
    if str(host) not in ("", "None", "localhost", "127.0.0.1", "::1"):
        print(f"reached for {host}", flush=True)
        raise ConnectionRefusedError(f"tests have no network: {host}")
    return look_up(host, *rest, **more)


look_up = socket.getaddrinfo

if __name__ == "__main__":
    socket.getaddrinfo = guard
    name, run, part = sys.argv[1], RunFolder(Path(sys.argv[2])), sys.argv[3]
    log = EventLog(run.events_file, (Tracker(TRACKERS[name](), run),))
    for event in FIRST if part == "first" else SECOND:
        log.write(**event)
    log.close()
    for event in run.events():
        if event["event"] == "warning":
            print(event["message"], flush=True)
