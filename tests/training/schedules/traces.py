"""Schedules driven without a model: steps, passes, scores and convergence are what a test says they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from motet.balancing.base import Facts
from motet.training.schedules import (
    Curriculum,
    Joint,
    LowToHigh,
    Moment,
    Phase,
    Phases,
    PretrainFinetune,
    PrimaryAuxiliary,
    PrimaryFirst,
    Schedule,
    Scheduler,
    Sequential,
    StateMachine,
    WorstFirst,
)

# One of every kind, for any tasks of these names.
NAMES = ("mood", "count", "within", "places")
EVERY: dict[str, Schedule] = {
    "joint": Joint(),
    "sequential": Sequential(order=("within", "mood", "places", "count")),
    "phases": Phases(
        phases=(
            Phase(tasks=("mood",), epochs=0.2),
            Phase(tasks=("places", "within"), steps=3),
            Phase(tasks=NAMES),
        )
    ),
    "low_to_high": LowToHigh(order=("places", "mood", "within", "count"), rate_decay=0.3),
    "pretrain_finetune": PretrainFinetune(primary="mood", first_steps=5),
    "primary_first": PrimaryFirst(primary="mood", first_epochs=0.5),
    "curriculum": Curriculum(scores={"mood": 0.1, "count": 100.0}, wait_epochs=1.0),
    "worst_first": WorstFirst(references={"mood": 0.9}),
    "primary_auxiliary": PrimaryAuxiliary(primary="mood"),
    "state_machine": StateMachine(factor=0.7),
}


def facts(names: Sequence[str] = NAMES, falling: Sequence[str] = ("count",)) -> dict[str, Facts]:
    return {name: Facts(examples=60, higher_is_better=name not in falling) for name in names}


class Drive:
    """A scheduler in the course of a run in which every live task makes a quarter of a pass a step."""

    def __init__(self, schedule: Schedule, names: Sequence[str] = NAMES, seed: int = 0) -> None:
        self.schedule, self.names, self.seed = schedule, tuple(names), seed
        self.scheduler: Scheduler = schedule.build(facts(names), seed)
        self.settled: set[str] = set()
        self.dropped: set[str] = set()
        self.step = 0
        self.epochs = dict.fromkeys(names, 0.0)

    @property
    def now(self) -> Moment:
        tasks = [name for name in self.names if name not in self.dropped]
        return Moment(tasks, frozenset(self.settled), self.step, dict(self.epochs))

    def steps(self, count: int) -> list[str]:
        """The live tasks of so many steps, in the order of the recipe, joined by a plus."""
        return [self._take() for _ in range(count)]

    def _take(self) -> str:
        self.scheduler.begin(self.now)
        live = self.scheduler.live(self.now)
        for task in live:
            self.epochs[task] += 0.25
        self.step += 1
        return "+".join(name for name in self.names if name in live)

    def check(self, scores: Mapping[str, float]) -> None:
        self.scheduler.observe(scores, self.now)

    def converge(self, *names: str, drop: bool = False) -> None:
        self.settled |= set(names)
        self.dropped |= set(names) if drop else set()

    def saved(self) -> dict[str, Any]:
        """Everything, as a checkpoint holds it."""
        plain = {"state": self.scheduler.state(), "step": self.step, "epochs": self.epochs}
        found: dict[str, Any] = json.loads(json.dumps(plain))
        return found

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on in a scheduler that knows nothing but what was saved."""
        self.scheduler = self.schedule.build(facts(self.names), self.seed)
        self.scheduler.restore(saved["state"])
        self.step, self.epochs = saved["step"], dict(saved["epochs"])
