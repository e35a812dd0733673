"""Plain models of transformers: the same answers to 1e-5 for every family that has a class, a sentence for the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.encoders.conftest import write_tokenizer
from tests.encoders.tiny import KINDS
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    CamembertConfig,
    CamembertModel,
    EuroBertConfig,
    EuroBertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    pipeline,
)

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.encoders.silence import silently
from motet.errors import RunError
from motet.model import MultiTaskModel, build
from motet.serving.as_transformers import Plain, export_plain
from motet.serving.checking import documentation
from motet.tasks import Classification, MultiLabel, Ordinal, Ranking, Regression, Spans, Tagging, Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Classification("mood", source="s", classes=("no", "yes", "so so")),
        Classification("within", source="s", text=("text", "other"), classes=("a", "b")),
        MultiLabel("topics", source="s", classes=("film", "rain", "train")),
        Regression("year", source="s", mean=2000.0, scale=5.0),
        Ranking("order", source="s", highest=1.0),
        Tagging("places", source="s", classes=("B-place", "I-place", "O"), outside="O"),
        Spans("where", source="s", stride=4),
    )
}
TEXTS = ["a good film", "does it rain today", "the train leaves at nine", "no it is dry slow and cold", "warm"]
EVERY = ["bert", "roberta", "electra", "albert", "distilbert", "mpnet", "deberta", "eurobert"]
_SPECIAL = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>")


def write_encoder(folder: Path, kind: str) -> Path:
    torch.manual_seed(3)
    with silently():
        (MORE.get(kind) or KINDS[kind])().save_pretrained(folder)
    named = {"pad_token": "<pad>", "cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"}
    if kind in ("gpt2", "llama", "t5"):
        named = {"pad_token": "<pad>", "eos_token": "<sep>"}
    begins, pair = "<cls> $A <sep>", "<cls> $A <sep> $B <sep>"
    if kind in ("roberta", "mpnet", "camembert", "xlm-roberta"):
        write_tokenizer(("<cls>", *_SPECIAL[:2], *_SPECIAL[3:]), single=begins, pair=pair, named=named).save_pretrained(
            folder
        )
    else:
        write_tokenizer(_SPECIAL, single=begins, pair=pair, named=named).save_pretrained(folder)
    return folder


def _eurobert() -> Any:
    return EuroBertModel(
        EuroBertConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.5,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            mask_token_id=4,
        )
    )


def _roberta(config: Any, model: Any) -> Any:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return model(config(vocab_size=32, max_position_embeddings=64, initializer_range=0.5, pad_token_id=1, **sizes))


MORE: dict[str, Callable[[], Any]] = {
    "eurobert": _eurobert,
    "camembert": lambda: _roberta(CamembertConfig, CamembertModel),
    "xlm-roberta": lambda: _roberta(XLMRobertaConfig, XLMRobertaModel),
}
Make = Callable[..., MultiTaskModel]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folders: dict[str, Path] = {}

    def made(kind: str, **options: Any) -> MultiTaskModel:
        if kind not in folders:
            folders[kind] = write_encoder(tmp_path_factory.mktemp(kind.replace(" ", "-")), kind)
        torch.manual_seed(5)
        tasks = options.pop("tasks", TASKS)
        model = build(Encoder(str(folders[kind]), max_length=24), HardSharing(**options), tasks).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "heads" in name:
                    parameter.copy_(0.5 * torch.randn_like(parameter))
        return model

    return made


def written(model: MultiTaskModel, out: Path, name: str) -> Plain:
    return export_plain(model, out, name, documentation(model, {name: model.tasks[name]}))


def inputs(folder: Path, texts: list[Any], **options: Any) -> Any:
    return AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt", **options)


@pytest.mark.parametrize("kind", [*EVERY, "camembert", "xlm-roberta", "gpt2"])
def test_texts_and_pairs(make: Make, tmp_path: Path, kind: str) -> None:
    model = make(kind, pooling="last" if kind == "gpt2" else "cls")
    names = ("mood", "within", "topics", "year", "order") if kind in ("bert", "distilbert") else ("mood", "year")
    for name in names:
        done = written(model, tmp_path / name, name)
        assert done.kind.endswith("ForSequenceClassification")
        plain = AutoModelForSequenceClassification.from_pretrained(done.folder).eval()
        pair = len(model.tasks[name].inputs.columns) > 1
        rows: list[Any] = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True)) if pair else TEXTS
        with torch.inference_mode():
            logits = plain(**inputs(done.folder, rows)).logits.double()
        answers = [answer[name] for answer in model.predict(rows, tasks=[name])]
        if name in ("mood", "within"):
            labels = [plain.config.id2label[at] for at in range(logits.shape[1])]
            expected = [[answer["scores"][label] for label in labels] for answer in answers]
            np.testing.assert_allclose(logits.softmax(1).numpy(), expected, atol=1e-5)
        elif name == "topics":
            expected = [list(answer["scores"].values()) for answer in answers]
            np.testing.assert_allclose(logits.sigmoid().numpy(), expected, atol=1e-5)
        else:
            expected = [[answer.get("value", answer.get("score"))] for answer in answers]
            np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [*EVERY, "gpt2", "llama", "t5"])
def test_words(make: Make, tmp_path: Path, kind: str) -> None:
    model = make(kind)
    done = written(model, tmp_path / "places", "places")
    assert done.difference <= 1e-5
    plain = AutoModelForTokenClassification.from_pretrained(done.folder).eval()
    for text in TEXTS:
        given = inputs(done.folder, [text.split()], is_split_into_words=True)
        with torch.inference_mode():
            best = plain(**given).logits[0].argmax(1).tolist()
        words = given.word_ids(0)
        tags = [plain.config.id2label[best[words.index(word)]] for word in range(len(text.split()))]
        assert tags == model.predict(text, tasks=["places"])["places"]["tags"]


@pytest.mark.parametrize("kind", [*(kind for kind in EVERY if kind != "eurobert"), "gpt2", "llama"])
def test_spans(make: Make, tmp_path: Path, kind: str) -> None:
    model = make(kind)
    done = written(model, tmp_path / "where", "where")
    assert done.difference <= 1e-5
    plain = AutoModelForQuestionAnswering.from_pretrained(done.folder).eval()
    (question, passage) = "does it rain", "the train leaves at nine no rain"
    with torch.inference_mode():
        given = inputs(done.folder, [(question, passage)])
        out = plain(**given)
    within = [at for at, part in enumerate(given.sequence_ids(0)) if part == 1]
    scores = {(i, j): out.start_logits[0, i] + out.end_logits[0, j] for i in within for j in within if i <= j}
    first, last = max(scores, key=lambda pair: float(scores[pair]))
    answer = model.predict((question, passage), tasks=["where"])["where"]
    none = float(out.start_logits[0, 0] + out.end_logits[0, 0])
    assert answer["margin"] == pytest.approx(float(scores[first, last]) - none, abs=1e-4)
    if answer["margin"] > 0:
        offsets = [given.encodings[0].offsets[at] for at in (first, last)]
        assert (answer["start"], answer["end"]) == (offsets[0][0], offsets[1][1])


def test_the_mean_of_the_states_where_a_class_reads_it(make: Make, tmp_path: Path) -> None:
    model = make("eurobert", pooling="mean")
    assert written(model, tmp_path / "mood", "mood").difference <= 1e-5


def test_a_pipeline_gives_the_labels(make: Make, tmp_path: Path) -> None:
    model = make("bert", pooling="cls")
    folder = written(model, tmp_path / "mood", "mood").folder
    assert sorted(file.name for file in folder.glob("*.json")) == [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    with silently():
        found = pipeline("text-classification", str(folder), device="cpu")(TEXTS)
    assert [each["label"] for each in found] == [each["mood"]["label"] for each in model.predict(TEXTS, ["mood"])]


@pytest.mark.parametrize(
    ("kind", "name", "options", "reason"),
    [
        ("bert", "mood", {}, "it reads the mean of the states"),
        ("bert", "mood", {"pooling": "cls", "read_layer": {"mood": 1}}, "it reads another layer than the last"),
        ("bert", "mood", {"pooling": "cls", "task_layers": {"mood": 1}}, "it has layers of its own"),
        ("llama", "mood", {}, "LlamaForSequenceClassification has no bias"),
        ("gpt2", "mood", {"pooling": "mean"}, "a decoder of transformers reads the last"),
        ("modernbert", "mood", {"pooling": "cls"}, "no way is known"),
        ("modernbert", "places", {}, "normalises what stands before the answer"),
        ("t5", "mood", {"pooling": "cls"}, "no way is known"),
        ("t5", "where", {}, "transformers has no class for it"),
        ("bart", "places", {}, "transformers has no class for it"),
    ],
)
def test_what_no_class_computes(
    make: Make, tmp_path: Path, kind: str, name: str, options: dict[str, Any], reason: str
) -> None:
    model = make(kind, **options)
    with pytest.raises(RunError, match=rf"`{name}` cannot be a plain model of transformers: .*{reason}.*--to onnx"):
        written(model, tmp_path / "out", name)
    assert not list(tmp_path.iterdir())


def test_answers_that_no_class_has(make: Make, tmp_path: Path) -> None:
    tasks: dict[str, Task] = {
        "size": Ordinal("size", source="s", classes=("s", "m", "l")),
        "chain": Tagging("chain", source="s", classes=("B", "O"), outside="O", crf=True),
        "many": Classification("many", source="s", classes=tuple(map(str, range(20)))),
    }
    model = make("bert", tasks=tasks, pooling="cls")
    for name, reason in {
        "size": "no class of transformers has the answer of `ordinal`",
        "chain": "no class of transformers has a conditional random field",
        "many": "20 labels do not go through the 16 features of BertForSequenceClassification",
    }.items():
        with pytest.raises(RunError, match=reason):
            written(model, tmp_path / "out", name)


def test_a_folder_that_is_there_is_left_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="is there already"):
        written(make("bert", pooling="cls"), tmp_path, "mood")
    assert (tmp_path / "mine.txt").exists()
