"""A text written in answer to another."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self, TypedDict

from motet.errors import DataError, Problem
from motet.metrics.text import generation, perplexity
from motet.registry import register
from motet.tasks.base import Answers, Inputs, Level, Scores
from motet.tasks.classification import text_columns
from motet.tasks.vocabulary import OverVocabulary

__all__ = ["Generation", "TextAnswer"]


class TextAnswer(TypedDict):
    """The text that was written."""

    text: str


@register("task", "generation")
@dataclass(frozen=True)
class Generation(OverVocabulary):
    """A text written in answer to another, by an encoder-decoder or a decoder-only model.

    Every sub-word of the true text is learnt behind the true ones before it, and distilled behind the same.

    Asked for the label of a text in words, it is a text-to-text classifier: `exact_match` is then its accuracy.

    Args:
        text: the column of the text, or two columns for a pair.
        target: the column of the text to be written.
        prompt: what is read instead of the bare text: a template with columns in braces.
        longest: most sub-words to write, and to learn from.
        beams: width of the search; 1 is greedy.
        top: logits that are recorded for each sub-word, of the highest; 0 records all.

    Relations:
        `Classification` chooses from a list; `CausalLanguage` goes on with any text.

    Example:
        >>> import motet
        >>> motet.Generation("summary", source="data/news", text="article", target="headline").headline
        'rouge_l'
    """

    _: KW_ONLY
    text: str | tuple[str, str] = "text"
    target: str = "target"
    prompt: str = ""
    longest: int = 64
    beams: int = 1
    top: int = 32  # type: ignore[misc]

    level: ClassVar[Level] = "sequence"
    metrics: ClassVar[tuple[str, ...]] = ("rouge_l", "bleu", "chrf", "exact_match", "token_f1", "perplexity")
    answer_type: ClassVar[Any] = TextAnswer
    compares_texts: ClassVar[bool] = True

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        for name, least in (("longest", 1), ("beams", 1), ("top", 0)):
            if getattr(self, name) < least:
                yield Problem(name, f"must be at least {least}", str(getattr(self, name)))
        if self.prompt:
            yield from _prompt_problems(self.prompt)

    @property
    def inputs(self) -> Inputs:
        if self.prompt:
            return Inputs(tuple(dict.fromkeys(_columns_of(self.prompt))), template=self.prompt)
        return Inputs(text_columns(self.text))

    @property
    def written(self) -> Inputs:
        return Inputs((self.target,), written=self.longest)

    @property
    def answer(self) -> str:
        return "a text"

    @property
    def generates(self) -> bool:
        return self.headline != "perplexity"

    def resolve(self, answers: Sequence[Any]) -> Self:
        if not any(str(answer).strip() for answer in answers):
            rule = "needs texts to write in the training split, found only empty ones"
            raise DataError(Problem(f"tasks.{self.name}", rule, remedy=f"Is `{self.target}` the right column?"))
        return self

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        return "" if isinstance(answer, str) else f"must be a text, found {type(answer).__name__}"

    def encode(self, answer: Any) -> Sequence[float]:
        raise TypeError("texts to be written are tokenised, see `written`")

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        return [{"text": text} for text in answers.texts]

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        scores = dict(perplexity(answers.values[:, 0], answers.lengths))
        if not self.generates:
            return scores
        references = [[str(record[self.target])] for record in answers.records]
        return {**generation(list(answers.texts), references), **scores}


def _prompt_problems(prompt: str) -> Iterable[Problem]:
    try:
        columns = _columns_of(prompt)
    except ValueError as error:
        yield Problem("prompt", f"cannot be read ({error})", prompt)
        return
    if not columns:
        yield Problem("prompt", "must name a column in braces, such as {text}", prompt)
    for column in columns:
        if not column or any(mark in column for mark in ".[]"):
            yield Problem("prompt", "must hold nothing but the names of columns in its braces", prompt)


def _columns_of(prompt: str) -> list[str]:
    parts = list(string.Formatter().parse(prompt))
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError("a column in braces has no format")
    return [name for _, name, _, _ in parts if name is not None]
