"""Ten combinations of parts whose loss curves are kept in goldens.json.

    python -m tests.training.goldens

records them again. A curve that moves without a reason in the changelog is a bug.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import write_encoder
from tests.training.conftest import Toys, mixed_tasks

from motet import registry
from motet.training.convergence import Patience
from motet.training.responses import Continue, Distill, Drop

FILE = Path(__file__).with_name("goldens.json")
_ANSWERS = {"distill": Distill(), "continue": Continue(), "drop": Drop()}

# by name: schedule, sampler, balance, answer to convergence
COMBINATIONS: dict[str, tuple[str, str, str, str]] = {
    "plain": ("joint", "temperature", "sum", "continue"),
    "held": ("joint", "temperature", "sum", "distill"),
    "dropped": ("joint", "proportional", "sum", "drop"),
    "sequential": ("sequential", "uniform", "sum", "distill"),
    "uncertain": ("joint", "temperature", "uncertainty", "distill"),
    "projected": ("joint", "temperature", "pcgrad", "distill"),
    "conflict-averse": ("joint", "uniform", "cagrad", "continue"),
    "bandit": ("joint", "boltzmann", "sum", "distill"),
    "annealed": ("joint", "annealed", "dwa", "distill"),
    "worst-first": ("worst_first", "temperature", "sum", "continue"),
}


def curves(toys: Toys) -> dict[str, dict[str, list[float]]]:
    """The losses of every task, step by step, of every combination."""
    return {name: curve(toys, *of) for name, of in COMBINATIONS.items()}


def curve(toys: Toys, schedule: str, sampler: str, balance: str, answer: str) -> dict[str, list[float]]:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False, then=_ANSWERS[answer])
    parts: dict[str, Any] = {
        "schedule": registry.find("schedule", schedule)(),
        "sampler": registry.find("sampler", sampler)(),
        "balance": registry.find("balance", balance)(),
    }
    run = toys.run(rule, steps=12, check_every=3, seed=5, **parts)
    steps = [event["losses"] for event in run.folder.events() if event["event"] == "step"]
    return {task: [losses[task] for losses in steps if losses[task] is not None] for task in steps[0]}


def record() -> Mapping[str, Any]:
    """Run all combinations in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="motet-goldens-") as folder:
        encoder = Path(folder, "encoder")
        write_encoder(encoder, dropout=0.0)
        return curves(Toys(encoder, Path(folder), mixed_tasks()))


if __name__ == "__main__":
    rounded = {
        name: {task: [float(f"{loss:.7g}") for loss in losses] for task, losses in of.items()}
        for name, of in record().items()
    }
    FILE.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
