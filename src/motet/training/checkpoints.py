"""Snapshots of a run: tensors written once a check, a small state that says which of them count.

    checkpoints/00000120/
      model.safetensors        weights             optimiser.safetensors   moments; only where a rewind may need them
      progress.json            clock, generators, streams: all that a full rewind puts back

`state.json` beside the folder is replaced last and atomically: it is the one point at which a check takes effect. A
run killed before that goes on from the check before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from motet.errors import RunError
from motet.runs import RunFolder, remove, write_atomically

__all__ = ["Checkpoints"]

Tensors = Mapping[str, Tensor]
_SHARED = "shared"  # in the header of the weights: further names of tensors that are tied, such as embeddings


class Checkpoints:
    """Writes, reads and clears away the snapshots of a run.

    Args:
        run: the run folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def save(self, name: str, model: Tensors, optimiser: Tensors, progress: Mapping[str, Any]) -> int:
        """Write a snapshot; one of that name that is there already is kept. Returns its bytes."""
        folder = self._run.checkpoints / name

        def write(path: Path) -> None:
            path.mkdir(parents=True, exist_ok=True)
            own, shared = _once(model)
            header = {"metadata": {_SHARED: json.dumps(shared)}} if shared else {}
            save_file(own, path / "model.safetensors", **header)
            save_file(dict(optimiser), path / "optimiser.safetensors")
            (path / "progress.json").write_text(json.dumps(progress), encoding="utf-8")

        if not folder.exists():
            write_atomically(folder, _disk_full_is_os_error(write))
        return sum(file.stat().st_size for file in folder.iterdir())

    def weights(self, name: str) -> dict[str, Tensor]:
        """The weights of a snapshot, every name included of those that share one tensor."""
        weights = self._tensors(name, "model.safetensors")
        with safe_open(self._run.checkpoints / name / "model.safetensors", "pt") as file:
            shared: dict[str, str] = json.loads((file.metadata() or {}).get(_SHARED, "{}"))
        return {**weights, **{other: weights[of] for other, of in shared.items()}}

    def moments(self, name: str) -> dict[str, Tensor]:
        """The optimiser's moments of a snapshot."""
        return self._tensors(name, "optimiser.safetensors")

    def progress(self, name: str) -> dict[str, Any]:
        """What else a full rewind puts back."""
        progress: dict[str, Any] = self._run.read_json(self._run.checkpoints / name / "progress.json")
        return progress

    def digest(self, name: str) -> str:
        """SHA-256 of the weights file of a snapshot."""
        digest = hashlib.sha256()
        with (self._run.checkpoints / name / "model.safetensors").open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def names(self) -> set[str]:
        """The snapshots that exist."""
        return {folder.name for folder in self._run.checkpoints.iterdir() if not folder.name.startswith(".")}

    def keep(self, full: Collection[str], weights: Collection[str]) -> None:
        """Delete all snapshots but these; of the second group keep the weights alone."""
        for folder in self._run.checkpoints.iterdir():
            if folder.name in full:
                continue
            if folder.name in weights:
                (folder / "optimiser.safetensors").unlink(missing_ok=True)
            else:
                remove(folder)

    def commit(self, state: Mapping[str, Any]) -> None:
        """Make a check take effect."""
        self._run.write_json(self._run.state_file, state)

    def state(self) -> dict[str, Any]:
        """What the last check said.

        Raises:
            RunError: there is none, or it cannot be read.
        """
        if not self._run.state_file.exists():
            raise RunError(f"{self._run.path} was stopped before its first checkpoint: start it again.")
        state: dict[str, Any] = self._run.read_json(self._run.state_file)
        return state

    def _tensors(self, name: str, file: str) -> dict[str, Tensor]:
        path = self._run.checkpoints / name / file
        try:
            return load_file(path)
        except FileNotFoundError as error:
            raise RunError(f"{path} is missing: the run folder is incomplete.") from error
        except SafetensorError as error:
            raise RunError(f"{path} is damaged ({error}). Other snapshots are in {path.parent.parent}.") from error


def _once(tensors: Tensors) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor under the first of its names, and its further names with that one."""
    first: dict[tuple[object, ...], str] = {}
    own: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and first.setdefault(place, name) != name:
            shared[name] = first[place]
        else:
            own[name] = tensor
    return own, shared


def _disk_full_is_os_error(write: Any) -> Any:
    def guarded(path: Path) -> None:
        try:
            write(path)
        except SafetensorError as error:  # safetensors wraps the errors of the operating system
            raise OSError(str(error)) from error

    return guarded
