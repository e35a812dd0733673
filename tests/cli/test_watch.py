"""The command watch: it tells where the page is, serves it, and ends with Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from motet.cli.app import main; main()")


def test_watch_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "watch", str(tmp_path / "later"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert "not begun yet" in answer.read().decode()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")
    assert "Ctrl-C ends it" in err
    assert "warning" not in err
    assert "Traceback" not in err


def test_watch_refuses_what_it_cannot_have(motet: Callable[..., Any], tmp_path: Path) -> None:
    said = motet("watch", tmp_path, "--host", "203.0.113.7", "--port", "0")
    assert said.code == 1
    assert "203.0.113.7 port 0 cannot be had" in said.err
    assert motet("watch", tmp_path, "--port", "99999").code == 2
