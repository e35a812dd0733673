"""The typed view of a study: what `motet.study.comparison` makes of runs, and what the page and the tables read.

A *gain* is a difference from the baseline on the same test rows and seeds, and positive where the variant is better,
whichever way the metric counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from motet.notebook import Card, Shown
from motet.reporting.numerals import MISSING, plural, score
from motet.significance import Interval, OverSeeds, WinTieLoss

__all__ = ["Cell", "Comparison", "Curve", "Gain", "Lost", "RunLine", "Task", "Variant"]

LEVEL = 0.05


@dataclass(frozen=True)
class Task:
    """A task that all variants have.

    Args:
        name: of the task.
        metric: its headline metric.
        higher_is_better: the direction of that.
        rows: test examples.
        share: whether the metric is one of those that are told in points: hundredths of a scale up to 1.
    """

    name: str
    metric: str
    higher_is_better: bool
    rows: int
    share: bool

    @property
    def averaged(self) -> bool:
        """Whether it counts in means over tasks."""
        return self.share and self.higher_is_better

    @property
    def sign(self) -> int:
        """What makes more of the metric better."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Gain:
    """A difference from the baseline, tested in two ways.

    Args:
        over_rows: on other test rows, for the models that there are; None where rows cannot be drawn again.
        over_seeds: with other seeds, for the test rows that there are.
        p_rows: the p-value of the first, corrected by Holm's method.
        p_seeds: that of the second, from the paired t-test, corrected too; None with too few seeds.
    """

    over_rows: Interval | None
    over_seeds: OverSeeds
    p_rows: float | None = None
    p_seeds: float | None = None

    @property
    def value(self) -> float:
        """The mean difference over seeds."""
        return self.over_seeds.difference

    @property
    def verdict(self) -> str:
        """What can be claimed: better or worse where both tests say so, else why not."""
        if self.over_seeds.verdict:
            return self.over_seeds.verdict
        sure = self.p_seeds is not None and self.p_seeds < LEVEL and self.p_rows is not None and self.p_rows < LEVEL
        return ("better" if self.value > 0 else "worse") if sure else "within noise"


@dataclass(frozen=True)
class Cell:
    """One task under one variant; `scores` by seed, `gain` None for the baseline."""

    task: str
    variant: str
    scores: dict[int, float]
    mean: float
    deviation: float | None
    gain: Gain | None = None


@dataclass(frozen=True)
class Variant:
    """One variant, averaged over tasks.

    Args:
        name: of the variant.
        seeds: those with a score.
        mean: over seeds, of the mean over the tasks that have one.
        deviation: its standard deviation over seeds.
        gain: of that mean.
        mean_of_relative_gains: the relative change of every task, averaged.
        relative_gain_of_mean: the relative change of the mean.
        rank: averaged over tasks.
        outcomes: wins, ties and losses over all pairs of a task and a seed.
        steps: optimiser steps, averaged over seeds; so are the next two.
        tokens: real tokens that were trained on.
        seconds: of training.
        settings: what tells it from the base.
    """

    name: str
    seeds: tuple[int, ...]
    mean: float | None
    deviation: float | None
    gain: Gain | None
    mean_of_relative_gains: float | None
    relative_gain_of_mean: float | None
    rank: float
    outcomes: WinTieLoss | None
    steps: float
    tokens: float
    seconds: float
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunLine:
    """One run that was started, whatever became of it."""

    name: str
    variant: str
    task: str
    seed: int
    status: str
    part: str
    digest: str
    version: str
    commit: str
    steps: int
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Curve:
    """The validation scores of a task in one run: steps and running means."""

    task: str
    variant: str
    seed: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Lost:
    """A test row that the baseline answers better than a variant, over the seeds.

    Args:
        seeds: how many of the seeds lose it, and out of how many.
        answers: of baseline and variant, with the first of those seeds.
    """

    task: str
    variant: str
    id: str
    input: str
    truth: str
    answers: tuple[str, str]
    seeds: tuple[int, int]


@dataclass(frozen=True)
class Comparison(Shown):
    """All of a study.

    Args:
        title: how it is called.
        baseline: what the others are compared with.
        budget: what is the same for all: steps, tokens or seconds.
        tasks: those that every variant has.
        variants: the baseline first.
        cells: of every variant and task.
        seeds: those with a score of any variant.
        runs: all that were started.
        curves: of all runs that count.
        lost: test rows that get lost most often.
        notes: what a reader must know, in sentences.
    """

    title: str
    baseline: str
    budget: str
    tasks: tuple[Task, ...]
    variants: tuple[Variant, ...]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...] = ()
    runs: tuple[RunLine, ...] = ()
    curves: tuple[Curve, ...] = ()
    lost: tuple[Lost, ...] = ()
    notes: tuple[str, ...] = ()

    def cell(self, task: str, variant: str) -> Cell:
        """One of the cells."""
        return next(cell for cell in self.cells if (cell.task, cell.variant) == (task, variant))

    @property
    def averaged(self) -> tuple[Task, ...]:
        """The tasks that a mean can be taken of: those told in points of which more is better."""
        return tuple(task for task in self.tasks if task.averaged)

    @property
    def worst(self) -> list[Cell]:
        """The ten cells that lose most against the baseline, relative to it, the worst first."""
        losing = [cell for cell in self.cells if cell.gain is not None and cell.gain.value < 0]
        return sorted(losing, key=self._relative)[:10]

    def _relative(self, cell: Cell) -> float:
        base = abs(self.cell(cell.task, self.baseline).mean)
        return cell.gain.value / base if cell.gain is not None and base else 0.0

    def _card(self) -> Card:
        """What a notebook shows: a row a variant, with its test score of every task, its gain and the verdict."""
        heads = ("variant", *(f"{task.name}, {task.metric}" for task in self.tasks), "mean", "gain", "verdict")
        rows = [
            (
                variant.name,
                *(score(self.cell(task.name, variant.name).mean) for task in self.tasks),
                score(variant.mean),
                MISSING if variant.gain is None else f"{100 * variant.gain.value:+.1f}".replace("-", "−"),
                "baseline" if variant.name == self.baseline else variant.gain.verdict if variant.gain else MISSING,
            )
            for variant in self.variants
        ]
        facts = [plural(len(self.variants), "variant"), plural(len(self.seeds), "seed")]
        facts += [f"budget in {self.budget}"] if self.budget else []
        facts += [f"gain of the mean over {self.baseline}, in points", *self.notes]
        return Card(self.title, facts, heads, rows, words=(len(heads) - 1,))
