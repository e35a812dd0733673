from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, owned
from tests.encoders.tiny import make
from torch import Tensor, nn

from motet.architectures.columns import Columned, Columns, of_column
from motet.architectures.heads import answering
from motet.architectures.parallel.cross_stitch import CrossStitch
from motet.architectures.parallel.gated_fusion import GatedFusion
from motet.architectures.parallel.group_trunks import GroupTrunks
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.architectures.parallel.leaky_units import LeakyUnits
from motet.architectures.parallel.shared_features import SharedFeatures
from motet.architectures.parallel.sluice import Sluice
from motet.architectures.parallel.soft_sharing import LayerwiseSoftSharing
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.tasks.base import Task
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage

FAMILIES = (
    "bart",
    "bert",
    "deberta",
    "distilbert",
    "electra",
    "gpt2",
    "llama",
    "modernbert",
    "mpnet",
    "roberta",
    "t5",
    "t5 encoder",
)
GROUPS = {"one": ("mood",), "two": ("count", "tags")}
ALL: tuple[Columned, ...] = (
    CrossStitch(),
    GatedFusion(),
    GroupTrunks(groups=GROUPS),
    LeakyUnits(),
    SharedFeatures(),
    Sluice(),
    LayerwiseSoftSharing(),
)
WRITES: dict[str, Task] = {"text": Generation("text", source="s", target="t", longest=3)}
NEXT: dict[str, Task] = {"next": CausalLanguage("next", source="s")}


def nothing(place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
    return found


def shaken(columns: Columns, name: str) -> None:
    with torch.no_grad():
        for p in columns.of(name):
            p.add_(0.1 * torch.randn_like(p))


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("kind", FAMILIES)
def test_columns_in_step_that_exchange_nothing_are_the_trunk(kind: str, first: int) -> None:
    trunk = make(kind)
    columns = Columns(trunk, ["b", "c"], first)
    expected = trunk(CHUNK.tokens, CHUNK.mask).last
    found = columns.together(trunk, CHUNK, "a", nothing)
    assert list(found) == ["a", "b", "c"]
    for states in found.values():
        torch.testing.assert_close(states, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_column_in_step_is_what_it_is_by_itself(kind: str) -> None:
    trunk = make(kind)
    columns = Columns(trunk, ["b", "c"], 1)
    torch.manual_seed(1)
    shaken(columns, "b")
    together = columns.together(trunk, CHUNK, "a", nothing)
    for name, states in together.items():
        torch.testing.assert_close(states, columns.read(name, trunk, CHUNK).last, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together["b"], together["c"], atol=1e-2)


def test_an_exchange_is_what_the_next_layer_reads_in_every_column() -> None:
    trunk = make("bert")
    columns = Columns(trunk, ["b"])
    torch.manual_seed(1)
    shaken(columns, "b")
    seen = []

    def swap(place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(place)
        return {"a": found["b"], "b": found["a"]} if place == 1 else found

    found = columns.together(trunk, CHUNK, "a", swap)
    assert seen == [0, 1, 2]
    own, copied = list(trunk.layers), list(columns.stack("b"))
    for name, path in (("a", [*copied[:2], own[2]]), ("b", [*own[:2], copied[2]])):
        stack = Columns(trunk, ["path"])
        stack.stacks["of_path"] = nn.ModuleList(path)
        torch.testing.assert_close(found[name], stack.read("path", trunk, CHUNK).last)


def test_nothing_is_left_behind_in_the_trunk() -> None:
    trunk = make("bert")
    columns = Columns(trunk, ["b"], 1)
    own = list(trunk.layers)

    def fail(place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        if place == 2:
            raise RuntimeError("in the pass")
        return found

    for mix in (nothing, fail):
        try:
            columns.together(trunk, CHUNK, "a", mix)
        except RuntimeError:
            assert mix is fail
        assert not any(layer._forward_hooks for layer in trunk.layers)
    with columns.standing_in("b", trunk):
        assert list(trunk.layers) == [own[0], *columns.stack("b")]
    with columns.standing_in("a", trunk):
        assert list(trunk.layers) == own
    assert list(trunk.layers) == own


def test_columns_are_copies_of_the_upper_layers() -> None:
    trunk = make("bert")
    columns = Columns(trunk, ["b"], 1)
    assert "b" in columns
    assert "a" not in columns
    assert list(columns.of("a")) == []
    names = [name for name, _ in trunk.layers[1:].named_parameters()]
    for name, own, copied in zip(names, trunk.layers[1:].parameters(), columns.of("b"), strict=True):
        assert torch.equal(own, copied), name
        assert own is not copied


@pytest.mark.parametrize("part", ALL, ids=lambda part: type(part).__name__)
def test_what_does_not_fit_a_trunk(part: Columned) -> None:
    (problem,) = part.problems(TASKS, make("albert"))
    assert problem.name == "encoder.name"
    assert "modules of their own" in problem.rule
    assert list(part.problems(TASKS, make("bert"))) == []
    deep = type(part)(**{**vars(part), "shared_layers": 3})
    (problem,) = deep.problems(TASKS, make("bert"))
    assert (problem.name, problem.rule, problem.found) == ("architecture.shared_layers", "must be 0 to 2", "3")


def weights(trunk: Trunk, part: Columned) -> int:
    """What an architecture adds to a trunk with heads."""
    arrangement = part.build(trunk, TASKS)
    total = sum(p.numel() for p in arrangement.parameters())
    return total - sum(p.numel() for module in (trunk, arrangement.heads) for p in module.parameters())


@pytest.mark.parametrize("part", ALL, ids=lambda part: type(part).__name__)
def test_memory_is_estimated_before_it_is_taken(part: Columned) -> None:
    trunk, shared = make("bert"), {**vars(part), "shared_layers": 1}
    needed = 16 * weights(trunk, type(part)(**shared)) / 2**30
    enough = type(part)(**{**shared, "most_memory": 1.01 * needed})
    assert list(enough.problems(TASKS, trunk)) == []
    tight = type(part)(**{**shared, "most_memory": 0.8 * needed})
    (problem,) = tight.problems(TASKS, trunk)
    assert problem.name == "architecture.most_memory"
    assert problem.found == f"{0.8 * needed:g}"
    estimate = float(problem.rule.removeprefix("is less than the ").partition(" GiB")[0])
    assert estimate == pytest.approx(needed, rel=0.01)  # three digits, and without the numbers of mixtures


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"shared_layers": -1}, "shared_layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"most_memory": 0.0}, "most_memory"),
    ],
)
@pytest.mark.parametrize("part", ALL, ids=lambda part: type(part).__name__)
def test_options_that_are_wrong_for_any_trunk(part: Columned, options: dict[str, Any], place: str) -> None:
    with pytest.raises(RecipeError, match=place):
        type(part)(**{**vars(part), **options})


def test_layers_of_columns() -> None:
    assert list(of_column((2, 3), 1, 3, "here")) == []
    found = [(p.name, p.rule, p.found) for p in of_column((1, 2, 4), 1, 3, "here")]
    assert found == [("here", "must be 2 to 3", "1"), ("here", "must be 2 to 3", "4")]


def test_tasks_that_write_have_no_column() -> None:
    assert answering({**TASKS, **WRITES, **NEXT}) == list(TASKS)


def test_columns_learn_at_the_rate_of_the_trunk() -> None:
    for part in ALL:
        trunk = make("bert")
        arrangement = part.build(trunk, TASKS)
        slow = {id(p) for p in arrangement.pretrained_parameters()}
        rest = {name for name, p in arrangement.named_parameters() if id(p) not in slow}
        assert not any(name.startswith(("trunk.", "columns.")) for name in rest)
        assert {id(p) for p in trunk.parameters()} < slow
        assert any(name.startswith("heads.") for name in rest)


def written(kind: str, name: str) -> Chunk:
    """Rows of a task that writes beside those of one with a head."""
    more = owned(1, 2)
    target = torch.tensor([5, 6, 7, 5])
    own = owned(1, 2, words=[(1, 1), (2, 1)]) if name == "next" else None
    if own is None:
        lengths = more.lengths + 1
        own = type(more)(more.rows, None, lengths, more.examples, target)
    return Chunk(CHUNK.tokens, CHUNK.mask, None, {"mood": owned(0, 1), name: own}, CHUNK.real)


@pytest.mark.parametrize("part", [CrossStitch(), LeakyUnits(), Sluice(), SharedFeatures(), GatedFusion()])
@pytest.mark.parametrize(("kind", "tasks"), [("t5", WRITES), ("gpt2", WRITES), ("gpt2", NEXT)])
def test_tasks_that_write_do_so_with_the_trunk_as_it_is(part: Columned, kind: str, tasks: dict[str, Task]) -> None:
    (name,) = tasks
    several = {"mood": TASKS["mood"], "count": TASKS["count"], **tasks}
    trunk = make(kind)
    chunk = written(kind, name)
    assert list(part.problems(several, trunk)) == []
    plain = HardSharing().build(trunk, several).eval()
    arrangement = part.build(trunk, several).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for module in (arrangement.columns, arrangement.heads):
            assert isinstance(module, nn.Module)
            for p in module.parameters():
                p.add_(0.1 * torch.randn_like(p))
    found = arrangement(chunk)
    assert list(found) == ["mood", name]
    torch.testing.assert_close(found[name], plain(chunk)[name], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(arrangement(chunk.part(name))[name], found[name], atol=1e-5, rtol=1e-5)
    if name == "text":
        ours, theirs = arrangement.write(chunk, tasks[name]), plain.write(chunk, tasks[name])
        assert [words.tolist() for words in ours] == [words.tolist() for words in theirs]


@pytest.mark.parametrize("part", [CrossStitch(), LeakyUnits(), Sluice(subspaces=1, beta=False)])
@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_one_task_alone_is_the_trunk(part: Columned, kind: str) -> None:
    one = {"tags": TASKS["tags"]}
    trunk, chunk = make(kind), CHUNK.part("tags")
    plain, arrangement = HardSharing().build(trunk, one).eval(), part.build(trunk, one).eval()
    arrangement.heads.load_state_dict(plain.heads.state_dict())
    torch.testing.assert_close(arrangement(chunk)["tags"], plain(chunk)["tags"], atol=1e-6, rtol=1e-6)
    assert not list(arrangement.columns.parameters())  # type: ignore[union-attr]
