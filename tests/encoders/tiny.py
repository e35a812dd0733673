"""A tiny transformer of every kind, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from motet.encoders.trunk import Trunk

__all__ = ["KINDS", "make"]

# Widths that tell apart what goes into products: states are 16 wide, and 24 within feed-forward networks.
_BERT: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}
_T5: dict[str, Any] = {
    "vocab_size": 32,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "initializer_factor": 3.0,
    "decoder_start_token_id": 0,
}
_MODERN = {**_BERT, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
_SIZED: dict[str, Any] = {"vocab_size": 32, "dropout": 0.0, "pad_token_id": 0}
_WHOLE = {key: value for key, value in _BERT.items() if key != "pad_token_id"}

KINDS: dict[str, Callable[[], PreTrainedModel]] = {
    "albert": lambda: AlbertModel(AlbertConfig(**_BERT, embedding_size=8)),
    "bart": lambda: BartForConditionalGeneration(
        BartConfig(
            **_SIZED,
            d_model=16,
            encoder_layers=3,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_position_embeddings=64,
            init_std=0.5,
            forced_eos_token_id=None,
        )
    ),
    "bert": lambda: BertModel(BertConfig(**_BERT)),
    "deberta": lambda: DebertaV2Model(
        DebertaV2Config(
            **_BERT,
            relative_attention=True,
            position_biased_input=False,
            pos_att_type=["p2c", "c2p"],
            type_vocab_size=0,
        )
    ),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(
            **_SIZED, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=64, initializer_range=0.5
        )
    ),
    "electra": lambda: ElectraModel(ElectraConfig(**_BERT, embedding_size=8)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=32,
            n_positions=64,
            n_embd=16,
            n_inner=24,
            n_layer=3,
            n_head=2,
            initializer_range=0.5,
            bos_token_id=0,
            eos_token_id=0,
        )
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_WHOLE, num_key_value_heads=1)),
    "modernbert": lambda: ModernBertModel(ModernBertConfig(**_MODERN, local_attention=4)),
    "mpnet": lambda: MPNetModel(MPNetConfig(**{**_BERT, "pad_token_id": 1})),
    "roberta": lambda: RobertaModel(RobertaConfig(**{**_BERT, "pad_token_id": 1})),
    "t5": lambda: T5ForConditionalGeneration(T5Config(**_T5)),
    "t5 encoder": lambda: T5EncoderModel(T5Config(**_T5, architectures=["T5EncoderModel"])),
    "t5 gated": lambda: T5ForConditionalGeneration(T5Config(**_T5, feed_forward_proj="gated-gelu")),
}


def make(kind: str) -> Trunk:
    """The same weights every time, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Trunk(KINDS[kind]()).eval()
