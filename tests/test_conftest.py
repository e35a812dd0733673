"""What the shared fixtures promise."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer


def test_a_reach_for_the_network_is_refused_and_noted(no_network: list[str]) -> None:
    with pytest.raises(ConnectionRefusedError, match="no network"):
        socket.create_connection(("192.0.2.1", 80))
    with pytest.raises(ConnectionRefusedError, match="no network"):
        socket.getaddrinfo("example.org", 443)
    assert len(no_network) == 2
    no_network.clear()


def test_this_machine_may_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = ("localhost", server.getsockname()[1])
        with socket.create_connection(address) as client:
            assert client.getpeername() == server.getsockname()


def test_caches_are_not_the_users() -> None:
    for variable in ("HF_HOME", "HF_DATASETS_CACHE", "MOTET_CACHE"):
        assert "motet-tests-" in os.environ[variable]


def test_tiny_encoder_reads_words_and_spells_unknown_ones(tiny_encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    batch = tokenizer(["Rain in Lisbon", "Xylo"], padding=True, return_tensors="pt")
    assert tokenizer.convert_ids_to_tokens(batch["input_ids"][1]) == ["[CLS]", "x", "##y", "##l", "##o", "[SEP]"]
    assert tokenizer.unk_token_id not in batch["input_ids"]
    assert tokenizer([["good", "filmy"]], is_split_into_words=True).word_ids(0) == [None, 0, 1, 1, None]
    with torch.no_grad():
        states = AutoModel.from_pretrained(tiny_encoder)(**batch).last_hidden_state
    assert states.shape == (2, 6, 32)
    assert states.isfinite().all()


def test_tiny_encoder_has_the_dropout_asked_for(make_tiny_encoder: Callable[[float], Path], tiny_encoder: Path) -> None:
    with_dropout = AutoModel.from_pretrained(make_tiny_encoder(0.1))
    without = AutoModel.from_pretrained(tiny_encoder)
    assert with_dropout.config.hidden_dropout_prob == 0.1
    assert without.config.hidden_dropout_prob == 0.0
    pairs = zip(with_dropout.parameters(), without.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
