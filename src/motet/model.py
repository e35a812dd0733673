"""MultiTaskModel: one encoder, an architecture around it, an answer for every task.

A model folder holds

    config.json, model.safetensors     the trunk, as transformers saves it: the folder is itself an encoder
    heads.safetensors                  everything else that was trained
    tasks.json                         tasks with their classes, architecture, format version
    tokenizer.json ...                 the tokenizer
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from motet.architectures.base import Architecture, Arrangement
from motet.data.batches import Chunk, Padding, reading_chunks
from motet.data.encoding import Ragged, TokenRows, tokenise_batch
from motet.encoders import Encoder, load_tokenizer, load_trunk, locate, silently
from motet.errors import RecipeError, RunError, UserError, nearest
from motet.registry import describe, find
from motet.runs import RunFolder
from motet.tasks.base import Inputs, Task

__all__ = ["MultiTaskModel", "build", "load"]

_FORMAT = 1
_TRUNK = "trunk."
Text = str | Sequence[str]


class MultiTaskModel(nn.Module):
    """A trained or trainable model.

    Args:
        arrangement: trunk and task-specific modules.
        tokenizer: of the trunk.
        tasks: resolved tasks by name.
        encoder: how the trunk was loaded.
        architecture: how the arrangement was made.

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

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        """Logits ``[units, outputs]`` of every task that owns rows of the chunk."""
        logits: dict[str, Tensor] = self.arrangement(chunk)
        return logits

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def parameter_counts(self) -> dict[str, Any]:
        """Parameters shared by tasks, and those of each task alone."""
        own = {task: sum(p.numel() for p in self.arrangement.own_parameters(task)) for task in self.tasks}
        total = sum(p.numel() for p in self.parameters())
        return {"shared": total - sum(own.values()), "own": own}

    @torch.inference_mode()
    def predict(self, texts: Any, tasks: Sequence[str] | None = None) -> Any:
        """Answers for one text or a list of texts, from one pass of the encoder for all tasks that read the same.

        Args:
            texts: a text; a tuple of two texts for tasks about pairs; or a list of either. Tasks that answer words
                split a text at white space.
            tasks: which tasks to answer; by default all that fit the texts.

        Returns:
            For one text a dict from task to answer, for a list a list of these.

        Raises:
            RunError: unknown task, or one that does not fit single texts or pairs.
        """
        several = isinstance(texts, list)
        rows: list[Text] = texts if several else [texts]
        if not rows:
            return []
        chosen = self._choose(rows, tasks)
        answers: list[dict[str, Any]] = [{} for _ in rows]
        groups: dict[bool, list[str]] = {}
        for name in chosen:
            groups.setdefault(self.tasks[name].inputs.words, []).append(name)
        training = self.training
        self.eval()
        for words, names in groups.items():
            for name, of_task in self._answer(rows, names, words).items():
                for answer, found in zip(answers, of_task, strict=True):
                    answer[name] = found
        self.train(training)
        ordered = [{name: answer[name] for name in chosen} for answer in answers]
        return ordered if several else ordered[0]

    def _choose(self, rows: Sequence[Text], tasks: Sequence[str] | None) -> list[str]:
        texts = all(isinstance(row, (str, tuple, list)) for row in rows)
        readable = texts and all(isinstance(part, str) for row in rows for part in _parts(row))
        widths = {len(_parts(row)) for row in rows} if readable else set()
        if len(widths) != 1:
            raise RunError("`texts` must be all single texts, or all tuples of two texts.")
        width = widths.pop()
        fitting = [name for name, task in self.tasks.items() if len(task.inputs.columns) == width]
        for name in tasks or ():
            if name not in self.tasks:
                raise RunError(f"no task `{name}` in this model. {nearest(name, self.tasks)}")
            if name not in fitting:
                raise RunError(f"task `{name}` reads {len(self.tasks[name].inputs.columns)} text(s), found {width}.")
        if not fitting:
            raise RunError(f"no task of this model reads {width} text(s) at a time.")
        return list(tasks or fitting)

    def _answer(self, rows: Sequence[Text], names: Sequence[str], words: bool) -> dict[str, list[dict[str, Any]]]:
        columns = [list(column) for column in zip(*map(_parts, rows), strict=True)]
        if words:
            columns = [[text.split() for text in column] for column in columns]
        inputs = Inputs(tuple(str(i) for i in range(len(columns))), words=words)
        batch = dict(zip(inputs.columns, columns, strict=True))
        tokens = in_memory(tokenise_batch(batch, inputs, self.tokenizer, self.encoder.max_length))
        answers: dict[str, list[dict[str, Any]]] = {name: [{}] * len(rows) for name in names}
        for chunk, here in self.read(tokens, np.arange(len(rows)), names):
            for name, (logits, lengths) in chunk.items():
                for row, answer in zip(here, self.tasks[name].decode(logits, lengths), strict=True):
                    answers[name][int(row)] = answer
        return answers

    def read(
        self, tokens: TokenRows, rows: np.ndarray, names: Sequence[str], largest: int = 4096
    ) -> Iterator[tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]]:
        """Logits of all rows for some tasks, in chunks of similar length, without gradient.

        The model must be in evaluation mode.

        Args:
            tokens: the token table.
            rows: positions in it.
            names: the tasks to answer.
            largest: tokens in a chunk.

        Yields:
            Per task the logits ``[units, outputs]`` in float32 with the units of every row, and the rows.
        """
        padding = Padding(pad=cast(int, self.tokenizer.pad_token_id), largest=largest)
        levels = {name: self.tasks[name].level for name in names}
        for chunk, here in reading_chunks(tokens, rows, levels, padding):
            with torch.inference_mode():
                logits = self(chunk.to(self.device))
            found = {name: (value.float().cpu().numpy(), chunk.owned[name].lengths) for name, value in logits.items()}
            yield found, here

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        with silently():
            self.arrangement.trunk.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        own = {k: v.contiguous().cpu() for k, v in self.arrangement.state_dict().items() if not k.startswith(_TRUNK)}
        save_file(own, path / "heads.safetensors")
        described = {
            "format": _FORMAT,
            "encoder": {"max_length": self.encoder.max_length},
            "architecture": describe(self.architecture),
            "tasks": {name: describe(task) for name, task in self.tasks.items()},
        }
        (path / "tasks.json").write_text(json.dumps(described, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MultiTaskModel:
        """Read a model folder.

        Raises:
            RunError: files missing, damaged, or of a newer format.
        """
        path = Path(folder)
        described = _read_description(path)
        try:
            tasks = {name: _spelled("task", task) for name, task in described["tasks"].items()}
            architecture = _spelled("architecture", described["architecture"])
            encoder = Encoder(str(path), max_length=described["encoder"]["max_length"])
        except (KeyError, TypeError, AttributeError, UserError) as error:
            raise RunError(f"{path / 'tasks.json'} is damaged ({type(error).__name__}: {error}).") from error
        try:
            model = build(encoder, architecture, tasks)
            own = load_file(path / "heads.safetensors")
            missing, unexpected = model.arrangement.load_state_dict(own, strict=False)
        except (SafetensorError, FileNotFoundError, RuntimeError, RecipeError) as error:
            raise RunError(f"{path} cannot be loaded: {error}") from error
        if unexpected or any(not key.startswith(_TRUNK) for key in missing):
            raise RunError(f"{path}: heads.safetensors does not fit tasks.json.")
        return model.eval()


def build(encoder: Encoder, architecture: Architecture, tasks: Mapping[str, Task]) -> MultiTaskModel:
    """A model with pretrained trunk and fresh heads.

    Raises:
        RecipeError: the encoder cannot be loaded, or the architecture does not fit it or the tasks.
    """
    folder = locate(encoder)
    tokenizer = load_tokenizer(encoder, folder)
    trunk = load_trunk(encoder, folder)
    problems = list(architecture.problems(list(tasks), int(trunk.config.num_hidden_layers)))
    if problems:
        raise RecipeError(problems)
    arrangement = architecture.build(trunk, tasks)
    return MultiTaskModel(arrangement, tokenizer, tasks, encoder=encoder, architecture=architecture)


def load(path: str | Path) -> MultiTaskModel:
    """The model of a model folder or of a finished run.

    Raises:
        RunError: neither is there.
    """
    run = RunFolder(path)
    return MultiTaskModel.from_pretrained(run.model if run.exists() else path)


def in_memory(rows: Mapping[str, Sequence[Any]]) -> TokenRows:
    """Token rows of texts that are in no table."""

    def ragged(name: str) -> Ragged | None:
        return Ragged(pa.chunked_array([pa.array(rows[name])])) if name in rows else None

    tokens = ragged("tokens")
    assert tokens is not None
    return TokenRows(tokens, ragged("types"), ragged("words"), float(np.mean(rows["truncated"])))


def _parts(row: Text) -> tuple[str, ...]:
    return (row,) if isinstance(row, str) else tuple(row)


def _read_description(path: Path) -> dict[str, Any]:
    file = path / "tasks.json"
    if not file.exists():
        raise RunError(f"{path} is no model folder: it has no tasks.json.")
    try:
        described: Any = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read ({error}).") from error
    if not isinstance(described, dict) or not isinstance(described.get("format"), int):
        raise RunError(f"{file} is damaged: it does not say its format.")
    if described["format"] > _FORMAT:
        raise RunError(f"{path} was written by a newer motet (format {described['format']}). Update motet.")
    return cast(dict[str, Any], described)


def _spelled(kind: Any, described: Mapping[str, Any]) -> Any:
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in described.items() if key != "type"}
    return find(kind, described["type"])(**fields)
