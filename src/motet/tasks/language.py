"""Words of the text itself: language models as tasks beside others, on labelled or unlabelled text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from motet.errors import Problem
from motet.metrics.text import perplexity
from motet.registry import register
from motet.tasks.base import Answers, Inputs, Level, Scores
from motet.tasks.vocabulary import OverVocabulary

__all__ = ["CausalLanguage", "MaskedLanguage"]


@dataclass(frozen=True)
class _Language(OverVocabulary):
    """Nothing but text is needed, so every row with text is labelled."""

    _: KW_ONLY
    text: str = "text"

    metrics: ClassVar[tuple[str, ...]] = ("perplexity",)
    answers_texts: ClassVar[bool] = False

    @property
    def target(self) -> str:
        return self.text

    @property
    def answer(self) -> str:
        return "words"

    @property
    @abstractmethod
    def inputs(self) -> Inputs: ...

    def resolve(self, answers: Sequence[Any]) -> Self:
        return self

    def complaint(self, answer: Any, row: Mapping[str, Any]) -> str:
        return "" if isinstance(answer, str) else f"must be a text, found {type(answer).__name__}"

    def encode(self, answer: Any) -> Sequence[float]:
        return ()

    def decode(self, answers: Answers) -> list[dict[str, Any]]:
        raise TypeError("a language model answers no question about a text")

    def score(self, answers: Answers, targets: Sequence[np.ndarray]) -> Scores:
        return dict(perplexity(answers.values[:, 0], answers.lengths))


@register("task", "masked_language")
@dataclass(frozen=True)
class MaskedLanguage(_Language):
    """Guess hidden words from the words around them.

    Others are hidden in every step, so such a task is held at its peak by an online teacher; what is hidden from the
    validation rows stays the same. Source: Devlin, Chang, Lee, Toutanova 2019, "BERT: Pre-training of Deep
    Bidirectional Transformers for Language Understanding".

    Args:
        text: the column of the text.
        share: of the sub-words that are hidden.

    Relations:
        `CausalLanguage` guesses the next word, for models that read in one direction.

    Example:
        >>> import motet
        >>> motet.MaskedLanguage("words", source="data/plain_text").headline
        'perplexity'
    """

    _: KW_ONLY
    share: float = 0.15

    level: ClassVar[Level] = "masked"
    recordable: ClassVar[bool] = False

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if not 0 < self.share < 1:
            yield Problem("share", "must be above 0 and below 1", str(self.share))

    @property
    def inputs(self) -> Inputs:
        return Inputs((self.text,), hidden=self.share)


@register("task", "causal_language")
@dataclass(frozen=True)
class CausalLanguage(_Language):
    """Guess every word from the words before it, with a decoder-only model.

    Args:
        text: the column of the text.
        top: logits that are recorded for each sub-word, of the highest; 0 records all.

    Relations:
        `MaskedLanguage` for encoders; `Generation` learns to answer rather than to go on.

    Example:
        >>> import motet
        >>> motet.CausalLanguage("words", source="data/plain_text").headline
        'perplexity'
    """

    _: KW_ONLY
    top: int = 32  # type: ignore[misc]

    level: ClassVar[Level] = "next"

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.top < 0:
            yield Problem("top", "must be at least 0", str(self.top))

    @property
    def inputs(self) -> Inputs:
        return Inputs((self.text,))
