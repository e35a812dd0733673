"""What every test may rely on: no network, one thread, caches of its own, and a tiny encoder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_CACHE = Path(tempfile.mkdtemp(prefix="motet-tests-"))

# Libraries read these when they are imported, and subprocesses inherit them.
os.environ.update(
    HF_DATASETS_CACHE=str(_CACHE / "datasets"),
    HF_DATASETS_OFFLINE="1",
    HF_HOME=str(_CACHE / "hub"),
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_OFFLINE="1",
    MOTET_CACHE=str(_CACHE / "motet"),
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
)

import pytest  # noqa: E402  the environment comes first
from hypothesis import settings  # noqa: E402

# The same examples on every machine, and no time limit, since a machine may be busy.
settings.register_profile("motet", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("motet")

REPOSITORY = Path(__file__).resolve().parent.parent
SENTENCES = (
    "a good film with a warm heart",
    "a bad film, slow and cold",
    "the train to Lisbon leaves at nine",
    "Anna met Ben in Paris on Monday",
    "does it rain in London today?",
    "no, it is dry.",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "data_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


def pytest_unconfigure() -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the real data sets: MOTET_DATA, or one beside the repository."""
    folder = Path(os.environ.get("MOTET_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets, and there is no folder {folder}; MOTET_DATA names another")
    return folder


@pytest.fixture(scope="session")
def make_tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Makes a folder with a tiny random encoder and its tokenizer, for a rate of dropout."""
    made: dict[float, Path] = {}

    def make(dropout: float = 0.0) -> Path:
        if dropout not in made:
            made[dropout] = tmp_path_factory.mktemp("encoder")
            write_encoder(made[dropout], dropout)
        return made[dropout]

    return make


@pytest.fixture(scope="session")
def tiny_encoder(make_tiny_encoder: Callable[[float], Path]) -> Path:
    """A folder with a two-layer encoder without dropout; the same weights every time."""
    return make_tiny_encoder(0.0)


def write_encoder(folder: Path, dropout: float) -> None:
    """A tiny random encoder and its tokenizer; the same weights every time."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=_write_tokenizer(folder),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)


def _write_tokenizer(folder: Path) -> int:
    """Save a tokenizer that knows the words of the sentences and spells all others; returns its size."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = sorted({word.strip(",.?").lower() for sentence in SENTENCES for word in sentence.split()})
    spelled = [*special, *characters, *(f"##{c}" for c in characters), *(word for word in words if len(word) > 1)]
    tokenizer = Tokenizer(models.WordPiece({piece: at for at, piece in enumerate(spelled)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return len(spelled)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fails a test that reaches for anything but this machine, even when the code under test shrugs it off."""
    attempts: list[str] = []

    def guard(name: str, call: Callable[..., Any], address_at: int) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            if not _is_local(args[address_at] if len(args) > address_at else options.get("host")):
                attempts.append(f"{name}{args[address_at:]}")
                raise ConnectionRefusedError(f"tests have no network: {attempts[-1]}")
            return call(*args, **options)

        return guarded

    monkeypatch.setattr(socket.socket, "connect", guard("connect", socket.socket.connect, 1))
    monkeypatch.setattr(socket.socket, "connect_ex", guard("connect_ex", socket.socket.connect_ex, 1))
    monkeypatch.setattr(socket, "getaddrinfo", guard("getaddrinfo", socket.getaddrinfo, 0))
    yield attempts
    assert not attempts, f"the test reached for the network: {attempts}"


def _is_local(address: object) -> bool:
    """Whether an address is of this machine: a loopback host, or the path of a local socket."""
    if isinstance(address, tuple):
        return _is_local(address[0])
    if isinstance(address, bytes):
        return _is_local(address.decode())
    host = str(address or "")
    return host in ("", "localhost", "::1") or host.startswith(("127.", "/"))
