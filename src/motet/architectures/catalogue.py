"""All architectures side by side: where each belongs, what it costs, which encoders it takes.

Costs are those of a BERT of six layers and width 384 with five tasks, as fresh as it is built; what an architecture
costs a model of one's own stands in the plan of `motet check`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import transformers as hf

from motet import registry
from motet.architectures.base import Architecture, Arrangement
from motet.architectures.cost import multiply_adds, parameters, row_of
from motet.encoders.silence import silently
from motet.encoders.trunk import Trunk
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

__all__ = ["Entry", "catalogue"]

_SMALL: dict[str, Any] = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}

_NEEDED: dict[str, dict[str, Any]] = {
    "group_trunks": {"groups": {"words": ("entities",), "texts": ("topic", "mood", "stance", "rating")}},
}


@dataclass(frozen=True)
class Entry:
    """What there is to say of an architecture with its default settings, and two groups where it needs groups.

    Args:
        name: that it is registered under.
        family: parallel, hierarchical, modular or adversarial; empty for one of another package.
        summary: the first sentence of its docstring.
        source: where it was published.
        shared: parameters that tasks share, of which those of the encoder are a part.
        own: parameters of one task alone, the largest.
        trained: parameters that learn.
        multiply_adds: of a text of 64 sub-words, for a task about texts and one about words, relative to hard sharing.
        extras: losses that it adds.
        encoders: kinds that it can be built around, an encoder, an encoder-decoder and a decoder being tried.
    """

    name: str
    family: str
    summary: str
    source: str
    shared: int
    own: int
    trained: int
    multiply_adds: float
    extras: tuple[str, ...]
    encoders: tuple[str, ...]


def catalogue() -> list[Entry]:
    """An entry for every registered architecture that needs no settings of one's own, those of a family together."""
    found = [_entry(name) for name in registry.names("architecture") if _can_be_made(name)]
    families = ("parallel", "hierarchical", "modular", "adversarial", "")
    return sorted(found, key=lambda entry: (families.index(entry.family), entry.name != "hard_sharing", entry.name))


def _can_be_made(name: str) -> bool:
    try:
        return bool(_part(name))
    except TypeError:  # one of another package, with a field that must be given
        return False


def _part(name: str) -> Architecture:
    part: Architecture = registry.find("architecture", name)(**_NEEDED.get(name, {}))
    return part


def _entry(name: str) -> Entry:
    cls = registry.find("architecture", name)
    part = _part(name)
    tasks, reference = _tasks(), _cost("hard_sharing")
    shared, own, trained, adds, extras = _cost(name)
    return Entry(
        name=name,
        family=cls.__module__.split(".")[-2] if cls.__module__.startswith("motet.architectures.") else "",
        summary=(inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " "),
        source=_source(cls),
        shared=shared,
        own=own,
        trained=trained,
        multiply_adds=round(adds / reference[3], 3),
        extras=extras,
        encoders=tuple(kind for kind, trunk in _trunks().items() if not list(part.problems(tasks, trunk))),
    )


@cache
def _cost(name: str) -> tuple[int, int, int, float, tuple[str, ...]]:
    tasks = _tasks()
    arrangement = _part(name).build(copy.deepcopy(_reference()), tasks)
    counts = parameters(arrangement, tasks)
    adds = [multiply_adds(arrangement, tasks[name]) for name in ("mood", "entities")]
    return counts["shared"], max(counts["own"].values()), counts["trained"], sum(adds), _extras(arrangement)


def _extras(arrangement: Arrangement) -> tuple[str, ...]:
    """The losses that are added, found by one pass as in training."""
    arrangement.train()
    arrangement(row_of(_tasks()["topic"], 8))
    return tuple(arrangement.extras)


def _source(cls: type) -> str:
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    found = next((paragraph for paragraph in paragraphs if paragraph.startswith("Source:")), "")
    return " ".join(found.removeprefix("Source:").split())


def _tasks() -> Mapping[str, Task]:
    return {
        "topic": Classification("topic", source="", classes=("a", "b", "c", "d")),
        "mood": Classification("mood", source="", classes=("a", "b")),
        "stance": Classification("stance", source="", classes=("a", "b", "c")),
        "rating": Regression("rating", source="", mean=0.0, scale=1.0),
        "entities": Tagging("entities", source="", classes=("O", "B", "I"), outside="O"),
    }


@cache
def _reference() -> Trunk:
    large = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    sizes: dict[str, Any] = {**large, "attn_implementation": "eager"}  # the kind that can be counted
    config = hf.BertConfig(vocab_size=1000, **sizes)
    return Trunk(hf.BertModel(config, add_pooling_layer=False))


@cache
def _trunks() -> dict[str, Trunk]:
    """A tiny trunk of each kind: one that reads, one that reads and writes, one that writes on."""
    with silently():
        return {kind: Trunk(model) for kind, model in _models()}


def _models() -> Iterator[tuple[str, hf.PreTrainedModel]]:
    yield "BERT", hf.BertModel(hf.BertConfig(**_SMALL, **_SIZES))
    yield "T5", hf.T5ForConditionalGeneration(hf.T5Config(**_SMALL, d_model=16, num_layers=2, num_heads=2, d_kv=8))
    yield "Llama", hf.LlamaForCausalLM(hf.LlamaConfig(**_SMALL, **_SIZES, num_key_value_heads=2))
