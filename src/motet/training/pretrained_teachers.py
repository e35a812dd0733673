"""Finished runs that teach tasks from the first step, beside their labels."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from motet.errors import Problem, at_least, positive, require

__all__ = ["PretrainedTeacher"]


@dataclass(frozen=True)
class PretrainedTeacher:
    """A finished run whose model teaches the tasks of its names, beside their labels, until they are held.

    A task learns from ``truth + weight * distillation + states * distance``, the distillation being that of its answer
    shape, and the distance the mean squared difference of what its head reads in both models. The teacher reads every
    batch anew, without dropout, and needs memory for its weights.

    Sources: Clark, Luong, Khandelwal, Manning, Le 2019, "BAM! Born-Again Multi-Task Networks for Natural Language
    Understanding" (models of single tasks teach one of all, `anneal`); Wang et al. 2023, "Multitask Prompt Tuning
    Enables Parameter-Efficient Transfer Learning" (prompts of single tasks teach a shared one, `states`).

    Args:
        run: a run folder or a model folder. Its tokeniser is that of the recipe, its architecture may be another.
        weight: factor on the distillation loss.
        temperature: softens teacher and student where the answer shape has logits of classes.
        states: factor on the distance of what the heads read; both models have heads of the same width for it.
        anneal: go over to the truth little by little: learn from ``u * truth + (1 - u) * (the rest)``, where u rises
            from 0 at the first step to 1 at the last one, on the logical clock.

    Relations:
        `Distill` begins when a task has converged, and its teacher is of the same run. `Start` takes the weights of a
        finished run, and no predictions.

    Example:
        >>> PretrainedTeacher("runs/kind-alone", temperature=2.0).weight
        1.0
    """

    run: str
    _: KW_ONLY
    weight: float = 1.0
    temperature: float = 1.0
    states: float = 0.0
    anneal: bool = False

    def __post_init__(self) -> None:
        problems = [*at_least(0, weight=self.weight, states=self.states), *positive(temperature=self.temperature)]
        if not problems and not self.weight and not self.states:
            problems.append(Problem("weight", "is 0, and so is `states`: it would teach nothing", "0"))
        require(problems)
