"""Tiny trunks of other families, and a model around each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    MPNetConfig,
    MPNetModel,
    T5Config,
    T5ForConditionalGeneration,
)

from motet.architectures.routing import Routed
from motet.data.batches import Chunk, Owned
from motet.encoders.trunk import Trunk
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation

__all__ = ["TASKS", "WRITING", "bart", "bert", "gpt2", "mpnet", "perturb", "t5", "writing_chunk"]

_WIDTHS: dict[str, Any] = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}

TASKS: dict[str, Task] = {
    "mood": Classification("mood", source="s", classes=("a", "b", "c")),
    "topic": Classification("topic", source="s", classes=("a", "b")),
}
WRITING: dict[str, Task] = {
    "say": Generation("say", source="s", longest=4),
    "beam": Generation("beam", source="s", longest=4, beams=3),
    "mood": Classification("mood", source="s", classes=("a", "b", "c")),
}


def bert() -> Trunk:
    config = BertConfig(**_WIDTHS, intermediate_size=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return _trunk(BertModel, config)


def mpnet() -> Trunk:
    return _trunk(MPNetModel, MPNetConfig(**_WIDTHS, intermediate_size=32))


def t5(**options: Any) -> Trunk:
    config = T5Config(
        vocab_size=50,
        d_model=16,
        d_kv=6,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        **options,
    )
    return _trunk(T5ForConditionalGeneration, config)


def bart() -> Trunk:
    sizes: dict[str, Any] = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))
    }
    return _trunk(BartForConditionalGeneration, BartConfig(vocab_size=50, d_model=16, dropout=0.0, **sizes))


def gpt2() -> Trunk:
    config = GPT2Config(
        vocab_size=50,
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=32,
        bos_token_id=1,
        eos_token_id=1,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return _trunk(GPT2LMHeadModel, config)


def _trunk(model: Any, config: Any) -> Trunk:
    torch.manual_seed(0)
    return Trunk(model(config)).eval()


def perturb(arrangement: Routed, by: float = 0.3) -> Routed:
    """Move everything but the trunk from where it begins."""
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in arrangement.named_parameters():
            if not name.startswith("trunk."):
                parameter.add_(by * torch.randn_like(parameter))
    return arrangement.eval()


def writing_chunk(task: str, rows: int = 3, *, answered: bool = False) -> Chunk:
    """Rows of different lengths, with or without true answers."""
    tokens = torch.tensor([[7, 8, 9, 10], [11, 12, 13, 0], [14, 15, 0, 0]])[:rows]
    lengths = np.array([2, 3, 1])[:rows] if answered else np.ones(rows, dtype=np.int64)
    target = torch.arange(20, 20 + int(lengths.sum())) if answered else None
    own = Owned(torch.arange(rows), None, lengths, np.arange(rows), target)
    return Chunk(tokens, (tokens > 0).long(), None, {task: own}, int((tokens > 0).sum()))
