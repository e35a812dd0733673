"""A model folder to the Hub: what is going to be sent, and sending it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not listed

from motet.errors import RunError
from motet.runs import RunFolder

__all__ = ["Parcel", "packed", "send"]

_SENT = ("*.json", "*.safetensors", "*.txt", "*.model", "*.onnx", "*.onnx.data", "README.md")


@dataclass(frozen=True)
class Parcel:
    """What is going to be sent.

    Args:
        folder: with the files.
        repository: where they go.
        files: their names in the folder.
        size: of all together, in bytes.
    """

    folder: Path
    repository: str
    files: tuple[str, ...]
    size: int


def packed(path: str | Path, repository: str) -> Parcel:
    """The files of a model that the Hub gets: weights, tokenizer, tasks and card, and nothing else of the folder.

    Args:
        path: a run folder, a model folder or an export.
        repository: as `user/name`.

    Raises:
        RunError: no model there, or a name that no repository can have.
    """
    run = RunFolder(path)
    folder = run.model if run.exists() else Path(path)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise RunError(f"`{repository}` cannot be a repository: write it as user/name ({error}).") from error
    if not (folder / "tasks.json").exists() and not (folder / "onnx.json").exists():
        raise RunError(f"{folder} is no model folder: it has no tasks.json.")
    files = sorted({file for pattern in _SENT for file in folder.glob(pattern) if file.is_file()})
    if folder / "README.md" not in files:
        raise RunError(f"{folder} has no README.md: nobody would know what the model is. Write one.")
    return Parcel(folder, repository, tuple(file.name for file in files), sum(file.stat().st_size for file in files))


def send(parcel: Parcel, *, private: bool, api: HfApi | None = None) -> str:
    """Make the repository if it is not there, and send all files as one commit.

    Args:
        parcel: what to send.
        private: whether a new repository is seen by its owner alone.
        api: of the Hub; by default with the token of `hf auth login`.

    Raises:
        RunError: not logged in, not allowed, or no answer.

    Returns:
        The address of the commit.
    """
    hub = api or HfApi()
    names: Sequence[str] = parcel.files
    try:
        made = hub.create_repo(repo_id=parcel.repository, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=made.repo_id,
            folder_path=parcel.folder,
            allow_patterns=list(names),
            commit_message="Upload a model of motet",
        )
    except (LocalTokenNotFoundError, HfHubHTTPError, OSError) as error:
        told = str(error).strip().splitlines()
        raise RunError(
            f"{parcel.repository} was not sent: {told[0] if told else type(error).__name__} Is `hf auth login` done?"
        ) from error
    return str(commit)
