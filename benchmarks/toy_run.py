"""A run of seconds in which everything happens: a tiny encoder with dropout, generated sentences, an eager recipe."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging

__all__ = ["write_recipe"]

_WORDS = ("good", "bad", "film", "train", "rain", "heart", "dry", "cold", "nine", "slow", "warm", "paris", "london")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_ROWS = {"train": 300, "validation": 120}


def write_recipe(folder: Path, steps: int) -> Path:
    """Write encoder, data and recipe into a folder; returns the recipe."""
    _write_encoder(folder / "encoder")
    for number, name in enumerate(("moods", "places")):
        _write_rows(folder / name, seed=number)
    path = folder / "recipe.json"
    path.write_text(json.dumps(_recipe(folder, steps), indent=1), encoding="utf-8")
    return path


def _recipe(folder: Path, steps: int) -> dict[str, Any]:
    """Tasks of three shapes; two share their rows. Patience is short, so that they switch, rewind and reopen."""
    moods, places = str(folder / "moods"), str(folder / "places")
    return {
        "encoder": {"name": str(folder / "encoder"), "max_length": 32},
        "tasks": {
            "mood": {"type": "classification", "source": moods, "text": "text", "label": "mood"},
            "length": {"type": "regression", "source": moods, "text": "text", "value": "length"},
            "places": {"type": "tagging", "source": places, "tokens": "tokens", "labels": "tags"},
        },
        "convergence": {
            "checks": 2,
            "epochs": 0.3,
            "min_epochs": 0.5,
            "min_delta": 0,
            "tolerance": 0.01,
            "rewind": "full",
            "reopen": 2,
            "refresh_teacher": True,
        },
        "training": {
            "steps": steps,
            "check_every": 12,
            "tokens_per_batch": 256,
            "learning_rate": 0.003,
            "precision": "fp32",
            "device": "cpu",
        },
    }


def _write_rows(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    folder.mkdir()
    for split, count in _ROWS.items():
        rows = [_row(f"{split}-{number}", draw) for number in range(count)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def _row(name: str, draw: random.Random) -> dict[str, Any]:
    """A sentence, whether `good` is among its words, how many they are, which are places; some moods are wrong."""
    words = [draw.choice(_WORDS) for _ in range(draw.randint(2, 12))]
    mood = draw.choice(("yes", "no")) if draw.random() < 0.1 else "yes" if "good" in words else "no"
    tags = ["B-place" if word in ("paris", "london") else "O" for word in words]
    return {"id": name, "text": " ".join(words), "mood": mood, "length": len(words), "tokens": words, "tags": tags}


def _write_encoder(folder: Path) -> None:
    vocabulary = {word: number for number, word in enumerate((*_SPECIAL, *_WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    logging.disable_progress_bar()
    BertModel(config).save_pretrained(folder)
