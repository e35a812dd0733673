"""The typed view of a run: what `motet.reporting.history` makes of the events, and what everything else here reads.

Two clocks run through it. The *step* is physical: all work done. The *logical* step counts along the surviving
trajectory and falls back at a rewind; what lay after it is discarded, and carries the number of the rewind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from motet.reporting.plain import Score, ScoresByTask
from motet.runs import Event

__all__ = [
    "Caution",
    "Checked",
    "Evaluation",
    "History",
    "Loss",
    "Peak",
    "Reopening",
    "SoftLabels",
    "Switch",
    "TaskHistory",
    "Work",
]


@dataclass
class Checked:
    """A task at one check.

    `after_switch` says whether it had converged by then; `discarded` is the number of the rewind that threw the check
    away, 0 if none did.
    """

    step: int
    logical: int
    score: Score
    mean: float | None
    after_switch: bool = False
    discarded: int = 0


@dataclass
class Loss:
    """The loss of a task over the steps of one `step` event; `kind` is truth, distill or blend."""

    step: int
    logical: int
    value: float
    kind: str
    discarded: int = 0


@dataclass
class Work:
    """The costs of the steps of one `step` event."""

    step: int
    logical: int
    seconds: float
    tokens: int
    padded: int
    discarded: int = 0


@dataclass(frozen=True)
class Peak:
    """The best of a task: its running mean there, its score there, and when."""

    step: int
    mean: float | None
    score: Score


@dataclass(frozen=True)
class Switch:
    """A task converged: `then` says what happened to it, `rewind` what happened to the weights."""

    number: int
    task: str
    step: int
    best_step: int
    best_logical: int
    peak: float | None
    score: float | None
    own_epochs: float | None
    then: str
    rewind: str
    discarded: int

    @property
    def rewound(self) -> bool:
        """Whether steps were thrown away."""
        return self.rewind not in ("", "none") and self.discarded > 0


@dataclass(frozen=True)
class Reopening:
    """A converged task went back to learning."""

    step: int
    task: str
    reason: str


@dataclass(frozen=True)
class SoftLabels:
    """The recorded predictions of the best weights of a task."""

    task: str
    step: int | None
    rows: int | None
    bytes: int | None
    digest: str
    teacher_step: int | None
    seconds: float | None
    rows_per_second: float | None


@dataclass
class Caution:
    """A warning, and how often it came."""

    code: str
    task: str
    message: str
    step: int | None
    times: int = 1


@dataclass(frozen=True)
class Evaluation:
    """Scores of all tasks for one set of weights: a candidate on validation, or a model on a split."""

    name: str
    split: str
    step: int | None
    scores: ScoresByTask
    rows: dict[str, int] = field(default_factory=dict)


@dataclass
class TaskHistory:
    """One task: what was planned, and what happened."""

    name: str
    type: str = ""
    answer: str = ""
    source: str = ""
    metric: str = ""
    higher_is_better: bool = True
    sizes: dict[str, int | None] = field(default_factory=dict)
    weight: float | None = None
    share: float | None = None
    rows_per_step: float | None = None
    planned_epochs: float | None = None
    truncated: float | None = None
    baseline: float | None = None
    state: str = "learning"
    own_epochs: float | None = None
    drawn_share: float | None = None
    rows: int = 0
    peak: Peak | None = None
    checks: list[Checked] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    reopenings: list[Reopening] = field(default_factory=list)

    @property
    def switch(self) -> Switch | None:
        """The switch that is in force: none while the task is learning, again or still."""
        last = self.switches[-1] if self.switches else None
        reopened = self.reopenings[-1].step if self.reopenings else -1
        return last if last is not None and last.step >= reopened else None

    @property
    def last(self) -> Checked | None:
        """The last check that no rewind threw away."""
        return next((check for check in reversed(self.checks) if not check.discarded), None)

    def better(self, one: float, other: float) -> bool:
        """Whether one score of this task beats another."""
        return one > other if self.higher_is_better else one < other


@dataclass
class History:
    """One run."""

    plan: Event = field(default_factory=dict)
    tasks: dict[str, TaskHistory] = field(default_factory=dict)
    step: int = 0
    logical: int = 0
    work: list[Work] = field(default_factory=list)
    penalties: dict[str, list[Loss]] = field(default_factory=dict)
    switches: list[Switch] = field(default_factory=list)
    reopenings: list[Reopening] = field(default_factory=list)
    soft_labels: list[SoftLabels] = field(default_factory=list)
    cautions: list[Caution] = field(default_factory=list)
    candidates: list[Evaluation] = field(default_factory=list)
    chosen: str = ""
    evaluations: list[Evaluation] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    occasions: dict[str, int] = field(default_factory=dict)
    resumes: list[int] = field(default_factory=list)
    ended: str = ""
    wall: float | None = None
    began: float | None = None
    touched: float | None = None

    @property
    def steps(self) -> int | None:
        """The planned number of steps."""
        planned = self.plan.get("steps")
        return planned if isinstance(planned, int) else None

    @property
    def last_step(self) -> int:
        """How far a drawing of the run reaches."""
        return max([self.step, *(task.checks[-1].step for task in self.tasks.values() if task.checks)])

    @property
    def rewinds(self) -> list[Switch]:
        """The switches that threw steps away."""
        return [switch for switch in self.switches if switch.rewound]
