"""The training loop, and all the state that a checkpoint has to hold."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.data.batches import Chunk
from motet.data.corpus import Corpus
from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.training.devices import Devices
from motet.training.experiment import Experiment
from motet.training.feed import Feed
from motet.training.journal import Journal
from motet.training.objective import Objective
from motet.training.optimisation import Optimiser

__all__ = ["Clock", "Trainer"]

_BALANCE = "balance."


@dataclass
class Clock:
    """Two counts of steps.

    Args:
        physical: all work done, discarded steps included; budgets are counted in it.
        logical: steps on the surviving trajectory; schedules and rates run on it.
    """

    physical: int = 0
    logical: int = 0


class Trainer:
    """Takes steps, and can be captured and put back whole.

    Args:
        experiment: parts and settings.
        corpus: resolved tasks and their examples.
        model: trained in place.
        devices: of this process.
        feed: the rows of every step.
        journal: told about every step.

    Attributes:
        settled: tasks that have converged; what the schedule goes by.
        dropped: those of them that take no part any more.
    """

    def __init__(
        self,
        experiment: Experiment,
        corpus: Corpus,
        model: MultiTaskModel,
        devices: Devices,
        feed: Feed,
        journal: Journal,
    ) -> None:
        self.experiment = experiment
        self.corpus = corpus
        self.model = model.to(devices.device)
        self.devices = devices
        self.feed = feed
        self.journal = journal
        self.clock = Clock()
        self.objective = Objective(model, devices)
        self.balancer = experiment.balance.build(_facts(corpus)).to(devices.device)
        self.balancer.total, self.balancer.processes = devices.sum, devices.count
        own = {id(p) for task in corpus.tasks for p in model.arrangement.own_parameters(task)}
        shared = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
        self.balancer.attach(shared, list(model.arrangement.trunk.last_layer.parameters()))
        self.optimiser = Optimiser(model, self.balancer.parameters(), experiment.training)
        self.settled: set[str] = set()
        self.dropped: set[str] = set()

    def step(self) -> None:
        """One update from the live tasks' rows."""
        started = time.perf_counter()
        live = self.live
        self.model.train()
        self.optimiser.zero()
        self.balancer.begin(self.clock.logical, self.experiment.training.steps)
        for _ in range(self.experiment.training.accumulate):
            chunks = self.feed.next(live)
            losses = self.objective.losses(chunks)
            self._backward(losses)
            self.journal.batch(losses, chunks, self.balancer.weights)
        self.balancer.finish()
        done = {id(p) for p in self.balancer.summed}
        self.devices.sum_gradients(p for p in self.optimiser.parameters if id(p) not in done)
        norm = self.optimiser.step(self.clock.logical)
        self._look_again(chunks)
        self.clock.physical += 1
        self.clock.logical += 1
        kinds = {task: self.objective.kind(task) if task in live else "off" for task in self.corpus.tasks}
        self.journal.step(self.clock.physical, self.clock.logical, norm, time.perf_counter() - started, kinds)

    @property
    def live(self) -> list[str]:
        """The tasks that take part in the next step."""
        planned = self.experiment.schedule.live(list(self.corpus.tasks), self.settled, self.clock.logical)
        return [task for task in planned if task not in self.dropped]

    def _backward(self, losses: Mapping[str, Tensor]) -> None:
        scale = 1 / self.experiment.training.accumulate
        learning = {task: scale * loss for task, loss in losses.items() if task not in self.objective.held}
        held = {task: scale * loss for task, loss in losses.items() if task in self.objective.held}
        if losses or self.devices.count > 1:  # a process without rows still takes part in sums
            self.balancer.backward(learning, held)

    def _look_again(self, chunks: Sequence[Chunk]) -> None:
        """Show the balance what the update did, if it wants to know."""
        if not self.balancer.needs_second_look:
            return
        with torch.no_grad():
            losses = self.objective.losses(chunks)
        learning = {task: loss for task, loss in losses.items() if task not in self.objective.held}
        scale = 1 / self.experiment.training.accumulate
        self.balancer.look_again({task: self.devices.sum(scale * loss) for task, loss in learning.items()})

    def require_finite(self) -> None:
        """Refuse weights that are ruined, before they are scored or saved.

        Raises:
            RunError: some weight is not finite.
        """
        finite = torch.stack([p.detach().isfinite().all() for p in self.optimiser.parameters])
        if not bool(finite.all()):
            raise RunError(
                f"weights are not finite after step {self.clock.physical}. The last checkpoint is intact. "
                f"Lower training.learning_rate, or use precision fp32, and start again."
            )

    def weights(self) -> dict[str, Tensor]:
        """All that learns: the model, and the state of the balance."""
        balance = {_BALANCE + name: value for name, value in self.balancer.state_dict().items()}
        return {**self.model.state_dict(), **balance}

    def put_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set all that learns."""
        balance = {name.removeprefix(_BALANCE): w for name, w in weights.items() if name.startswith(_BALANCE)}
        self.model.load_state_dict({name: w for name, w in weights.items() if not name.startswith(_BALANCE)})
        self.balancer.load_state_dict(balance)

    def progress(self) -> dict[str, Any]:
        """What a full rewind puts back besides tensors: clock, rows, generators."""
        return {"clock": asdict(self.clock), "feed": self.feed.state(), "generators": generators()}

    def rewind(
        self, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor] | None, progress: Mapping[str, Any]
    ) -> None:
        """Go back to a snapshot.

        Args:
            weights: of the snapshot.
            moments: of its optimiser; None begins with fresh ones and lets rows and generators go on.
            progress: of the snapshot.
        """
        self.put_weights(weights)
        self.optimiser.restore(moments or {})
        self.clock.logical = progress["clock"]["logical"]
        if moments is None:
            self.feed.drawn = dict(progress["feed"]["drawn"])
        else:
            self.feed.restore(progress["feed"])
            restore_generators(progress["generators"])


def _facts(corpus: Corpus) -> dict[str, Facts]:
    train = corpus.examples("train")
    return {
        name: Facts(len(train[name]), task.outputs if task.level in ("text", "word") else 0, task.higher_is_better)
        for name, task in corpus.tasks.items()
    }


def generators() -> dict[str, Any]:
    """The state of the generators that training draws from, as plain data."""
    cuda = [state.tolist() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state().tolist(), "cuda": cuda}


def restore_generators(state: Mapping[str, Any]) -> None:
    """Put them back.

    Raises:
        RunError: saved on a machine with other devices.
    """
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if len(state["cuda"]) != (torch.cuda.device_count() if torch.cuda.is_available() else 0):
        raise RunError("the run was begun with another number of GPUs, so it cannot go on exactly.")
    if state["cuda"]:
        torch.cuda.set_rng_state_all([torch.tensor(s, dtype=torch.uint8) for s in state["cuda"]])


def seed_everything(seed: int) -> None:
    """Set every generator; initial weights and dropout depend on nothing else."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (libraries below draw from the global one)
    torch.manual_seed(seed)
