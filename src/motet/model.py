"""MultiTaskModel: one encoder, an architecture around it, an answer for every task.

A model folder holds

    config.json, model.safetensors     the trunk, as transformers saves it: the folder is itself an encoder
    heads.safetensors                  everything else that was trained
    tasks.json                         tasks with their classes, architecture, format version
    tokenizer.json ...                 the tokenizer
    README.md                          the model card

Nothing in it is a pickle, and nothing in it is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from motet.answering import Answering, require_tasks
from motet.architectures.base import Architecture, Arrangement
from motet.architectures.cost import parameters
from motet.architectures.fitting import unfit
from motet.architectures.idle import idle_parameters
from motet.data.batches import Chunk
from motet.encoders.loading import Encoder, load_tokenizer, load_trunk, locate
from motet.errors import RecipeError, RunError, UserError
from motet.registry import Kind, describe, find
from motet.reporting.card import plain_card
from motet.runs import RunFolder
from motet.tasks.base import Task

__all__ = ["Made", "MultiTaskModel", "build", "load", "made", "read_description", "spelled"]

_FORMAT = 1
_TRUNK = "trunk."
_NEEDED = ("config.json", "heads.safetensors")
_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "README.md"]
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


class Made(NamedTuple):
    """What is needed to make a model again but for its weights.

    Args:
        encoder: the model folder, which is itself one.
        architecture: how the arrangement was made.
        tasks: resolved tasks by name.
    """

    encoder: Encoder
    architecture: Architecture
    tasks: dict[str, Task]


class MultiTaskModel(nn.Module, Answering, ModelHubMixin):
    """A trained or trainable model.

    `save_pretrained`, `from_pretrained` and `push_to_hub` are those of `huggingface_hub`.

    Args:
        arrangement: trunk and task-specific modules.
        tokenizer: of the trunk.
        tasks: resolved tasks by name.
        encoder: how the trunk was loaded.
        architecture: how the arrangement was made.

    Attributes:
        whole: whether all tasks that it was trained on answer.
        card: the model card that it was read with, in Markdown; empty without.

    Example:
        >>> import motet
        >>> model = motet.load("runs/first/model")  # doctest: +SKIP
        >>> model.predict("what a day in Lisbon")  # doctest: +SKIP
    """

    def __init__(
        self,
        arrangement: Arrangement,
        tokenizer: PreTrainedTokenizerBase,
        tasks: Mapping[str, Task],
        *,
        encoder: Encoder,
        architecture: Architecture,
    ) -> None:
        super().__init__()
        self.arrangement = arrangement
        self.tokenizer = tokenizer
        self.tasks = dict(tasks)
        self.encoder = encoder
        self.architecture = architecture
        self.whole = True
        self.card = ""

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        """Logits ``[units, outputs]`` of every task that owns rows of the chunk."""
        logits: dict[str, Tensor] = self.arrangement(chunk)
        return logits

    def logits(self, chunk: Chunk) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self(chunk)
        return found

    def written(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        return self.arrangement.write(chunk, task)

    @contextmanager
    def resting(self) -> Iterator[None]:
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def max_length(self) -> int:
        return self.encoder.max_length

    def parameter_counts(self) -> dict[str, Any]:
        """Parameters shared by tasks, those of each task's own, and how many of all are trained."""
        return parameters(self.arrangement, self.tasks)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the files of the model folder, all but the card."""
        if not self.whole:
            raise RunError(
                "this model was loaded with some of its tasks alone and cannot be saved. Load all of them, or write "
                "one task with `motet export --task`."
            )
        self.arrangement.trunk.save_pretrained(save_directory)
        self.tokenizer.save_pretrained(save_directory)
        own = {k: v.contiguous().cpu() for k, v in self.arrangement.state_dict().items() if not k.startswith(_TRUNK)}
        save_file(own, save_directory / "heads.safetensors")
        text = json.dumps({"format": _FORMAT, **self.describe()}, indent=1, ensure_ascii=False)
        (save_directory / "tasks.json").write_text(text, encoding="utf-8")

    def describe(self) -> dict[str, Any]:
        """What is needed to make the model again but for weights and tokenizer, as plain data."""
        return {
            "encoder": {"max_length": self.encoder.max_length},
            "architecture": describe(self.arrangement.settled(self.architecture)),
            "tasks": {name: describe(task) for name, task in self.tasks.items()},
        }

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card that the model was read with, or one that tells its tasks."""
        return ModelCard(self.card or plain_card({name: task.answer for name, task in self.tasks.items()}))

    @classmethod
    def from_pretrained(  # type: ignore[override]  # options are named, so that a wrong one is refused
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        tasks: Sequence[str] = (),
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> MultiTaskModel:
        """Read a model folder, here or at the hub.

        Args:
            pretrained_model_name_or_path: a folder, or a name at the hub.
            tasks: those to answer; all if there is none. Weights that only other tasks use are not read.
            revision: branch, tag or commit at the hub.
            token: for the hub; that of `hf auth login` by default.
            cache_dir: where files of the hub are kept.
            force_download: fetch files that are there too.
            local_files_only: reach for no network.

        Raises:
            RunError: files missing, damaged, pickled, or of a newer format; an unknown task.
        """
        name = str(pretrained_model_name_or_path)
        if not Path(name).exists() and _may_be_at_the_hub(name):
            try:
                name = snapshot_download(
                    name,
                    revision=revision,
                    token=token,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    allow_patterns=_FILES,
                )
            except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
                told = "is no folder, not in the hub cache, and the hub did not give it"
                raise RunError(f"{name} {told} ({str(error).splitlines()[0]}).") from error
        return _read_folder(Path(name), tasks)


def build(encoder: Encoder, architecture: Architecture, tasks: Mapping[str, Task]) -> MultiTaskModel:
    """A model with pretrained trunk and fresh heads.

    Raises:
        RecipeError: the encoder cannot be loaded, or the architecture does not fit it or the tasks.
    """
    folder = locate(encoder)
    tokenizer = load_tokenizer(encoder, folder)
    trunk = load_trunk(encoder, folder)
    misfits = unfit(tasks, trunk, tokenizer, encoder.max_length, architecture.places)
    problems = [*misfits, *architecture.problems(tasks, trunk)]
    if problems:
        raise RecipeError(problems)
    arrangement = architecture.build(trunk, tasks)
    return MultiTaskModel(arrangement, tokenizer, tasks, encoder=encoder, architecture=architecture)


def load(path: str | Path, tasks: Sequence[str] = ()) -> MultiTaskModel:
    """The model of a model folder, of a finished run, or at the hub.

    Args:
        path: a folder, or a name at the hub.
        tasks: those to answer; all if there is none.

    Raises:
        RunError: none of these is there, or it cannot be read.

    Example:
        >>> import motet
        >>> motet.load("runs/first", tasks=["emotion"]).predict("what a day")  # doctest: +SKIP
    """
    run = RunFolder(path)
    return MultiTaskModel.from_pretrained(run.model if run.exists() else path, tasks=tasks)


def made(path: str | Path) -> Made:
    """How the model of a model folder, or of a finished run, was made; its weights are not read.

    Raises:
        RunError: neither is there, or it cannot be read.
    """
    run = RunFolder(path)
    return _made(run.model if run.exists() else Path(path))


def _made(path: Path) -> Made:
    described = read_description(path / "tasks.json", _FORMAT, f"{path} is no model folder: it has no tasks.json.")
    try:
        tasks = {name: spelled("task", task) for name, task in described["tasks"].items()}
        architecture = spelled("architecture", described["architecture"])
        return Made(Encoder(str(path), max_length=described["encoder"]["max_length"]), architecture, tasks)
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise RunError(f"{path / 'tasks.json'} is damaged ({type(error).__name__}: {error}).") from error


def _may_be_at_the_hub(name: str) -> bool:
    """Whether a path that is not there can be the name of a repository."""
    path = Path(name)
    return not path.is_absolute() and not name.startswith((".", "~")) and 1 <= len(path.parts) <= 2


def _read_folder(path: Path, names: Sequence[str] = ()) -> MultiTaskModel:
    encoder, architecture, tasks = _made(path)
    require_tasks(tasks, names)
    _require_files(path)
    try:
        model = build(encoder, architecture, tasks).eval()
        _read_heads(model, path / "heads.safetensors", names)
    except (SafetensorError, OSError, RuntimeError, RecipeError) as error:
        raise RunError(f"{path} cannot be loaded: {error}") from error
    card = path / "README.md"
    model.card = card.read_text(encoding="utf-8", errors="replace") if card.exists() else ""
    if names:
        model.whole = set(names) == set(tasks)
        model.tasks = {name: tasks[name] for name in names}
    return model


def _read_heads(model: MultiTaskModel, file: Path, names: Sequence[str]) -> None:
    """Fill in what the trunk does not have; what no task of the named ones uses is left out, and answers nothing."""
    idle = idle_parameters(model.arrangement, model.tasks, names) if names else {}
    known = model.arrangement.state_dict().keys()
    with safe_open(file, framework="pt") as weights:
        found = set(weights.keys())
        if not found <= known or any(not key.startswith(_TRUNK) for key in known - found):
            raise RunError(f"{file.parent}: heads.safetensors does not fit tasks.json.")
        model.arrangement.load_state_dict({key: weights.get_tensor(key) for key in found - idle.keys()}, strict=False)
    for parameter in idle.values():
        nn.init.constant_(parameter, torch.nan)


def _require_files(path: Path) -> None:
    missing = [name for name in _NEEDED if not (path / name).exists()]
    if not any(path.glob("*.safetensors.index.json")) and not (path / "model.safetensors").exists():
        missing.append("model.safetensors")
    if missing:
        pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
        told = f" {', '.join(pickles)} can run code when it is read, so it is not: only safetensors are."
        raise RunError(f"{path} cannot be loaded: it has no {' and no '.join(missing)}.{told if pickles else ''}")


def read_description(file: Path, newest: int, missing: str) -> dict[str, Any]:
    """What a file says of the model beside it.

    Args:
        file: JSON.
        newest: format that can be read.
        missing: what to say where there is no such file.

    Raises:
        RunError: missing, damaged, or of a newer format.
    """
    if not file.exists():
        raise RunError(missing)
    try:
        described: Any = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read ({error}).") from error
    if not isinstance(described, dict) or not isinstance(described.get("format"), int):
        raise RunError(f"{file} is damaged: it does not say its format.")
    if described["format"] > newest:
        raise RunError(f"{file.parent} was written by a newer motet (format {described['format']}). Update motet.")
    return cast(dict[str, Any], described)


def spelled(kind: Kind, described: Mapping[str, Any]) -> Any:
    """The part that a description spells."""
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in described.items() if key != "type"}
    return find(kind, described["type"])(**fields)
