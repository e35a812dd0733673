from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from tests.architectures.hierarchical.making import answered, assert_alone_as_in_company, fresh, moved, reached
from tests.architectures.toys import CHUNK, TASKS, chunk, owned
from tests.training.conftest import Toys, source
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from motet.architectures.base import Architecture
from motet.architectures.heads import key
from motet.architectures.hierarchical.interactive import Interactive
from motet.architectures.hierarchical.pipeline import Pipeline
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.model import MultiTaskModel
from motet.recipe.values import convert
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.language import CausalLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

PARTS = {
    "text to word": Pipeline(feeds={"tags": ("mood",)}, size=5),
    "word to text": Pipeline(feeds={"mood": ("tags",)}, size=5),
    "chain": Pipeline(feeds={"count": ("tags",), "mood": ("count", "tags")}, size=5),
    "states": Pipeline(feeds={"tags": ("count",), "mood": ("tags", "count")}, size=5, connection="states"),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_it_begins_as_hard_sharing(tiny_encoder: Path, part: Pipeline) -> None:
    plain, model = fresh(tiny_encoder, HardSharing()), fresh(tiny_encoder, part)
    model.arrangement.heads.load_state_dict(plain.arrangement.heads.state_dict())
    expected, found = plain(CHUNK), model(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_an_answer_depends_on_no_other_task_row_or_padding(tiny_encoder: Path, part: Pipeline) -> None:
    assert_alone_as_in_company(moved(tiny_encoder, part))


def test_what_reads_a_text_reads_the_vector_of_its_label(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, PARTS["text to word"])
    states, heads, reader = inside(model, "tags")
    found = model(CHUNK)["tags"]
    for unit, (row, token) in enumerate(CHUNK.owned["tags"].words.T.tolist()):  # type: ignore[union-attr]
        p = heads.mood(states[row, : int(CHUNK.mask[row].sum())].mean(dim=0)).softmax(dim=0)
        y = sum(p[c] * reader.vectors["of_mood"].vectors[c] for c in range(3))
        torch.testing.assert_close(found[unit], heads.tags(merged(reader, states[row, token], y)))


def test_what_reads_words_reads_the_mean_of_their_labels(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, PARTS["word to text"])
    states, heads, reader = inside(model, "mood")
    found = model(CHUNK)["mood"]
    for unit, row in enumerate(CHUNK.owned["mood"].rows.tolist()):
        h = states[row, : int(CHUNK.mask[row].sum())]
        y = (heads.tags(h).softmax(dim=1) @ reader.vectors["of_tags"].vectors).mean(dim=0)
        pooled = torch.stack([merged(reader, token, y) for token in h]).mean(dim=0)
        torch.testing.assert_close(found[unit], heads.mood(pooled))


def test_what_reads_states_reads_the_small_layer_of_each_token(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, Pipeline(feeds={"mood": ("tags",)}, size=5, connection="states"))
    states, heads, reader = inside(model, "mood")
    layer: Any = model.arrangement.get_submodule("layers.of_tags")
    hidden = torch.nn.functional.gelu(layer.down(states))
    found = model(CHUNK)
    row, token = 2, 1
    torch.testing.assert_close(found["tags"][3], heads.tags(states[row, token] + layer.up(hidden[row, token])))
    length = int(CHUNK.mask[row].sum())
    pooled = torch.stack([merged(reader, states[row, t], hidden[row, t]) for t in range(length)]).mean(dim=0)
    torch.testing.assert_close(found["mood"][2], heads.mood(pooled))


@pytest.mark.parametrize("connection", ["labels", "states"])
def test_a_loss_teaches_the_tasks_that_are_read_unless_detached(tiny_encoder: Path, connection: Any) -> None:
    feeds = {"count": ("tags",), "mood": ("count",)}
    for detach in (False, True):
        model = moved(tiny_encoder, Pipeline(feeds=feeds, size=5, connection=connection, detach=detach))
        found = {name for name in reached(model, "mood") if not name.startswith("trunk")}
        own = {id(p) for p in model.arrangement.own_parameters("mood")}
        assert own <= {id(p) for name, p in model.arrangement.named_parameters() if name in found}
        others = {part for name in found for part in name.split(".")[1:2]} - {"of_mood"}
        assert others == (set() if detach else {"of_count", "of_tags"})
        assert any(name.startswith("trunk") for name in reached(model, "mood"))


def test_what_makes_answers_readable_belongs_to_the_reader(tiny_encoder: Path) -> None:
    arrangement = fresh(tiny_encoder, PARTS["chain"]).arrangement
    own = {task: {id(p) for p in arrangement.own_parameters(task)} for task in TASKS}
    named = {task: {n for n, p in arrangement.named_parameters() if id(p) in own[task]} for task in TASKS}
    assert named["tags"] == {"heads.of_tags.linear.weight", "heads.of_tags.linear.bias"}
    assert {"readers.of_mood.vectors.of_tags.vectors", "readers.of_mood.merge.outer.weight"} <= named["mood"]
    assert "readers.of_count.vectors.of_tags.vectors" in named["count"]


class TestGold:
    """Scheduled sampling."""

    TOLD = answered(CHUNK, tags=[1.0, -100.0, 2.0, 1.0], mood=[0.0, 2.0, 1.0])

    def said(self, model: MultiTaskModel, name: str, told: Chunk) -> Tensor:
        """What others read of a task."""
        arrangement: Any = model.arrangement
        read = model.arrangement.trunk(told.tokens, told.mask, told.types).last
        given: Tensor = arrangement._given(name, arrangement.says(name, read, told.mask), told)
        return given

    def test_known_labels_take_the_place_of_answers(self, tiny_encoder: Path) -> None:
        model = moved(tiny_encoder, Pipeline(feeds={"mood": ("tags",), "count": ("mood",)}, gold=1.0, dropout=0.0))
        plain = {name: self.said(model, name, self.TOLD) for name in ("tags", "mood")}
        model.arrangement.train()
        tags, mood = (self.said(model, name, self.TOLD) for name in ("tags", "mood"))
        assert tags[0, 1].tolist() == [0, 1, 0]
        assert tags[0, 3].tolist() == [0, 0, 1]
        assert tags[2, 1].tolist() == [0, 1, 0]
        assert mood[:3, 0].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
        changed = torch.zeros(4, 5, dtype=torch.bool)
        changed[[0, 0, 2], [1, 3, 1]] = True
        torch.testing.assert_close(tags[~changed], plain["tags"][~changed])
        torch.testing.assert_close(mood[3], plain["mood"][3])

    def test_they_are_for_training_and_for_what_is_labelled(self, tiny_encoder: Path) -> None:
        model = moved(tiny_encoder, Pipeline(feeds={"mood": ("tags",)}, gold=1.0, dropout=0.0))
        expected = model(CHUNK)["mood"]
        assert torch.equal(model(self.TOLD)["mood"], expected)
        model.train()
        torch.testing.assert_close(model(CHUNK)["mood"], expected)
        assert not torch.allclose(model(self.TOLD)["mood"], expected)
        others = replace(self.TOLD, owned={"mood": self.TOLD.owned["mood"]})
        torch.testing.assert_close(model(others)["mood"], expected)

    def test_a_task_never_reads_its_own_labels(self, tiny_encoder: Path) -> None:
        model = moved(tiny_encoder, Pipeline(feeds={"mood": ("tags",)}, gold=1.0, dropout=0.0)).train()
        torch.testing.assert_close(model(self.TOLD)["tags"], model(CHUNK)["tags"])

    def test_their_share_falls_to_none(self, tiny_encoder: Path) -> None:
        model = moved(tiny_encoder, Pipeline(feeds={"tags": ("mood",)}, gold=0.8, dropout=0.0)).train()
        mood = owned(*range(4))
        told = answered(chunk(mood=mood), mood=[0.0, 1.0, 2.0, 0.0])
        torch.manual_seed(0)
        for step, share in [(0, 0.8), (50, 0.4), (100, 0.0), (120, 0.0)]:
            model.arrangement.begin(step, 100)
            rows = torch.cat([self.said(model, "mood", told).amax(dim=(1, 2)) == 1 for _ in range(100)])
            assert float(rows.float().mean()) == pytest.approx(share, abs=0.07)

    @pytest.mark.parametrize("reader", ["slots", "intent"])
    def test_what_no_text_tells_is_learnt_from_the_other_task(self, tiny_encoder: Path, reader: str) -> None:
        """All texts are the same; the labels of slots are those of the intents, which are drawn."""
        tasks: dict[str, Task] = {
            "intent": Classification("intent", source="s", classes=("a", "b")),
            "slots": Tagging("slots", source="s", classes=("O", "B"), outside="O"),
        }
        told = (set(tasks) - {reader}).pop()
        model = fresh(tiny_encoder, Pipeline(feeds={reader: (told,)}, gold=1.0, dropout=0.0), tasks).train()
        tokens = torch.tensor([[2, 9, 10, 3]] * 4)
        owners = {
            "intent": owned(*range(4)),
            "slots": owned(*range(4), words=[(row, token) for row in range(4) for token in (1, 2)]),
        }
        whole = Chunk(tokens, torch.ones_like(tokens), None, owners, 16)
        labels = torch.tensor([0.0, 1, 1, 0])
        whole = answered(whole, intent=labels.tolist(), slots=labels.repeat_interleave(2).tolist())
        learnt = [p for name, p in model.arrangement.named_parameters() if not name.startswith("trunk")]
        optimiser = torch.optim.Adam(learnt, lr=0.02)
        for _ in range(40):
            optimiser.zero_grad()
            logits = model(whole)
            losses = {name: loss(tasks[name], whole, logits[name]) for name in tasks}
            torch.autograd.backward(list(losses.values()))
            optimiser.step()
        assert losses[reader].item() < 0.1
        assert losses[told].item() > 0.6
        assert loss(tasks[reader], whole, model.eval()(whole)[reader]).item() > 0.6


@pytest.mark.parametrize(
    "architecture",
    [
        Pipeline(feeds={"slots": ("intent",)}, gold=0.5),
        Pipeline(feeds={"intent": ("slots",)}, gold=0.5),
        Interactive(),
    ],
    ids=["slots read intent", "intent reads slots", "both read both"],
)
def test_intent_and_slots_are_learnt_together(tiny_encoder: Path, tmp_path: Path, architecture: Architecture) -> None:
    shared = source(train=24, validation=12)
    tasks = (
        Classification("intent", source=shared, text="tokens", label="mood", words=True),
        Tagging("slots", source=shared, tokens="tokens", labels="tags"),
    )
    run = Toys(tiny_encoder, tmp_path, tasks).run(architecture=architecture, steps=12)
    steps = [event for event in run.folder.events() if event["event"] == "step"]
    for task in ("intent", "slots"):
        losses = [step["losses"][task] for step in steps]
        assert sum(losses[-3:]) < sum(losses[:3])


def test_all_shapes_of_answers_are_read(tiny_encoder: Path) -> None:
    tasks: dict[str, Task] = {
        **TASKS,
        "topics": MultiLabel("topics", source="s", classes=("a", "b")),
        "stars": Ordinal("stars", source="s", classes=("1", "2", "3")),
        "crf": Tagging("crf", source="s", classes=("O", "B"), outside="O", crf=True),
    }
    sources = ("topics", "stars", "crf", "count")
    model = moved(tiny_encoder, Pipeline(feeds={"mood": sources, "tags": sources}, size=4), tasks)
    assert_alone_as_in_company(model)
    found = reached(model, "tags")
    assert {f"heads.{key(name)}.linear.weight" for name in sources} <= found


def test_a_decoder_goes_on_as_it_is() -> None:
    config = GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    trunk = Trunk(GPT2LMHeadModel(config)).eval()
    tasks = {**TASKS, "words": CausalLanguage("words", source="s")}
    model = Pipeline(feeds={"mood": ("tags",)}, size=4).build(trunk, tasks).eval()
    with torch.no_grad():
        for p in model.get_submodule("readers").parameters():
            p.add_(torch.randn_like(p))
    words = owned(0, 1, words=[(0, 0), (0, 1), (1, 0)])
    whole = replace(CHUNK, owned={**CHUNK.owned, "words": words})
    found, plain = model(whole), HardSharing().build(trunk, tasks).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    assert torch.equal(found["words"], plain(whole)["words"])
    assert not torch.allclose(found["mood"], plain(whole)["mood"])
    assert set(model(Chunk(CHUNK.tokens, CHUNK.mask, None, {"words": words}, 3))) == {"words"}


def test_what_does_not_fit_the_tasks(tiny_encoder: Path) -> None:
    trunk = fresh(tiny_encoder, HardSharing()).arrangement.trunk
    tasks: dict[str, Task] = {
        **TASKS,
        "order": Ranking("order", source="s"),
        "where": Spans("where", source="s"),
        "words": CausalLanguage("words", source="s"),
    }
    feeds = {"mood": ("order", "tgas"), "coutn": ("mood",), "words": ("mood",), "tags": ("where", "words")}
    problems = [(p.name, p.found, p.rule) for p in Pipeline(feeds=feeds).problems(tasks, trunk)]
    assert [(name.removeprefix("architecture.feeds."), found) for name, found, _ in problems] == [
        ("mood", "tgas"),
        ("coutn", ""),
        ("mood", "order"),
        ("words", ""),
        ("tags", "where"),
        ("tags", "words"),
    ]
    rules = [rule for _, _, rule in problems]
    assert "Did you mean `tags`?" in rules[0]
    assert "`order` gives scores that mean nothing but the order" in rules[2]
    assert "writes with the whole trunk" in rules[3]
    states = Pipeline(feeds={"mood": ("order",), "tags": ("where", "words")}, connection="states")
    assert [p.found for p in states.problems(tasks, trunk)] == ["words"]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"dropout": 1.0}, "dropout"),
        ({"gold": 1.5}, "gold"),
        ({"gold": -0.1}, "gold"),
        ({"size": 0}, "size"),
        ({"connection": "answers"}, "`labels` or `states`"),
        ({"connection": "states", "gold": 0.5}, "must be 0 where `states` are read"),
        ({"feeds": {"a": ("b",), "b": ("a",)}}, "must not lead back"),
        ({"feeds": {"a": ()}}, "at least one task"),
    ],
)
def test_bad_settings(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        Pipeline(**settings)


def test_a_recipe_names_the_graph_in_lists() -> None:
    feeds = convert(get_type_hints(Pipeline)["feeds"], {"b": ["a"]})
    assert Pipeline(feeds=feeds) == Pipeline(feeds={"b": ("a",)})


def inside(model: MultiTaskModel, reader: str) -> tuple[Tensor, Any, Any]:
    """The states of the trunk, the linear layers of heads, and the reader of a task."""
    arrangement: Any = model.arrangement
    states = arrangement.trunk(CHUNK.tokens, CHUNK.mask).last

    class Linear:
        mood = arrangement.heads["of_mood"].linear
        tags = arrangement.heads["of_tags"].linear

    return states, Linear, arrangement.readers[key(reader)]


def merged(reader: Any, state: Tensor, y: Tensor) -> Tensor:
    hidden = reader.merge.inner(torch.cat([state, y]))
    added: Tensor = reader.merge.outer(torch.nn.functional.gelu(hidden))
    return state + added


def loss(task: Task, whole: Chunk, logits: Tensor) -> Tensor:
    own = whole.owned[task.name]
    assert own.target is not None
    return task.loss(logits, own.target, own.lengths) / len(own.target)
