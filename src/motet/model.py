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
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.cost import parameters
from motet.architectures.fitting import unfit
from motet.data.batches import Chunk, Padding, reading_chunks
from motet.data.encoding import TokenRows, token_rows, tokenise_batch
from motet.data.examples import Examples
from motet.data.masking import Masking
from motet.encoders.loading import Encoder, load_tokenizer, load_trunk, locate
from motet.errors import RecipeError, RunError, UserError, nearest
from motet.registry import describe, find
from motet.runs import RunFolder
from motet.tasks.base import Answers, Task

__all__ = ["MultiTaskModel", "build", "load"]

_FORMAT = 1
_TRUNK = "trunk."
Text = str | Sequence[str]


class Read(NamedTuple):
    """What a task says to some rows.

    Args:
        rows: positions in the token table, ``[rows]``.
        values: ``[units, width]`` in float32.
        lengths: units of every row, ``[rows]``.
    """

    rows: np.ndarray
    values: np.ndarray
    lengths: np.ndarray


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
        """Parameters shared by tasks, those of each task's own, and how many of all are trained."""
        return parameters(self.arrangement, self.tasks)

    @torch.inference_mode()
    def predict(self, texts: Any, tasks: Sequence[str] | None = None) -> Any:
        """Answers for one text or a list of texts, from one pass of the encoder for all tasks that read the same.

        Args:
            texts: a text; a tuple of two texts for tasks about pairs; a tuple of a query and the list of its
                candidates for tasks that order them; or a list of one of these. Tasks that answer words split a text
                at white space.
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
        ordered = self._ranked(rows, tasks) if all(map(_has_candidates, rows)) else self._answered(rows, tasks)
        return ordered if several else ordered[0]

    def _ranked(self, rows: Sequence[Any], tasks: Sequence[str] | None) -> list[dict[str, Any]]:
        """For every query its candidates, best first, by every task that orders them."""
        able = [name for name, task in self.tasks.items() if task.group]
        if not able or set(tasks or ()) & set(self.tasks) - set(able):
            raise RunError(f"candidates can be ordered by {', '.join(able) or 'no task of this model'}.")
        if not all(candidates for _, candidates in rows):
            raise RunError("a query needs at least one candidate.")
        pairs = [(query, candidate) for query, candidates in rows for candidate in candidates]
        answers = iter(self._answered(pairs, tasks or able))
        found = []
        for _, candidates in rows:
            scored = [(candidate, next(answers)) for candidate in candidates]
            found.append({name: {"ranked": _best_first(name, scored)} for name in tasks or able})
        return found

    def _answered(self, rows: Sequence[Text], tasks: Sequence[str] | None) -> list[dict[str, Any]]:
        """For every text or pair the answers of the tasks."""
        chosen = self._choose(rows, tasks)
        groups: dict[Any, list[str]] = {}
        for name in chosen:
            inputs = self.tasks[name].inputs
            groups.setdefault((inputs.words, inputs.stride, inputs.template), []).append(name)
        training = self.training
        self.eval()
        answers = {name: found for names in groups.values() for name, found in self._answer(rows, names).items()}
        self.train(training)
        return [{name: answers[name][row] for name in chosen} for row in range(len(rows))]

    def _choose(self, rows: Sequence[Text], tasks: Sequence[str] | None) -> list[str]:
        texts = all(isinstance(row, (str, tuple, list)) for row in rows)
        readable = texts and all(isinstance(part, str) for row in rows for part in _parts(row))
        widths = {len(_parts(row)) for row in rows} if readable else set()
        if len(widths) != 1:
            found = "all single texts, or all tuples of two texts, or all tuples of a query and a list of candidates"
            raise RunError(f"`texts` must be {found}.")
        width = widths.pop()
        able = {name: task for name, task in self.tasks.items() if task.answers_texts}
        fitting = [name for name, task in able.items() if len(task.inputs.columns) == width]
        for name in tasks or ():
            if name not in self.tasks:
                raise RunError(f"no task `{name}` in this model. {nearest(name, self.tasks)}")
            if name not in able:
                raise RunError(f"task `{name}` has no answer to a text: it learns words alone.")
            if name not in fitting:
                raise RunError(f"task `{name}` reads {len(self.tasks[name].inputs.columns)} text(s), found {width}.")
        if not fitting:
            raise RunError(f"no task of this model reads {width} text(s) at a time.")
        return list(tasks or fitting)

    def _answer(self, rows: Sequence[Text], names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The answers of tasks that read the texts in the same way."""
        inputs = self.tasks[names[0]].inputs
        columns = [list(column) for column in zip(*map(_parts, rows), strict=True)]
        split = [[text.split() for text in column] for column in columns] if inputs.words else columns
        batch = dict(zip(inputs.columns, split, strict=True))
        tokens = token_rows(pa.table(tokenise_batch(batch, inputs, self.tokenizer, self.encoder.max_length)))
        chars = () if tokens.chars is None else [tokens.chars[row] for row in range(len(tokens.lengths))]
        answers = {}
        for name, (values, lengths, texts) in self._said(tokens, names):
            records = [dict(zip(self.tasks[name].inputs.columns, _parts(row), strict=True)) for row in rows]
            answers[name] = self.tasks[name].decode(Answers(values, lengths, tokens.origin, records, chars, texts))
        return answers

    def _said(
        self, tokens: TokenRows, names: Sequence[str]
    ) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray, list[str]]]]:
        """For every task what it says to all rows, in their order: values, units of each row, and texts."""
        every = np.arange(len(tokens.lengths))
        reading = [name for name in names if not self.tasks[name].written]
        pieces: dict[str, dict[int, np.ndarray]] = {name: {} for name in reading}
        for found in self.read(tokens, every, reading) if reading else ():
            for name, (here, values, lengths) in found.items():
                pieces[name].update(zip(here.tolist(), np.split(values, np.cumsum(lengths)[:-1]), strict=True))
        for name in names:
            if name in pieces:
                parts = [pieces[name][row] for row in range(len(every))]
                yield name, (np.concatenate(parts), np.asarray([len(part) for part in parts]), [])
            else:
                written: dict[int, np.ndarray] = {}
                for here, words in self.write(tokens, every, name):
                    written.update(zip(here.tolist(), words, strict=True))
                texts = self.spell([written[row] for row in range(len(every))])
                yield name, (np.zeros((0, 1)), np.zeros(len(every), dtype=np.int64), texts)

    def write(
        self, tokens: TokenRows, rows: np.ndarray, name: str, largest: int = 4096
    ) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """What a task writes for rows, in chunks of similar length.

        Yields:
            Rows, and the sub-words for each, without the one that ends a text.
        """
        task = self.tasks[name]
        for chunk, here in reading_chunks(tokens, rows, {name: task}, self.padding(largest)):
            yield here, self.arrangement.write(chunk.to(self.device), task)

    def spell(self, written: Sequence[np.ndarray]) -> list[str]:
        """Sub-words as texts."""
        return list(self.tokenizer.batch_decode([words.tolist() for words in written], skip_special_tokens=True))

    def read(
        self,
        tokens: TokenRows,
        rows: np.ndarray,
        names: Sequence[str],
        largest: int = 4096,
        *,
        examples: Mapping[str, Examples] | None = None,
        soft: bool = False,
    ) -> Iterator[dict[str, Read]]:
        """What some tasks say to rows, in chunks of similar length, without gradient.

        The model must be in evaluation mode.

        Args:
            tokens: the token table.
            rows: positions in it.
            names: the tasks to answer.
            largest: tokens in a chunk.
            examples: each task answers those of the rows that are here; without, all of them.
            soft: what `Task.soft` leaves of the logits, for distillation, instead of what `Task.kept` does.
        """
        tasks = {name: self.tasks[name] for name in names}
        for chunk, here in reading_chunks(tokens, rows, tasks, self.padding(largest), examples):
            chunk = chunk.to(self.device)
            with torch.inference_mode():
                found = {}
                for name, logits in self(chunk).items():
                    task, owned = tasks[name], chunk.owned[name]
                    values = (
                        task.soft(logits, owned.lengths) if soft else task.kept(logits, owned.target, owned.lengths)
                    )
                    found[name] = Read(
                        here[owned.rows.cpu().numpy()],
                        values.float().cpu().numpy(),
                        owned.lengths,
                    )
            yield found

    def padding(self, largest: int = 4096) -> Padding:
        """How rows are put into chunks for this model."""
        return Padding(cast(int, self.tokenizer.pad_token_id), largest, masking=Masking.of(self.tokenizer))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
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
    problems = [*unfit(tasks, trunk, tokenizer, encoder.max_length), *architecture.problems(tasks, trunk)]
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


def _parts(row: Text) -> tuple[str, ...]:
    return (row,) if isinstance(row, str) else tuple(row)


def _has_candidates(row: Any) -> bool:
    """Whether a row is a query with a list of candidates."""
    if not isinstance(row, (tuple, list)) or len(row) != 2:
        return False
    query, candidates = row
    return isinstance(query, str) and isinstance(candidates, list) and all(isinstance(c, str) for c in candidates)


def _best_first(task: str, scored: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Candidates with their scores; of equal ones the first stays first."""
    rows = [{"candidate": candidate, "score": answer[task]["score"]} for candidate, answer in scored]
    return sorted(rows, key=lambda row: -row["score"])


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
