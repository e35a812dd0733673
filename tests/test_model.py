from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.architectures.examples import EXAMPLES
from tests.architectures.toys import TASKS as TOYS
from transformers import AutoModel

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.data.encoding import token_rows, tokenise_batch
from motet.encoders import Encoder
from motet.errors import RecipeError, RunError
from motet.model import MultiTaskModel, build, load
from motet.tasks.base import Inputs, Task
from motet.tasks.classification import Classification
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

TASKS: dict[str, Task] = {
    "mood": Classification("mood", source="s", label="mood", classes=("no", "yes"), where={"of": 1}),
    "size": Regression("size", source="s", value="size", mean=3.0, scale=2.0),
    "within": Classification("within", source="p", text=("text", "other"), label="within", classes=("a", "b", "c")),
    "places": Tagging("places", source="w", classes=("B-place", "O"), outside="O"),
}
TEXTS = ["good film", "the train to Lisbon leaves at nine", "rain", "no, it is dry. cold and slow", "warm", "a"]
PAIRS = [("good film", "film"), ("the train leaves", "does it rain in London today?"), ("a", "b")]


@pytest.fixture(scope="module")
def make_model(tiny_encoder: Path) -> Any:
    def make(tasks: dict[str, Task] = TASKS, architecture: HardSharing | None = None) -> MultiTaskModel:
        torch.manual_seed(1)
        return build(Encoder(str(tiny_encoder), max_length=32), architecture or HardSharing(), tasks).eval()

    return make


@pytest.fixture(scope="module")
def model(make_model: Any) -> MultiTaskModel:
    made: MultiTaskModel = make_model()
    return made


def assert_alike(left: Any, right: Any, tolerance: float = 1e-5) -> None:
    """Equal labels, and numbers that are almost equal."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_alike(left[key], right[key], tolerance)
    elif isinstance(left, list):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_alike(one, other, tolerance)
    elif isinstance(left, float):
        assert left == pytest.approx(right, abs=tolerance)
    else:
        assert left == right


def test_one_text_is_answered_for_every_task_that_fits(model: MultiTaskModel) -> None:
    answer = model.predict("the train to Lisbon")
    assert list(answer) == ["mood", "size", "places"]
    assert answer["mood"]["label"] in ("no", "yes")
    assert sum(answer["mood"]["scores"].values()) == pytest.approx(1)
    assert isinstance(answer["size"]["value"], float)
    assert len(answer["places"]["tags"]) == 4


def test_a_list_is_answered_by_a_list(model: MultiTaskModel) -> None:
    answers = model.predict(TEXTS)
    assert [len(answer["places"]["tags"]) for answer in answers] == [len(text.split()) for text in TEXTS]
    assert_alike(model.predict([TEXTS[1]]), [model.predict(TEXTS[1])])
    assert model.predict([]) == []


def test_pairs(model: MultiTaskModel) -> None:
    answers = model.predict(PAIRS)
    assert [list(answer) for answer in answers] == [["within"]] * 3
    assert_alike(model.predict(PAIRS[0]), answers[0])
    assert model.predict(("film", "good film"))["within"]["scores"] != answers[0]["within"]["scores"]


def test_padding_changes_nothing(model: MultiTaskModel) -> None:
    assert_alike(model.predict(TEXTS), [model.predict(text) for text in TEXTS])
    assert_alike(model.predict(PAIRS), [model.predict(pair) for pair in PAIRS])


def test_answers_follow_their_texts(model: MultiTaskModel) -> None:
    many = [*TEXTS, *(f"{text} and so on" for text in TEXTS)]
    order = random.Random(0).sample(range(len(many)), len(many))
    answers = model.predict(many)
    assert_alike(model.predict([many[at] for at in order]), [answers[at] for at in order])


def test_tasks_are_answered_in_the_order_asked_for(model: MultiTaskModel) -> None:
    assert list(model.predict("good", tasks=["places", "mood"])) == ["places", "mood"]


def test_predicting_leaves_the_mode_alone(make_model: Any) -> None:
    model = make_model(architecture=HardSharing(dropout=0.9)).train()
    assert model.predict("good film") == model.predict("good film")
    assert model.training


@pytest.mark.parametrize(
    ("texts", "tasks", "message"),
    [
        ("good", ["moods"], "no task `moods` in this model. Did you mean `mood`?"),
        ("good", ["within"], r"task `within` reads 2 text\(s\), found 1"),
        (("a", "b"), ["mood"], r"task `mood` reads 1 text\(s\), found 2"),
        (("a", "b", "c"), None, r"no task of this model reads 3 text\(s\)"),
        (["a", ("a", "b")], None, "all single texts, or all tuples of two texts"),
        ([("a", 1)], None, "all single texts, or all tuples of two texts"),
    ],
)
def test_what_cannot_be_answered(model: MultiTaskModel, texts: Any, tasks: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        model.predict(texts, tasks=tasks)


RANKING: dict[str, Task] = {
    "order": Ranking("order", source="s", highest=1.0),
    "other order": Ranking("other order", source="s", highest=2.0),
    "mood": TASKS["mood"],
}
QUERIES = [("is it cold", ["dry and warm", "cold", "the train leaves at nine"]), ("rain?", ["no"]), ("a", ["b", "c"])]


def test_candidates_come_back_best_first_with_their_scores(make_model: Any) -> None:
    model = make_model(RANKING)
    answers = model.predict(QUERIES)
    assert [list(answer) for answer in answers] == [["order", "other order"]] * 3
    for (query, candidates), answer in zip(QUERIES, answers, strict=True):
        for name, said in answer.items():
            alone = {text: model.predict((query, text), tasks=[name])[name]["score"] for text in candidates}
            scores = [row["score"] for row in said["ranked"]]
            assert scores == sorted(scores, reverse=True)
            assert {row["candidate"]: row["score"] for row in said["ranked"]} == pytest.approx(alone, abs=1e-5)
    assert_alike(model.predict(QUERIES[0], tasks=["order"]), {"order": answers[0]["order"]})
    assert_alike(model.predict([list(QUERIES[0])], tasks=["order"]), [{"order": answers[0]["order"]}])


def test_of_equal_candidates_the_first_stays_first(make_model: Any) -> None:
    (first, second) = make_model(RANKING).predict(("a", ["b", "b"]), tasks=["order"])["order"]["ranked"]
    assert first == second


@pytest.mark.parametrize(
    ("texts", "tasks", "message"),
    [
        (QUERIES, ["mood"], r"candidates can be ordered by order, other order\."),
        (QUERIES, ["odrer"], "Did you mean `order`"),
        ([*QUERIES, ("a", [])], None, "needs at least one candidate"),
        ([*QUERIES, ("a", "b")], None, "or all tuples of a query and a list of candidates"),
        ([("a", [1])], None, "or all tuples of a query and a list of candidates"),
    ],
)
def test_candidates_that_cannot_be_ordered(make_model: Any, texts: Any, tasks: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        make_model(RANKING).predict(texts, tasks)


def test_a_model_without_a_task_that_orders(model: MultiTaskModel) -> None:
    with pytest.raises(RunError, match="candidates can be ordered by no task of this model"):
        model.predict(QUERIES)


def test_a_long_text_is_cut(model: MultiTaskModel) -> None:
    assert len(model.predict("film " * 100)["places"]["tags"]) == 30, "32 less the two special tokens"


def test_a_saved_model_gives_identical_answers(make_model: Any, tmp_path: Path) -> None:
    architecture = HardSharing(pooling="cls", read_layer={"places": 1}, task_layers={"size": 1})
    model = make_model(architecture=architecture)
    model.save_pretrained(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert not loaded.training
    assert loaded.predict(TEXTS) == model.predict(TEXTS)
    assert loaded.predict(PAIRS) == model.predict(PAIRS)
    assert loaded.architecture == architecture
    assert loaded.encoder.max_length == 32
    assert loaded.parameter_counts() == model.parameter_counts()
    assert {name: replace(task, source="") for name, task in loaded.tasks.items()} == {
        name: replace(task, source="") for name, task in TASKS.items()
    }


def test_a_model_folder_is_itself_an_encoder(model: MultiTaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    trunk = AutoModel.from_pretrained(tmp_path).state_dict()
    own = model.arrangement.trunk.model.state_dict()
    assert all(torch.equal(trunk[name], value) for name, value in own.items())
    again = build(Encoder(str(tmp_path), max_length=16), HardSharing(), {"mood": TASKS["mood"]})
    assert list(again.predict("good")) == ["mood"]


def test_fewer_layers_are_saved_as_such(tiny_encoder: Path, tmp_path: Path) -> None:
    model = build(Encoder(str(tiny_encoder), layers=1), HardSharing(), TASKS).eval()
    model.save_pretrained(tmp_path)
    assert load(tmp_path).predict(TEXTS) == model.predict(TEXTS)


@pytest.mark.parametrize("name", ["parameters", "forward", "a.b", "trunk", "größe", "a b"])
def test_a_task_may_have_any_name(make_model: Any, tmp_path: Path, name: str) -> None:
    model = make_model({name: replace(TASKS["mood"], name=name)}, HardSharing(task_layers={name: 1}))
    model.save_pretrained(tmp_path)
    assert load(tmp_path).predict("good") == model.predict("good")
    assert model.parameter_counts()["own"][name] > 2 * 33


def test_parameters_are_shared_or_of_one_task(model: MultiTaskModel) -> None:
    counts = model.parameter_counts()
    assert counts["own"] == {"mood": 66, "size": 33, "within": 99, "places": 66}
    assert counts["shared"] == sum(p.numel() for p in model.arrangement.trunk.parameters())


def test_equal_seeds_give_equal_models(make_model: Any) -> None:
    left, right = make_model().state_dict(), make_model().state_dict()
    assert all(torch.equal(left[name], value) for name, value in right.items())


@pytest.fixture
def saved(model: MultiTaskModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_without_model(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no model folder: it has no tasks\.json"):
        load(tmp_path)
    with pytest.raises(RunError, match="is no model folder"):
        load(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"format": 1'])
def test_a_damaged_description(saved: Path, content: bytes) -> None:
    (saved / "tasks.json").write_bytes(content)
    with pytest.raises(RunError, match=r"tasks.json cannot be read"):
        load(saved)


def test_a_newer_format(saved: Path) -> None:
    described = json.loads((saved / "tasks.json").read_text())
    (saved / "tasks.json").write_text(json.dumps({**described, "format": 2}))
    with pytest.raises(RunError, match=r"newer motet \(format 2\). Update motet"):
        load(saved)


@pytest.mark.parametrize("file", ["heads.safetensors", "model.safetensors"])
def test_missing_and_damaged_weights(saved: Path, file: str) -> None:
    whole = (saved / file).read_bytes()
    (saved / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)
    (saved / file).unlink()
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)


def test_heads_of_other_tasks_do_not_fit(saved: Path, make_model: Any, tmp_path: Path) -> None:
    make_model({"mood": TASKS["mood"]}).save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "heads.safetensors", saved)
    with pytest.raises(RunError, match="does not fit"):
        load(saved)


def test_an_architecture_must_fit(tiny_encoder: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        build(Encoder(str(tiny_encoder)), HardSharing(read_layer={"mood": 3, "moot": 1}), TASKS)
    names = [problem.name for problem in caught.value.problems]
    assert names == ["architecture.read_layer.mood", "architecture.read_layer.moot"]


def test_reading_gives_every_row_its_logits(model: MultiTaskModel) -> None:
    tokens = token_rows(pa.table(tokenise_batch({"0": TEXTS}, Inputs(("0",)), model.tokenizer, 32)))
    found: dict[int, np.ndarray] = {}
    for said in model.read(tokens, np.arange(len(TEXTS)), ["mood"], largest=20):
        found.update(zip(said["mood"].rows.tolist(), said["mood"].values, strict=True))
        assert said["mood"].lengths.tolist() == [1] * len(said["mood"].rows)
    scores = [list(answer["mood"]["scores"].values()) for answer in model.predict(TEXTS)]
    for at, row in enumerate(scores):
        np.testing.assert_allclose(np.exp(found[at]) / np.exp(found[at]).sum(), row, atol=1e-5)


def test_some_tasks_of_many(saved: Path, model: MultiTaskModel) -> None:
    some = load(saved, tasks=["places", "mood"])
    assert list(some.predict("good film")) == ["places", "mood"]
    assert some.predict(TEXTS, ["mood"]) == model.predict(TEXTS, ["mood"])
    with pytest.raises(RunError, match="no task `size` in this model"):
        some.predict("good film", ["size"])
    with pytest.raises(RunError, match="Did you mean `mood`"):
        load(saved, tasks=["mod"])
    with pytest.raises(RunError, match="loaded with some of its tasks alone and cannot be saved"):
        some.save_pretrained(saved.parent / "some")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_encoder_is_stored_once_and_some_tasks_answer_alone(tiny_encoder: Path, tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    model = build(Encoder(str(tiny_encoder), max_length=32), EXAMPLES[name].make(list(TOYS)), TOYS).eval()
    model.save_pretrained(tmp_path)
    state = model.arrangement.state_dict(keep_vars=True)
    trunk = {weight.data_ptr() for key, weight in state.items() if key.startswith("trunk.")}
    assert not [key for key in load_file(tmp_path / "heads.safetensors") if state[key].data_ptr() in trunk]
    for task in TOYS:
        alone = load(tmp_path, tasks=[task]).predict("the train to Lisbon")
        assert_alike(alone, {task: model.predict("the train to Lisbon")[task]})


FORMAT_1 = """
{"format": 1, "encoder": {"max_length": 32},
 "architecture": {"type": "hard_sharing", "pooling": "mean", "read_layer": {}, "task_layers": {}, "dropout": 0.1},
 "tasks": {
  "mood": {"type": "classification", "name": "mood", "source": "s", "weight": 1.0, "text": "text", "label": "mood",
           "classes": ["no", "yes"], "positive": "yes", "label_smoothing": 0.0, "metric": ""},
  "places": {"type": "tagging", "name": "places", "source": {"path": "w"}, "tokens": "tokens", "labels": "tags",
             "classes": ["B-place", "O"], "outside": "O", "label_smoothing": 0.0, "metric": "", "weight": 1.0}}}
"""


def test_the_first_layout_keeps_loading(tiny_encoder: Path, tmp_path: Path) -> None:
    """As it was written at first: no card, and none of the fields that came later."""
    shutil.copytree(tiny_encoder, tmp_path / "old")
    weights = {
        f"heads.of_{name}.linear.{part}": torch.full((2, 32) if part == "weight" else (2,), 0.5 * at)
        for at, name in enumerate(("mood", "places"), 1)
        for part in ("weight", "bias")
    }
    save_file(weights, tmp_path / "old" / "heads.safetensors")
    (tmp_path / "old" / "tasks.json").write_text(FORMAT_1, encoding="utf-8")
    model = load(tmp_path / "old")
    assert model.predict("good film") == {
        "mood": {"label": "no", "scores": {"no": 0.5, "yes": 0.5}},
        "places": {"tags": ["B-place", "B-place"]},
    }
    assert model.card == ""


@pytest.mark.parametrize("file", ["heads.safetensors", "model.safetensors"])
@pytest.mark.parametrize(
    "header",
    [b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 99999999]}}', b'{"a": 1}', b"[]", b"\xff" * 16],
)
def test_a_header_that_was_tampered_with(saved: Path, file: str, header: bytes) -> None:
    (saved / file).write_bytes(len(header).to_bytes(8, "little") + header + bytes(36))
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)
    (saved / file).write_bytes((1 << 62).to_bytes(8, "little") + header)
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)


@pytest.mark.parametrize(
    ("file", "told"), [("heads.safetensors", "does not fit"), ("model.safetensors", "lacks weights")]
)
def test_weights_that_were_taken_away_are_not_made_up(saved: Path, file: str, told: str) -> None:
    tensors = load_file(saved / file)
    tensors.popitem()
    save_file(tensors, saved / file, metadata={"format": "pt"})
    with pytest.raises(RunError, match=told):
        load(saved)


@pytest.mark.parametrize("file", ["heads.safetensors", "model.safetensors"])
def test_weights_of_another_shape(saved: Path, file: str) -> None:
    tensors = load_file(saved / file)
    name = max(tensors, key=lambda each: tensors[each].numel())
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, saved / file, metadata={"format": "pt"})
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
@pytest.mark.parametrize("missing", ["heads.safetensors", "model.safetensors"])
def test_a_pickle_is_refused_by_its_name(saved: Path, pickle: str, missing: str) -> None:
    (saved / missing).rename(saved / pickle)
    with pytest.raises(RunError, match=rf"it has no {missing}\. {pickle} can run code when it is read, so it is not"):
        load(saved)


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "none"}'])
def test_a_foreign_config(saved: Path, content: str) -> None:
    (saved / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)


def test_code_that_a_folder_brings_along_is_not_run(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (saved / "config.json").write_text(json.dumps(config))
    (saved / "own.py").write_text("raise SystemExit('code of a model was run')\n")
    with pytest.raises(RunError, match="cannot be loaded"):
        load(saved)


def test_a_name_at_the_hub_that_is_not_in_the_cache() -> None:
    with pytest.raises(RunError, match="ann/first is no folder, not in the hub cache, and the hub did not give it"):
        load("ann/first")


def test_a_name_in_the_cache_of_the_hub(saved: Path, model: MultiTaskModel, tmp_path: Path) -> None:
    repository = tmp_path / "cache" / "models--ann--first"
    shutil.copytree(saved, repository / "snapshots" / "c0ffee")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    found = MultiTaskModel.from_pretrained("ann/first", cache_dir=tmp_path / "cache", local_files_only=True)
    assert found.predict(TEXTS) == model.predict(TEXTS)
    assert "library_name: motet" in found.card
