"""How an answer that is written begins, ends and is laid out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedConfig

__all__ = ["padded_left", "places", "said", "special_tokens"]


def special_tokens(config: PreTrainedConfig, brought: GenerationConfig) -> GenerationConfig:
    """The tokens that begin, end and pad an answer, and nothing else that a checkpoint says about generating.

    Args:
        config: of the model.
        brought: what the checkpoint says; it comes first.
    """

    def find(name: str) -> Any:
        found = getattr(brought, name, None)
        return getattr(config, name, None) if found is None else found

    ends, pad, start = find("eos_token_id"), find("pad_token_id"), find("decoder_start_token_id")
    ends = [ends] if isinstance(ends, int) else ends
    if pad is None and ends:
        pad = ends[0]
    if start is None and config.is_encoder_decoder:
        start = pad  # as in T5
    return GenerationConfig(
        pad_token_id=pad, eos_token_id=ends, bos_token_id=find("bos_token_id"), decoder_start_token_id=start
    )


def said(row: np.ndarray, special: GenerationConfig) -> np.ndarray:
    """The tokens before the first that ends an answer, without padding."""
    ended = np.flatnonzero(np.isin(row, special.eos_token_id or ()))
    row = row[: ended[0]] if len(ended) else row
    empty = [token for token in (special.pad_token_id, special.decoder_start_token_id) if token is not None]
    return row[~np.isin(row, empty)]


def places(lengths: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """The row of every unit and its place in its answer; reckoned here, so that no device is waited for.

    Example:
        >>> rows, within = places(np.array([2, 0, 1]), torch.device("cpu"))
        >>> rows.tolist(), within.tolist()
        ([0, 0, 2], [0, 1, 0])
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return torch.from_numpy(rows).to(device), torch.from_numpy(within).to(device)


def padded_left(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows with their padding first, so that all of them go on at the same place."""
    order = torch.argsort(mask, dim=1, stable=True)
    return tokens.gather(1, order), mask.gather(1, order)
