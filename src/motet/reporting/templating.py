"""How pages are made from templates, and what a browser is told to hold them to."""

from __future__ import annotations

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["source_digest", "templates_of"]


def templates_of(package: str, *, autoescape: bool = True, keep_trailing_newline: bool = False) -> Environment:
    """The templates of a package; what one names and nobody has given is an error.

    Args:
        package: with a folder `templates`.
        autoescape: whether values are written so that HTML reads them as text.
        keep_trailing_newline: whether the last line of a file ends as it does there.
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=keep_trailing_newline,
    )


def source_digest(text: str) -> str:
    """A style or script as a content security policy names it, so that a page may have this one and no other.

    Example:
        >>> source_digest("")
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
