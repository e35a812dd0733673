"""ONNX exports: the same answers, by onnxruntime alone too; what cannot be exported, and damaged folders, in words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tests.encoders.conftest import make_gpt2
from tests.serving.served import serving
from tests.test_model import PAIRS, TASKS, TEXTS, assert_alike

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.cli import export as command
from motet.cli.app import app
from motet.data.corpus import load_corpus
from motet.encoders.loading import Encoder
from motet.errors import RunError
from motet.model import MultiTaskModel, build
from motet.serving import exporting, graph
from motet.serving.checking import documentation, losses, sample
from motet.serving.exporting import Exported, export_onnx, fitting
from motet.serving.onnx_model import OnnxModel
from motet.serving.opening import open_model
from motet.tasks import Classification, Generation, MaskedLanguage, Spans, Tagging, Task

EVERY: dict[str, Task] = {
    **TASKS,
    "mood": Classification("mood", source="s", label="mood", classes=("no", "yes"), positive="yes"),
    "chain": Tagging("chain", source="w", classes=("B-place", "I-place", "O"), outside="O", crf=True),
    "where": Spans("where", source="s", stride=4),
    "words": MaskedLanguage("words", source="s"),
    "attention_mask": Classification("attention_mask", source="s", classes=("a", "b")),
}
PASSAGE = ("does it rain", "the train to Lisbon leaves at nine and the train to Paris leaves on Monday " * 3)

ALONE = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "motet")))  # importing any of them fails
import numpy as np, onnxruntime
from pathlib import Path
from tokenizers import Tokenizer

folder = Path(sys.argv[1])
told = json.loads((folder / "onnx.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_padding()
tokenizer.enable_truncation(told["encoder"]["max_length"])
rows = tokenizer.encode_batch(json.loads(sys.argv[2]))
columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
given = {name: np.array([getattr(row, columns[name]) for row in rows], dtype=np.int64) for name in told["inputs"]}
session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
(logits,) = session.run([told["outputs"]["mood"]], given)
print(json.dumps([told["tasks"]["mood"]["classes"][row.argmax()] for row in logits]))
"""


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> MultiTaskModel:
    torch.manual_seed(1)
    made = build(Encoder(str(tiny_encoder), max_length=32), HardSharing(), EVERY).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "heads" in name:
                parameter.copy_(torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def drawn(model: MultiTaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of the model, drawn once."""
    path = tmp_path_factory.mktemp("drawn") / "model.onnx"
    tasks, _ = fitting(model)
    graph.write_graph(model, tasks, exporting._names(tasks), path)
    return path


@pytest.fixture
def quick(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports take the graph that was drawn once."""
    monkeypatch.setattr(exporting, "write_graph", lambda model, tasks, outputs, path: shutil.copy(drawn, path))


@pytest.fixture(scope="module")
def exported(model: MultiTaskModel, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "write_graph", lambda model, tasks, outputs, path: shutil.copy(drawn, path))
        tasks, _ = fitting(model)
        return export_onnx(model, tmp_path_factory.mktemp("exports") / "all", documentation(model, tasks))


def test_the_graph_says_what_the_original_says(model: MultiTaskModel, exported: Exported) -> None:
    assert list(exported.differences) == [name for name in EVERY if name != "words"]
    assert max(exported.differences.values()) < 1e-5
    again = OnnxModel.from_pretrained(exported.folder)
    for rows in (TEXTS, TEXTS[:1], [" ".join(TEXTS)] * 3, PAIRS, [PASSAGE]):
        assert_alike(again.predict(rows), model.predict(rows), 1e-4)
    assert_alike(again.predict("a good film", ["places", "mood"]), model.predict("a good film", ["places", "mood"]))


def test_rows_and_lengths_may_be_any(exported: Exported) -> None:
    shapes = [[size.dim_param for size in i.type.tensor_type.shape.dim] for i in _graph(exported.folder).input]
    assert shapes == [["rows", "length"]] * 3


def _graph(folder: Path) -> Any:
    return onnx.load(folder / "model.onnx").graph


def test_onnxruntime_alone_gives_the_labels(model: MultiTaskModel, exported: Exported) -> None:
    texts = [text.lower() for text in TEXTS]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(exported.folder), json.dumps(texts)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [answer["mood"]["label"] for answer in model.predict(texts, ["mood"])]


def test_an_export_holds_all_that_is_needed_and_no_weights_twice(exported: Exported) -> None:
    assert {file.name for file in exported.folder.iterdir()} == {
        "model.onnx",
        "onnx.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert exported.left_out == ("`words` has no answer to a text: it learns words alone.",)


def test_some_tasks_of_an_export(exported: Exported) -> None:
    assert list(OnnxModel.from_pretrained(exported.folder, ["mood"]).predict("good")) == ["mood"]
    with pytest.raises(RunError, match="Did you mean `mood`"):
        OnnxModel.from_pretrained(exported.folder, ["mod"])


def test_eight_bits_are_smaller_and_their_loss_is_counted(
    model: MultiTaskModel, quick: None, exported: Exported, tmp_path: Path
) -> None:
    rows = [{"text": text, "label": "yes" if at % 2 else "no"} for at, text in enumerate(TEXTS * 4)]
    tasks = [Classification("mood", source={"train": rows, "validation": rows}, text="text", label="label")]
    examples = load_corpus(tasks, model.tokenizer, 32, splits=("validation",)).examples("validation")
    done = export_onnx(model, tmp_path / "small", documentation(model, fitting(model)[0]), int8=True, examples=examples)
    sizes = [(folder / "model.onnx").stat().st_size for folder in (exported.folder, done.folder)]
    assert sizes[1] < 0.9 * sizes[0]
    assert {node.op_type for node in _graph(done.folder).node} >= {"DynamicQuantizeLinear", "MatMulInteger"}
    assert 1e-4 < done.rounded["mood"] < 1.0
    loss = done.losses["mood"]
    guesses = [answer["mood"]["label"] for answer in OnnxModel.from_pretrained(done.folder).predict([*TEXTS * 4])]
    assert loss.after == pytest.approx(
        np.mean([guess == row["label"] for guess, row in zip(guesses, rows, strict=True)])
    )
    assert loss.lost == loss.before - loss.after
    assert set(json.loads((done.folder / "onnx.json").read_text())["losses"]) == {"mood"}
    assert not list(tmp_path.glob(".*"))
    assert {file.name for file in done.folder.glob("*.onnx")} == {"model.onnx"}


def test_scores_of_an_export_are_those_of_the_original(model: MultiTaskModel, exported: Exported) -> None:
    rows = [{"tokens": text.split(), "tags": ["O"] * len(text.split())} for text in TEXTS]
    train = [*rows, {"tokens": ["a"], "tags": ["B-place"]}]
    tasks = [Tagging("chain", source={"train": train, "validation": rows}, labels="tags")]
    examples = load_corpus(tasks, model.tokenizer, 32, splits=("validation",)).examples("validation")
    (loss,) = losses(model, OnnxModel.from_pretrained(exported.folder), examples).values()
    assert (loss.before, loss.lost) == (loss.after, 0)
    assert list(sample(examples, 2)["chain"][1]) == [0, 1]


def test_a_graph_that_says_something_else_is_not_written(
    model: MultiTaskModel, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(model: object, tasks: object, outputs: object, path: Path) -> None:
        whole = onnx.load(drawn)
        weight = next(each for each in whole.graph.initializer if "of_size.linear.bias" in each.name)
        weight.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) + np.float32(0.01), weight.name)
        )
        onnx.save(whole, path)

    monkeypatch.setattr(exporting, "write_graph", damaged)
    with pytest.raises(RunError, match=r"differs from the original by 0.01 for `size`.*nothing was written"):
        export_onnx(model, tmp_path / "out", documentation(model, fitting(model)[0]))
    assert not list(tmp_path.iterdir())


def test_an_architecture_without_a_graph(
    model: MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(*_: object) -> Any:
        raise RuntimeError("Could not guard on data-dependent expression\nmore of it")

    monkeypatch.setattr(graph.Graph, "forward", asks)
    told = "architecture `hard_sharing` around a BertModel cannot be written as one ONNX graph"
    with pytest.raises(RunError, match=f"{told}.*`motet serve` and `motet predict` run it in torch"):
        export_onnx(model, tmp_path / "out", documentation(model, fitting(model)[0]))
    assert not list(tmp_path.iterdir())


def test_a_decoder_reads_its_last_word(tmp_path: Path) -> None:
    folder = tmp_path / "gpt2"
    torch.manual_seed(3)
    for part in make_gpt2():
        part.save_pretrained(folder)
    tasks: dict[str, Task] = {"mood": EVERY["mood"], "reply": Generation("reply", source="s", longest=4)}
    model = build(Encoder(str(folder), max_length=32), HardSharing(), tasks).eval()
    with pytest.raises(RunError, match="`reply` writes its answers sub-word by sub-word"):
        fitting(model, ["reply"])
    done = export_onnx(model, tmp_path / "out", documentation(model, {"mood": tasks["mood"]}))
    assert done.left_out == ("`reply` writes its answers sub-word by sub-word, which is no single pass.",)
    assert_alike(OnnxModel.from_pretrained(done.folder).predict(TEXTS), model.predict(TEXTS, ["mood"]), 1e-5)


def test_nothing_to_export(model: MultiTaskModel) -> None:
    with pytest.raises(RunError, match="Did you mean `mood`"):
        fitting(model, ["moot"])
    with pytest.raises(RunError, match="`words` has no answer to a text"):
        fitting(model, ["words"])


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    shutil.copytree(exported.folder, tmp_path / "copy")
    return tmp_path / "copy"


Spoil = Callable[[Path], Any]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "onnx.json").unlink(), r"holds no export: it has no onnx\.json"),
        (lambda folder: (folder / "onnx.json").write_text("{"), r"onnx\.json cannot be read"),
        (lambda folder: (folder / "onnx.json").write_text("[]"), "does not say its format"),
        (lambda folder: (folder / "onnx.json").write_text('{"format": 2}'), r"newer motet \(format 2\)"),
        (lambda folder: (folder / "onnx.json").write_text('{"format": 1}'), "is damaged"),
        (lambda folder: (folder / "model.onnx").unlink(), r"it has no model\.onnx"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"no graph"), r"model\.onnx cannot be loaded"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
    ],
)
def test_a_damaged_export(copied: Path, spoil: Spoil, told: str) -> None:
    spoil(copied)
    with pytest.raises(RunError, match=told):
        OnnxModel.from_pretrained(copied)


def test_without_onnxruntime_the_command_that_installs_it_is_named(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RunError, match=r"pip install 'motet\[export\]'"):
        OnnxModel.from_pretrained(copied)


def test_the_command(model: MultiTaskModel, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.export in [each.callback for each in app.registered_commands]
    model.save_pretrained(tmp_path / "model")
    command.export(tmp_path / "model", tmp_path / "out")
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == str(tmp_path / "out")
    assert said.out.splitlines()[0].startswith("mood                 differs from the original by at most ")
    assert said.err == "Left out: `words` has no answer to a text: it learns words alone.\n"
    with pytest.raises(RunError, match="is there already"):
        command.export(tmp_path / "model", tmp_path / "out")
    command.export(tmp_path / "model", tmp_path / "plain", task="places", to="transformers", json=True)
    assert json.loads(capsys.readouterr().out)["class"] == "BertForTokenClassification"


def test_an_export_is_served_as_its_original_is(model: MultiTaskModel, exported: Exported) -> None:
    served = open_model(exported.folder, onnx=True)
    assert isinstance(served, OnnxModel)
    with serving(served) as of:
        answers = of.post("/predict/mood", {"inputs": TEXTS}).json()["answers"]
    for said, original in zip(answers, model.predict(list(TEXTS), ["mood"]), strict=True):
        assert_alike(said, original["mood"])


def test_whoever_asks_for_an_export_gets_nothing_else(model: MultiTaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert isinstance(open_model(tmp_path), MultiTaskModel)
    with pytest.raises(RunError, match="is no export to ONNX"):
        open_model(tmp_path, onnx=True)
