"""Why a request gets no answer, in the one shape that all errors of the server have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["ERRORS", "ERROR_SCHEMA", "Refusal", "shown"]

ERRORS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The body is no JSON in UTF-8."),
    "unauthorised": (401, "The token is missing or wrong."),
    "unknown_task": (404, "The model has no such task."),
    "unknown_route": (404, "The server has no such route."),
    "wrong_method": (405, "The route knows other methods."),
    "too_slow": (408, "The body took too long to arrive."),
    "too_large": (413, "The body, a text or the number of inputs is above a limit."),
    "wrong_host": (421, "The server does not answer to the name in the header Host."),
    "bad_content": (422, "The JSON is not what the route takes."),
    "too_long": (422, "A text is longer than the model reads, and `truncate` is false."),
    "queue_full": (429, "Too many inputs wait; the header Retry-After says when to come again."),
    "failed": (500, "The model failed on this request; the log of the server says why."),
    "not_ready": (503, "The model is not loaded yet, or the server shuts down."),
    "timed_out": (503, "The answers were not there in time, and the request was dropped."),
}
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What is wrong, in a sentence."},
        "error_type": {"type": "string", "enum": list(ERRORS)},
        "hint": {"type": "string", "description": "What to do, in a sentence."},
    },
    "required": ["error", "error_type", "hint"],
    "additionalProperties": False,
}


class Refusal(Exception):  # noqa: N818  said to a client, and no fault of anything here
    """A request that gets no answer.

    Args:
        error_type: one of `ERRORS`.
        error: what is wrong, in a sentence.
        hint: what to do, in a sentence.
        headers: that go with the answer.

    Example:
        >>> Refusal("too_large", "257 inputs are too many.", "Send at most 256.").status
        413
    """

    def __init__(self, error_type: str, error: str, hint: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.error_type, self.error, self.hint, self.headers = error_type, error, hint, dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return ERRORS[self.error_type][0]

    @property
    def body(self) -> dict[str, str]:
        """What the client gets."""
        return {"error": self.error, "error_type": self.error_type, "hint": self.hint}


def shown(value: Any, most: int = 60) -> str:
    """A value of a client in a message: short, on one line, and nothing in it that a terminal obeys.

    Example:
        >>> shown("half a" + chr(0xD800)) == '"half a' + chr(92) + 'ud800"'
        True
    """
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."
