"""Scores of one tag a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from motet.metrics.base import Score, clustered_error, nothing, resample, resampled
from motet.metrics.confusion import Margins, class_f1, macro_f1, ratio

__all__ = ["tagging"]


def tagging(
    truth: Sequence[np.ndarray], guess: Sequence[np.ndarray], classes: tuple[str, ...], ignored: int
) -> dict[str, Score]:
    """Scores of one tag a word.

    `span_f1` compares whole entities. Where tags are ``O``, ``B-x`` and ``I-x`` it counts what ``conlleval``, the
    script of the CoNLL shared tasks, counts, malformed sequences included: ``I-x`` begins an entity where none of its
    type goes on. ``E-x`` and ``S-x`` end an entity, and ``B-x`` and ``S-x`` always begin one, as in seqeval's default
    mode. The script reads these otherwise: it knows no ``S-``, and takes ``B-x`` right behind ``E-x`` for one entity
    with it. A tag without such a prefix, other than ``O``, is a type of its own whose entities are runs of equal tags.
    (The script sees no entity in it; seqeval takes its first letter for a prefix, which is the same unless the letter
    is one of B, I, E, S, O or all there is.)

    Words of one sentence are not independent, so every error is over sentences: `span_f1` by resampling their counts,
    the others by summing each sentence's influence on the score.

    Args:
        truth: the true tags of each sentence, as positions in `classes`.
        guess: the guessed tags, of the same lengths.
        classes: the tags.
        ignored: the number in `truth` of a word without a true tag; such words are left out before anything is read.

    Relations:
        `classification` for one label a text.

    Example:
        >>> tags = ("B-place", "I-place", "O")
        >>> scores = tagging([np.array([0, 1, 2]), np.array([0])], [np.array([0, 2, 2]), np.array([0])], tags, -100)
        >>> scores["span_f1"].value, scores["token_accuracy"].value
        (0.5, 0.75)
    """
    sentence = np.repeat(np.arange(len(truth)), [len(tags) for tags in truth])
    true_tags, found_tags = (np.concatenate([np.zeros(0, np.int64), *rows]) for rows in (truth, guess))
    known = true_tags != ignored
    if not known.any():
        return nothing("span_f1", "token_accuracy", "token_macro_f1")
    sentence, true_tags, found_tags = sentence[known], true_tags[known], found_tags[known]
    return {
        "span_f1": _span_f1(true_tags, found_tags, sentence, classes),
        **_token_scores(true_tags, found_tags, sentence, len(classes)),
    }


class _Reading(NamedTuple):
    """How each tag is read: its type (-1 for outside), whether it begins, and whether it ends, an entity."""

    kind: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def _read(classes: Iterable[str]) -> _Reading:
    prefixes, types = zip(*map(_parts, classes), strict=True)
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(types))}
    kind = [-1 if prefix == "O" else numbers[kind] for prefix, kind in zip(prefixes, types, strict=True)]
    return _Reading(np.array(kind), np.isin(prefixes, ["B", "S"]), np.isin(prefixes, ["E", "S"]))


def _parts(tag: str) -> tuple[str, tuple[bool, str]]:
    """A prefix and a type; a type spelt without prefix is not the same as one spelt with."""
    if tag in ("O", "B", "I", "E", "S") or tag[:2] in ("B-", "I-", "E-", "S-"):
        return tag[0], (True, tag[2:] or "_")
    return "I", (False, tag)


def _span_f1(truth: np.ndarray, guess: np.ndarray, sentence: np.ndarray, classes: tuple[str, ...]) -> Score:
    reading = _read(classes)
    first = np.diff(sentence, prepend=-1) > 0
    true_stops, found_stops = _spans(truth, first, reading), _spans(guess, first, reading)
    same = (true_stops == found_stops) & (reading.kind[truth] == reading.kind[guess]) & (true_stops >= 0)
    masks = (same, true_stops >= 0, found_stops >= 0)
    per_sentence = np.stack([np.bincount(sentence[mask], minlength=sentence[-1] + 1) for mask in masks], axis=1)
    rows, counts = np.unique(per_sentence[sentence[first]], axis=0, return_counts=True)
    return resampled(class_f1, Margins(*(counts @ rows)), Margins(*(resample(counts) @ rows).T), int(counts.sum()))


def _spans(tags: np.ndarray, first: np.ndarray, reading: _Reading) -> np.ndarray:
    """For a word that begins an entity, the position of the word that ends it; -1 for the others."""
    kind = reading.kind[tags]
    inside = kind >= 0
    broken = first | reading.begins[tags] | np.roll(reading.ends[tags], 1) | (kind != np.roll(kind, 1))
    goes_on = np.append((inside & ~broken)[1:], False)
    stops = np.full(len(tags), -1)
    stops[inside & broken] = np.flatnonzero(inside & ~goes_on)
    return stops


def _token_scores(truth: np.ndarray, guess: np.ndarray, sentence: np.ndarray, classes: int) -> dict[str, Score]:
    right = truth == guess
    counted = Margins(*(np.bincount(tags, minlength=classes) for tags in (truth[right], truth, guess)))
    accuracy, average = float(right.mean()), float(macro_f1(counted))
    size = counted.true + counted.found
    pull = ratio(class_f1(counted), size)
    influence = (ratio(2.0 * right, size[truth]) - pull[truth] - pull[guess]) / np.count_nonzero(size)
    return {
        "token_accuracy": Score(accuracy, clustered_error((right - accuracy) / len(truth), sentence)),
        "token_macro_f1": Score(average, clustered_error(influence, sentence)),
    }
