from __future__ import annotations

from typing import Any

import pytest
from transformers import (
    BartConfig,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    XLMRobertaConfig,
    XLNetConfig,
)

from motet.encoders.families import cut, family_of, positions_of, setting


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        (BertConfig(), 512),
        (RobertaConfig(), 510),
        (XLMRobertaConfig(max_position_embeddings=514), 512),
        (MPNetConfig(max_position_embeddings=514), 512),
        (GPT2Config(), 1024),
        (BartConfig(), 1024),
        (T5Config(), None),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_positions(config: Any, positions: int | None) -> None:
    assert positions_of(config) == positions


@pytest.mark.parametrize(
    ("config", "family"),
    [
        (BertConfig(architectures=["BertLMHeadModel"]), "encoder"),
        (XLMRobertaConfig(), "encoder"),
        (XLNetConfig(), "encoder"),
        (T5Config(architectures=["T5EncoderModel"]), "encoder"),
        (T5Config(), "encoder-decoder"),
        (BartConfig(architectures=["BartModel"]), "encoder-decoder"),
        (GPT2Config(), "decoder"),
        (MistralConfig(architectures=["MistralModel"]), "decoder"),
        (Qwen3Config(), "decoder"),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_families(config: Any, family: str) -> None:
    assert family_of(config) == family


@pytest.mark.parametrize(
    ("config", "dropout", "intermediate"),
    [
        (BertConfig(hidden_dropout_prob=0.2), 0.2, 3072),
        (DistilBertConfig(dropout=0.0, hidden_dim=99), 0.0, 99),
        (T5Config(dropout_rate=0.3), 0.3, 2048),
        (BartConfig(dropout=0.4), 0.4, 4096),
        (GPT2Config(resid_pdrop=0.5), 0.5, -1),
        (LlamaConfig(), -1, 11008),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_settings_under_any_name(config: Any, dropout: float, intermediate: int) -> None:
    assert setting(config, "dropout", -1) == dropout
    assert setting(config, "intermediate", -1) == intermediate


def test_cutting_leaves_the_part_that_writes() -> None:
    for config in (T5Config(num_layers=6), BartConfig(encoder_layers=6, decoder_layers=6)):
        cut(config, 2)
        written: Any = config
        assert config.num_hidden_layers == 2
        assert getattr(written, "num_decoder_layers", None) or written.decoder_layers == 6
