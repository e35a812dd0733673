"""One toy run with regularisers, for as many processes as there are: ``python penalised.py ENCODER OUT``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from tests.training.conftest import Toys, source

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.balancing.regularisers.l2_to_start import L2ToStart
from motet.balancing.regularisers.soft_sharing import SoftSharing
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.training.run import Run, start


def train(encoder: Path, out: Path) -> Run:
    """A run with penalties on parameters, large enough to be seen in what it ends with."""
    shared = source()
    tasks = (
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
    )
    layers = HardSharing(dropout=0.0, task_layers={"mood": 1, "count": 1})
    experiment = Toys(encoder, out.parent, tasks).experiment(
        steps=6, learning_rate=1e-3, decay="constant", architecture=layers, clip=None
    )
    penalties = (L2ToStart(weight=20.0, own=5.0), SoftSharing(weight=3.0))
    return start(replace(experiment, regularisers=penalties), out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), Path(sys.argv[2]))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
