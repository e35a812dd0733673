"""Which tasks a trunk can answer at all, whatever the architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from transformers import PreTrainedTokenizerBase

from motet.encoders.trunk import Trunk
from motet.errors import Problem
from motet.tasks.base import Task

__all__ = ["unfit"]

_NEEDS = {
    "sequence": ("writes texts, which takes an encoder-decoder or a decoder", ("encoder-decoder", "decoder")),
    "next": ("guesses what comes next, which takes a decoder", ("decoder",)),
    "masked": ("guesses words from both sides, which takes an encoder", ("encoder", "encoder-decoder")),
}


def unfit(
    tasks: Mapping[str, Task],
    trunk: Trunk,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    places: int = 0,
) -> Iterator[Problem]:
    """What keeps a trunk and its tokenizer from serving some tasks.

    Args:
        tasks: resolved tasks by name.
        trunk: with or without a decoder.
        tokenizer: of the trunk.
        max_length: longest row that is read.
        places: positions that are taken before those of a row.
    """
    room = trunk.positions
    if room is not None and 0 < places < room < max_length + places:
        rule = f"must leave {places} of the {room} positions of the encoder to prompts"
        yield Problem("encoder.max_length", rule, str(max_length), f"At most {room - places} are left for a text.")
    if len(tokenizer) > trunk.vocabulary:
        rule = f"has a tokenizer of {len(tokenizer):,} sub-words and embeddings of {trunk.vocabulary:,}"
        yield Problem("encoder.name", rule)
    for name, task in tasks.items():
        place = f"tasks.{name}"
        if task.level in _NEEDS and trunk.family not in _NEEDS[task.level][1]:
            yield Problem(place, _NEEDS[task.level][0], f"an encoder of the kind `{trunk.family}`")
        elif task.level == "sequence":
            yield from _writing(place, task, trunk, tokenizer, max_length + places)


def _writing(
    place: str, task: Task, trunk: Trunk, tokenizer: PreTrainedTokenizerBase, longest: int
) -> Iterator[Problem]:
    if tokenizer.eos_token_id not in trunk.ends:
        rule = f"writes texts that end with token {tokenizer.eos_token_id}, but its encoder ends them with"
        yield Problem(place, rule, ", ".join(map(str, trunk.ends)) or "none")
    room = trunk.positions
    taken = longest if trunk.family == "decoder" else 0  # a decoder goes on with the row it has read
    if room is not None and taken + task.longest + 1 > room:
        rule = f"must leave room for what is read: at most {room - taken - 1} of {room} positions"
        yield Problem(f"{place}.longest", rule, str(task.longest), "Lower it, or encoder.max_length.")
