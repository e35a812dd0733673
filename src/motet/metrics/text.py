"""Scores of texts: answers read from a text, texts written freely, and how well a model foresees a text."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from motet.metrics.base import Score, clustered_error, mean_score, nothing, resample, resampled, unknown

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as CorpusMetric

__all__ = ["generation", "perplexity", "spans"]

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def spans(guesses: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, Score]:
    """Scores of answers read from a text, as the SQuAD evaluation gives them.

    Texts are compared without case, punctuation and the English articles, and each guess with the true answer nearest
    to it. Every error is of a mean over rows.

    Args:
        guesses: one answer a row, empty for none.
        answers: the true answers of each row; none means that there is no answer, and an empty guess is right.

    Relations:
        `generation` for texts that are not read from another one.

    Example:
        >>> scores = spans(["the Summer Theatre", ""], [["Summer Theatre of Warsaw"], []])
        >>> scores["exact_match"].value, scores["token_f1"].value
        (0.5, 0.833...)
    """
    if not len(guesses):
        return nothing("token_f1", "exact_match")
    rows = [(_words(guess), _true_words(true)) for guess, true in zip(guesses, answers, strict=True)]
    return {
        "token_f1": _token_f1(rows),
        "exact_match": mean_score(np.array([guess in true for guess, true in rows])),
    }


def generation(guesses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Score]:
    """Scores of texts written freely.

    `bleu` and `chrf` are sacrebleu's, with its defaults, on a scale from 0 to 1; they are of all rows together, and
    their errors come from resampling rows. `rouge_l` is that of rouge-score without stemming, which reads nothing but
    the letters a to z and digits; `exact_match` compares texts as they are, save for space around them; `token_f1` is
    that of `spans`. These three take the nearest reference of a row, and their errors are of a mean over rows.

    Args:
        guesses: one text a row.
        references: the texts that would be right, any number a row; none means that nothing should have been written.

    Relations:
        `spans` for answers read from a text; `perplexity` for how well a model foresees a text.

    Example:
        >>> scores = generation(["the cat sat on the mat"], [["the cat sat on a mat", "a cat sat on the mat"]])
        >>> round(scores["rouge_l"].value, 3), scores["exact_match"].value
        (0.833, 0.0)
    """
    if not len(guesses):
        return nothing("rouge_l", "bleu", "chrf", "exact_match", "token_f1")
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    wanted = [list(row) or [""] for row in references]
    exact = [guess.strip() in map(str.strip, row) for guess, row in zip(guesses, wanted, strict=True)]
    words = [(_words(guess), _true_words(row)) for guess, row in zip(guesses, wanted, strict=True)]
    return {
        "rouge_l": _rouge_l(guesses, wanted),
        "bleu": _of_corpus(BLEU(force=True), guesses, wanted),  # else it complains of points that stand apart
        "chrf": _of_corpus(CHRF(), guesses, wanted),
        "exact_match": mean_score(np.array(exact)),
        "token_f1": _token_f1(words),
    }


def perplexity(nll: np.ndarray, lengths: np.ndarray) -> dict[str, Score]:
    """How well a model foresees texts.

    Tokens of one row are not independent, so the error is over rows, by the delta method.

    Args:
        nll: the negative log-likelihood of each token, in nats, rows behind each other.
        lengths: how many tokens each row has.

    Relations:
        `generation` for what the model writes itself.

    Example:
        >>> perplexity(np.log([2.0, 2.0, 8.0]), np.array([2, 1]))["perplexity"].value
        3.174...
    """
    if not len(nll):
        return nothing("perplexity")
    if not np.isfinite(nll).all():
        return unknown("perplexity")
    mean = float(nll.mean())
    error = clustered_error((nll - mean) / len(nll), np.repeat(np.arange(len(lengths)), lengths))
    with np.errstate(over="ignore"):
        value = float(np.exp(mean))
    return {"perplexity": Score(value, value * error)}


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _true_words(answers: Sequence[str]) -> list[list[str]]:
    """The words of each answer; an answer without words counts only where there is no other."""
    return [words for words in map(_words, answers) if words] or [[]]


def _token_f1(rows: Sequence[tuple[list[str], list[list[str]]]]) -> Score:
    return mean_score(np.array([max(_overlap(guess, words) for words in true) for guess, true in rows]))


def _overlap(guess: list[str], true: list[str]) -> float:
    if not guess or not true:
        return float(guess == true)
    return 2.0 * (Counter(guess) & Counter(true)).total() / (len(guess) + len(true))


def _rouge_l(guesses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    rows = zip(references, guesses, strict=True)
    return mean_score(np.array([scorer.score_multi(row, guess)["rougeL"].fmeasure for row, guess in rows]))


def _of_corpus(metric: CorpusMetric, guesses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """One of sacrebleu's scores, which follow from sums over rows.

    Its own tests of significance get at the sums by the same two methods; there are no public names for them.
    """
    rows = zip(guesses, references, strict=True)
    counts = [metric._extract_corpus_statistics([guess], [[text] for text in row])[0] for guess, row in rows]

    def value(sums: np.ndarray) -> np.ndarray:
        return np.apply_along_axis(lambda one: metric._compute_score_from_stats(one.tolist()).score / 100.0, -1, sums)

    table = np.array(counts)
    return resampled(value, table.sum(axis=0), resample(np.ones(len(table))) @ table, len(table))
