"""Begin a run, go on with one, and what is known about it at its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from motet.architectures.base import Architecture
from motet.balancing.base import Balance
from motet.balancing.regularisers.base import Regulariser
from motet.encoders.loading import DEFAULT_ENCODER, Encoder
from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.notebook import Card, Shown
from motet.reporting.numerals import score, with_error
from motet.reporting.plain import Score, number
from motet.runs import Event, EventLog, RunFolder, remove, write_atomically
from motet.sampling.base import Sampler
from motet.tasks.base import Task
from motet.training.beginning import Start, completed
from motet.training.checkpoints import Checkpoints
from motet.training.convergence import Convergence
from motet.training.experiment import Experiment, Training
from motet.training.feed import Feed
from motet.training.journal import Journal
from motet.training.manifest import require_same, write_beginning
from motet.training.model_card import write_card
from motet.training.monitor import Monitor
from motet.training.pilots import piloted
from motet.training.plan import Prepared, prepare, row_names
from motet.training.pretrained_teachers import PretrainedTeacher
from motet.training.schedules.base import Schedule
from motet.training.snapshots import Snapshots
from motet.training.teaching import Teaching
from motet.training.trainer import Trainer

__all__ = ["Interrupted", "Run", "resume", "start", "train", "trainer_of"]

Listener = Callable[[Event], None]


class Interrupted(RunError):  # noqa: N818  (what happened, not a fault)
    """The user stopped the run; it can be resumed."""


@dataclass(frozen=True)
class Run(Shown):
    """A finished run.

    Args:
        folder: its files.
        reason: why training ended.
        scores: per task the headline score of the model on validation (`final`), its standard error (`se`), and the
            best score of the task during the run (`peak`).
    """

    folder: RunFolder
    reason: str
    scores: dict[str, dict[str, Any]]

    def model(self) -> MultiTaskModel:
        """The trained model."""
        return MultiTaskModel.from_pretrained(self.folder.model)

    def _card(self) -> Card:
        """What a notebook shows: the scores of every task."""
        finals = {name: Score(number(of["final"]), number(of["se"])) for name, of in self.scores.items()}
        rows = [
            (name, of["metric"], with_error(finals[name]), score(of["peak"]), of["state"])
            for name, of in self.scores.items()
        ]
        facts = (f"ended: {self.reason}", str(self.folder.path))
        return Card(self.folder.path.absolute().name, facts, ("task", "metric", "final", "peak", "state"), rows, (1, 4))


def train(
    tasks: Sequence[Task],
    *,
    encoder: str | Encoder = DEFAULT_ENCODER,
    architecture: Architecture | None = None,
    sampler: Sampler | None = None,
    schedule: Schedule | None = None,
    balance: Balance | None = None,
    regularisers: Sequence[Regulariser] = (),
    convergence: Convergence | None = None,
    training: Training | None = None,
    start_from: str | Path | Start | None = None,
    teachers: Sequence[str | Path | PretrainedTeacher] = (),
    steps: int | None = None,
    out: str | Path,
    listeners: Sequence[Listener] = (),
) -> Run:
    """Train one model on several tasks, each kept at its own best.

    Args:
        tasks: what to learn.
        encoder: a name, a folder, or an `Encoder` with settings.
        architecture: by default `HardSharing`.
        sampler: by default `Temperature`.
        schedule: by default `Joint`.
        balance: by default `Sum`.
        regularisers: losses beside those of the tasks; none by default.
        convergence: by default `Patience`, which distils from the peak.
        training: all other settings.
        start_from: a finished run to add the tasks to, or a `Start` with settings.
        teachers: finished runs that teach tasks beside their labels, with settings if need be; none by default.
        steps: shorthand for that setting.
        out: the run folder; must not hold a run.
        listeners: called with every event, such as `motet.reporting.console.Console()`.

    Raises:
        UserError: every problem that keeps the run from starting.

    Example:
        >>> import motet
        >>> run = motet.train(tasks, steps=300, out="runs/first")  # doctest: +SKIP
        >>> run.scores["emotion"]["final"]  # doctest: +SKIP
    """
    parts = {
        "encoder": encoder if isinstance(encoder, Encoder) else Encoder(encoder),
        "architecture": architecture,
        "sampler": sampler,
        "schedule": schedule,
        "balance": balance,
        "regularisers": tuple(regularisers),
        "convergence": convergence,
        "training": training,
        "start_from": start_from if isinstance(start_from, Start | None) else Start(str(start_from)),
        "teachers": tuple(of if isinstance(of, PretrainedTeacher) else PretrainedTeacher(str(of)) for of in teachers),
    }
    given: dict[str, Any] = {name: part for name, part in parts.items() if part is not None}
    experiment = Experiment(tasks=tuple(tasks), **given)
    if steps is not None:
        experiment = replace(experiment, training=replace(experiment.training, steps=steps))
    return start(experiment, Path(out), listeners=listeners)


def start(
    experiment: Experiment,
    out: str | Path,
    *,
    folder: Path | None = None,
    listeners: Sequence[Listener] = (),
    commands: Sequence[str] = (),
) -> Run:
    """Begin a run.

    Args:
        experiment: what to run.
        out: the run folder; must not hold a run.
        folder: where relative paths of sources are looked up, besides the working directory.
        listeners: called with every event.
        commands: how a person would repeat the run; printed in the report.

    Raises:
        UserError: every problem that keeps the run from starting.
    """
    out = Path(out)
    run = RunFolder(out)
    if run.exists():
        raise RunError(f"{out} holds a run already. Choose another folder, or `motet resume {out}`.")
    prepared = prepare(experiment, folder)
    prepared.devices.barrier()  # or a slow process would take what the first one writes for another run
    if prepared.devices.main:
        write_beginning(run, experiment, prepared, folder)
    prepared = _piloted(prepared, experiment, run, folder)
    with _session(run, prepared, listeners) as session:
        session.trainer.journal.event("plan", **prepared.plan, name=out.name, commands=list(commands))
        for warning in prepared.plan["warnings"]:
            session.trainer.journal.event("warning", **warning)
        return _finish(run, session)


def resume(out: Path, experiment: Experiment, *, folder: Path | None = None, listeners: Sequence[Listener] = ()) -> Run:
    """Go on with a run where its last checkpoint is, bit for bit on the CPU.

    Args:
        out: the run folder.
        experiment: the one the run was begun with.
        folder: where relative paths of sources are looked up.
        listeners: called with every event.

    Raises:
        RunError: nothing to go on with, or the experiment or its data have changed.
    """
    out = Path(out)
    run = RunFolder(out).require()
    manifest = run.read_json(run.manifest_file)
    if any(event["event"] == "end" for event in run.events()):
        raise RunError(f"{out} is finished.")
    require_same(manifest["experiment"], experiment.describe(), "the recipe")
    prepared = prepare(experiment, folder, precision=manifest["precision"])
    require_same(manifest["data"], prepared.corpus.fingerprints, "the data")
    prepared = _piloted(prepared, experiment, run, folder)
    with _session(run, prepared, listeners) as session:
        journal = session.trainer.journal
        if run.state_file.exists():
            state = session.monitor.snapshots.checkpoints.state()
            journal.event("resumed", events=state["logged"], step=state["physical"])
            session.monitor.snapshots.resume(state)
            session.monitor.restore(state)
        else:
            journal.event("resumed", events=0, step=0)
            journal.event("plan", **prepared.plan, name=out.name, commands=[])
        if manifest["threads"] != torch.get_num_threads():
            message = f"The run was begun with {manifest['threads']} threads: results may differ in the last digits."
            journal.event("warning", code="threads-differ", task=None, message=message)
        return _finish(run, session)


def _piloted(prepared: Prepared, given: Experiment, run: RunFolder, folder: Path | None) -> Prepared:
    """The same with what only short runs of each task tell."""

    def go(experiment: Experiment, out: Path) -> Run:
        begun = RunFolder(out).exists()
        return resume(out, experiment, folder=folder) if begun else start(experiment, out, folder=folder)

    try:
        return piloted(prepared, given, run, go)
    except Interrupted as error:
        raise Interrupted(f"Stopped before the first step. `motet resume {run.path}` goes on from here.") from error


@dataclass(frozen=True)
class _Session:
    trainer: Trainer
    monitor: Monitor


@contextmanager
def _session(run: RunFolder, prepared: Prepared, listeners: Sequence[Listener]) -> Iterator[_Session]:
    """The trainer and the monitor of a run; its log is closed whatever happens."""
    trainer = trainer_of(prepared, EventLog(run.events_file, tuple(listeners)) if prepared.devices.main else None)
    snapshots = Snapshots(trainer, Checkpoints(run))
    teaching = Teaching(trainer, snapshots, run)
    try:
        validation = prepared.corpus.examples("validation")
        monitor = Monitor(trainer, snapshots, teaching, validation, prepared.baselines)
        yield _Session(trainer, monitor)
    finally:
        trainer.journal.close()


def trainer_of(prepared: Prepared, log: EventLog | None, feed: Feed | None = None) -> Trainer:
    """The trainer of what is prepared, before its first step.

    Args:
        prepared: everything that a run needs.
        log: where its journal writes events; None nowhere.
        feed: the rows of every step; by default the prepared one.
    """
    corpus, devices = prepared.corpus, prepared.devices
    journal = Journal(
        log=log,
        tasks=list(corpus.tasks),
        every=prepared.experiment.training.log_every,
        devices=devices,
        rate=lambda: trainer.rate,
        name_rows=lambda task, examples: row_names(corpus, task, examples),
    )
    feed = feed or prepared.feed
    trainer = Trainer(prepared.experiment, corpus, prepared.model, devices, feed, journal, prepared.guides)
    return trainer


def _finish(run: RunFolder, session: _Session) -> Run:
    trainer, monitor = session.trainer, session.monitor
    every = trainer.experiment.training.check_every or 1
    with _interruptible() as interrupted:
        while not monitor.finished:
            trainer.step()
            if trainer.clock.physical % every == 0 or monitor.finished:
                monitor.check()
            if interrupted():
                _save_and_stop(run, session)
    return _conclude(run, session, monitor.finished)


def _save_and_stop(run: RunFolder, session: _Session) -> None:
    trainer, monitor = session.trainer, session.monitor
    trainer.journal.flush(trainer.clock.physical, trainer.clock.logical)
    monitor.snapshots.save()
    monitor.commit()
    trainer.journal.event("interrupted", step=trainer.clock.physical)
    raise Interrupted(
        f"Stopped at step {trainer.clock.physical}. Everything so far is saved; "
        f"`motet resume {run.path}` goes on from here."
    )


def _conclude(run: RunFolder, session: _Session, reason: str) -> Run:
    trainer, monitor = session.trainer, session.monitor
    monitor.cap()
    candidates = {"last": monitor.snapshots.current, "best_mean": monitor.best_mean.snapshot}
    chosen = trainer.experiment.training.final
    scores = {name: monitor.snapshots.scores(of) for name, of in candidates.items()}
    rows = {name: {"step": _step(of), "scores": scores[name]} for name, of in candidates.items()}
    trainer.put_weights(monitor.snapshots.checkpoints.weights(candidates[chosen]))
    clock = trainer.clock
    if trainer.devices.main:
        remove(run.model)  # of a run that was killed after it was written; the snapshots still hold the weights
        write_atomically(run.model, completed(trainer.model, trainer.experiment.start_from).save_pretrained)
        trainer.journal.event("model", path=str(run.model.relative_to(run.path)), step=_step(candidates[chosen]))
        trainer.journal.event("candidates", **rows, chosen=chosen)
        seconds = round(trainer.journal.seconds, 3)
        trainer.journal.event("end", step=clock.physical, logical=clock.logical, seconds=seconds, reason=reason)
        write_card(run, trainer.experiment)
    trainer.devices.barrier()
    return Run(run, reason, _summary(monitor, scores[chosen]))


def _summary(monitor: Monitor, final: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    summary = {}
    for task, scores in final.items():
        metric = monitor.monitored(task)
        summary[task] = {
            "metric": metric,
            "final": scores[metric]["value"],
            "se": scores[metric]["se"],
            "peak": monitor.peak_score(task),
            "state": monitor.outcome(task),
        }
    return summary


def _step(snapshot: str) -> int:
    return int(snapshot.split("-")[0])


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a question that the loop asks between steps; a second one is not held back."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread: whoever runs us handles interrupts
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
