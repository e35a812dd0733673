"""The training loop, and all the state that a checkpoint has to hold."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.gradients.rules import SolverFailed
from motet.data.batches import Chunk
from motet.data.corpus import Corpus
from motet.errors import RunError
from motet.metrics.base import METRICS
from motet.model import MultiTaskModel
from motet.registry import part_name
from motet.training.baselines import monitored
from motet.training.comparing import shared_parameters
from motet.training.convergence import Convergence
from motet.training.devices import Devices
from motet.training.experiment import Experiment
from motet.training.feed import Feed
from motet.training.guidance import Guide
from motet.training.journal import Journal
from motet.training.objective import Held, Objective
from motet.training.optimisation import Clock, Optimiser, rate
from motet.training.penalties import Penalties
from motet.training.representations import Representations
from motet.training.rewards import Rewards
from motet.training.schedules.base import Moment
from motet.training.uncertainty import ModelEntropies

__all__ = ["Clock", "Trainer", "facts"]

_BALANCE = "balance."
_REGULARISERS = "regularisers."


class Trainer:
    """Takes steps, and can be captured and put back whole.

    Args:
        experiment: parts and settings.
        corpus: resolved tasks and their examples.
        model: trained in place.
        devices: of this process.
        feed: the rows of every step.
        journal: told about every step.
        guides: by task, a model of another run that teaches it.

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
        guides: Mapping[str, Guide] | None = None,
    ) -> None:
        self.experiment = experiment
        self.corpus = corpus
        self.model = model.to(devices.device)
        self.devices = devices
        self.feed = feed
        self.journal = journal
        self.clock = Clock()
        self.penalties = Penalties(experiment.regularisers, model, devices)
        representations = Representations(model) if self.penalties.reads else None
        now, end = lambda: self.clock.logical, experiment.training.steps
        taught: dict[str, Guide | Held] = {task: guide.timed(now, end) for task, guide in (guides or {}).items()}
        self.objective = Objective(model, devices, representations=representations, guides=taught)
        known = facts(corpus, experiment.convergence)
        self.scheduler = experiment.schedule.build(known, experiment.training.seed)
        self.balancer = experiment.balance.build(known).to(devices.device)
        self.balancer.total, self.balancer.processes = devices.sum, devices.count
        shared = shared_parameters(model)
        trunk = model.arrangement.trunk
        self.balancer.precision = devices.precision
        self.balancer.attach(trunk, shared, list(trunk.last_layer.parameters()))
        self.optimiser = Optimiser(model, self.balancer.parameters(), experiment.training)
        self.entropies = ModelEntropies(model, devices)
        self.rewards = Rewards(model, devices, feed, shared)
        self.settled: set[str] = set()
        self.dropped: set[str] = set()

    def step(self) -> None:
        """One update from the live tasks' rows."""
        started = time.perf_counter()
        self.scheduler.begin(self.now)
        live, factor = self._require_live(), self.scheduler.rate(self.now)
        self.model.train()
        if self.feed.due(self.clock.logical):  # before the balance listens to what the model reads
            self.feed.mixing.reward(self.rewards(live))
        self.optimiser.zero()
        self.balancer.begin(self.clock.logical, self.experiment.training.steps)
        self.penalties.begin(self.clock.logical, live)
        self.model.arrangement.begin(self.clock.logical, self.experiment.training.steps)
        done = {id(p) for p in self.balancer.summed}
        with self._answering(), self.journal.counting(lambda: self.balancer.fallbacks):
            for _ in range(self.experiment.training.accumulate):
                chunks = self.feed.next(live, self.entropies, self.objective.thinned)
                losses = self.objective.losses(chunks)
                self.journal.batch(losses, chunks)
                self._backward(losses)
                self.journal.balanced(self.balancer.weights)
            self.balancer.finish()
        self.journal.balanced(self.balancer.weights, self.balancer.conflict)
        self.devices.sum_gradients(p for p in self.optimiser.parameters if id(p) not in done)
        self.penalties.backward()
        self.journal.penalised(self.penalties.values)
        norm = self.optimiser.step(self.clock, factor)
        self._look_again(chunks)
        self.clock.physical += 1
        self.clock.logical += 1
        kinds = {task: self.objective.kind(task) if task in live else "off" for task in self.corpus.tasks}
        self.journal.step(self.clock.physical, self.clock.logical, norm, time.perf_counter() - started, kinds)

    @property
    def live(self) -> list[str]:
        """The tasks that take part in the next step."""
        return list(self.scheduler.live(self.now))

    @property
    def ahead(self) -> list[str]:
        """The tasks that take part in the next step or in a later one."""
        return list(self.scheduler.ahead(self.now))

    @property
    def now(self) -> Moment:
        """How far training is, as the schedule sees it."""
        tasks = [task for task in self.corpus.tasks if task not in self.dropped]
        epochs = {task: self.feed.epochs(task) for task in self.corpus.tasks}
        return Moment(tasks, frozenset(self.settled), self.clock.logical, epochs)

    @property
    def rate(self) -> float:
        """The learning rate of the trunk in the next step."""
        training = self.experiment.training
        return training.learning_rate * rate(training, self.clock) * self.scheduler.rate(self.now)

    def _require_live(self) -> list[str]:
        live = self.live
        if not live:
            raise RunError(
                f"no task takes part in step {self.clock.physical + 1}: the schedule "
                f"`{part_name(self.experiment.schedule)}` names none of {', '.join(self.now.tasks) or 'the tasks'}."
            )
        return live

    def _backward(self, losses: dict[str, Tensor]) -> None:
        """Take the losses of a batch back; none is left, so that a balance can let graphs go when it is done."""
        scale, held_ones = 1 / self.experiment.training.accumulate, self.objective.held
        scaled = {task: scale * losses.pop(task) for task in list(losses)}
        held = {task: scaled.pop(task) for task in list(scaled) if task in held_ones}
        penalties = self.penalties.of_batch(self.objective.features, self.objective.extras, scale)
        held |= {f"/{name}": penalty for name, penalty in penalties.items()}  # no task has a slash in its name
        if scaled or held or self.devices.count > 1:  # a process without rows still takes part in sums
            self.balancer.backward(scaled, held)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Stop the run where the balance finds no update.

        Raises:
            RunError: with the step and what happened.
        """
        try:
            yield
        except SolverFailed as error:
            step, name = self.clock.physical + 1, part_name(self.experiment.balance)
            message = f"the balance `{name}` found no update at step {step}. {error}"
            self.journal.event("warning", step=step, code="balance-failed", task=None, message=message)
            raise RunError(
                f"{message} The last checkpoint is intact, but `motet resume` would meet the same batch: begin a run "
                f"with a lower training.learning_rate, precision fp32, or another balance."
            ) from error

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
        """All that learns: the model, and the states of the balance and the regularisers."""
        balance = {_BALANCE + name: value for name, value in self.balancer.state_dict().items()}
        regularisers = {_REGULARISERS + name: value for name, value in self.penalties.state_dict().items()}
        return {**self.model.state_dict(), **balance, **regularisers}

    def put_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set all that learns."""
        self.model.load_state_dict({k: w for k, w in weights.items() if not k.startswith((_BALANCE, _REGULARISERS))})
        self.balancer.load_state_dict(_under(_BALANCE, weights))
        self.penalties.load_state_dict(_under(_REGULARISERS, weights))

    def progress(self) -> dict[str, Any]:
        """What a full rewind puts back besides tensors: clock, rows, schedule, generators."""
        schedule = self.scheduler.state()
        return {
            "clock": asdict(self.clock),
            "feed": self.feed.state(),
            "schedule": schedule,
            "generators": generators(),
        }

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
        self.clock.logical, self.clock.rewound = progress["clock"]["logical"], self.clock.physical
        self.scheduler.restore(progress["schedule"])
        if moments is None:
            self.feed.recount(progress["feed"])
        else:
            self.feed.restore(progress["feed"])
            restore_generators(progress["generators"])


def _under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def facts(corpus: Corpus, convergence: Convergence) -> dict[str, Facts]:
    """What balances and schedules may know about tasks before the first step."""
    train = corpus.examples("train")
    return {
        name: Facts(
            examples=len(train[name]),
            classes=task.outputs if task.level in ("text", "word") else 0,
            higher_is_better=METRICS[monitored(task, convergence.of(name))].higher_is_better,
        )
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
