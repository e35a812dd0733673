"""One trunk for all tasks and a head for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from transformers import PreTrainedModel

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Head, Pooling
from motet.data.batches import Chunk
from motet.errors import Problem, RecipeError, nearest
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["HardSharing"]


@register("architecture", "hard_sharing")
@dataclass(frozen=True, kw_only=True)
class HardSharing(Architecture):
    """One trunk for all tasks and a head for each.

    Source: Caruana 1997, "Multitask Learning"; Collobert, Weston 2008, "A Unified Architecture for Natural Language
    Processing"; a layer per task: Søgaard, Goldberg 2016, "Deep multi-task learning with low level tasks supervised
    at lower layers".

    Args:
        pooling: how a text becomes one vector.
        read_layer: the trunk layer that a task reads (1 is the first); by default the last.
        task_layers: transformer layers of a task's own between trunk and head.
        dropout: before the last linear layer of each head.

    Example:
        >>> HardSharing(read_layer={"tags": 3}, task_layers={"rating": 1}).pooling
        'mean'
    """

    pooling: Pooling = "mean"
    read_layer: Mapping[str, int] = field(default_factory=dict)
    task_layers: Mapping[str, int] = field(default_factory=dict)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise RecipeError(Problem("dropout", "must be at least 0 and below 1", str(self.dropout)))

    def problems(self, tasks: Sequence[str], layers: int) -> Iterable[Problem]:
        for key in ("read_layer", "task_layers"):
            for task, count in getattr(self, key).items():
                if task not in tasks:
                    yield Problem(f"architecture.{key}.{task}", f"names no task. {nearest(task, tasks)}")
                elif key == "read_layer" and not 1 <= count <= layers:
                    yield Problem(f"architecture.{key}.{task}", f"must be 1 to {layers}", str(count))
                elif count < 0:
                    yield Problem(f"architecture.{key}.{task}", "must be at least 0", str(count))

    def build(self, trunk: PreTrainedModel, tasks: Mapping[str, Task]) -> Arrangement:
        return _HardSharing(self, trunk, tasks)


class _HardSharing(Arrangement):
    def __init__(self, part: HardSharing, trunk: PreTrainedModel, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.trunk = trunk
        self.read_layer = dict(part.read_layer)
        width = int(trunk.config.hidden_size)
        heads = {
            name: Head(task.level, width, task.outputs, pooling=part.pooling, dropout=part.dropout)
            for name, task in tasks.items()
        }
        layers = {name: _layers(trunk, count) for name, count in part.task_layers.items() if count}
        self.heads = nn.ModuleDict({_key(name): head for name, head in heads.items()})
        self.layers = nn.ModuleDict({_key(name): stack for name, stack in layers.items()})

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        types = {} if chunk.types is None else {"token_type_ids": chunk.types}
        inner = any(name in self.read_layer for name in chunk.owned)
        out = self.trunk(input_ids=chunk.tokens, attention_mask=chunk.mask, output_hidden_states=inner, **types)
        logits = {}
        for name, owned in chunk.owned.items():
            states = out.hidden_states[self.read_layer[name]] if name in self.read_layer else out.last_hidden_state
            if _key(name) in self.layers:
                states = self.layers[_key(name)](states, src_key_padding_mask=chunk.mask == 0)
            logits[name] = self.heads[_key(name)](states, chunk.mask, owned)
        return logits

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from self.heads[_key(task)].parameters()
        if _key(task) in self.layers:
            yield from self.layers[_key(task)].parameters()


def _layers(trunk: PreTrainedModel, count: int) -> nn.TransformerEncoder:
    config = trunk.config
    layer = nn.TransformerEncoderLayer(
        config.hidden_size,
        config.num_attention_heads,
        dim_feedforward=getattr(config, "intermediate_size", 4 * config.hidden_size),
        dropout=getattr(config, "hidden_dropout_prob", 0.1),
        activation="gelu",
        batch_first=True,
    )
    return nn.TransformerEncoder(layer, count, enable_nested_tensor=False)


def _key(task: str) -> str:
    # torch's module names hold no dots, and must not hide its own attributes
    return "of_" + task.replace("%", "%25").replace(".", "%2E")
