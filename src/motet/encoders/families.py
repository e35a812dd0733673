"""The three families of transformers, and what a config says about each in words of its own.

transformers gives most settings one name (`attribute_map` of a config); the rest are looked up here.
"""

from __future__ import annotations

from typing import Any, Literal

from transformers import PreTrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

__all__ = ["Family", "cut", "family_of", "is_half", "positions_of", "setting"]

Family = Literal["encoder", "encoder-decoder", "decoder"]

_BOTH_WAYS = {"xlnet"}  # filed under causal models, but every token sees all others
# Their positions are counted from the padding id on, so the first rows of the table are never used.
_OFFSET = {
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
_NAMES: dict[str, tuple[str, ...]] = {
    "dropout": ("hidden_dropout_prob", "dropout_rate", "dropout", "resid_pdrop"),
    "intermediate": ("intermediate_size", "d_ff", "encoder_ffn_dim", "n_inner", "hidden_dim", "ffn_dim"),
}


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a model.

    Many encoders can also be run as causal models; one that was pretrained to fill masks is an encoder.
    """
    if is_half(config):
        return "encoder"
    if config.is_encoder_decoder:
        return "encoder-decoder"
    kind = config.model_type
    reads_both_ways = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind in _BOTH_WAYS
    return "decoder" if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not reads_both_ways else "encoder"


def is_half(config: PreTrainedConfig) -> bool:
    """Whether the folder holds the encoder of an encoder-decoder alone (sentence-t5)."""
    return any(name.endswith("EncoderModel") for name in config.architectures or ())


def positions_of(config: PreTrainedConfig) -> int | None:
    """Sub-words that a row can have; None where there is no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 1:
        return None
    return int(positions) - (int(config.pad_token_id) + 1 if config.model_type in _OFFSET else 0)


def cut(config: PreTrainedConfig, layers: int) -> None:
    """Leave only the first layers of the part that reads texts.

    Raises:
        huggingface_hub.errors.StrictDataclassError: the config ties other settings to the number of layers.
    """
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    config.validate()


def setting(config: PreTrainedConfig, meant: str, default: Any) -> Any:
    """A setting under whichever name a config has for it."""
    found = (getattr(config, name, None) for name in _NAMES[meant])
    return next((value for value in found if value is not None), default)
