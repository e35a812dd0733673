"""What each answer shape leaves of a test row, so that the score of its headline metric can be made again.

One function a shape; each says by which formula of `motet.study.formulas` its numbers become the score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from motet.metrics.ranking import ranking
from motet.metrics.text import spans
from motet.study.formulas import Evidence
from motet.tasks.base import Answers, Task
from motet.tasks.classification import IGNORED, Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage, MaskedLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

__all__ = ["evidence_of", "resampled_alike"]

Targets = Sequence[np.ndarray]
Rows = list[list[float]]


def evidence_of(task: Task, answers: Answers, targets: Targets) -> Evidence:
    """The numbers of every example behind the headline score of a task.

    Args:
        task: resolved.
        answers: to all rows.
        targets: the encoded true answer of every row.
    """
    of_shape = next((of for shape, of in _SHAPES.items() if isinstance(task, shape)), None)
    if of_shape is None or not np.isfinite(answers.values).all():
        return Evidence.of("", [])
    return of_shape(task, answers, targets)


def resampled_alike(evidence: Evidence, score: float) -> bool:
    """Whether all examples together give the score that was told: only then may they be drawn again."""
    if not evidence.formula or not len(evidence):
        return False
    found = float(evidence.scores(np.ones((1, len(evidence))))[0])
    return bool(np.isclose(found, score, rtol=1e-6, atol=1e-9))


def _flat(targets: Targets) -> np.ndarray:
    return np.concatenate([np.zeros(0), *targets])


def _one_each(values: np.ndarray) -> Rows:
    return [[float(value)] for value in values]


def _fours(true: Sequence[int], found: Sequence[int]) -> list[float]:
    """Class, hits, how often true and how often found, of every class that is either."""
    hits = Counter(t for t, f in zip(true, found, strict=True) if t == f)
    sides = Counter(true), Counter(found)
    return [n for kind in sorted({*true, *found}) for n in (kind, hits[kind], sides[0][kind], sides[1][kind])]


def _of_labels(metric: str, true: np.ndarray, found: np.ndarray, positive: int = 0) -> Evidence:
    """One label an example."""
    if metric in ("accuracy", "micro_f1"):
        return Evidence.of("mean", _one_each(true == found))
    formula = "class_f1" if metric == "f1_positive" else metric
    return Evidence.of(
        formula, [_fours([t], [f]) for t, f in zip(true.tolist(), found.tolist(), strict=True)], positive
    )


def _of_numbers(metric: str, true: np.ndarray, found: np.ndarray) -> Evidence:
    """One number an example."""
    if metric == "mae":
        return Evidence.of("mean", _one_each(np.abs(true - found)))
    if metric == "rmse":
        return Evidence.of("root", [[float(error), 1.0] for error in np.square(true - found)])
    return Evidence.of(metric, np.stack([true, found], axis=1).tolist())


def _classification(task: Classification, answers: Answers, targets: Targets) -> Evidence:
    guess = answers.values.argmax(axis=1)
    return _of_labels(task.headline, _flat(targets).astype(np.int64), guess, task.classes.index(task.positive))


def _ordinal(task: Ordinal, answers: Answers, targets: Targets) -> Evidence:
    true, guess = _flat(targets).astype(np.int64), (answers.values > 0).sum(axis=1)
    if task.headline in ("accuracy", "macro_f1"):
        return _of_labels(task.headline, true, guess)
    return _of_numbers(task.headline, true.astype(np.float64), guess.astype(np.float64))


def _regression(task: Regression, answers: Answers, targets: Targets) -> Evidence:
    guess = np.array([answer["value"] for answer in task.decode(answers)])
    return _of_numbers(task.headline, _flat(targets) * (task.scale or 1.0) + (task.mean or 0.0), guess)


def _multilabel(task: MultiLabel, answers: Answers, targets: Targets) -> Evidence:
    true = _flat(targets).reshape(-1, task.outputs).astype(np.bool_)
    found = np.array([[label in answer["labels"] for label in task.classes] for answer in task.decode(answers)])
    both, sizes = true & found, true.astype(np.int64) + found
    if task.headline == "macro_f1":
        rows = [
            [float(n) for kind in np.flatnonzero(of) for n in (kind, hit[kind], t[kind], f[kind])]
            for of, hit, t, f in zip(sizes, both, true, found, strict=True)
        ]
        return Evidence.of("macro_f1", rows)
    if task.headline == "micro_f1":
        return Evidence.of("ratio", [[2.0 * h.sum(), float(s.sum())] for h, s in zip(both, sizes, strict=True)])
    either = np.maximum((true | found).sum(axis=1), 1)
    values = {
        "jaccard": np.where(sizes.any(axis=1), both.sum(axis=1) / either, 1.0),
        "exact_match": (true == found).all(axis=1),
        "hamming_loss": (true != found).mean(axis=1),
    }
    return Evidence.of("mean", _one_each(values[task.headline]))


def _tagging(task: Tagging, answers: Answers, targets: Targets) -> Evidence:
    rows = []
    for best, target in zip(task.decode(answers), targets, strict=True):
        known = target != IGNORED
        whole = np.full(len(target), task.classes.index(task.outside))
        guess = [task.classes.index(tag) for tag in best["tags"][: len(target)]]
        whole[: len(guess)] = guess
        rows.append((target[known].astype(np.int64).tolist(), whole[known].tolist()))
    if task.headline == "token_macro_f1":
        return Evidence.of("macro_f1", [_fours(true, found) for true, found in rows])
    if task.headline == "token_accuracy":
        right = [[float(np.sum(np.equal(true, found))), float(len(true))] for true, found in rows]
        return Evidence.of("ratio", right)
    entities = [[set(_entities([task.classes[at] for at in tags])) for tags in row] for row in rows]
    return Evidence.of("ratio", [[2.0 * len(true & found), len(true) + len(found)] for true, found in entities])


def _entities(tags: Sequence[str]) -> Iterator[tuple[tuple[bool, str], int, int]]:
    """Type, begin and end of every entity, as the CoNLL evaluation reads them."""
    start, before, kind = -1, "O", (False, "")
    for at, tag in enumerate([*tags, "O"]):
        prefix, own = _parts(tag)
        if start >= 0 and (prefix in "OBS" or before in "ES" or own != kind):
            yield kind, start, at
            start = -1
        if start < 0 and prefix != "O":
            start = at
        before, kind = prefix, own


def _parts(tag: str) -> tuple[str, tuple[bool, str]]:
    """A prefix and a type; a type without prefix is not that with one."""
    if tag in ("O", "B", "I", "E", "S") or tag[:2] in ("B-", "I-", "E-", "S-"):
        return tag[0], (True, tag[2:] or "_")
    return "I", (False, tag)


def _ranking(task: Ranking, answers: Answers, targets: Targets) -> Evidence:
    scores, relevance = answers.values[:, 0], task.grades(targets)
    groups = answers.examples if answers.groups is not None else list(np.arange(len(relevance))[:, None])
    found = [
        ranking(scores[rows], relevance[rows], np.zeros(len(rows)), task.relevant)[task.headline] for rows in groups
    ]
    least = 0.0 if task.headline == "ndcg" else task.relevant
    counts = [float(((relevance[rows] > 0) & (relevance[rows] >= least)).any()) for rows in groups]
    return Evidence.of("ratio", [[score.value * count, count] for score, count in zip(found, counts, strict=True)])


def _spans(task: Spans, answers: Answers, targets: Targets) -> Evidence:
    true = [_texts(record[task.answers]) for record in answers.records]
    pairs = zip(task.decode(answers), true, strict=True)
    return Evidence.of("mean", [[spans([said["text"]], [texts])[task.headline].value] for said, texts in pairs])


def _texts(answer: Any) -> list[str]:
    """The true answers in either notation."""
    return list(answer["text"]) if isinstance(answer, Mapping) else [span["text"] for span in answer]


def _generation(task: Generation, answers: Answers, targets: Targets) -> Evidence:
    if task.headline == "perplexity":
        return _language(task, answers, targets)
    pairs = list(zip(answers.texts, (str(record[task.target]) for record in answers.records), strict=True))
    if task.headline in ("bleu", "chrf"):
        metric = BLEU(force=True) if task.headline == "bleu" else CHRF()
        counts = [metric._extract_corpus_statistics([guess], [[true]])[0] for guess, true in pairs]
        return Evidence.of(task.headline, cast(Rows, counts))
    return Evidence.of("mean", [[_nearness(task.headline, guess, true)] for guess, true in pairs])


def _nearness(metric: str, guess: str, true: str) -> float:
    if metric == "exact_match":
        return float(guess.strip() == true.strip())
    if metric == "token_f1":
        return spans([guess], [[true]])["token_f1"].value
    from rouge_score.rouge_scorer import RougeScorer

    return float(RougeScorer(["rougeL"], use_stemmer=False).score(true, guess)["rougeL"].fmeasure)


def _language(task: Task, answers: Answers, targets: Targets) -> Evidence:
    return Evidence.of("exponential", [[float(row[:, 0].sum()), len(row)] for row in answers.rows])


_SHAPES: dict[type[Task], Callable[[Any, Answers, Targets], Evidence]] = {
    Classification: _classification,
    Ordinal: _ordinal,
    Regression: _regression,
    MultiLabel: _multilabel,
    Tagging: _tagging,
    Ranking: _ranking,
    Spans: _spans,
    Generation: _generation,
    MaskedLanguage: _language,
    CausalLanguage: _language,
}
