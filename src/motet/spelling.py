"""Plain data as YAML that a person likes to read, and that reads back as the same data."""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

__all__ = ["to_yaml"]

_CLEAR = re.compile(r"[\w./](?:[\w./ -]*[\w./-])?")
_TRUTH_ELSEWHERE = ("yes", "no", "on", "off")  # truth values to readers of YAML 1.1


def to_yaml(data: Any) -> str:
    """Plain data as YAML that reads back as the same data.

    Example:
        >>> print(to_yaml({"training": {"steps": 100, "clip": None}, "labels": ["no", "1"]}), end="")
        training: {steps: 100, clip: null}
        labels: ["no", '1']
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.width = 10**6
    yaml.allow_unicode = True
    yaml.Representer = _Plain
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()


class _Plain(SafeRepresenter):
    """Keys in their order, what occurs twice written twice, and texts in quotes where there is any doubt."""

    def represent(self, data: Any) -> None:
        self.sort_base_mapping_type_on_output = False
        root = self.represent_data(data)
        _lay_out(root)
        self.serializer.serialize(root)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def quoted_where_in_doubt(self, text: str) -> Any:
        clear = _CLEAR.fullmatch(text) and text.lower() not in _TRUTH_ELSEWHERE
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if clear else '"')


def _lay_out(node: Node, outermost: bool = True) -> None:
    """Put what holds only scalars on one line, and everything else in blocks."""
    if not isinstance(node, CollectionNode):
        return
    inner = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    node.flow_style = not outermost and all(isinstance(part, ScalarNode) for part in inner)
    for part in inner:
        _lay_out(part, outermost=False)


_Plain.add_representer(str, _Plain.quoted_where_in_doubt)
