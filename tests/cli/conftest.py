"""Running a command in this process, and seeing what it says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from motet.cli.app import main


class Said(NamedTuple):
    code: Any
    out: str
    err: str


Motet = Callable[..., Said]


@pytest.fixture
def motet(capsys: pytest.CaptureFixture[str]) -> Motet:
    """Runs `motet` with some arguments: exit code, stdout and stderr."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Said(exit_.value.code or 0, out, err)

    return run
