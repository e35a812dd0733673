"""What a tool must be able to do to be a tracker."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from motet.errors import RunError
from motet.runs import RunFolder

__all__ = ["Opening", "Sink", "Status"]

Status = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class Opening:
    """What a tracker is told when it begins.

    Args:
        run: the run folder.
        settings: of the run, as one level of plain values.
        step: where the run goes on; 0 for one that begins.
        known: what the tracker returned when it began to follow this run; empty for the first time.
    """

    run: RunFolder
    settings: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the run is called."""
        return self.run.path.absolute().name


class Sink(ABC):
    """One tool that keeps experiments; all its methods are called from one thread, `open` first and `close` last.

    Args:
        project: the name under which the tool keeps runs together.
    """

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, project: str = "motet") -> None:
        self.project = project

    @classmethod
    def require(cls) -> None:
        """Refuse to begin without the package of the tool.

        Raises:
            RunError: it is not installed.
        """
        if importlib.util.find_spec(cls.package) is None:
            missing = f"The tracker `{cls.name}` needs the package {cls.package}, which is not installed."
            raise RunError(f"{missing} Run: pip install 'motet[{cls.name}]'.")

    @abstractmethod
    def open(self, opening: Opening) -> dict[str, str]:
        """Begin, or go on with what was begun; returns what is needed to go on another time."""

    @abstractmethod
    def log(self, points: Mapping[str, float], step: int, moment: float) -> None:
        """Keep some numbers of a step; the moment is in seconds since 1970."""

    @abstractmethod
    def close(self, status: Status) -> None:
        """Write what is left, and say how the run ended."""
