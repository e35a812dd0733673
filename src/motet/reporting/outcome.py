"""What came of a run: one row of numbers a task, and the sentences that sum them up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from motet.reporting.numerals import amount, count, joined, percent, plural, score
from motet.reporting.plain import Score
from motet.reporting.record import Evaluation, History, Switch, TaskHistory

__all__ = [
    "Mean",
    "Outcome",
    "aftermath",
    "chosen",
    "headline",
    "mean",
    "outcomes",
    "state_in_words",
    "story",
    "tested",
]

# Beyond two standard errors a drop is worth a sentence; below, it is what neighbouring checks differ by.
NOISE = 2.0

CONVERGED = {
    "distill": "held at its peak",
    "continue": "converged, trained on",
    "drop": "converged, dropped",
    "stop": "converged, stopped",
}
ENDINGS = {
    "steps": "when the budget ended",
    "tokens": "when the budget ended",
    "seconds": "when the budget ended",
    "stopped": "when the run was stopped",
    "interrupted": "when the run was interrupted",
}


@dataclass(frozen=True)
class Outcome:
    """What came of one task."""

    task: TaskHistory
    state: str
    final: Score | None
    drop: float | None
    drop_in_errors: float | None
    test: Score | None

    @property
    def peak(self) -> Score | None:
        """The running mean at the peak, with the standard error of the score there."""
        peak = self.task.peak
        return Score(peak.mean, peak.score.se) if peak else None

    @property
    def beyond_noise(self) -> bool:
        """Whether the task ended below its peak by more than noise."""
        return self.drop_in_errors is not None and self.drop_in_errors > NOISE


@dataclass(frozen=True)
class Mean:
    """Plain means over the tasks that can be averaged."""

    label: str
    peak: float | None
    final: float | None
    drop: float | None
    test: float | None


def chosen(history: History) -> Evaluation | None:
    """The candidate that became the model."""
    return next((candidate for candidate in history.candidates if candidate.name == history.chosen), None)


def tested(history: History, name: str) -> Evaluation | None:
    """The latest evaluation of a candidate on the test split; the chosen one also goes by the name `model`."""
    names = {name, "model"} if name == history.chosen or not history.chosen else {name}
    return next((each for each in reversed(history.evaluations) if each.name in names and each.split == "test"), None)


def outcomes(history: History) -> list[Outcome]:
    """One row a task, in the order of the plan."""
    kept, test = chosen(history), tested(history, history.chosen)
    return [_outcome(history, task, kept, test) for task in history.tasks.values()]


def _outcome(history: History, task: TaskHistory, kept: Evaluation | None, test: Evaluation | None) -> Outcome:
    final = _of_task(kept, task) or (task.last.score if task.last else None)
    drop = None
    if task.peak and task.peak.mean is not None and final and final.value is not None:
        drop = (task.peak.mean - final.value) * (1 if task.higher_is_better else -1)
    in_errors = drop / final.se if drop is not None and final and final.se else None
    return Outcome(task, state_in_words(history, task), final, drop, in_errors, _of_task(test, task))


def _of_task(evaluation: Evaluation | None, task: TaskHistory) -> Score | None:
    return evaluation.scores.get(task.name, {}).get(task.metric) if evaluation else None


def mean(rows: Sequence[Outcome]) -> Mean | None:
    """The mean over tasks, told what it is a mean of; None where there is nothing to average.

    Scores of which less is better are left out: an error and a share have no mean.
    """
    averaged = [row for row in rows if row.task.higher_is_better]
    if len(averaged) < 2:
        return None
    which = f"{len(averaged)} tasks" if len(averaged) == len(rows) else f"the {len(averaged)} where higher is better"
    mixed = ", of different metrics" if len({row.task.metric for row in averaged}) > 1 else ""
    return Mean(
        label=f"Mean of {which}{mixed}",
        peak=average([row.task.peak.mean if row.task.peak else None for row in averaged]),
        final=average([row.final.value if row.final else None for row in averaged]),
        drop=average([row.drop for row in averaged]),
        test=average([row.test.value if row.test else None for row in averaged]),
    )


def average(values: Sequence[float | None]) -> float | None:
    """The mean, if every value is there."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present and len(present) == len(values) else None


def aftermath(task: TaskHistory, switch: Switch) -> tuple[float | None, float | None]:
    """The running mean of a task when it converged, and the worst one since: what was about to be lost, what was."""
    until = min((again.step for again in task.reopenings if again.step > switch.step), default=math.inf)
    before = [check.mean for check in task.checks if check.step <= switch.step]
    since = [check.mean for check in task.checks if switch.step < check.step <= until and not check.discarded]
    known = [mean for mean in since if mean is not None]
    worst = min if task.higher_is_better else max
    return (before[-1] if before else None), (worst(known) if known else None)


def state_in_words(history: History, task: TaskHistory) -> str:
    """What became of a task, as a person would say it."""
    if task.state in ("converged", "dropped"):
        then = task.switch.then if task.switch else ""
        return CONVERGED.get(then, "converged, dropped" if task.state == "dropped" else "converged")
    if task.state == "waiting":
        return "not begun"
    if task.state == "capped" or history.ended:
        return "still learning"
    return "learning" if history.step else "planned"


def headline(history: History) -> str:
    """The run in one sentence."""
    if not history.tasks:
        return "Nothing has happened yet"
    tasks = plural(len(history.tasks), "task")
    if not history.step:
        return f"{tasks} planned, no step taken yet"
    states = Counter(state_in_words(history, task) for task in history.tasks.values())
    return ", ".join([_so_far(history, tasks), *(_group(history, state, number) for state, number in _ordered(states))])


def _so_far(history: History, tasks: str) -> str:
    if history.ended:
        return tasks
    return f"{tasks} at step {count(history.step)}" + (f" of {count(history.steps)}" if history.steps else "")


def _ordered(states: Counter[str]) -> list[tuple[str, int]]:
    order = [*CONVERGED.values(), "converged", "still learning", "learning", "not begun"]
    return sorted(states.items(), key=lambda item: order.index(item[0]))


def _group(history: History, state: str, number_of: int) -> str:
    words = state.replace("its peak", "its peak" if number_of == 1 else "their peak")
    ending = f" {ENDINGS[history.ended]}" if state == "still learning" and history.ended in ENDINGS else ""
    return f"{number_of} {words}{ending}"


def story(history: History) -> list[str]:
    """A few sentences on what a reader should know before the tables."""
    told = [_model(history), _drops(history), _rewinds(history), _early(history), _resumes(history)]
    return [sentence for sentence in told if sentence]


def _model(history: History) -> str:
    kept = chosen(history)
    if kept is None:
        return ""
    which = {"last": "the last weights", "best_mean": "the weights with the best mean over tasks"}[kept.name]
    return f"The model is {which}" + (f", step {count(kept.step)}." if kept.step is not None else ".")


def _drops(history: History) -> str:
    known = [row for row in outcomes(history) if row.drop is not None and row.drop > 0 and history.ended]
    fallen = [row for row in known if row.beyond_noise]
    if fallen:
        listed = joined([f"{row.task.name} by {score(row.drop)} ({amount(row.drop_in_errors)} se)" for row in fallen])
        return f"Below the peak by more than two standard errors: {listed}."
    measured = [row for row in known if row.drop_in_errors is not None]
    return "No task ended more than two standard errors below its peak." if measured else ""


def _rewinds(history: History) -> str:
    lost = sum(switch.discarded for switch in history.rewinds)
    if not lost:
        return ""
    share = f" ({percent(lost / history.step)})" if history.step else ""
    rewinds = plural(len(history.rewinds), "rewind")
    return f"{rewinds} threw away {count(lost)} of {count(history.step)} steps{share}."


def _early(history: History) -> str:
    early = [switch.task for switch in history.switches if switch.own_epochs is not None and switch.own_epochs < 1]
    return f"Converged before one pass over its own rows: {joined(early)}." if early else ""


def _resumes(history: History) -> str:
    steps = joined([count(step) for step in history.resumes])
    return f"Resumed at step {steps}." if history.resumes else ""
