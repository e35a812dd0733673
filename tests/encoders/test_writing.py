from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BartConfig, GenerationConfig, GPT2Config, LlamaConfig, T5Config

from motet.encoders.writing import padded_left, places, said, special_tokens


@pytest.mark.parametrize(
    ("config", "brought", "pad", "ends", "start"),
    [
        (T5Config(), {}, 0, [1], 0),
        (BartConfig(), {}, 1, [2], 2),
        (BartConfig(), {"decoder_start_token_id": 5, "pad_token_id": 6}, 6, [2], 5),
        (GPT2Config(eos_token_id=7), {}, 7, [7], None),
        (LlamaConfig(), {"eos_token_id": [4, 5]}, 4, [4, 5], None),
        (GPT2Config(eos_token_id=None), {}, None, None, None),
    ],
)
def test_special_tokens(config: Any, brought: dict[str, Any], pad: int | None, ends: Any, start: int | None) -> None:
    found = special_tokens(config, GenerationConfig(**brought, num_beams=4, max_length=7, forced_bos_token_id=3))
    assert (found.pad_token_id, found.eos_token_id, found.decoder_start_token_id) == (pad, ends, start)
    assert (found.num_beams, found.max_length, found.forced_bos_token_id) == (None, None, None)


@pytest.mark.parametrize(
    ("row", "answer"),
    [([5, 6, 2, 7, 0], [5, 6]), ([5, 3, 7], [5]), ([5, 0, 6, 1], [5, 6]), ([2, 5], []), ([], [])],
)
def test_an_answer_goes_up_to_its_first_end(row: list[int], answer: list[int]) -> None:
    special = GenerationConfig(pad_token_id=0, eos_token_id=[2, 3], decoder_start_token_id=1)
    assert said(np.array(row, dtype=np.int64), special).tolist() == answer


def test_without_special_tokens_everything_is_said() -> None:
    assert said(np.array([0, 1, 2]), GenerationConfig()).tolist() == [0, 1, 2]


@given(st.lists(st.integers(0, 4), max_size=6))
def test_every_unit_has_its_row_and_place(lengths: list[int]) -> None:
    rows, within = places(np.array(lengths, dtype=np.int64), torch.device("cpu"))
    expected = [(row, at) for row, length in enumerate(lengths) for at in range(length)]
    assert list(zip(rows.tolist(), within.tolist(), strict=True)) == expected


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_padding_moves_to_the_front_and_tokens_keep_their_order(lengths: list[int]) -> None:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    tokens = torch.arange(mask.numel()).reshape(mask.shape) + 1
    moved, seen = padded_left(tokens, mask)
    for row, length in enumerate(lengths):
        assert seen[row].tolist() == [0] * (max(lengths) - length) + [1] * length
        assert moved[row, max(lengths) - length :].tolist() == tokens[row, :length].tolist()
