"""What happens to a task once it has converged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from motet.errors import Problem, require, share
from motet.registry import register

__all__ = ["Continue", "Distill", "Drop", "Response", "Stop"]


class Response:
    """An answer to convergence."""


@register("response", "distill")
@dataclass(frozen=True, kw_only=True)
class Distill(Response):
    """Hold the task at its peak: learn from the predictions of its own best weights instead of true labels.

    Source: Lu et al. 2022, "Asynchronous Convergence in Multi-Task Learning via Knowledge Distillation from Converged
    Tasks"; the loss is that of each answer shape.

    Args:
        weight: factor on the distillation loss.
        temperature: softens teacher and student where the answer shape has logits of classes.
        teacher: `recorded` predicts once over the training set and stores the logits; `online` keeps a copy of the
            best weights in memory and predicts every batch anew; `written`, for tasks that write texts, puts the texts
            that the best weights write in place of the true ones (Kim, Rush 2016, "Sequence-Level Knowledge
            Distillation").
        blend: learn from ``weight * distillation + (1 - weight) * truth`` instead, for comparison.
        anneal: go back to the truth little by little: learn from ``weight * ((1 - u) * distillation + u * truth)``,
            where u rises from 0 at the switch to 1 at the last step, on the logical clock. For losses that are linear
            in the target, or squared errors, that is to learn from the target ``u * truth + (1 - u) * teacher``.
            Source: Clark, Luong, Khandelwal, Manning, Le 2019, "BAM! Born-Again Multi-Task Networks for Natural
            Language Understanding".
        gradual: begin before the switch: while a task makes no progress it learns from
            ``(1 - u) * truth + u * weight * distillation``, where u is the share of its patience that is used up, and
            the teacher its best weights so far, which predict every batch anew; progress takes it back to the truth.
        snapshots: the teacher is made of the weights at so many of the best checks, the peak among them.
        combine: how: `weights` takes their mean, `predictions` the mean of what each of them says, in logits.
            Sources: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, "Averaging Weights Leads to Wider Optima and
            Better Generalization"; Huang, Li, Pleiss, Liu, Hopcroft, Weinberger 2017, "Snapshot Ensembles: Train 1,
            Get M for Free".
        share: of the rows that the sampler gives the task; what it leaves goes to the tasks that still learn. A set of
            rows that such a task reads too is drawn in full.

    Relations:
        `Continue` keeps the true labels, `Drop` keeps nothing, `Stop` ends the run.

    Example:
        >>> Distill(weight=0.5, blend=True).teacher
        'recorded'
    """

    weight: float = 1.0
    temperature: float = 1.0
    teacher: Literal["recorded", "online", "written"] = "recorded"
    blend: bool = False
    anneal: bool = False
    gradual: bool = False
    snapshots: int = 1
    combine: Literal["weights", "predictions"] = "weights"
    share: float = 1.0

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        if not self.weight > 0:
            yield Problem("weight", "must be positive", str(self.weight), "To let the task go, use `then: drop`.")
        if self.blend and not self.weight <= 1:
            yield Problem("weight", "must be at most 1 in a blend", str(self.weight))
        for name in ("blend", "anneal", "gradual"):
            if getattr(self, name) and self.teacher == "written":
                yield Problem(name, "needs predictions of the true texts, and a teacher that writes has none", "true")
        if self.blend and self.anneal:
            yield Problem("anneal", "cannot go with `blend`: each says how much of the truth is learnt", "true")
        if not self.temperature > 0:
            yield Problem("temperature", "must be positive", str(self.temperature))
        if self.snapshots < 1:
            yield Problem("snapshots", "must be at least 1", str(self.snapshots))
        if self.combine == "predictions" and self.teacher == "written":
            yield Problem("combine", "needs predictions, and a teacher that writes gives texts", "predictions")
        yield from share(share=self.share)


@register("response", "continue")
@dataclass(frozen=True, kw_only=True)
class Continue(Response):
    """Go on with true labels; the task is only marked as converged.

    Example:
        >>> Continue()
        Continue()
    """


@register("response", "drop")
@dataclass(frozen=True, kw_only=True)
class Drop(Response):
    """Take the task out of training; it is still watched.

    Example:
        >>> Drop()
        Drop()
    """


@register("response", "stop")
@dataclass(frozen=True, kw_only=True)
class Stop(Response):
    """End the run as soon as the task has converged.

    Example:
        >>> Stop()
        Stop()
    """
