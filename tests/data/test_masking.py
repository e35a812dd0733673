from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.masking import Hidden, Masking
from motet.encoders import Encoder, load_tokenizer

MASK = 4
MASKING = Masking(mask=MASK, size=50, special=frozenset({0, 1, 2, 3, MASK}))
ROWS = st.lists(st.integers(0, 49), max_size=40).map(lambda row: np.asarray(row, dtype=np.int64))


def hide(row: np.ndarray, share: float, seed: int = 0) -> Hidden:
    return MASKING.hide(row, share, np.random.default_rng(seed))


@given(ROWS, st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_share_is_hidden_but_at_least_one_and_never_what_is_special(row: np.ndarray, share: float, seed: int) -> None:
    found = hide(row, share, seed)
    open_ = sum(int(word) > MASK for word in row)
    assert len(found.places) == min(open_, max(1, round(share * open_)))
    assert found.places.tolist() == sorted(set(found.places.tolist()))
    assert all(row[place] > MASK for place in found.places)
    assert np.delete(found.shown, found.places).tolist() == np.delete(row, found.places).tolist()


def test_four_in_five_are_masked_and_one_in_ten_is_left() -> None:
    row = np.full(20_000, 49)
    shown = hide(row, 0.5).shown[hide(row, 0.5).places]
    assert len(shown) == 10_000
    assert np.mean(shown == MASK) == pytest.approx(0.8 + 0.1 / 50, abs=0.015)
    assert np.mean(shown == 49) == pytest.approx(0.1 + 0.1 / 50, abs=0.015)
    assert len(set(shown.tolist())) == 50, "the rest is any sub-word"


def test_every_place_is_hidden_as_often() -> None:
    row = np.arange(5, 45)
    times = np.zeros(len(row))
    for seed in range(1000):
        times[hide(row, 0.15, seed).places] += 1
    assert times.min() > 150 - 45
    assert times.max() < 150 + 45


def test_the_row_itself_is_left_alone() -> None:
    row = np.arange(50)
    row.flags.writeable = False  # as rows of a table are
    first, again, other = hide(row, 0.3), hide(row, 0.3), hide(row, 0.3, seed=1)
    assert row.tolist() == list(range(50))
    assert first.shown.tolist() == again.shown.tolist() != other.shown.tolist()
    assert first.places.tolist() == again.places.tolist() != other.places.tolist()


def test_a_tokenizer_says_what_it_hides_by(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)
    masking = Masking.of(tokenizer)
    assert masking is not None
    assert masking.mask == tokenizer.convert_tokens_to_ids("[MASK]")
    assert masking.size == len(tokenizer)
    assert set(tokenizer.convert_ids_to_tokens(sorted(masking.special))) == {
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    }
    row = np.asarray(tokenizer("a good film with a warm heart")["input_ids"])
    hidden = masking.hide(row, 0.99, np.random.default_rng(0))
    assert hidden.places.tolist() == list(range(1, len(row) - 1))
    tokenizer.mask_token = None
    assert Masking.of(tokenizer) is None
