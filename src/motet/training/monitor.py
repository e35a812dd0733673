"""Every so many steps: scores, peaks, a snapshot, and what follows when a task has converged."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from motet.data.examples import Examples
from motet.metrics.base import METRICS, Score
from motet.tasks.base import Scores
from motet.training.baselines import monitored
from motet.training.convergence import Check, Patience, Tracker
from motet.training.evaluation import evaluate, plain
from motet.training.responses import Distill, Drop, Stop
from motet.training.snapshots import Snapshots
from motet.training.standings import BestMean, Standing, mean_normalised
from motet.training.teaching import Teaching
from motet.training.trainer import Trainer

__all__ = ["Monitor"]


class Monitor:
    """Judges the tasks and answers their convergence.

    A check takes effect with the state written at its end; a run killed before that repeats it.

    Args:
        trainer: judged, and rewound where the rule says so.
        snapshots: of the trainer.
        teaching: makes and restores teachers.
        validation: examples to judge by.
        baselines: by task, the score of a constant answer; None where there is none.
    """

    def __init__(
        self,
        trainer: Trainer,
        snapshots: Snapshots,
        teaching: Teaching,
        validation: Mapping[str, Examples],
        baselines: Mapping[str, float | None],
    ) -> None:
        self.trainer = trainer
        self.snapshots = snapshots
        self.teaching = teaching
        self.validation = validation
        self.rules = {task: trainer.experiment.convergence.of(task) for task in trainer.corpus.tasks}
        self.baselines = baselines
        self.standings = {task: Standing(self._tracker(task)) for task in self.rules}
        self.best_mean = BestMean()
        self.since_rewind = BestMean()
        self.stopped = False
        self._now: dict[str, float] = {}

    def _tracker(self, task: str) -> Tracker:
        baseline = self.baselines[task]
        return Tracker(self.rules[task], None if baseline is None else self._signed(task, baseline))

    @property
    def finished(self) -> str:
        """Why training is over; empty while it is not."""
        if self.stopped:
            return "stopped"
        if all(self.standings[task].status == "converged" for task in self.trainer.ahead):
            return "all converged"
        training, spent = self.trainer.experiment.training, self.trainer.journal.spent
        if self.trainer.clock.physical >= training.steps:
            return "steps"
        if training.max_tokens is not None and spent("tokens") >= training.max_tokens:
            return "tokens"
        return "seconds" if training.max_seconds is not None and spent("seconds") >= training.max_seconds else ""

    def check(self) -> None:
        """Score, note peaks, switch tasks, and commit."""
        clock, journal = self.trainer.clock, self.trainer.journal
        journal.flush(clock.physical, clock.logical)
        self.trainer.require_finite()
        started = time.perf_counter()
        losses = [task for task in self.validation if self.monitored(task) == "loss"]
        scores = evaluate(self.trainer.model, self.validation, self.trainer.devices, losses)
        seconds = time.perf_counter() - started
        heard = {task: of[self.monitored(task)].value for task, of in scores.items()}
        self.trainer.balancer.observe(heard)
        self.trainer.feed.observe(heard)
        self._now = {task: self._judged(task, score) for task, score in heard.items()}
        self.trainer.scheduler.observe(self._now, self.trainer.now)
        self.snapshots.save(plain(scores))
        self._observe(scores)
        self._report(scores, seconds)
        self._look_after_held()
        while due := self._due():
            self._converge(due[0])
        self._use_left_budget()
        self._draw()
        self.commit()

    def commit(self) -> None:
        """Make everything since the last commit take effect, and clear away what no longer counts."""
        self.snapshots.commit(self.state(), self._wanted(full=True), self._wanted(full=False))

    def cap(self) -> None:
        """Declare the tasks capped that still learn at the end of the budget; a cap is not convergence."""
        clock = self.trainer.clock
        begun = [task for task, standing in self.standings.items() if standing.tracker.checks]
        capped = [task for task in begun if self.standings[task].status == "learning"]
        self._warn_of_constant(capped)
        if not capped or not any(self.rules.values()):
            return
        for task in capped:
            self.standings[task].status = "capped"
        self.trainer.journal.event("capped", step=clock.physical, logical=clock.logical, tasks=capped)
        if any(self._rewinds(task) for task in capped):
            self.snapshots.rewind(self.since_rewind.snapshot, "full")
        self.commit()

    def _warn_of_constant(self, tasks: Iterable[str]) -> None:
        for task in tasks:
            tracker = self.standings[task].tracker
            if tracker.begun is None:
                score = f"{self.monitored(task)} {self.baselines[task]:.4g}"
                self._warn(
                    "never-began",
                    task,
                    f"never did better than the best answer that ignores the text ({score}) by more than a standard "
                    "error. Give it more steps or a higher share of the rows, or judge it by another metric.",
                )

    def _observe(self, scores: Mapping[str, Scores]) -> None:
        clock, snapshot = self.trainer.clock, self.snapshots.current
        for task in scores:
            if task not in self.trainer.settled and not self._has_learned(task):
                continue  # its patience is not used up while others learn
            se, epochs = scores[task][self.monitored(task)].se, self.trainer.feed.epochs(task)
            check = Check(clock.physical, clock.logical, self._now[task], se, epochs, snapshot)
            self.standings[task].tracker.observe(check)
        self.best_mean.offer(snapshot, self._now, self._bests())
        self.since_rewind.offer(snapshot, self._now, self._bests())

    def _has_learned(self, task: str) -> bool:
        """Whether a task has drawn rows since its check before."""
        checks = self.standings[task].tracker.checks
        return self.trainer.feed.epochs(task) > (checks[-1].epochs if checks else 0.0)

    def _bests(self) -> dict[str, float]:
        """The best raw scores so far of the tasks that have begun."""
        begun = {task: s.tracker.checks for task, s in self.standings.items() if s.tracker.checks}
        return {task: max(check.score for check in checks) for task, checks in begun.items()}

    def monitored(self, task: str) -> str:
        """The metric a task is judged by."""
        return monitored(self.trainer.corpus.tasks[task], self.rules[task])

    def peak_score(self, task: str) -> float | None:
        """The score at the peak of a task; None if it never began."""
        tracker = self.standings[task].tracker
        return self._signed(task, tracker.best.score) if tracker.checks else None

    def _signed(self, task: str, value: float) -> float:
        """Turn a score to where higher is better, or back."""
        return value if METRICS[self.monitored(task)].higher_is_better else -value

    def _judged(self, task: str, value: float) -> float:
        """A score of which more is better; what is no number is as bad as can be, and so is what was infinite."""
        return -math.inf if math.isnan(value) else self._signed(task, value)

    def _report(self, scores: Mapping[str, Scores], seconds: float) -> None:
        clock = self.trainer.clock
        begun = {task: s.tracker for task, s in self.standings.items() if s.tracker.checks}
        self.trainer.journal.event(
            "check",
            step=clock.physical,
            logical=clock.logical,
            scores=plain(scores),
            headline={task: scores[task][self.monitored(task)].value for task in self.standings},
            smoothed={task: self._signed(task, tracker.smoothed()) for task, tracker in begun.items()},
            states={task: self._state(task) for task in self.standings},
            own_epochs={task: round(self.trainer.feed.epochs(task), 4) for task in self.standings},
            shares={task: round(share, 4) for task, share in self.trainer.feed.drawn_shares().items()},
            best={task: self._best(task) for task in begun},
            mean_normalised=mean_normalised(self._now, self._bests()),
            seconds=round(seconds, 3),
        )

    def outcome(self, task: str) -> str:
        """What became of a task; `waiting` if it never began."""
        standing = self.standings[task]
        return standing.status if standing.tracker.checks else "waiting"

    def _state(self, task: str) -> str:
        if self.standings[task].status == "learning" and task not in self.trainer.live:
            return "waiting"
        return "dropped" if task in self.trainer.dropped else self.standings[task].status

    def _best(self, task: str) -> dict[str, Any]:
        tracker = self.standings[task].tracker
        value, score = self._signed(task, tracker.peak), self._signed(task, tracker.best.score)
        return {"value": value, "score": score, "step": tracker.best.step, "logical": tracker.best.logical}

    def _due(self) -> list[str]:
        """The tasks whose patience has run out, earliest peak first."""
        due = [t for t, s in self.standings.items() if s.status == "learning" and s.tracker.converged]
        return sorted(due, key=lambda task: self.standings[task].tracker.best.logical)

    def _converge(self, task: str) -> None:
        rule, standing, clock = self._rule(task), self.standings[task], self.trainer.clock
        best, peak, step, logical = standing.tracker.best, standing.tracker.peak, clock.physical, clock.logical
        standing.status, standing.peak, standing.fallen = "converged", peak, False
        self.trainer.settled.add(task)
        self.snapshots.events += 1
        self.trainer.journal.event(
            "converged",
            step=step,
            logical=logical,
            task=task,
            best_step=best.step,
            best_logical=best.logical,
            peak=self._signed(task, peak),
            score=self._signed(task, best.score),
            own_epochs=round(standing.tracker.checks[-1].epochs, 4),
            then=_word(rule),
            rewind=rule.rewind,
            discarded=logical - best.logical if rule.rewind != "none" else 0,
            event_id=self.snapshots.events,
        )
        if standing.tracker.checks[-1].epochs < 1:
            self._warn("converged-early", task, "was called converged before one pass over its own training rows.")
        bests = [check.snapshot for check in standing.tracker.bests(_made_of(rule))]
        if rule.rewind != "none":
            self._rewind(best, rule)
        self._answer(task, bests)
        if self.trainer.scheduler.refreshes:
            self._refresh(task, bests)

    def _rewind(self, best: Check, rule: Patience) -> None:
        self.snapshots.rewind(best.snapshot, rule.rewind)
        kept = self.snapshots.names()
        saved = self.snapshots.scores(best.snapshot)
        scores = {task: Score.from_plain(of[self.monitored(task)]) for task, of in saved.items()}
        signed = {task: self._judged(task, score.value) for task, score in scores.items()}
        self.since_rewind = BestMean(best.snapshot, signed)
        for task, standing in self.standings.items():
            tracker = standing.tracker
            tracker.rewind_to(best.logical, floor=not rule.cross_event_rewind, kept=kept)
            if tracker.checks and tracker.checks[-1].logical < best.logical:  # it did not learn before that check
                epochs = self.trainer.feed.epochs(task)
                tracker.observe(replace(best, score=signed[task], se=scores[task].se, epochs=epochs))

    def _answer(self, task: str, snapshots: Sequence[str]) -> None:
        then = self._rule(task).then
        self.standings[task].since = self.trainer.clock.logical
        if isinstance(then, Distill):
            self._teach(task, snapshots)
        elif isinstance(then, Drop):
            self.trainer.dropped.add(task)
        elif isinstance(then, Stop):
            self.stopped = True

    def _refresh(self, newest: str, snapshots: Sequence[str]) -> None:
        """Teach the tasks that were held before by the weights that the newest was best with."""
        for task, standing in self.standings.items():
            if task != newest and standing.status == "converged" and standing.teachers:
                self._teach(task, snapshots)

    def _teach(self, task: str, snapshots: Sequence[str]) -> None:
        if self.trainer.clock.physical >= self.trainer.experiment.training.steps:
            return  # nobody would be taught
        then, standing = self._rule(task).then, self.standings[task]
        assert isinstance(then, Distill)
        standing.teachers = tuple(snapshots)
        standing.labels = self.teaching.begin(task, snapshots, then, standing.since)

    def _look_after_held(self) -> None:
        """Watch the converged tasks: reopen or report those that fell, refresh the teachers of those that rose."""
        for task, standing in self.standings.items():
            if standing.status != "converged" or standing.peak is None:
                continue
            rule, now = self._rule(task), standing.tracker.smoothed()
            fall = standing.peak - now
            if fall > rule.fall(standing.tracker.checks[-1].se):
                self._fallen(task, fall)
            else:
                standing.fallen = False
            if rule.refresh_teacher and standing.teachers and -fall > rule.delta(standing.tracker.checks[-1].se):
                standing.peak = now
                self._teach(task, [self.snapshots.current])

    def _fallen(self, task: str, fall: float) -> None:
        standing = self.standings[task]
        if standing.reopened < self._rule(task).reopen:
            self._reopen(task, f"fell {fall:.4f} below its peak")
        elif not standing.fallen:
            standing.fallen = True
            self._warn("held-task-fell", task, f"has fallen {fall:.4f} below the peak it was converged at.")

    def _draw(self) -> None:
        """Draw the tasks that make no progress to their best weights so far, where the rule says so."""
        for task, standing in self.standings.items():
            rule, tracker = self.rules[task], standing.tracker
            if rule is not None and isinstance(rule.then, Distill) and rule.then.gradual and tracker.checks:
                used = tracker.used if standing.status == "learning" else 0.0
                bests = [check.snapshot for check in tracker.bests(_made_of(rule))]
                self.teaching.draw(task, bests, rule.then, used)

    def _use_left_budget(self) -> None:
        """When nobody learns any more, reopen the tasks that the remaining budget would serve."""
        if any(self.standings[task].status == "learning" for task in self.trainer.ahead):
            return
        for task, standing in self.standings.items():
            rule = self.rules[task]
            if (
                rule
                and standing.reopened < rule.reopen
                and self._epochs_left(task) >= max(rule.min_epochs, rule.epochs)
            ):
                self._reopen(task, "the remaining budget still serves it")

    def _epochs_left(self, task: str) -> float:
        clock, steps = self.trainer.clock, self.trainer.experiment.training.steps
        return self.trainer.feed.epochs(task) / max(1, clock.logical) * (steps - clock.physical)

    def _reopen(self, task: str, reason: str) -> None:
        standing, clock = self.standings[task], self.trainer.clock
        standing.status, standing.peak, standing.teachers, standing.labels = "learning", None, (), ""
        standing.reopened += 1
        standing.tracker.reopen()
        self.teaching.end(task)
        self.trainer.settled.discard(task)
        self.trainer.dropped.discard(task)
        self.trainer.journal.event("reopened", step=clock.physical, logical=clock.logical, task=task, reason=reason)

    def _warn(self, code: str, task: str, message: str) -> None:
        step = self.trainer.clock.physical
        self.trainer.journal.event("warning", step=step, code=code, task=task, message=f"`{task}` {message}")

    def _rule(self, task: str) -> Patience:
        rule = self.rules[task]
        assert rule is not None, "a task without a rule never converges"
        return rule

    def _rewinds(self, task: str) -> bool:
        rule = self.rules[task]
        return rule is not None and rule.rewind != "none"

    def _wanted(self, *, full: bool) -> set[str]:
        """Snapshots that may still be needed: for a full rewind with all they hold, otherwise their weights."""
        learning = [t for t, s in self.standings.items() if s.status == "learning" and self.rules[t]]
        made_of = [self.standings[t].tracker.bests(1 if full else _made_of(self._rule(t))) for t in learning]
        peaks = {check.snapshot for checks in made_of for check in checks}
        if full:
            back = peaks | {self.since_rewind.snapshot} if any(map(self._rewinds, learning)) else set()
            return back | {self.snapshots.current}
        teachers = {name for standing in self.standings.values() for name in standing.teachers}
        return peaks | teachers | {self.best_mean.snapshot}

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        return {
            "standings": {task: standing.state() for task, standing in self.standings.items()},
            "best_mean": vars(self.best_mean),
            "since_rewind": vars(self.since_rewind),
            "dropped": sorted(self.trainer.dropped),
            "stopped": self.stopped,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data, the teachers included."""
        for task, standing in self.standings.items():
            standing.restore(state["standings"][task])
        self.best_mean = BestMean(**state["best_mean"])
        self.since_rewind = BestMean(**state["since_rewind"])
        self.trainer.settled = {task for task, s in self.standings.items() if s.status == "converged"}
        self.trainer.dropped = set(state["dropped"])
        self.stopped = state["stopped"]
        for task, standing in self.standings.items():
            if standing.status == "converged" and standing.teachers:
                then = self._rule(task).then
                assert isinstance(then, Distill)
                self.teaching.resume(task, standing.teachers, standing.labels, then, standing.since)
        self._draw()


def _made_of(rule: Patience) -> int:
    """The number of snapshots that a teacher is made of."""
    return rule.then.snapshots if isinstance(rule.then, Distill) else 1


def _word(rule: Patience) -> str:
    return type(rule.then).__name__.lower()
