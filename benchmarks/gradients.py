"""What balances cost: rules on task gradients, and weights of losses, against the plain sum of the losses.

    python benchmarks/gradients.py
    python benchmarks/gradients.py --only different memory --rules pcgrad upgrad

Five tasks on docstrings with the default encoder; each has rows of its own (`different`), or all share them (`same`).
Steps of the sum and of the balance take turns in one process. `memory` compares the peaks of two processes; `fifty` the
time that the dot products and the rule of fifty tasks take with that of their whole step.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from measuring import Row, Stopwatch, peak_memory, table
from subject import Case, Subject, opened

from motet.balancing.base import Balance
from motet.balancing.engine import GradientBalancer
from motet.balancing.gradients.base import GradientBalance, Where
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.losses.loss_ratio import LossRatio
from motet.balancing.losses.sum import Sum
from motet.balancing.rows import Rows
from motet.data.docstrings import tasks
from motet.data.sources import Source
from motet.registry import find, names
from motet.sampling.base import Sampler
from motet.tasks.base import Task
from motet.training import devices

_RULES = ("pcgrad", "cagrad", "mgda", "upgrad", "nash", "gradvac")
_MANY = 50
_SECOND_LOOK = 1.35  # FAMO reads every batch twice
_WARM = 3  # steps before a peak is read


def different(count: int = 5) -> tuple[Task, ...]:
    """Tasks with rows of their own: the settings make each source another one."""
    of_docstrings = tasks()
    return tuple(
        replace(task, name=f"{task.name}{number}", source=Source("docstrings", seed=14 + number))
        for number in range(count)
        for task in [of_docstrings[number % len(of_docstrings)]]
    )


def same() -> tuple[Task, ...]:
    """Five tasks on the same rows."""
    kind, area = (task for task in tasks() if task.name in ("kind", "area"))
    return tuple(replace(task, name=f"{task.name}{n}") for n, task in enumerate((kind, area, kind, area, kind)))


def balance(name: str) -> Balance:
    """The balance of that name, with its defaults."""
    return LossRatio(reference="area0") if name == "loss_ratio" else cast(Balance, find("balance", name)())


def sampler(name: str, of: Sequence[Task]) -> Sampler:
    """The sampler of that name; where it needs something of every task, that is the same for all."""
    needed = {"dynamic": "references", "fixed": "ratio"}
    given = {needed[name]: {task.name: 1.0 for task in of}} if name in needed else {}
    return cast(Sampler, find("sampler", name)(**given))


def rule(name: str, where: Where = "shared") -> Balance:
    """The rule of that name."""
    return replace(cast(GradientBalance, balance(name)), where=where)


def loss_weights() -> list[str]:
    """All balances that weigh losses."""
    every = (name for name in names("balance") if name not in ("sum", "torchjd"))
    return [name for name in every if not isinstance(balance(name), GradientBalance)]


@dataclass(frozen=True)
class Peak:
    """What a process needed at most.

    Args:
        memory: bytes.
        columns: shared parameters that are in no embedding matrix.
    """

    memory: int
    columns: int


@dataclass
class Bench:
    """Measures balances.

    Args:
        options: of the command line.
        folder: for the files of runs.
    """

    options: argparse.Namespace
    folder: Path
    opened: int = 0

    def case(self, name: str, of: tuple[Task, ...], how: Balance) -> Case:
        """A run with the options of the command line."""
        options = self.options
        return Case(
            name=name,
            tasks=of,
            precision=options.precision,
            layers=options.layers,
            tokens=options.tokens,
            balance=how,
        )

    def place(self) -> Path:
        """An empty folder."""
        self.opened += 1
        made = self.folder / str(self.opened)
        made.mkdir()
        return made

    def ratios(self, one: Subject, other: Subject) -> list[float]:
        """Steps of the second over steps of the first on the same rows, a number for each turn."""
        one.trainer.feed.restore(other.trainer.feed.state())
        steps = self.options.steps
        turns = self.watch(one).turns(lambda: one.step(steps), lambda: other.step(steps), self.options.rounds)
        return [second / first for first, second in turns]

    def watch(self, subject: Subject) -> Stopwatch:
        """The clock that was asked for."""
        return Stopwatch(subject.prepared.devices.device, self.options.clock == "cpu")

    def against_the_sum(self, of: tuple[Task, ...], hows: dict[str, tuple[Balance, float]]) -> Iterator[Row]:
        """A row for each of some balances, with its target."""
        with opened(self.case("sum", of, Sum()), self.place()) as plain:
            for name, (how, most) in hows.items():
                with opened(self.case(name, of, how), self.place()) as balanced:
                    yield Row("docstrings", f"{name}, of the sum", self.ratios(plain, balanced), most=most)

    def different(self) -> Iterator[Row]:
        """Rules on tasks with rows of their own."""
        hows = {f"{name}, different rows": (rule(name), 1.15) for name in self.options.rules}
        yield from self.against_the_sum(different(), hows)

    def same(self) -> Iterator[Row]:
        """Rules on tasks with the same rows, exact and cheap."""
        first = self.options.rules[0]
        exact = {f"{first}, same rows": (rule(first), 3.9)}
        cheap = {f"{first}, same rows, representation": (rule(first, "representation"), 1.05)}
        yield from self.against_the_sum(same(), {**exact, **cheap})

    def losses(self) -> Iterator[Row]:
        """Weights of losses."""
        chosen = self.options.balances or loss_weights()
        hows = {name: (balance(name), _SECOND_LOOK if name == "famo" else 1.02) for name in chosen}
        yield from self.against_the_sum(different(), hows)

    def samplers(self) -> Iterator[Row]:
        """What it takes to choose the rows of a step and to put them into chunks, of the whole step."""
        of, steps = different(), self.options.steps
        plain = self.case("temperature", of, Sum())
        with opened(plain, self.place()) as usual:
            # mt_uncertainty takes no task that answers with a number, and reads several rows for each that it keeps
            for name in (name for name in names("sampler") if name != "mt_uncertainty"):
                with opened(replace(plain, name=name, sampler=sampler(name, of)), self.place()) as other:
                    turns = self.watch(usual).turns(
                        lambda: usual.step(steps), partial(other.coming, steps), self.options.rounds
                    )
                yield Row("docstrings", f"rows of {name}, of a step", [draw / step for step, draw in turns], most=0.02)

    def memory(self) -> Iterator[Row]:
        """Growth of the peak over that of the sum, in units of what it may be."""
        of, name = different(), self.options.rules[0]
        cases = [self.case("sum", of, Sum()), self.case(name, of, rule(name))]
        os.environ.update(MALLOC_MMAP_THRESHOLD_="262144", MALLOC_TRIM_THRESHOLD_="131072")
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            plain, balanced = (pool.apply(_peak, (case, self.place())) for case in cases)
        most = 4 * (len(of) + 1) * balanced.columns
        what = f"{name}, extra peak memory, of 4 x (tasks + 1) x parameters"
        yield Row("docstrings", what, [(balanced.memory - plain.memory) / most], most=1.0)

    def fifty(self) -> Iterator[Row]:
        """Dot products and weights of many tasks."""
        case = replace(self.case("pcgrad", different(_MANY), PCGrad()), tokens=200 * _MANY)
        with opened(case, self.place()) as subject:
            watch, work = self.watch(subject), _weighing(subject)
            subject.step(1)
            turns = watch.turns(lambda: subject.step(1), work, self.options.rounds)
        yield Row(
            "docstrings", f"products and weights of {_MANY} tasks, of a step", [b / a for a, b in turns], most=0.10
        )


def _rows(subject: Subject, most: int) -> Rows:
    trunk = subject.prepared.model.arrangement.trunk
    return Rows(trunk, list(trunk.parameters()), most)


def _weighing(subject: Subject) -> Callable[[], object]:
    """What a rule does with rows of random numbers, as many as there are tasks."""
    balancer = subject.trainer.balancer
    assert isinstance(balancer, GradientBalancer)
    rows = _rows(subject, _MANY)
    rows.allot(balancer.rule.tasks)
    rows.of(rows.names).normal_()
    return lambda: balancer.rule(rows.gramians()[0].cpu(), rows.names)


def _peak(case: Case, folder: Path) -> Peak:
    """The peak memory of this process after some steps."""
    devices.keep_memory = lambda: None  # or what the allocator holds back would be measured
    with opened(case, folder) as subject:
        subject.step(_WARM)
        if subject.prepared.devices.device.type == "cuda":
            return Peak(torch.cuda.max_memory_allocated(), _rows(subject, 1).columns)
        return Peak(peak_memory(), _rows(subject, 1).columns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = ["different", "same", "losses", "samplers", "memory", "fifty"]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--rules", nargs="+", default=list(_RULES))
    parser.add_argument("--balances", nargs="+", help="of losses; by default all")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layers", type=int, help="of the default encoder; by default all")
    parser.add_argument("--tokens", type=int, default=2048, help="of a step")
    parser.add_argument("--steps", type=int, default=3, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="motet-gradients-") as folder:
        bench = Bench(options, Path(folder))
        for kind in options.only:
            print(table(list(getattr(bench, kind)())), flush=True)


if __name__ == "__main__":
    main()
