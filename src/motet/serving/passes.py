"""From inputs to passes of the model: what they cost, and which of them are read together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from motet.serving.asks import Ask, Part, ranks
from motet.tasks.base import Inputs, Task

__all__ = ["Cost", "Pass", "Predictor", "TokenCounter", "answer", "passes"]

Answer = dict[str, Any]


class Predictor(Protocol):
    """What a server needs of a model: a `MultiTaskModel`, or anything else that answers texts in its way."""

    tasks: dict[str, Task]
    tokenizer: PreTrainedTokenizerBase

    @property
    def max_length(self) -> int:
        """Longest row in sub-words."""

    def predict(self, texts: list[Any], tasks: Sequence[str] | None = None) -> list[dict[str, Answer]]:
        """Answers of some tasks to texts that all of them read."""


class Cost(NamedTuple):
    """What one input costs.

    Args:
        tokens: sub-words that the model reads.
        cut: whether a part of the input is not read.
        longest: sub-words of its longest text.
    """

    tokens: int
    cut: bool
    longest: int


class TokenCounter:
    """Counts the sub-words of inputs before they are read.

    It has a tokenizer of its own, because that of the model changes its settings while it is used.

    Args:
        predictor: whose tokenizer and tasks count.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._tasks, self._max_length = predictor.tasks, predictor.max_length
        self._tokenizer = Tokenizer.from_str(predictor.tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, asks: Sequence[Ask]) -> list[Cost]:
        """The cost of every input; may be called in any thread."""
        rows: list[Any] = []
        spans: list[tuple[int, Inputs, int]] = []  # the input, how it is read, and as how many rows
        for place, ask in enumerate(asks):
            for inputs, texts in (pair for part in ask.parts for pair in self._read(part)):
                rows.extend(texts)
                spans.append((place, inputs, len(texts)))
        lengths = iter([len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(rows)])
        costs = [Cost(0, False, 0) for _ in asks]
        for place, inputs, count in spans:
            found = [next(lengths) for _ in range(count)]
            whole = inputs.stride is not None  # windows leave nothing of a passage out
            cost = costs[place]
            costs[place] = Cost(
                cost.tokens + sum(found if whole else (min(length, self._max_length) for length in found)),
                cost.cut or (not whole and max(found) > self._max_length),
                max(cost.longest, *found),
            )
        return costs

    def _read(self, part: Part) -> Iterator[tuple[Inputs, list[Any]]]:
        """The rows of a part, in every manner in which its tasks read it."""
        manners = {self._tasks[name].inputs.manner: self._tasks[name].inputs for name in part.tasks}
        texts = [(part.text[0], candidate) for candidate in part.text[1]] if ranks(part.text) else [part.text]
        for inputs in manners.values():
            yield inputs, [_filled(text, inputs) for text in texts]


def _filled(text: Any, inputs: Inputs) -> Any:
    """A row as the tokenizer sees it."""
    if inputs.template:
        cells = (text,) if isinstance(text, str) else text
        return inputs.template.format_map(dict(zip(inputs.columns, cells, strict=True)))
    return " ".join(text.split()) if inputs.words else text


class Pass(NamedTuple):
    """Texts that a model reads together.

    Args:
        texts: as the model takes them.
        tasks: that answer any of them.
        wanted: for every text the input it comes from, and the tasks that are to answer it.
    """

    texts: list[Any]
    tasks: tuple[str, ...]
    wanted: list[tuple[int, tuple[str, ...]]]


def passes(asks: Sequence[Ask], tasks: Mapping[str, Task]) -> list[Pass]:
    """As few passes as answer some inputs.

    Texts that are read in the same manner are read once, whichever tasks want them: heads cost little beside the
    encoder. What is written costs a pass a word, so a task that writes sees no text but those it is asked about.

    Example:
        >>> from motet.tasks.classification import Classification
        >>> from motet.tasks.regression import Regression
        >>> tasks = {"mood": Classification("mood", source="a.csv"), "stars": Regression("stars", source="a.csv")}
        >>> asks = [Ask((Part("good", ("mood",)),)), Ask((Part("bad", ("stars",)),))]
        >>> [(each.texts, each.tasks) for each in passes(asks, tasks)]
        [(['good', 'bad'], ('mood', 'stars'))]
    """
    groups: dict[Hashable, list[tuple[int, Any, tuple[str, ...]]]] = {}
    for place, ask in enumerate(asks):
        for text, names in ask.parts:
            for key, alike in _alike(text, names, tasks).items():
                groups.setdefault(key, []).append((place, text, tuple(alike)))
    return [
        Pass(
            [text for _, text, _ in group],
            tuple(dict.fromkeys(name for _, _, names in group for name in names)),
            [(place, names) for place, _, names in group],
        )
        for group in groups.values()
    ]


def _alike(text: Any, names: Sequence[str], tasks: Mapping[str, Task]) -> dict[Hashable, list[str]]:
    """The tasks of a text, by what they can share a pass with."""
    found: dict[Hashable, list[str]] = {}
    width = 1 if isinstance(text, str) else len(text)
    for name in names:
        alone = name if tasks[name].written is not None else ""
        found.setdefault((width, ranks(text), tasks[name].inputs.manner, alone), []).append(name)
    return found


def answer(predictor: Predictor, asks: Sequence[Ask]) -> list[dict[str, Answer]]:
    """The answers to some inputs, of each from the tasks that it names."""
    found: list[dict[str, Answer]] = [{} for _ in asks]
    for texts, tasks, wanted in passes(asks, predictor.tasks):
        for (place, names), answers in zip(wanted, predictor.predict(texts, tasks), strict=True):
            found[place].update((name, answers[name]) for name in names)
    return [
        {name: of_input[name] for part in ask.parts for name in part.tasks}
        for ask, of_input in zip(asks, found, strict=True)
    ]
