"""The pages of a server: each is one file, and a header forbids it to load or send anything elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fastapi import Response

from motet.reporting.templating import source_digest, templates_of

__all__ = ["response"]

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def response(template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
    """A page with the headers that confine it to this server.

    Args:
        template: file in the folder of templates.
        status: of the response.
        headers: that it has besides.
        values: that it shows.
    """
    page = _templates("motet.serving").get_template(template).render(values)
    allowed: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in _INLINE.findall(page):
        allowed[kind].append(source_digest(text))
    policy = [
        "default-src 'none'",
        *(f"{kind}-src {' '.join(digests) or repr('none')}" for kind, digests in allowed.items()),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    confined = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(page, status, {**confined, **(headers or {})}, media_type="text/html")


_templates = lru_cache(templates_of)
