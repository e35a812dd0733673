"""What the programs of this folder share: the rows they are given, the clock, and what they write down.

A peer runs in an environment of its own, without motet, so this file asks for nothing but torch.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

__all__ = [
    "Endless",
    "Given",
    "Logits",
    "Meter",
    "Row",
    "Task",
    "answers",
    "parser",
    "read",
    "seed_all",
    "steps",
    "write",
]

HELD_OUT = ("validation", "test")
_ROWS = 64  # of a batch that is read without learning


@dataclass(frozen=True)
class Row:
    """One example.

    Args:
        texts: one text, or the two of a pair.
        label: the number of its true label.
    """

    texts: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class Task:
    """One task.

    Args:
        name: what it is called.
        labels: all of them, in the order of their numbers.
        pair: whether it reads two texts.
        metric: what it is judged by.
        positive: the label that a metric about one label is about.
        tokens: of a training row, on average.
        folder: with a file of rows for every split.
    """

    name: str
    labels: tuple[str, ...]
    pair: bool
    metric: str
    positive: str
    tokens: float
    folder: Path

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of its texts."""
        return ("first", "second") if self.pair else ("text",)

    def rows(self, split: str) -> list[Row]:
        """The rows of a split."""
        lines = (self.folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        numbers = {label: number for number, label in enumerate(self.labels)}
        found = (json.loads(line) for line in lines)
        return [Row(tuple(row[column] for column in self.columns), numbers[row["label"]]) for row in found]


@dataclass(frozen=True)
class Given:
    """What all libraries are given.

    Args:
        encoder: a folder with a transformer and its tokenizer.
        max_length: longest row in sub-words.
        tasks: all of them.
        digest: of everything in the folder, to tell it from others.
    """

    encoder: str
    max_length: int
    tasks: tuple[Task, ...]
    digest: str

    @cached_property
    def tokens(self) -> float:
        """Of a row, where every task has equally many."""
        return sum(task.tokens for task in self.tasks) / len(self.tasks)


def read(folder: Path) -> Given:
    """What was exported into a folder."""
    plain = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    tasks = tuple(
        Task(**{**of, "name": name, "labels": tuple(of["labels"]), "folder": folder / "tasks" / name})
        for name, of in plain["tasks"].items()
    )
    return Given(str(folder / "encoder"), plain["max_length"], tasks, plain["digest"])


class Meter:
    """Counts what an encoder learns from, and times it from the first row it reads to the last update.

    Loading and evaluation lie outside; collating, all but that of the first batch, logging and the like lie inside.

    Args:
        encoders: modules that are called with an attention mask, or with a mapping that has one; a row is read by one
            of them.
    """

    def __init__(self, *encoders: nn.Module) -> None:
        self.real = self.padded = self.rows = self.steps = 0
        self._began: tuple[float, float] | None = None
        self._ended = (0.0, 0.0)
        for encoder in encoders:
            encoder.register_forward_pre_hook(self._read, with_kwargs=True)
        register_optimizer_step_post_hook(self._updated)

    def _read(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not torch.is_grad_enabled():
            return
        self._began = self._began or _now()
        mask: Tensor = {**(inputs[0] if inputs and isinstance(inputs[0], Mapping) else {}), **named}["attention_mask"]
        self.real += int(mask.sum())
        self.padded += mask.numel()
        self.rows += len(mask)

    def _updated(self, *_: Any) -> None:
        self.steps += 1
        self._ended = _now()

    def plain(self) -> dict[str, float]:
        """What was counted."""
        if self._began is None:
            raise SystemExit("Nothing was learnt: the encoder has read no row.")
        wall, cpu = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        counts = {"real": self.real, "padded": self.padded, "rows": self.rows, "steps": self.steps}
        return {**counts, "seconds": wall, "cpu": cpu, "checks": 0.0}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


Logits = Callable[[Task, list[Row]], Tensor]


@torch.inference_mode()
def answers(given: Given, logits: Logits) -> dict[str, dict[str, list[int]]]:
    """The numbers of the labels that a model gives to all held-out rows of every task, by split."""
    return {split: {task.name: _answers(task, split, logits) for task in given.tasks} for split in HELD_OUT}


def _answers(task: Task, split: str, logits: Logits) -> list[int]:
    rows = task.rows(split)
    order = sorted(range(len(rows)), key=lambda at: sum(map(len, rows[at].texts)))
    found = [0] * len(rows)
    for begin in range(0, len(order), _ROWS):
        places = order[begin : begin + _ROWS]
        chosen = logits(task, [rows[at] for at in places]).argmax(dim=-1).tolist()
        for at, label in zip(places, chosen, strict=True):
            found[at] = label
    return found


class Endless:
    """Places of rows in a fresh order for every pass, so many of them that a step never comes short.

    Args:
        size: how many rows there are.
        count: how many places are wanted in all.
        seed: of the orders.
    """

    def __init__(self, size: int, count: int, seed: int) -> None:
        self._size, self._count, self._seed = size, count, seed

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        draw, left = random.Random(self._seed), self._count
        while left > 0:
            order = draw.sample(range(self._size), self._size)[:left]
            left -= len(order)
            yield from order


def steps(budget: int, tokens: float) -> int:
    """How many steps of so many tokens come nearest to a budget."""
    return max(1, round(budget / tokens))


def seed_all(seed: int) -> None:
    """Set every generator."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (libraries draw from the global one)
    torch.manual_seed(seed)


def parser(description: str | None) -> argparse.ArgumentParser:
    """What every program is told."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("data", type=Path, help="the folder that export_tasks.py has written")
    found.add_argument("out", type=Path, help="a folder for what was measured and answered")
    found.add_argument("--tokens", type=int, required=True, help="real tokens to learn from")
    found.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    found.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    found.add_argument("--seed", type=int, default=0)
    return found


def write(
    out: Path, package: str, measured: Mapping[str, float], found: Mapping[str, Mapping[str, Sequence[int]]]
) -> None:
    """Write down what was measured, and the answers."""
    versions = {name: version(name) for name in (package, "torch", "transformers")}
    told = {**measured, "version": versions[package], "versions": versions, "threads": torch.get_num_threads()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "answers.json").write_text(json.dumps(found), encoding="utf-8")
    (out / "measured.json").write_text(json.dumps(told), encoding="utf-8")
