from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.encoders.tiny import KINDS, make
from torch import nn

from motet.encoders.layers import borrowed, has_layers, hidden, products, replaced, sites, size

EVERY = ("query", "key", "value", "attention", "inner", "outer")
BERT = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NAMES = {
    "bart": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "fc1", "fc2"),
    "bert": BERT,
    "deberta": ("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj", *BERT[3:]),
    "distilbert": (
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
    ),
    "electra": BERT,
    "gpt2": (None, None, None, "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    "llama": (
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    ),
    "modernbert": (None, None, None, "attn.Wo", "mlp.Wi", "mlp.Wo"),
    "mpnet": (
        "attention.attn.q",
        "attention.attn.k",
        "attention.attn.v",
        "attention.attn.o",
        "intermediate.dense",
        "output.dense",
    ),
    "roberta": BERT,
    "t5": (
        "layer.0.SelfAttention.q",
        "layer.0.SelfAttention.k",
        "layer.0.SelfAttention.v",
        "layer.0.SelfAttention.o",
        "layer.1.DenseReluDense.wi",
        "layer.1.DenseReluDense.wo",
    ),
    "t5 gated": (
        "layer.0.SelfAttention.q",
        "layer.0.SelfAttention.k",
        "layer.0.SelfAttention.v",
        "layer.0.SelfAttention.o",
        "layer.1.DenseReluDense.wi_1",
        "layer.1.DenseReluDense.wo",
    ),
}


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_sites_are_the_products_of_these_names(kind: str) -> None:
    for layer in make(kind).layers:
        expected = {role: layer.get_submodule(name) for role, name in zip(EVERY, NAMES[kind], strict=True) if name}
        assert sites(layer) == expected


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_what_adds_to_the_states_is_as_wide_as_they_are(kind: str) -> None:
    found = sites(make(kind).layers[0])
    assert size(found["attention"])[1] == size(found["outer"])[1] == 16
    assert size(found["inner"]) == (16, 48 if kind == "modernbert" else 24)  # that one makes the gate in one product
    assert size(found["outer"]) == (24, 16)


def test_products_are_all_matrices_of_a_layer() -> None:
    layer = make("modernbert").layers[0]
    assert set(products(layer)) == {"attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"}
    assert set(products(make("gpt2").layers[0])) == {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_where_one_layer_is_passed_several_times_there_are_none(kind: str) -> None:
    assert has_layers(make(kind)) == (kind != "albert")


def test_layers_are_borrowed_for_a_while() -> None:
    trunk, other = make("bert"), make("bert")
    own, stranger = list(trunk.layers), other.layers[1]
    nn.init.zeros_(stranger.get_parameter("output.dense.weight"))
    tokens, mask = torch.tensor([[4, 5, 6]]), torch.ones(1, 3)
    before = trunk(tokens, mask).last
    with borrowed(trunk, [stranger], 1):
        assert list(trunk.layers) == [own[0], stranger, own[2]]
        assert torch.equal(trunk(tokens, mask).last, other(tokens, mask).last)
    assert list(trunk.layers) == own
    assert torch.equal(trunk(tokens, mask).last, before)
    assert not torch.allclose(other(tokens, mask).last, before)


def test_layers_are_given_back_when_a_pass_fails() -> None:
    trunk = make("bert")
    own, names = list(trunk.layers), list(trunk.state_dict())
    with pytest.raises(RuntimeError, match="in the pass"), borrowed(trunk, [nn.Identity(), nn.Identity()], 1):
        raise RuntimeError("in the pass")
    assert list(trunk.layers) == own
    assert list(trunk.state_dict()) == names


@pytest.mark.parametrize("output", [torch.ones(1), (torch.ones(1), "more")])
def test_states_are_found_and_replaced_among_what_a_layer_returns(output: Any) -> None:
    assert torch.equal(hidden(output), torch.ones(1))
    other = replaced(output, torch.zeros(1))
    assert torch.equal(hidden(other), torch.zeros(1))
    assert type(other) is type(output)
    assert other[1:] == ("more",) if isinstance(output, tuple) else True
