"""The model card: what a run knows about its model, in Markdown with the metadata of the Hub.

Local paths are cut to their last part, since a card is made to be shown.

>>> card = plain_card({"topic": "3 labels"})
>>> card.splitlines()[0], "| topic | 3 labels |" in card
('---', True)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment

from motet.reporting import outcome
from motet.reporting.history import read
from motet.reporting.numerals import count, percent, score, with_error
from motet.reporting.plain import Score, mapping, text
from motet.reporting.record import History, TaskHistory
from motet.reporting.templating import templates_of
from motet.runs import Event

__all__ = ["plain_card", "run_card"]

# What the Hub calls the kinds of tasks; all others are filed under the first.
_KINDS = {
    "tagging": "token-classification",
    "spans": "question-answering",
    "ranking": "text-ranking",
    "generation": "text-generation",
    "masked_language": "fill-mask",
    "next_word": "text-generation",
}
_KIND = "text-classification"
_AT_THE_HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def plain_card(tasks: Mapping[str, str]) -> str:
    """The card of a model of which no more is known than its tasks.

    Args:
        tasks: for each the shape of its answer in words.
    """
    rows = [TaskHistory(name, answer=answer) for name, answer in tasks.items()]
    history = History(tasks={row.name: row for row in rows})
    return _rendered(history, {}, {}, ModelCardData(library_name="motet", tags=_tags()), "A multi-task text model")


def run_card(events: Iterable[Event], manifest: Mapping[str, Any], changed: Mapping[str, Any], name: str) -> str:
    """The card of the model of a run.

    Args:
        events: the surviving events of the run, oldest first.
        manifest: versions, device, data and seeds, as written when the run began.
        changed: settings that are not as they are by default, by their dotted names.
        name: of the model.
    """
    history = read(events)
    encoder = text(mapping(history.plan.get("encoder")).get("name"))
    kinds = {_KINDS.get(task.type, _KIND) for task in history.tasks.values()}
    data = ModelCardData(
        base_model=encoder if _AT_THE_HUB.fullmatch(encoder) else None,
        library_name="motet",
        pipeline_tag=kinds.pop() if len(kinds) == 1 else None,
        tags=_tags(),
        model_name=name,
        eval_results=list(_results(history)) or None,
    )
    return _rendered(history, manifest, changed, data, name)


def _rendered(
    history: History, manifest: Mapping[str, Any], changed: Mapping[str, Any], data: ModelCardData, name: str
) -> str:
    rows = outcome.outcomes(history)
    return (
        _templates()
        .get_template("card.md.j2")
        .render(
            metadata=data.to_yaml(),
            name=name,
            history=history,
            plan=history.plan,
            manifest=manifest,
            changed={key: _public(value) for key, value in changed.items()},
            story=outcome.story(history),
            rows=rows,
            measured=[row for row in rows if row.final is not None or row.test is not None],
        )
    )


def _results(history: History) -> Iterable[EvalResult]:
    """The headline score of every task: on test where there is one, else on validation."""
    for row in outcome.outcomes(history):
        found, split = (row.test, "test") if row.test is not None else (row.final, "validation")
        if found is not None and found.value is not None:
            source = _public(row.task.source) or row.task.name
            yield EvalResult(
                task_type=_KINDS.get(row.task.type, _KIND),
                task_name=row.task.name,
                dataset_type=re.sub(r"[^\w.-]+", "-", source),
                dataset_name=source,
                dataset_config=row.task.name,  # or the Hub would take two tasks about one source for one
                dataset_split=split,
                metric_type=row.task.metric,
                metric_name=row.task.metric,
                metric_value=round(found.value, 6),
            )


def _tags() -> list[str]:
    return ["motet", "multi-task-learning"]


def _public(value: Any) -> str:
    """A setting without the folders of the machine that it was made on."""
    told = text(value)
    return PurePath(told).name if told.startswith(("/", "~", "./", "../")) or re.match(r"[A-Za-z]:\\", told) else told


def _cell(value: object) -> str:
    """Text that neither ends a cell of a table nor is taken for HTML."""
    return re.sub(r"\s+", " ", text(value)).replace("|", "\\|").replace("<", "&lt;")


def _errors(found: Score | None) -> str:
    return "–" if found is None else with_error(found)


@lru_cache
def _templates() -> Environment:
    # Markdown: `_cell` escapes what could end a cell or begin a tag
    templates = templates_of("motet.reporting", autoescape=False, keep_trailing_newline=True)
    templates.filters.update(cell=_cell, count=count, percent=percent, public=_public, score=score, with_error=_errors)
    return templates
