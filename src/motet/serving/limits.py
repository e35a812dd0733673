"""What the server allows a client, and how long it waits: one place for flags, environment and Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from motet.errors import Problem, RecipeError, at_least, nearest, positive, require

__all__ = ["PREFIX", "Limits"]

PREFIX = "MOTET_SERVE_"
_OTHERS = ("ALLOW_HOST", "HOST", "PORT", "TOKEN")  # are read by the command itself


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a server; all of them are on by default.

    Each can be set as a flag of `motet serve` (``--max-inputs 16``) or in the environment
    (``MOTET_SERVE_MAX_INPUTS=16``); a flag comes first.

    Args:
        max_batch_tokens: sub-words in one pass of the model; an input that is longer is read alone.
        max_wait: seconds that an input waits for others to be read with.
        max_queue: inputs that wait; a request that finds no room for all of its own gets 429.
        max_inputs: inputs in one request; every candidate of a query counts as one.
        max_characters: of one text.
        max_body: bytes of one request.
        header_timeout: seconds to receive the head of a request, and to keep an idle connection open.
        body_timeout: seconds to receive the rest of a request.
        request_timeout: seconds from a request to its answers; what is not read by then is dropped.

    Raises:
        RecipeError: a limit that limits nothing.

    Example:
        >>> Limits(max_inputs=16).max_inputs
        16
    """

    max_batch_tokens: int = 4096
    max_wait: float = 0.005
    max_queue: int = 1024
    max_inputs: int = 256
    max_characters: int = 50_000
    max_body: int = 2 * 2**20
    header_timeout: float = 10.0
    body_timeout: float = 10.0
    request_timeout: float = 30.0

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        yield from at_least(
            1,
            max_batch_tokens=self.max_batch_tokens,
            max_queue=self.max_queue,
            max_inputs=self.max_inputs,
            max_characters=self.max_characters,
            max_body=self.max_body,
        )
        yield from at_least(0, max_wait=self.max_wait)
        yield from positive(
            header_timeout=self.header_timeout, body_timeout=self.body_timeout, request_timeout=self.request_timeout
        )

    @classmethod
    def read(cls, flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Limits:
        """Limits from flags, then from the environment, then the defaults.

        Args:
            flags: by name; None stands for a flag that was not given.
            environment: where ``MOTET_SERVE_`` and the name in capitals says the value.

        Raises:
            RecipeError: a value that is no number, or a variable that is no limit; all problems at once.

        Example:
            >>> Limits.read({"max_inputs": None}, {"MOTET_SERVE_MAX_INPUTS": "16"}).max_inputs
            16
        """
        known = {f"{PREFIX}{field.name.upper()}": field for field in fields(cls)}
        given: dict[str, Any] = {}
        problems = []
        for variable, text in environment.items():
            if variable in known:
                field = known[variable]
                try:
                    given[field.name] = int(text) if field.type == "int" else float(text)
                except ValueError:
                    kind = "a whole number" if field.type == "int" else "a number"
                    problems.append(Problem(variable, f"must be {kind}", text))
            elif variable.startswith(PREFIX) and variable.removeprefix(PREFIX) not in _OTHERS:
                problems.append(Problem(variable, f"is no limit. {nearest(variable, known)}", text))
        if problems:
            raise RecipeError(problems, "The environment")
        return cls(**{**given, **{name: value for name, value in flags.items() if value is not None}})
