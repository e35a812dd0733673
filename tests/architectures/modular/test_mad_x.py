"""Languages under tasks: the order of adapters, exact inverses, who learns from what, and another language."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, bert, gpt2, perturb, t5, writing_chunk
from tests.encoders.tiny import make

from motet.architectures.modular.adapters import Adapters
from motet.architectures.modular.mad_x import MADX, Invertible
from motet.architectures.routing import Routed
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.tasks.language import MaskedLanguage

EVERY: dict[str, Any] = {
    **TASKS,
    "words-en": MaskedLanguage("words-en", source="s"),
    "words-de": MaskedLanguage("words-de", source="s"),
}
LANGUAGES = {"en": ("words-en", "mood"), "de": ("words-de", "topic")}


def arranged(trunk: Trunk | None = None, **fields: Any) -> Any:
    part = MADX(**{"languages": LANGUAGES, **fields})
    return perturb(part.build(trunk or bert(), EVERY))


def words_of(task: str) -> Chunk:
    chunk = writing_chunk(task)
    own = replace(chunk.owned[task], words=torch.tensor([[0, 1, 2], [1, 2, 0]]))
    return replace(chunk, owned={task: own})


def reached(arrangement: Routed, task: str) -> set[str]:
    arrangement.zero_grad()
    chunk = words_of(task) if task.startswith("words") else writing_chunk(task)
    arrangement(chunk)[task].square().sum().backward()
    return {name for name, p in arrangement.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("width", [2, 7, 16])
def test_a_coupling_is_undone_exactly(width: int) -> None:
    torch.manual_seed(0)
    coupling = Invertible(width, 2).double()
    with torch.no_grad():
        for p in coupling.parameters():
            p.add_(torch.randn_like(p))
    x = torch.randn(5, 3, width, dtype=torch.float64)
    y = coupling(x)
    assert not torch.allclose(y, x)
    torch.testing.assert_close(coupling.inverse(y), x, atol=1e-12, rtol=0)
    torch.testing.assert_close(coupling(coupling.inverse(x)), x, atol=1e-12, rtol=0)
    half = width - width // 2
    first = x[..., :half] + coupling.F(x[..., half:])
    torch.testing.assert_close(y, torch.cat([first, x[..., half:] + coupling.G(first)], dim=-1))


def test_the_language_stands_under_the_task() -> None:
    trunk = bert()
    arrangement = arranged(trunk, invertible=False)
    place, product = arrangement.inserted[0], trunk.layers[0].output.dense  # type: ignore[union-attr]
    given = torch.randn(2, 3, 32)
    plain = product(given)  # type: ignore[operator]
    with arrangement.route.alone("mood"):
        found = product(given)  # type: ignore[operator]
    torch.testing.assert_close(found, place.of["of_mood"](None, place.languages["in_en"](None, plain)))
    with arrangement.route.alone("words-de"):
        torch.testing.assert_close(product(given), place.languages["in_de"](None, plain))  # type: ignore[operator]
    assert set(place.of) == {"of_mood", "of_topic"}
    sizes = place.languages["in_en"].down.out_features, place.of["of_mood"].down.out_features
    assert sizes == (16 // 2, 16 // 16)


def test_vectors_are_coupled_and_words_are_said_behind_the_inverse() -> None:
    trunk = bert()
    arrangement = arranged(trunk)
    coupling = arrangement.inserted[0].languages["in_en"]
    tokens = torch.tensor([[7, 8, 9]])
    with arrangement.route.alone("words-en"):
        torch.testing.assert_close(trunk.embeddings(tokens), coupling(trunk.embeddings.weight[tokens]))
    chunk, head = words_of("words-en"), arrangement.heads["of_words-en"]
    with arrangement.route.alone("words-en"):
        states = trunk(chunk.tokens, chunk.mask).last
    at = chunk.owned["words-en"].words
    assert at is not None
    hidden = head.norm(torch.nn.functional.gelu(head.dense(states[at[0], at[1]])))
    expected = coupling.inverse(hidden) @ trunk.embeddings.weight.T + head.bias
    torch.testing.assert_close(arrangement(chunk)["words-en"], expected)
    again = copy.deepcopy(arrangement)
    torch.testing.assert_close(again(chunk)["words-en"], expected)


def test_languages_learn_from_words_and_tasks_pass_through_them() -> None:
    arrangement = arranged()
    words, mood = reached(arrangement, "words-en"), reached(arrangement, "mood")
    assert any("languages.in_en" in name for name in words)
    assert any("inserted.0.languages.in_en.F" in name for name in words)
    assert not [name for name in words if "in_de" in name or ".of.of_" in name]
    assert not [name for name in mood if "languages" in name]
    assert any(".of.of_mood" in name for name in mood)
    assert all(name.startswith(("heads.", "inserted.")) for name in words | mood)


def test_all_tasks_of_a_language_teach_it_on_request_or_where_it_has_no_words() -> None:
    assert any("in_en" in name for name in reached(arranged(learns="all"), "mood"))
    without = {"en": ("words-en", "mood"), "de": ("topic",)}
    arrangement = arranged(languages=without)
    assert any("in_de" in name for name in reached(arrangement, "topic"))
    assert not [name for name in reached(arrangement, "mood") if "in_en" in name]


def test_what_speaks_another_language_answers_as_if_it_were_trained_there() -> None:
    arrangement = arranged()
    chunk = writing_chunk("mood")
    before = arrangement(chunk)["mood"]
    assert arrangement.languages["mood"] == "en"
    arrangement.speak("mood", "de")
    moved = arrangement(chunk)["mood"]
    assert not torch.allclose(moved, before)
    other = MADX(languages={"en": ("words-en",), "de": ("words-de", "topic", "mood")}).build(bert(), EVERY).eval()
    other.load_state_dict(arrangement.state_dict())
    torch.testing.assert_close(moved, other(chunk)["mood"])
    arrangement.speak("mood", "en")
    assert torch.equal(arrangement(chunk)["mood"], before)
    with pytest.raises(ValueError, match=r"`dee` is not here. Did you mean `de`"):
        arrangement.speak("mood", "dee")
    with pytest.raises(ValueError, match="`moods` is not here"):
        arrangement.speak("moods", "de")


def test_without_languages_it_is_adapters() -> None:
    torch.manual_seed(0)
    one: Any = perturb(Adapters(where="feed_forward", activation="relu").build(bert(), TASKS))
    other: Any = MADX().build(bert(), TASKS).eval()
    other.load_state_dict(one.state_dict())
    chunk = writing_chunk("topic")
    torch.testing.assert_close(other(chunk)["topic"], one(chunk)["topic"])


def test_what_does_not_fit_is_told() -> None:
    part = MADX(languages={"en": ("moods", "mood")}, learns="all")
    (problem,) = part.problems(TASKS, bert())
    assert str(problem).startswith("architecture.languages.en = moods\n    names no task. Did you mean `mood`")
    part = MADX(languages={"en": ("mood",)})
    for trunk in (t5(), gpt2()):
        (problem,) = part.problems(TASKS, trunk)
        assert problem.name == "architecture.invertible"
        assert not list(replace(part, invertible=False).problems(TASKS, trunk))
    (problem,) = part.problems(TASKS, make("albert"))
    assert "passes one several times" in str(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": {"en": ("a",), "de": ("a",)}}, r"languages.de = a\n    names a task for the second time"),
        ({"learns": "labels"}, "learns = labels"),
        ({"task_reduction": 0}, "task_reduction = 0"),
        ({"language_reduction": 0}, "language_reduction = 0"),
        ({"invertible_reduction": 0}, "invertible_reduction = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_bad_settings_are_told(options: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MADX(**options)
