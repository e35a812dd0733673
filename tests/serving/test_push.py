"""Sending a model to the Hub: what goes, what stays, and that nothing goes unasked."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.errors import RunError
from motet.model import MultiTaskModel, build
from motet.serving import publishing
from motet.serving.publishing import packed, send
from motet.tasks import Classification

Motet = Callable[..., Any]
FILES = (
    "README.md",
    "config.json",
    "heads.safetensors",
    "model.safetensors",
    "tasks.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


class Hub:
    """Stands in for the Hub, and keeps what it is sent."""

    def __init__(self, refuses: bool = False) -> None:
        self.made: list[tuple[str, bool | None]] = []
        self.sent: dict[str, bytes] = {}
        self._refuses = refuses

    def create_repo(self, repo_id: str, private: bool | None, exist_ok: bool) -> Any:
        if self._refuses:
            raise OSError("401 Unauthorized")
        self.made.append((repo_id, private))
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, allow_patterns: list[str] | None = None, **_: Any
    ) -> str:
        for file in Path(folder_path).iterdir():
            if allow_patterns is None or file.name in allow_patterns:
                self.sent[file.name] = file.read_bytes()
        return f"https://hub/{repo_id}/commit/1"


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> MultiTaskModel:
    torch.manual_seed(1)
    task = Classification("mood", source="s", classes=("no", "yes"))
    return build(Encoder(str(tiny_encoder), max_length=32), HardSharing(), {"mood": task}).eval()


@pytest.fixture
def folder(model: MultiTaskModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    found = Hub()
    monkeypatch.setattr(publishing, "HfApi", lambda: found)
    return found


def test_the_files_of_a_model_go_and_nothing_else(folder: Path, hub: Hub) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / ".env").write_text("TOKEN=secret", encoding="utf-8")
    (folder / "notes").mkdir()
    parcel = packed(folder, "ann/first")
    assert parcel.files == FILES
    assert parcel.size == sum((folder / name).stat().st_size for name in FILES)
    assert send(parcel, private=True) == "https://hub/ann/first/commit/1"
    assert hub.made == [("ann/first", True)]
    assert hub.sent == {name: (folder / name).read_bytes() for name in FILES}


def test_nothing_goes_unasked(motet: Motet, folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # no terminal: nobody was asked
    said = motet("push", folder, "ann/first")
    assert (said.code, said.out, hub.made, hub.sent) == (1, "", [], {})
    assert "Nothing was sent. Add --yes" in said.err
    assert "  heads.safetensors\n" in said.err


def test_with_yes_it_goes(motet: Motet, folder: Path, hub: Hub) -> None:
    said = motet("push", folder, "ann/first", "--yes")
    assert (said.code, said.out) == (0, "https://hub/ann/first/commit/1\n")
    assert hub.made == [("ann/first", False)]
    assert set(hub.sent) == set(FILES)


def test_what_cannot_be_sent(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be a repository"):
        packed(folder, "a/b/c")
    with pytest.raises(RunError, match=r"is no model folder: it has no tasks\.json"):
        packed(tmp_path, "ann/first")
    with pytest.raises(RunError, match=r"was not sent: .*401 Unauthorized.*hf auth login"):
        send(packed(folder, "ann/first"), private=False, api=Hub(refuses=True))  # type: ignore[arg-type]
    (folder / "README.md").unlink()
    with pytest.raises(RunError, match=r"has no README\.md"):
        packed(folder, "ann/first")


def test_a_model_pushes_itself(model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Hub()
    monkeypatch.setattr(
        HfApi, "create_repo", lambda self, repo_id, private, exist_ok: found.create_repo(repo_id, private, exist_ok)
    )
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **options: found.upload_folder(**options))
    model.push_to_hub("ann/first", private=True)
    assert set(found.sent) == set(FILES)
    assert b"library_name: motet" in found.sent["README.md"]
