"""The optimiser and its rate: AdamW on the trained parameters, warm-up and decay on the logical clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from motet.model import MultiTaskModel
from motet.training.experiment import Training

__all__ = ["Clock", "Optimiser", "rate"]


@dataclass
class Clock:
    """Two counts of steps.

    Args:
        physical: all work done, discarded steps included; budgets are counted in it.
        logical: steps on the surviving trajectory; schedules run on it, and rates unless they are told otherwise.
        rewound: physical step of the last rewind.
    """

    physical: int = 0
    logical: int = 0
    rewound: int = 0


def rate(training: Training, clock: Clock) -> float:
    """The factor on the learning rate of the next step.

    Example:
        >>> training = Training(steps=4, warmup=0.5)
        >>> [round(rate(training, Clock(step, step)), 2) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    step, steps = clock.logical, training.steps
    if training.rewound == "on":
        step = clock.physical
    elif training.rewound == "restart" and clock.rewound:
        step, steps = clock.physical - clock.rewound, training.steps - clock.rewound
    warm = round(training.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    left = (steps - step) / max(1, steps - warm)
    if training.decay == "linear":
        return max(0.0, left)
    return 0.5 * (1 - math.cos(math.pi * max(0.0, left))) if training.decay == "cosine" else 1.0


class Optimiser:
    """AdamW (Loshchilov, Hutter 2019, "Decoupled Weight Decay Regularization") in four groups.

    Trunk and everything else may have rates of their own; vectors (biases, norms) do not decay.

    Args:
        model: its parameters that require gradients are trained.
        extra: parameters of the balance.
        training: rates, decay and clipping.
    """

    def __init__(self, model: MultiTaskModel, extra: Iterable[nn.Parameter], training: Training) -> None:
        self._training = training
        trunk = {id(p) for p in model.arrangement.pretrained_parameters()}
        self.parameters = [p for p in [*model.parameters(), *extra] if p.requires_grad]
        head_rate = training.head_learning_rate or training.learning_rate
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for p in self.parameters:
            speed = training.learning_rate if id(p) in trunk else head_rate
            groups.setdefault((speed, training.weight_decay if p.ndim > 1 else 0.0), []).append(p)
        self._rates = [speed for speed, _ in groups]
        self._adam = torch.optim.AdamW(
            [{"params": of, "lr": speed, "weight_decay": decay} for (speed, decay), of in groups.items()], fused=True
        )

    def zero(self) -> None:
        """Forget the gradients."""
        self._adam.zero_grad(set_to_none=True)

    def step(self, clock: Clock, factor: float = 1.0) -> Tensor:
        """Clip, update, and return the length of the gradient before clipping.

        Args:
            clock: before the step.
            factor: on all rates.
        """
        limit = self._training.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        for group, speed in zip(self._adam.param_groups, self._rates, strict=True):
            group["lr"] = speed * rate(self._training, clock) * factor
        self._adam.step()
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """The moments and counters of every parameter, named by its position."""
        state = self._adam.state_dict()["state"]
        return {f"{index}.{name}": value for index, of in state.items() for name, value in of.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from saved moments; from none, begin afresh."""
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        self._adam.load_state_dict({"state": state, "param_groups": self._adam.state_dict()["param_groups"]})
