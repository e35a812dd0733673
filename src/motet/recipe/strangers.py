"""What to say about a key that stands where nobody asks for it.

>>> print(stranger("temperature", "training", ["steps", "seed"]))
training.temperature
    belongs to `architecture` or `sampler` or `balance` or `regularisers` or `convergence.then` or `teachers`, not ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from motet.errors import Problem, nearest
from motet.recipe.parts import homes
from motet.recipe.values import did_you_mean

__all__ = ["stranger"]

# What other tools call the same thing.
_FOREIGN = {
    "batch_size": "tokens_per_batch",
    "dataset": "source",
    "epochs": "steps",
    "eval_steps": "check_every",
    "gradient_accumulation_steps": "accumulate",
    "lr": "learning_rate",
    "max_grad_norm": "clip",
    "max_seq_length": "max_length",
    "max_steps": "steps",
    "model": "encoder",
    "num_epochs": "steps",
    "num_train_epochs": "steps",
    "patience": "checks",
    "warmup_ratio": "warmup",
}


def stranger(key: str, place: str, own: Sequence[str]) -> Problem:
    """The problem of an unknown key.

    Args:
        key: the key.
        place: where it stands; empty for the top level.
        own: the keys that may stand there.
    """
    name = f"{place}.{key}".strip(".")
    foreign = _FOREIGN.get(key)
    if foreign in own:
        return Problem(name, "unknown key", remedy=f"Here it is called `{foreign}`.")
    there = homes(key)
    types = there.pop(_general(place), [])
    if types:
        listed = " and ".join(f"`{type_}`" for type_ in types)
        return Problem(name, f"belongs to the type {listed}, not to this one", remedy=did_you_mean(key, own))
    if there:
        belongs = " or ".join(f"`{home}`" if home else "the top level" for home in there)
        moved = " or ".join(f"{home}.{key}".strip(".") for home in there)
        here = f"to `{place}`" if place else "to the top level"
        return Problem(name, f"belongs to {belongs}, not {here}", remedy=f"Move it to {moved}.")
    if foreign:
        places = " or ".join(f"{home}.{foreign}".strip(".") for home in homes(foreign))
        return Problem(name, "unknown key", remedy=f"Did you mean {places}?")
    return Problem(name, "unknown key", remedy=nearest(key, own))


def _general(place: str) -> str:
    """A place without the name that a user gave to a task or a source."""
    if place.endswith(".source"):
        return "sources.<name>"
    return re.sub(r"^(tasks|sources)\..*", r"\1.<name>", place)
