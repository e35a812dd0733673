"""From texts to answers, whatever computes the logits: a model in torch, or an export of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, cast, overload

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from motet.data.batches import Chunk, Padding, reading_chunks
from motet.data.encoding import TokenRows, token_rows, tokenise_batch
from motet.data.examples import Examples
from motet.data.masking import Masking
from motet.errors import RunError, nearest
from motet.tasks.base import Answers, Inputs, Task

__all__ = ["Answering", "Read", "answerable", "require_tasks"]

Text = str | Sequence[str]
Answer = dict[str, Any]


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


class Answering(ABC):
    """Whatever answers texts for several tasks.

    A subclass computes logits; texts are tokenised and answers decoded here, so that all answer in the same way.

    Attributes:
        tasks: resolved tasks by name.
        tokenizer: of the encoder.
    """

    tasks: dict[str, Task]
    tokenizer: PreTrainedTokenizerBase

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Longest row in sub-words."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where chunks are read."""

    @abstractmethod
    def logits(self, chunk: Chunk) -> dict[str, Tensor]:
        """Logits ``[units, outputs]`` of every task that owns rows of a chunk."""

    @abstractmethod
    def written(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        """The sub-words that a task writes for the rows it owns in a chunk."""

    @abstractmethod
    def resting(self) -> AbstractContextManager[None]:
        """While it lasts, nothing is dropped and nothing is learnt."""

    @overload
    def predict(self, texts: list[Any], tasks: Sequence[str] | None = None) -> list[dict[str, Answer]]: ...

    @overload
    def predict(self, texts: str | tuple[Any, ...], tasks: Sequence[str] | None = None) -> dict[str, Answer]: ...

    @torch.inference_mode()
    def predict(
        self, texts: str | tuple[Any, ...] | list[Any], tasks: Sequence[str] | None = None
    ) -> dict[str, Answer] | list[dict[str, Answer]]:
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
        rows: list[Any] = list(texts) if isinstance(texts, list) else [texts]
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
            groups.setdefault(inputs.manner, []).append(name)
        with self.resting():
            answers = {name: found for names in groups.values() for name, found in self._answer(rows, names).items()}
        return [{name: answers[name][row] for name in chosen} for row in range(len(rows))]

    def _choose(self, rows: Sequence[Text], tasks: Sequence[str] | None) -> list[str]:
        texts = all(isinstance(row, (str, tuple, list)) for row in rows)
        readable = texts and all(isinstance(part, str) for row in rows for part in _parts(row))
        widths = {len(_parts(row)) for row in rows} if readable else set()
        if len(widths) != 1:
            found = "all single texts, or all tuples of two texts, or all tuples of a query and a list of candidates"
            raise RunError(f"`texts` must be {found}.")
        width = widths.pop()
        fitting = [name for name, task in answerable(self.tasks).items() if len(task.inputs.columns) == width]
        require_tasks(self.tasks, tasks or ())
        for name in tasks or ():
            if name not in fitting:
                raise RunError(f"task `{name}` reads {len(self.tasks[name].inputs.columns)} text(s), found {width}.")
        if not fitting:
            raise RunError(f"no task of this model reads {width} text(s) at a time.")
        return list(tasks or fitting)

    def _answer(self, rows: Sequence[Text], names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The answers of tasks that read the texts in the same way."""
        tokens = self.tokenise(rows, self.tasks[names[0]].inputs)
        chars = () if tokens.chars is None else [tokens.chars[row] for row in range(len(tokens.lengths))]
        answers = {}
        for name, (values, lengths, texts) in self._said(tokens, names):
            records = [dict(zip(self.tasks[name].inputs.columns, _parts(row), strict=True)) for row in rows]
            answers[name] = self.tasks[name].decode(Answers(values, lengths, tokens.origin, records, chars, texts))
        return answers

    def tokenise(self, rows: Sequence[Text], inputs: Inputs) -> TokenRows:
        """Texts or pairs as a token table, read as some tasks do."""
        columns = [list(column) for column in zip(*map(_parts, rows), strict=True)]
        split = [[text.split() for text in column] for column in columns] if inputs.words else columns
        batch = dict(zip(inputs.columns, split, strict=True))
        return token_rows(pa.table(tokenise_batch(batch, inputs, self.tokenizer, self.max_length)))

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
            yield here, self.written(chunk.to(self.device), task)

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

        The model must be `resting`.

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
                for name, logits in self.logits(chunk).items():
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


def answerable(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks that have an answer to a text."""
    return {name: task for name, task in tasks.items() if task.answers_texts}


def require_tasks(known: Mapping[str, Task], names: Sequence[str]) -> None:
    """Refuse tasks that a model has not, or that answer no text.

    Raises:
        RunError: there are some; names the nearest.
    """
    for name in names:
        if name not in known:
            raise RunError(f"no task `{name}` in this model. {nearest(name, known)}")
        if not known[name].answers_texts:
            raise RunError(f"task `{name}` has no answer to a text: it learns words alone.")


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
