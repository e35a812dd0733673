"""Settings from the command line in place of those of a recipe."""

from __future__ import annotations

from typing import Any

from motet.errors import Problem, RecipeError
from motet.recipe.document import Document
from motet.recipe.parsing import parse_yaml

__all__ = ["override"]


def override(document: Document, setting: str) -> None:
    """Put another value in place.

    Args:
        document: what is changed.
        setting: a dotted name and a value in YAML, like ``training.steps=100``.

    Raises:
        RecipeError: it is no setting, or its value no YAML.

    Example:
        >>> document = Document({"sampler": "uniform"})
        >>> override(document, "training.steps=100")
        >>> override(document, "sampler.temperature=3")
        >>> document.data
        {'sampler': {'type': 'uniform', 'temperature': 3}, 'training': {'steps': 100}}
    """
    name, equals, text = setting.partition("=")
    if not equals or not all(name.split(".")) or not isinstance(document.data, dict):
        raise RecipeError(Problem(setting, "is no setting", remedy="Write it like training.steps=100."))
    try:
        value = parse_yaml(text).data
    except RecipeError as error:
        raise RecipeError(Problem(name, "has a value that cannot be read", text, "Put it in quotes.")) from error
    _place(document.data, "", name, value)
    document.lines = {key: line for key, line in document.lines.items() if not key.startswith(f"{name}.")}
    document.lines[name] = None


def _place(data: dict[str, Any], above: str, name: str, value: Any) -> None:
    """Set a dotted name, making mappings on the way."""
    key, rest = _first(data, name)
    if not rest:
        data[key] = value
        return
    place = f"{above}.{key}".strip(".")
    if not isinstance(data.get(key), dict):
        data[key] = _spelled_out(place, data.get(key))
    _place(data[key], place, rest, value)


def _first(data: dict[str, Any], name: str) -> tuple[str, str]:
    """The first key of a dotted name, and the rest; keys that hold dots themselves are found too."""
    if name in data:
        return name, ""
    known = [key for key in data if name.startswith(f"{key}.")]
    key = max(known, key=len) if known else name.partition(".")[0]
    return key, name[len(key) + 1 :]


def _spelled_out(place: str, word: Any) -> dict[str, Any]:
    """The mapping that a word stands for: of a part its type, of the encoder its name, of a source its path."""
    if not isinstance(word, str):
        return {}
    is_source = place.startswith("sources.") or place.endswith(".source")
    return {"name" if place == "encoder" else "path" if is_source else "type": word}
