from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import bart, bert, gpt2, mpnet, t5
from tests.architectures.toys import CHUNK
from torch import Tensor, nn
from transformers import AlbertConfig, AlbertModel

from motet.architectures.heads import key
from motet.architectures.routing import Inserted, Route, lacking, site, spread, without_cache
from motet.encoders.layers import sites, size
from motet.encoders.trunk import Trunk


class Plus(nn.Module):
    def __init__(self, much: float) -> None:
        super().__init__()
        self.much = nn.Parameter(torch.tensor(much))

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        return states + self.much * given


def test_rows_are_spread_over_their_tasks() -> None:
    chunk, segments = spread(CHUNK)
    assert segments == [("mood", slice(0, 3)), ("count", slice(3, 5)), ("tags", slice(5, 7))]
    assert chunk.tokens.tolist() == CHUNK.tokens[[0, 1, 2, 1, 3, 0, 2]].tolist()
    assert chunk.mask.tolist() == CHUNK.mask[[0, 1, 2, 1, 3, 0, 2]].tolist()
    assert {name: own.rows.tolist() for name, own in chunk.owned.items()} == {
        "mood": [0, 1, 2],
        "count": [3, 4],
        "tags": [5, 6],
    }
    words, before = chunk.owned["tags"].words, CHUNK.owned["tags"].words
    assert words is not None
    assert before is not None
    assert words.tolist() == [[5, 5, 5, 6], before[1].tolist()]


def test_rows_of_one_task_are_read_as_they_are() -> None:
    part = CHUNK.part("mood")
    chunk, segments = spread(part)
    assert chunk is part
    assert segments == [("mood", slice(None))]


def test_each_task_changes_its_own_rows() -> None:
    route = Route()
    inserted = Inserted(route, {"a": Plus(1.0), "b": Plus(2.0)})
    identity = nn.Identity()
    inserted.enter(identity)
    rows = torch.ones(4, 2)
    assert torch.equal(identity(rows), rows)
    with route.through([("b", slice(0, 1)), ("stranger", slice(1, 2)), ("a", slice(2, 4))]):
        assert identity(rows)[:, 0].tolist() == [3, 1, 2, 2]
    with route.alone("stranger"):
        assert identity(rows) is rows
    assert torch.equal(identity(rows), rows)


def test_what_is_shared_comes_first_and_changes_all_rows() -> None:
    route = Route()
    inserted = Inserted(route, {"a": Plus(1.0)}, shared=Plus(10.0))
    identity = nn.Identity()
    inserted.enter(identity)
    with route.through([("a", slice(0, 1)), ("b", slice(1, 2))]):
        assert identity(torch.ones(2, 1)).tolist() == [[12], [11]]


def test_what_stands_before_a_module_changes_what_it_is_given() -> None:
    route = Route()
    double = nn.Linear(1, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    Inserted(route, {"a": Plus(1.0)}).precede(double)
    with route.alone("a"):
        assert double(torch.ones(1, 1)).item() == 4
    assert double(torch.ones(1, 1)).item() == 2


def test_a_copy_has_a_route_of_its_own() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.route, self.identity = Route(), nn.Identity()
            self.inserted = Inserted(self.route, {"a": Plus(1.0)})
            self.inserted.enter(self.identity)

    whole = Whole()
    twin = copy.deepcopy(whole)
    with twin.route.alone("a"):
        assert twin.identity(torch.ones(1, 1)).item() == 2
        assert whole.identity(torch.ones(1, 1)).item() == 1


def test_an_error_ends_the_pass() -> None:
    route = Route()
    with pytest.raises(RuntimeError), route.alone("a"):
        raise RuntimeError
    assert route.segments == []


@pytest.mark.parametrize("make", [bert, t5, bart, gpt2])
def test_the_mask_of_a_pass_is_known(make: Any) -> None:
    trunk, route = make(), Route()
    route.follow(trunk)
    mask = torch.tensor([[1, 1, 0]])
    trunk(torch.tensor([[7, 8, 0]]), mask)
    assert route.mask is not None
    assert route.mask.tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("make", "roles"),
    [
        (bert, {"query", "key", "value", "attention", "inner", "outer"}),
        (mpnet, {"query", "key", "value", "attention", "inner", "outer"}),
        (t5, {"query", "key", "value", "attention", "inner", "outer"}),
        (lambda: t5(feed_forward_proj="gated-gelu"), {"query", "key", "value", "attention", "inner", "outer"}),
        (bart, {"query", "key", "value", "attention", "inner", "outer"}),
        (gpt2, {"attention", "inner", "outer"}),
    ],
)
def test_products_are_known_by_their_roles(make: Any, roles: set[str]) -> None:
    trunk = make()
    for layer in trunk.layers:
        found: dict[Any, nn.Module] = {**sites(layer)}
        assert set(found) == roles
        assert len({id(product) for product in found.values()}) == len(found)
        assert size(found["inner"]) == (16, 32) if make is not gpt2 else (16, 64)
        assert size(found["outer"])[1] == 16
        assert size(found["attention"])[1] == 16


def test_a_product_is_found_by_role_or_name() -> None:
    layer = gpt2().layers[0]
    assert site(layer, "outer") is site(layer, "mlp.c_proj")
    assert size(site(layer, "attn.c_attn")) == (16, 48)
    with pytest.raises(KeyError):
        site(layer, "query")


def test_what_is_lacking_is_told_with_what_there_is() -> None:
    assert not list(lacking(gpt2(), ["outer", "attn.c_attn"], "place"))
    (problem,) = lacking(gpt2(), ["outer", "query"], "architecture.sites")
    assert str(problem) == (
        "architecture.sites\n    takes the product `query`, which the layers of this encoder do not all have. "
        "They have: attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj, attention, inner, outer."
    )


def test_layers_that_are_one_cannot_be_added_to() -> None:
    config = AlbertConfig(
        vocab_size=50,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    (problem,) = lacking(Trunk(AlbertModel(config)), ["outer"], "architecture.type")
    assert "passes one several times" in str(problem)


def test_writing_without_a_cache_is_for_once() -> None:
    trunk = gpt2()
    config: Any = trunk.model.generation_config
    before = config.use_cache
    with without_cache(trunk):
        assert config.use_cache is False
    assert config.use_cache is before


def test_keys_of_tasks_are_not_those_of_the_trunk() -> None:
    assert not [name for name, _ in bert().named_parameters() if key("mood") in name.split(".")]
