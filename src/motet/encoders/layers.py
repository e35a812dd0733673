"""Inside a trunk: its layers, the products in them that methods add to, and passes with layers of another kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

from torch import Tensor, nn

from motet.encoders.trunk import Trunk

__all__ = ["Role", "borrowed", "has_layers", "hidden", "norms", "products", "replaced", "sites", "size"]

Role = Literal["query", "key", "value", "attention", "inner", "outer"]

# The ends of the names by which transformers' families know the products of a layer.
_ENDS: dict[Role, tuple[str, ...]] = {
    "query": ("query", "query_proj", "q_lin", "q_proj", "attn.q", "SelfAttention.q"),
    "key": ("self.key", "self.key_proj", "k_lin", "k_proj", "attn.k", "SelfAttention.k"),
    "value": ("value", "value_proj", "v_lin", "v_proj", "attn.v", "SelfAttention.v"),
    "attention": (
        "attention.output.dense",
        "attention.out_lin",
        "attention.attn.o",
        "SelfAttention.o",
        "self_attn.out_proj",
        "self_attn.o_proj",
        "attn.Wo",
        "attn.c_proj",
    ),
    "inner": (
        "intermediate.dense",
        "ffn.lin1",
        "fc1",
        "mlp.Wi",
        "mlp.up_proj",
        "mlp.c_fc",
        "DenseReluDense.wi",
        "wi_1",
    ),
    "outer": ("output.dense", "ffn.lin2", "fc2", "mlp.Wo", "mlp.down_proj", "mlp.c_proj", "DenseReluDense.wo"),
}


def has_layers(trunk: Trunk) -> bool:
    """Whether the layers of a trunk are modules of their own; where one is passed several times they are not."""
    try:
        return bool(len(trunk.layers))
    except LookupError:
        return False


def products(layer: nn.Module) -> dict[str, nn.Module]:
    """The matrix products of a layer, by their names in it."""
    return {name: module for name, module in layer.named_modules() if type(module).__name__ in ("Linear", "Conv1D")}


def norms(layer: nn.Module) -> list[nn.Module]:
    """The normalisations in a layer, whatever their kind."""
    return [module for module in layer.modules() if type(module).__name__.endswith("Norm")]


def sites(layer: nn.Module) -> dict[Role, nn.Module]:
    """The products of a layer by what they are for; those that the encoder has not, or not apart, are left out.

    `attention` and `outer` give what attention and feed-forward network add to the residual stream.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(
        ...     vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ... )
        >>> sites(Trunk(BertModel(config)).layers[0])["outer"].in_features
        16
    """
    found: dict[Role, nn.Module] = {}
    for name, module in products(layer).items():
        for role in get_args(Role):
            longest = max((len(end) for end in _ENDS[role] if _ends(name, end)), default=0)
            rival = max((len(end) for other in get_args(Role) for end in _ENDS[other] if _ends(name, end)), default=0)
            if longest and longest == rival:
                found[role] = module
    return found


def size(product: nn.Module) -> tuple[int, int]:
    """How many features go into a product, and how many come out.

    Example:
        >>> size(nn.Linear(3, 2))
        (3, 2)
    """
    weight: Any = product.weight
    rows, columns = weight.shape
    return (columns, rows) if isinstance(product, nn.Linear) else (rows, columns)  # a Conv1D holds the transpose


def hidden(output: Any) -> Tensor:
    """The states among what a layer returns."""
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states


def replaced(output: Any, states: Tensor) -> Any:
    """What a layer returns, with other states."""
    return (states, *output[1:]) if isinstance(output, tuple) else states


@contextmanager
def borrowed(trunk: Trunk, layers: Sequence[nn.Module], first: int = 0) -> Iterator[None]:
    """Passes of the trunk with other layers in the place of its own.

    Args:
        trunk: passed within.
        layers: that stand in for as many of its own.
        first: the position of the first one that is replaced.
    """
    stack = trunk.layers
    own = list(stack[first : first + len(layers)])
    try:
        _put(stack, first, layers)
        yield
    finally:
        _put(stack, first, own)


def _put(stack: nn.ModuleList, first: int, layers: Sequence[nn.Module]) -> None:
    for place, layer in enumerate(layers, first):
        stack[place] = layer


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith("." + end)
