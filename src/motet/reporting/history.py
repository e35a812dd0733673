"""Events become the typed view of a run.

    >>> history = read([{"event": "plan", "steps": 100, "tasks": [{"name": "topic", "metric": "accuracy"}]}])
    >>> history.tasks["topic"].metric, history.steps
    ('accuracy', 100)

Every value of an event may be missing: a run that broke off early, or was made by another version, can still be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from motet.reporting.plain import Score, headline_score, listing, mapping, number, scores_by_task, text, whole
from motet.reporting.record import (
    Caution,
    Checked,
    Evaluation,
    History,
    Loss,
    Peak,
    Reopening,
    SoftLabels,
    Switch,
    TaskHistory,
    Work,
)
from motet.runs import Event

__all__ = ["read"]


def read(events: Iterable[Event]) -> History:
    """Make the view of a run from its surviving events, oldest first.

    Example:
        >>> history = read([{"event": "warning", "code": "task-starved", "task": "topic", "message": "few rows"}])
        >>> history.cautions[0].code
        'task-starved'
    """
    history = History()
    for event in events:
        moment = number(event.get("time"))
        history.began = moment if history.began is None else history.began
        history.touched = history.touched if moment is None else moment
        history.step = max(history.step, whole(event.get("step")) or 0)
        take = _TAKE.get(str(event.get("event")))
        if take is not None:
            take(history, event)
    return history


def _task(history: History, name: object) -> TaskHistory:
    known = text(name) or "unnamed"
    return history.tasks.setdefault(known, TaskHistory(known))


def _steps(event: Event) -> tuple[int, int]:
    step = whole(event.get("step")) or 0
    logical = whole(event.get("logical"))
    return step, step if logical is None else logical


def _plan(history: History, event: Event) -> None:
    history.plan = event
    for found in map(mapping, listing(event.get("tasks"))):
        task = _task(history, found.get("name"))
        task.type, task.answer = text(found.get("type")), text(found.get("answer"))
        task.source, task.metric = text(found.get("source")), text(found.get("metric"))
        task.higher_is_better = found.get("higher_is_better") is not False
        task.sizes = {split: whole(found.get(split)) for split in ("train", "validation", "test")}
        task.weight, task.share = number(found.get("weight")), number(found.get("share"))
        task.rows_per_step, task.planned_epochs = number(found.get("rows_per_step")), number(found.get("epochs"))
        task.truncated, task.baseline = number(found.get("truncated")), number(found.get("baseline"))
    for warning in listing(event.get("warnings")):
        _warning(history, mapping(warning))


def _step(history: History, event: Event) -> None:
    step, history.logical = _steps(event)
    kinds = mapping(event.get("kinds"))
    for name, value in mapping(event.get("losses")).items():
        loss, kind = number(value), text(kinds.get(name)) or "truth"
        if loss is not None and kind != "off":
            _task(history, name).losses.append(Loss(step, history.logical, loss, kind))
    for name, value in mapping(event.get("penalties")).items():
        if (penalty := number(value)) is not None:
            history.penalties.setdefault(text(name), []).append(Loss(step, history.logical, penalty, "penalty"))
    for name, rows in mapping(event.get("rows")).items():
        _task(history, name).rows += whole(rows) or 0
    tokens, padded = whole(event.get("tokens")) or 0, whole(event.get("padded")) or 0
    history.work.append(Work(step, history.logical, number(event.get("seconds")) or 0.0, tokens, padded))


def _check(history: History, event: Event) -> None:
    step, history.logical = _steps(event)
    _spend(history, "evaluation", event)
    scores = scores_by_task(event.get("scores"))
    headline, smoothed = mapping(event.get("headline")), mapping(event.get("smoothed"))
    for name in dict.fromkeys([*scores, *map(str, headline)]):
        task = _task(history, name)
        score = headline_score(scores.get(name, {}), task.metric, number(headline.get(name)))
        mean = number(smoothed.get(name))
        mean = score.value if mean is None else mean
        task.checks.append(Checked(step, history.logical, score, mean, after_switch=task.switch is not None))
    for name, state in mapping(event.get("states")).items():
        _task(history, name).state = text(state) or "learning"
    for name, epochs in mapping(event.get("own_epochs")).items():
        _task(history, name).own_epochs = number(epochs)
    for name, share in mapping(event.get("shares")).items():
        _task(history, name).drawn_share = number(share)
    for name, best in mapping(event.get("best")).items():
        _take_peak(_task(history, name), mapping(best))


def _take_peak(task: TaskHistory, best: Mapping[str, Any]) -> None:
    step, mean = whole(best.get("step")), number(best.get("value"))
    if step is None or (mean is None and number(best.get("score")) is None):
        return
    error = next((check.score.se for check in reversed(task.checks) if check.step == step), None)
    task.peak = Peak(step, mean, Score(number(best.get("score")), error))


def _converged(history: History, event: Event) -> None:
    task = _task(history, event.get("task"))
    step, history.logical = _steps(event)
    best_step = whole(event.get("best_step"))
    best_logical = whole(event.get("best_logical"))
    switch = Switch(
        number=whole(event.get("event_id")) or len(history.switches) + 1,
        task=task.name,
        step=step,
        best_step=step if best_step is None else best_step,
        best_logical=history.logical if best_logical is None else best_logical,
        peak=number(event.get("peak")),
        score=number(event.get("score")),
        own_epochs=number(event.get("own_epochs")),
        then=text(event.get("then")),
        rewind=text(event.get("rewind")),
        discarded=whole(event.get("discarded")) or 0,
    )
    history.switches.append(switch)
    task.switches.append(switch)
    task.state = "dropped" if switch.then == "drop" else "converged"
    _take_peak(task, {"step": switch.best_step, "value": switch.peak, "score": switch.score})
    if switch.rewound:
        _discard(history, switch)


def _discard(history: History, switch: Switch) -> None:
    seen: list[Checked | Loss | Work] = [*history.work]
    for task in history.tasks.values():
        seen += [*task.checks, *task.losses]
    seen += [penalty for penalties in history.penalties.values() for penalty in penalties]
    for item in seen:
        if not item.discarded and item.logical > switch.best_logical:
            item.discarded = switch.number
    history.logical = switch.best_logical


def _reopened(history: History, event: Event) -> None:
    task = _task(history, event.get("task"))
    reopening = Reopening(_steps(event)[0], task.name, text(event.get("reason")))
    history.reopenings.append(reopening)
    task.reopenings.append(reopening)
    task.state = "learning"


def _capped(history: History, event: Event) -> None:
    for name in listing(event.get("tasks")):
        _task(history, name).state = "capped"


def _soft_labels(history: History, event: Event) -> None:
    _spend(history, "recording", event)
    history.soft_labels.append(
        SoftLabels(
            task=text(event.get("task")),
            step=whole(event.get("step")),
            rows=whole(event.get("rows")),
            bytes=whole(event.get("bytes")),
            digest=text(event.get("digest")),
            teacher_step=whole(event.get("teacher_step")),
            seconds=number(event.get("seconds")),
            rows_per_second=number(event.get("rows_per_second")),
        )
    )


def _warning(history: History, event: Mapping[str, Any]) -> None:
    code, task, message = (text(event.get(key)) for key in ("code", "task", "message"))
    for caution in history.cautions:
        if (caution.code, caution.task, caution.message) == (code, task, message):
            caution.times += 1
            return
    history.cautions.append(Caution(code, task, message, whole(event.get("step"))))


def _checkpoint(history: History, event: Event) -> None:
    _spend(history, "checkpoints", event)


def _interrupted(history: History, event: Event) -> None:
    history.ended = "interrupted"


def _resumed(history: History, event: Event) -> None:
    history.resumes.append(_steps(event)[0])
    history.ended = ""


def _candidates(history: History, event: Event) -> None:
    history.chosen = text(event.get("chosen"))
    history.candidates = [
        Evaluation(name, "validation", whole(found.get("step")), scores_by_task(found.get("scores")))
        for name in ("last", "best_mean")
        if (found := mapping(event.get(name)))
    ]


def _end(history: History, event: Event) -> None:
    history.ended = text(event.get("reason")) or "end"
    history.wall = number(event.get("seconds"))


def _evaluation(history: History, event: Event) -> None:
    rows = {str(task): found for task, rows in mapping(event.get("rows")).items() if (found := whole(rows)) is not None}
    scores = scores_by_task(event.get("scores"))
    name, split = text(event.get("model")) or "model", text(event.get("split")) or "test"
    history.evaluations.append(Evaluation(name, split, whole(event.get("step")), scores, rows))


def _spend(history: History, activity: str, event: Event) -> None:
    history.seconds[activity] = history.seconds.get(activity, 0.0) + (number(event.get("seconds")) or 0.0)
    history.occasions[activity] = history.occasions.get(activity, 0) + 1


_TAKE: dict[str, Callable[[History, Event], None]] = {
    "plan": _plan,
    "step": _step,
    "check": _check,
    "converged": _converged,
    "soft_labels": _soft_labels,
    "reopened": _reopened,
    "capped": _capped,
    "warning": _warning,
    "checkpoint": _checkpoint,
    "interrupted": _interrupted,
    "resumed": _resumed,
    "candidates": _candidates,
    "end": _end,
    "evaluation": _evaluation,
}
