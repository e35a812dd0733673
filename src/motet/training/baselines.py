"""What every task scores with the best answer that ignores what it reads: a task above it has begun to learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from motet.data.corpus import Corpus
from motet.data.examples import Examples
from motet.tasks.base import Scores, Task
from motet.training.convergence import Convergence, Patience
from motet.training.evaluation import Predictions, judge, plain

__all__ = ["baselines", "monitored"]


def monitored(task: Task, rule: Patience | None) -> str:
    """The metric a task is judged by."""
    return (rule.monitor if rule else "") or task.headline


def baselines(corpus: Corpus, convergence: Convergence) -> dict[str, float | None]:
    """The validation score of a constant answer, by the metric each task is judged by.

    None where the answer shape has no such answer, it has no finite score, or the task is judged by its loss: the
    answer with the best score is not the one with the least loss.
    """
    found: dict[str, float | None] = {}
    for name, train in corpus.examples("train").items():
        task, validation = corpus.tasks[name], corpus.examples("validation")[name]
        scores = plain({name: _constant_scores(task, train, validation)})[name]
        found[name] = scores.get(monitored(task, convergence.of(name)), {}).get("value")
    return found


def _constant_scores(task: Task, train: Examples, validation: Examples) -> Scores:
    constant = task.constant(_by_example(train))
    if constant is None:
        return {}
    words = validation.tokens.words if task.level == "word" else None
    lengths = np.asarray([1 if words is None else len(words[int(row)]) for row in validation.rows])
    values = np.broadcast_to(constant, (int(lengths.sum()), len(constant)))
    return judge(task, Predictions(values, lengths), validation)


def _by_example(examples: Examples) -> Iterator[np.ndarray]:
    """The encoded true answer of every example, those of its rows one after the other."""
    if examples.groups is None:
        yield from map(examples.target, range(len(examples.rows)))
        return
    order = np.argsort(examples.groups, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(examples.groups))[:-1]):
        yield np.concatenate([examples.target(int(row)) for row in rows])
