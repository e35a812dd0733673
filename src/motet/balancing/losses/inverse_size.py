"""Weights in inverse proportion to the size of the training sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.balancing.base import Facts
from motet.balancing.losses.constant import ConstantWeights
from motet.balancing.losses.weighting import LossBalance, LossBalancer
from motet.registry import register

__all__ = ["InverseSize"]


@register("balance", "inverse_size")
@dataclass(frozen=True, kw_only=True)
class InverseSize(LossBalance):
    """The sum of the task losses, each divided by the number of examples of its task.

    The weights of all k tasks of the experiment sum to k; they do not change when a task is absent.

    Source: Perera et al. 2018, "Multi-Task Learning For Parsing The Alexa Meaning Representation Language".

    Relations:
        With a `Proportional` sampler every example of every task counts equally often and the large tasks count
        less; with a `Uniform` one small tasks are favoured twice.

    Example:
        >>> balancer = InverseSize().build({"small": Facts(examples=100), "large": Facts(examples=300)})
        >>> balancer.constants
        tensor([0.5000, 1.5000])
    """

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        inverse = {task: 1 / max(1, facts.examples) for task, facts in tasks.items()}
        scale = len(tasks) / sum(inverse.values())
        return ConstantWeights({task: scale * share for task, share in inverse.items()})
