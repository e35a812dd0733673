"""What the recipe of every rule on gradients is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from motet.balancing.base import Balance, Balancer, Facts
from motet.balancing.engine import GradientBalancer
from motet.balancing.gradients.rules import Combining, Rule, SolverFailed, Weighting
from motet.balancing.representation import RepresentationBalancer
from motet.errors import Problem, at_least, one_of, positive, require

__all__ = ["Combining", "GradientBalance", "Groups", "Rule", "SolverFailed", "Weighting", "Where"]

Where = Literal["shared", "last_layer", "representation"]
Groups = Literal["all", "layer"]


@dataclass(frozen=True, kw_only=True)
class GradientBalance(Balance):
    """The recipe of a balance that compares gradients.

    Args:
        where: the gradients that are compared: of all `shared` parameters; of the `last_layer` of the trunk alone,
            which costs little more than one backward pass, but then weighs the heads too; or of the `representation`
            that heads read, which costs one backward pass.
        every: weights are found anew every so many steps and kept in between, where a step costs one backward pass.
        groups: `all` compares the gradients of all shared parameters at once; `layer` those of each layer of the trunk
            by themselves, with weights of its own.
        record: whether the cosines and lengths of task gradients are written with every line of losses.
        most_memory: GiB that the gradients of all tasks may take; a run that needs more is refused.
    """

    combines: ClassVar[bool] = False
    """Whether its rule is a `Combining`."""

    where: Where = "shared"
    every: int = 1
    groups: Groups = "all"
    record: bool = False
    most_memory: float = 8.0

    def __post_init__(self) -> None:
        options = [*one_of(Where, where=self.where), *one_of(Groups, groups=self.groups)]
        bounds = [*at_least(1, every=self.every), *positive(most_memory=self.most_memory)]
        require([*options, *bounds, *self._misfits(), *self.faults()])

    def _misfits(self) -> Iterable[Problem]:
        """Options that exclude each other."""
        if self.groups == "layer" and self.where != "shared":
            yield Problem("groups", "needs `where: shared`, since it compares every layer", self.groups)
        if self.every > 1 and (self.groups == "layer" or self.combines):
            rule = "makes a new update from all gradients" if self.combines else "with `groups: layer` weighs layers"
            yield Problem("every", f"must be 1: this rule {rule} in every step", str(self.every))
        if self.combines and self.groups == "layer":
            yield Problem("groups", "must be `all`: this rule treats every parameter by itself", self.groups)
        if self.combines and self.record:
            yield Problem("record", "is for rules that find a weight for each task", "true")
        if self.combines and self.where == "last_layer":
            remedy = "Use `shared` or `representation`."
            yield Problem("where", "is for rules that find a weight for each task", self.where, remedy)

    def faults(self) -> Iterable[Problem]:
        """What is wrong with the options of the rule, whatever the tasks."""
        return ()

    @property
    def apart(self) -> bool:
        return self.where != "representation"

    @abstractmethod
    def weighting(self, tasks: Sequence[str]) -> Rule:
        """The rule at work for these tasks: all of the experiment, also those that join later."""

    def build(self, tasks: Mapping[str, Facts]) -> Balancer:
        require(self.problems(list(tasks)))
        rule = self.weighting(list(tasks))
        if self.where == "representation":
            return RepresentationBalancer(rule, self.every, record=self.record)
        return GradientBalancer(rule, self.where, self.every, layered=self.groups == "layer", record=self.record)
