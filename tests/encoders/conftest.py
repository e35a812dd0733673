"""Tiny transformers of every family with their tokenizers, in folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from motet.encoders.silence import silently

TEXT = "a good bad film with warm heart slow and cold the train to leaves at nine does it rain today no is dry"
SIZE = 32  # of every vocabulary, special tokens included

MakeFolder = Callable[[str], Path]


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """Makes the folder of a tiny transformer, named by its kind; the same weights every time."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            with torch.random.fork_rng(), silently():
                torch.manual_seed(3)
                model, tokenizer = MAKERS[kind]()
                model.save_pretrained(made[kind])
                tokenizer.save_pretrained(made[kind])
        return made[kind]

    return make


def write_tokenizer(
    special: Sequence[str], *, single: str, pair: str, named: dict[str, str]
) -> PreTrainedTokenizerFast:
    """A tokenizer that knows whole words alone; special tokens come first."""
    spelled = [*special, *TEXT.split()]
    ids = {word: at for at, word in enumerate([*spelled, *(f"extra{at}" for at in range(SIZE - len(spelled)))])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = [(token, ids[token]) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=tokens)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], unk_token="<unk>", **named
    )


def make_bert() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    config = BertConfig(
        vocab_size=SIZE,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    named = {"pad_token": "<pad>", "cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"}
    special = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>")
    return BertModel(config), write_tokenizer(
        special, single="<cls> $A <sep>", pair="<cls> $A <sep> $B:1 <sep>:1", named=named
    )


def make_t5() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Three heads that do not share the width evenly, as in flan-t5-small, and a decoder of another depth."""
    config = T5Config(
        vocab_size=SIZE,
        d_model=16,
        d_kv=6,
        d_ff=24,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=3,
        initializer_factor=3.0,
    )
    config.update({"decoder_start_token_id": 0})
    named = {"pad_token": "<pad>", "eos_token": "</s>"}
    return T5ForConditionalGeneration(config), write_tokenizer(
        ("<pad>", "</s>", "<unk>"), single="$A </s>", pair="$A </s> $B </s>", named=named
    )


def make_bart() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    config = BartConfig(
        vocab_size=SIZE,
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
    named = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>"}
    return BartForConditionalGeneration(config), write_tokenizer(
        ("<s>", "<pad>", "</s>", "<unk>"), single="<s> $A </s>", pair="<s> $A </s> $B </s>", named=named
    )


def make_gpt2() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    config = GPT2Config(
        vocab_size=SIZE,
        n_positions=64,
        n_embd=16,
        n_layer=3,
        n_head=2,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config), write_tokenizer(
        ("<end>", "<unk>"), single="$A", pair="$A $B", named={"bos_token": "<end>", "eos_token": "<end>"}
    )


def make_llama() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    config = LlamaConfig(
        vocab_size=SIZE,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config), write_tokenizer(
        ("<unk>", "<s>", "</s>"),
        single="<s> $A",
        pair="<s> $A $B",
        named={"bos_token": "<s>", "eos_token": "</s>"},
    )


MAKERS = {"bert": make_bert, "t5": make_t5, "bart": make_bart, "gpt2": make_gpt2, "llama": make_llama}
