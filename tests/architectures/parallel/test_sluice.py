from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from tests.encoders.tiny import make

from motet.architectures.columns import Columned
from motet.architectures.parallel.cross_stitch import CrossStitch
from motet.architectures.parallel.sluice import Sluice, overlaps
from motet.errors import RecipeError


def built(part: Columned, kind: str = "bert", noise: float = 0.1) -> Any:
    arrangement: Any = part.build(make(kind), TASKS).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in [*arrangement.columns.parameters(), *arrangement.heads.parameters()]:
            p.add_(noise * torch.randn_like(p))
    return arrangement


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_with_whole_states_and_the_last_layer_it_is_a_cross_stitch_network(kind: str) -> None:
    plain = built(CrossStitch(own=0.6, shared_layers=1), kind)
    arrangement = built(Sluice(subspaces=1, own=0.6, beta=False, c=0, shared_layers=1), kind)
    torch.testing.assert_close(arrangement.alpha, plain.alpha)
    torch.manual_seed(2)
    with torch.no_grad():
        plain.alpha.copy_(torch.randn_like(plain.alpha))
    arrangement.load_state_dict(plain.state_dict())
    found, expected = arrangement(CHUNK), plain(CHUNK)
    for task in TASKS:
        assert torch.equal(found[task], expected[task])
    grads = []
    for model, said in ((arrangement, found), (plain, expected)):
        sum(logits.square().sum() for logits in said.values()).backward()
        grads.append([p.grad for p in model.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


def test_subspaces_are_mixed_by_their_numbers() -> None:
    arrangement = built(Sluice(subspaces=2, beta=False, c=0))
    torch.manual_seed(2)
    alpha = torch.randn(3, 6, 6)
    with torch.no_grad():
        arrangement.alpha.copy_(alpha.flatten())
    states = {task: torch.randn(2, 5, 16) for task in TASKS}
    found = arrangement.mix(1, dict(states))
    parts = [half for task in TASKS for half in (states[task][..., :8], states[task][..., 8:])]
    for at, task in enumerate(TASKS):
        for half in range(2):
            expected = sum(alpha[1, 2 * at + half, i] * part for i, part in enumerate(parts))
            torch.testing.assert_close(found[task][..., 8 * half : 8 * half + 8], expected)


def test_heads_read_mixtures_of_layers() -> None:
    arrangement = built(Sluice(own=0.7, c=0))
    states = [{task: torch.randn(2, 5, 16) for task in TASKS} for _ in range(3)]
    torch.manual_seed(2)
    with torch.no_grad():
        for beta in arrangement.beta.values():
            beta.copy_(torch.randn(3))
    mixed = [arrangement._stitched(place, found) for place, found in enumerate(states)]
    for _ in range(2):  # nothing is left of one pass in the next
        found = [arrangement.mix(place, layer) for place, layer in enumerate(states)]
        for task in TASKS:
            for place in (0, 1):
                torch.testing.assert_close(found[place][task], mixed[place][task])
            beta = arrangement.beta["of_" + task]
            torch.testing.assert_close(found[2][task], sum(beta[at] * mixed[at][task] for at in range(3)))
    assert arrangement._sums == {}


def test_all_weight_on_the_last_layer_is_no_mixture_of_layers() -> None:
    whole, last = built(Sluice(own=0.7, last=1.0, c=0)), built(Sluice(own=0.7, beta=False, c=0))
    whole.load_state_dict(last.state_dict(), strict=False)
    found, expected = whole(CHUNK), last(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


def test_where_mixtures_begin() -> None:
    arrangement = built(Sluice(own=0.5, last=0.6))
    expected = torch.full((6, 6), 0.1).fill_diagonal_(0.5)
    for layer in arrangement.alpha.detach().view(3, 6, 6):
        torch.testing.assert_close(layer, expected)
    for task in TASKS:
        beta = arrangement.beta["of_" + task]
        torch.testing.assert_close(beta.detach(), torch.tensor([0.2, 0.2, 0.6]))
        assert any(p is beta for p in arrangement.own_parameters(task))
        assert beta.ndim == arrangement.alpha.ndim == 1  # so that they do not decay


def test_overlap_is_what_two_subspaces_have_in_common() -> None:
    torch.manual_seed(1)
    weight = torch.randn(6, 4)
    expected = torch.zeros(())
    for a in range(3):
        for b in range(a):
            for i in range(2):
                for j in range(2):
                    expected += (weight[2 * a + i] @ weight[2 * b + j]) ** 2
    torch.testing.assert_close(overlaps(weight, 3), expected)
    assert float(overlaps(torch.eye(4), 2)) == 0
    turned = torch.linalg.qr(torch.randn(4, 4))[0]
    torch.testing.assert_close(overlaps(weight @ turned, 3), expected)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_the_penalty_keeps_apart_what_is_written_into_subspaces(kind: str) -> None:
    arrangement = built(Sluice(c=0.5, shared_layers=2), kind).train()
    arrangement(CHUNK)
    tops = [arrangement.trunk.layers[2], *(arrangement.columns.stack(name)[0] for name in ("count", "tags"))]
    names = ("attn.c_proj", "mlp.c_proj") if kind == "gpt2" else ("attention.output.dense", "output.dense")
    expected = torch.zeros(())
    for layer in tops:
        for name in names:
            weight = layer.get_parameter(f"{name}.weight")
            weight = weight.T if kind == "gpt2" else weight
            assert len(weight) == 16
            expected = expected + (weight[:8] @ weight[8:].T).square().sum()
    torch.testing.assert_close(arrangement.extras["subspaces"], 0.5 * expected)


@pytest.mark.parametrize("part", [Sluice(c=0), Sluice(subspaces=1)])
def test_a_penalty_of_nothing_is_left_out(part: Sluice) -> None:
    arrangement = built(part).train()
    arrangement(CHUNK)
    assert arrangement.extras == {}


@pytest.mark.parametrize(
    "options",
    [{"subspaces": 0}, {"own": 0.0}, {"last": 1.5}, {"c": -0.1}],
    ids=lambda options: str(next(iter(options))),
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(options))):
        Sluice(**options)


def test_what_does_not_fit_the_trunk() -> None:
    trunk = make("bert")
    (problem,) = Sluice(subspaces=3).problems(TASKS, trunk)
    assert (problem.name, problem.rule) == ("architecture.subspaces", "must divide the width 16")
    for layer in trunk.layers:
        for old, new in (("output", "written"), ("attention", "looked")):
            layer.add_module(new, layer.get_submodule(old))
            delattr(layer, old)
        looked = layer.get_submodule("looked")
        looked.add_module("written", looked.get_submodule("output"))
        delattr(looked, "output")
    (problem,) = Sluice().problems(TASKS, trunk)
    assert problem.name == "architecture.c"
    assert "written.dense" in problem.rule
    assert list(Sluice(c=0).problems(TASKS, trunk)) == []
