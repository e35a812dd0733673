"""One toy run, for as many processes as there are: ``python two_processes.py ENCODER OUT BALANCE``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tests.training.conftest import Toys, source

from motet import registry
from motet.tasks.classification import Classification
from motet.tasks.language import MaskedLanguage
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging
from motet.training.convergence import Patience
from motet.training.run import Run, start


def train(encoder: Path, out: Path, balance: str = "sum") -> Run:
    """A run in which tasks converge and are held by their soft labels."""
    shared = source()
    tasks = (
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
        Tagging("places", source=source(train=40, seed=8), tokens="tokens", labels="tags"),
        Ranking("order", source=shared, query="other", candidate="text", relevance="relevance", query_id="query"),
        Spans("where", source=shared, question="other", context="passage", answers="places", stride=4),
        MaskedLanguage("words", source=shared),
    )
    rule = Patience(checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False, rewind="none")
    toys = Toys(encoder, out.parent, tasks)
    part = registry.find("balance", balance)()
    experiment = toys.experiment(rule, steps=16, check_every=2, learning_rate=1e-3, decay="constant", balance=part)
    return start(experiment, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
