"""The optimiser and its rate: AdamW on the trained parameters, warm-up and decay on the logical clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.model import MultiTaskModel
from motet.training.experiment import Training

__all__ = ["Optimiser", "rate"]


def rate(training: Training, step: int) -> float:
    """The factor on the learning rate at a logical step, the first being 0.

    Example:
        >>> [round(rate(Training(steps=4, warmup=0.5), step), 2) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    warm = round(training.warmup * training.steps)
    if step < warm:
        return (step + 1) / warm
    left = (training.steps - step) / max(1, training.steps - warm)
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

    def step(self, logical: int, factor: float = 1.0) -> Tensor:
        """Clip, update, and return the length of the gradient before clipping.

        Args:
            logical: step.
            factor: on all rates.
        """
        limit = self._training.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        for group, speed in zip(self._adam.param_groups, self._rates, strict=True):
            group["lr"] = speed * rate(self._training, logical) * factor
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
