"""The transformer under the heads: an encoder, an encoder-decoder or a decoder, all read the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from motet.encoders.families import Family, family_of, positions_of, setting
from motet.encoders.silence import silently
from motet.encoders.writing import padded_left, places, said, special_tokens

__all__ = ["States", "Trunk"]


@dataclass(frozen=True)
class States:
    """What a trunk makes of a chunk.

    Args:
        last: the states that heads read, ``[rows, length, width]``.
        layers: on request, the states below the first layer and after each.
    """

    last: Tensor
    layers: tuple[Tensor, ...] | None = None

    def after(self, layer: int | None) -> Tensor:
        """The states after a layer, 1 being the first; None stands for all of them."""
        if layer is None:
            return self.last
        if self.layers is None:
            raise ValueError("the states of every layer have to be asked for")
        return self.layers[layer]

    def at(self, rows: Tensor) -> States:
        """The states of some rows, ``[rows]`` of rising positions."""
        if rows.shape[0] == self.last.shape[0]:
            return self
        layers = None if self.layers is None else tuple(layer[rows] for layer in self.layers)
        return States(self.last[rows], layers)


class Trunk(nn.Module):
    """A transformer without task-specific modules.

    Texts are read by the encoder, or by the whole of a model that is a decoder alone. An encoder-decoder and a decoder
    can also write: the first with its decoder, from the states of its encoder; the second by going on with the text.

    Args:
        model: with a language-modelling head unless it is an encoder.

    Example:
        >>> from transformers import T5Config, T5ForConditionalGeneration
        >>> config = T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        >>> trunk = Trunk(T5ForConditionalGeneration(config))
        >>> trunk.family, trunk.depth, trunk.width
        ('encoder-decoder', 2, 16)
        >>> trunk(torch.tensor([[7, 8, 1]]), torch.ones(1, 3)).last.shape
        torch.Size([1, 3, 16])
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.family: Family = family_of(model.config)
        if self.family != "encoder":
            # What `continued` learns is what `generate` writes: nothing forced, nothing forbidden, no other length.
            self._model.generation_config = special_tokens(model.config, self._model.generation_config)

    @property
    def width(self) -> int:
        """Size of the states."""
        return int(self._model.config.hidden_size)

    @property
    def depth(self) -> int:
        """Layers of the part that reads texts."""
        return int(self._model.config.num_hidden_layers)

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding matrix."""
        return self.embeddings.num_embeddings

    @property
    def positions(self) -> int | None:
        """Sub-words that a row can have, those written by a decoder included; None where there is no limit."""
        return positions_of(self.model.config)

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""
        return int(self._model.config.num_attention_heads)

    @property
    def intermediate(self) -> int:
        """Size of the hidden states within a layer."""
        return int(setting(self.model.config, "intermediate", 4 * self.width))

    @property
    def dropout(self) -> float:
        """Share of the states dropped while training."""
        return float(setting(self.model.config, "dropout", 0.1))

    @property
    def embeddings(self) -> nn.Embedding:
        """One vector a sub-word, from which the first layer starts."""
        return cast(nn.Embedding, self.model.get_input_embeddings())

    @property
    def layers(self) -> nn.ModuleList:
        """The layers of the part that reads texts, the first one first.

        Raises:
            LookupError: the model has no such list, as where one layer is passed several times (ALBERT).
        """
        stacks = (module for module in self.reader.modules() if isinstance(module, nn.ModuleList))
        found = next((stack for stack in stacks if len(stack) == self.depth), None)
        if found is None:
            raise LookupError(f"a {self._model.config.model_type} has no list of {self.depth} layers")
        return found

    @property
    def last_layer(self) -> nn.Module:
        """The last layer of the part that reads texts; where one layer is passed several times, that one."""
        stacks = [module for module in self.reader.modules() if isinstance(module, nn.ModuleList)]
        return next((stack for stack in stacks if len(stack) == self.depth), stacks[0])[-1]

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens any of which ends what is generated; none for an encoder."""
        return () if self.family == "encoder" else tuple(self._model.generation_config.eos_token_id or ())

    def forward(self, tokens: Tensor, mask: Tensor, types: Tensor | None = None, *, inner: bool = False) -> States:
        """States of padded rows.

        Args:
            tokens: ``[rows, length]``.
            mask: 1 where there is a token, ``[rows, length]``.
            types: segment of every token; only encoders know of segments.
            inner: whether the states of every layer are wanted.
        """
        segments = {} if types is None or self.family != "encoder" else {"token_type_ids": types}
        reader, cache = self.reader, ({"use_cache": False} if self.family == "decoder" else {})
        out = reader(input_ids=tokens, attention_mask=mask, output_hidden_states=inner, **segments, **cache)
        return States(out.last_hidden_state, out.hidden_states if inner else None)

    def continued(
        self, tokens: Tensor, mask: Tensor, states: Tensor | None, target: Tensor, lengths: np.ndarray
    ) -> Tensor:
        """Logits of given answers, each token predicted from those before it, ``[units, vocabulary]``.

        Args:
            tokens: the rows that are answered, ``[rows, length]``.
            mask: 1 where there is a token, ``[rows, length]``.
            states: of these rows; a decoder reads them again with their answers, and needs none.
            target: tokens of all answers, row after row, ``[units]``.
            lengths: tokens of each answer, ``[rows]``.

        Raises:
            ValueError: the trunk is an encoder.
        """
        self._must_write()
        row, place = places(lengths, target.device)
        longest = max(1, int(np.max(lengths, initial=0)))
        if self.family == "decoder":
            return self._followed(tokens, mask, target, row, place, longest)
        given = target.new_full((len(tokens), longest + 1), self._model.generation_config.decoder_start_token_id)
        given[row, place + 1] = target
        out = self._model(
            attention_mask=mask,
            encoder_outputs=BaseModelOutput(last_hidden_state=cast(Any, states)),
            decoder_input_ids=given[:, :longest],  # what stands behind an answer is seen by none of its tokens
            use_cache=False,
        )
        return cast(Tensor, out.logits[row, place])

    def following(self, states: Tensor) -> Tensor:
        """Logits of the token after each of some states of a decoder, ``[..., vocabulary]``.

        Raises:
            ValueError: the trunk is no decoder.
        """
        if self.family != "decoder":
            raise ValueError(f"an {self.family} does not go on with what it reads")
        config, logits = self._model.config, self._model.get_output_embeddings()(states)
        scale = getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)  # Cohere; Granite
        cap = getattr(config, "final_logit_softcapping", None)  # Gemma
        logits = logits if scale == 1 else logits * scale
        return cast(Tensor, logits if cap is None else cap * torch.tanh(logits / cap))

    @torch.no_grad()
    def follows(self) -> bool:
        """Whether `following` is all that the model does to its last states; asked in evaluation mode."""
        tokens = torch.ones(1, 2, dtype=torch.long, device=self.model.device)
        whole = self._model(input_ids=tokens, use_cache=False).logits
        ours = self.following(self(tokens, torch.ones_like(tokens)).last)
        return ours.shape == whole.shape and torch.allclose(ours, whole, atol=1e-4, rtol=1e-4)

    @torch.no_grad()
    def generate(self, tokens: Tensor, mask: Tensor, *, longest: int, beams: int = 1) -> list[np.ndarray]:
        """The likeliest answers to padded rows, without the token that ends them.

        Args:
            tokens: ``[rows, length]``.
            mask: 1 where there is a token, ``[rows, length]``.
            longest: most tokens of an answer.
            beams: answers followed at a time; with one, the likeliest next token is always taken.

        Raises:
            ValueError: the trunk is an encoder.
        """
        self._must_write()
        if self.family == "decoder":
            tokens, mask = padded_left(tokens, mask)
        training = self.model.training
        self.model.eval()
        try:
            with silently():
                found = self._model.generate(
                    input_ids=tokens, attention_mask=mask, max_new_tokens=longest, num_beams=beams, do_sample=False
                )
        finally:
            self.model.train(training)
        new = found[:, tokens.shape[1] if self.family == "decoder" else 1 :].cpu().numpy()
        return [said(row, self._model.generation_config) for row in new]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config and weights as transformers does."""
        with silently():
            self.model.save_pretrained(folder)

    @property
    def _model(self) -> Any:
        return self.model

    @property
    def reader(self) -> nn.Module:
        """The part of the model that reads texts."""
        if self.family == "encoder-decoder":
            return cast(nn.Module, self._model.get_encoder())
        return self.model.base_model if self.family == "decoder" else self.model

    def _must_write(self) -> None:
        if self.family == "encoder":
            raise ValueError("an encoder writes nothing: take an encoder-decoder or a decoder")

    def _followed(
        self, tokens: Tensor, mask: Tensor, target: Tensor, row: Tensor, place: Tensor, longest: int
    ) -> Tensor:
        """Each row followed by its answer, read in one pass; the head sees no more than the places before answers."""
        at = mask.sum(dim=1)[row] + place
        whole = torch.cat([tokens, tokens.new_zeros(len(tokens), longest)], dim=1)[:, : self.positions]
        seen = torch.cat([mask, mask.new_zeros(len(mask), longest)], dim=1)[:, : self.positions]
        whole[row, at], seen[row, at] = target, 1
        return self.following(self(whole, seen).last[row, at - 1])
