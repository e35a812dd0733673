"""The door to torchjd, which has more rules than are here."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, SolverFailed, Weighting
from motet.balancing.gradients.geometry import lengths
from motet.errors import Problem, RecipeError, below_one, nearest
from motet.registry import register

__all__ = ["TorchJD"]

_RULES = ("AlignedMTL", "DualProj", "FairGrad", "IMTLG", "Krum", "MGDA", "UPGrad")
_ELSEWHERE = {
    "CAGrad": "has weights of zero where a gradient is small. Use `cagrad`.",
    "CRMOGM": "is the option `smoothing` here, for every rule.",
    "ConFIG": "needs the gradients themselves. Use `config`.",
    "GradVac": "has a memory that cannot be saved. Use `gradvac`.",
    "NashMTL": "needs the gradients themselves. Use `nash`.",
    "PCD": "has a memory that cannot be saved.",
    "PCGrad": "draws orders that cannot be saved. Use `pcgrad`.",
}


@register("balance", "torchjd")
@dataclass(frozen=True, kw_only=True)
class TorchJD(GradientBalance):
    """A rule of the package torchjd, by its name there.

    It needs ``pip install 'motet[torchjd]'``. The rule sees the gradients that are not zero, with their mean square
    length set to 1, since some of its solvers depend on units; a zero gradient has weight 0, and a task that is alone
    weight 1. The update is on the scale that torchjd gives it, for most rules that of the mean gradient. Rules with a
    memory are refused, because torchjd cannot load what it saves.

    Source: of the package, Quinton, Rey 2024, "Jacobian Descent for Multi-Objective Optimization"; of `smoothing`,
    Zhou et al. 2022, "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond" (CR-MOGM).

    Args:
        rule: AlignedMTL, DualProj, FairGrad, IMTLG, Krum, MGDA or UPGrad.
        options: of the rule, such as alpha for FairGrad.
        smoothing: how much of the weights of its last step each task keeps.

    Relations:
        `AlignedMTL`, `IMTLG`, `MGDA` and `UPGrad` need no other package. FairGrad with alpha 1 is `NashMTL`, which
        solves it exactly and sooner: here it may take tenths of a second where gradients are dependent.

    Example:
        >>> TorchJD(rule="FairGrad", options={"alpha": 2.0}).rule
        'FairGrad'
    """

    rule: str = "DualProj"
    options: Mapping[str, int | float | str] = field(default_factory=dict)
    smoothing: float = 0.0

    def faults(self) -> Iterable[Problem]:
        if self.rule in _ELSEWHERE:
            yield Problem("rule", f"of torchjd {_ELSEWHERE[self.rule]}", self.rule)
        elif self.rule not in _RULES:
            yield Problem("rule", f"is not known. {nearest(self.rule, _RULES)}", self.rule)
        yield from below_one(smoothing=self.smoothing)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        try:
            self._make()
        except RecipeError as error:
            yield from (problem.under("balance") for problem in error.problems)

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _TorchJD(tasks, self, self._make())

    def _make(self) -> Any:
        """The rule as torchjd has it.

        Raises:
            RecipeError: torchjd, or what it needs for this rule, is missing, or it does not take the options.
        """
        try:
            from torchjd import aggregation
        except ImportError as error:
            remedy = "Run: pip install 'motet[torchjd]'"
            raise RecipeError(Problem("rule", "needs the package torchjd", self.rule, remedy)) from error
        make = getattr(aggregation, f"{self.rule}Weighting")
        wrong = list(_wrong_options(self.options, inspect.signature(make).parameters))
        if wrong:
            raise RecipeError(wrong)
        try:
            return make(**self.options)
        except (ImportError, TypeError, ValueError) as error:
            raise RecipeError(Problem("rule", f"was refused by torchjd: {error}", self.rule)) from error


def _wrong_options(options: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> Iterator[Problem]:
    for name in options:
        if name not in known:
            remedy = nearest(name, known, remedy="This rule has none.")
            yield Problem(f"options.{name}", f"is not an option of this rule. {remedy}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            yield Problem(f"options.{name}", "is missing")


class _TorchJD(Weighting):
    kept: Tensor
    seen: Tensor

    def __init__(self, tasks: Sequence[str], part: TorchJD, rule: Any) -> None:
        super().__init__(tasks)
        self.rule = rule
        self.smoothing = part.smoothing
        # Only FairGrad's weights depend on the unit of the gradients: on its square, to this power.
        alpha = float(part.options.get("alpha", 0.0))
        self.power = -alpha / (1 + alpha) if part.rule == "FairGrad" else 0.0
        self.register_buffer("kept", torch.zeros(len(self.tasks), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(len(self.tasks), dtype=torch.bool))

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        weights = torch.ones_like(gramian.diagonal()) if len(names) == 1 else self._ask(gramian)
        rows = self.rows(names)
        last = torch.where(self.seen[rows], self.kept[rows], weights)
        self.kept[rows] = self.smoothing * last + (1 - self.smoothing) * weights
        self.seen[rows] = True
        return self.kept[rows]

    def _ask(self, gramian: Tensor) -> Tensor:
        moving = lengths(gramian) > 0
        seen = gramian[moving][:, moving]
        unit = seen.diagonal().mean()
        weights = torch.zeros_like(gramian.diagonal())
        try:
            weights[moving] = self.rule(seen / unit) * unit**self.power
        except (ArithmeticError, RuntimeError, ValueError) as error:
            raise SolverFailed(f"{type(self.rule).__name__} of torchjd: {error}") from error
        return weights
