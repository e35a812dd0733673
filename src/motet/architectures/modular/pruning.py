"""Masks over the weights of a trunk, and the search for those of a task by iterative magnitude pruning."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from motet.encoders.layers import products
from motet.encoders.trunk import Trunk

__all__ = ["Masked", "Masks", "Rounds", "density", "find_masks", "prunable", "pruned"]

Masks = dict[str, Tensor]
Rounds = MutableMapping[tuple[str, int], tuple[Masks, float]]
"""By task and round, counted from 0: the masks that the round left, and how good the model was before it pruned."""


class Masked(Protocol):
    """A model that reads with a mask for each task."""

    trunk: Trunk

    def use(self, task: str, masks: Mapping[str, Tensor]) -> None:
        """Read with these masks for a task from now on."""

    def state_dict(self) -> dict[str, Any]:
        """All weights and masks."""

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any:
        """Put them back."""


def prunable(trunk: Trunk) -> dict[str, nn.Parameter]:
    """The weights that a mask may take away, by their names in the trunk: the matrices in its layers.

    Embeddings, layer norms and biases are few or carry too much each.
    """
    names = {id(parameter): name for name, parameter in trunk.named_parameters()}
    weights: list[Any] = [product.weight for layer in trunk.layers for product in products(layer).values()]
    return {names[id(weight)]: weight for weight in weights}


def pruned(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], share: float) -> Masks:
    """Masks without a share of what they keep: of all weights together, those of smallest magnitude go.

    Args:
        weights: by name.
        masks: what is kept so far, of the same names.
        share: of the weights that are kept.

    Example:
        >>> weights, masks = {"w": torch.tensor([3.0, -1.0, 0.5, -2.0])}, {"w": torch.tensor([True, True, False, True])}
        >>> pruned(weights, masks, 1 / 3)["w"].tolist()
        [True, False, False, True]
    """
    sizes = torch.cat([weights[name].detach().abs()[mask] for name, mask in masks.items()])
    going = torch.zeros_like(sizes, dtype=torch.bool)
    going[sizes.argsort(stable=True)[: round(share * len(sizes))]] = True
    parts = torch.split(going, [int(mask.sum()) for mask in masks.values()])
    left = {name: mask.clone() for name, mask in masks.items()}
    for mask, part in zip(left.values(), parts, strict=True):
        mask[mask.clone()] = ~part
    return left


def density(masks: Mapping[str, Tensor]) -> float:
    """The share of weights that masks keep.

    Example:
        >>> density({"a": torch.tensor([True, False]), "b": torch.tensor([True, True])})
        0.75
    """
    return sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def find_masks(
    model: Masked,
    tasks: Iterable[str],
    train: Callable[[str], object],
    *,
    rounds: int,
    share: float,
    judge: Callable[[str], float] | None = None,
    done: Rounds | None = None,
) -> dict[str, Masks]:
    """Search a sub-network for each task by iterative magnitude pruning.

    Starting from all weights, a task is trained a little; a share of the weights that it has left, those of smallest
    magnitude, is taken from it; what is left goes back to where it was before training; and so on for some rounds. At
    the end the model reads with the masks that were found and has all other weights back.

    Source: Sun et al. 2020, "Learning Sparse Sharing Architectures for Multiple Tasks"; the rounds: Frankle, Carbin
    2019, "The Lottery Ticket Hypothesis".

    Args:
        model: as `SparseSharing` builds one with a density below 1.
        tasks: whose masks are wanted.
        train: trains the model a few steps on one task.
        rounds: of pruning.
        share: of the remaining weights that goes in a round; ``1 - density ** (1 / rounds)`` arrives at a density.
        judge: how good the model is at a task, after training and before pruning; the best masks are kept, those
            after the last round among them. By default these are what is kept.
        done: rounds that are known already, and are not repeated; those that come are put there.

    Returns:
        For each task which weights it keeps, by their names in the trunk.
    """
    before = copy.deepcopy(model.state_dict())
    found, rounds_done = {}, {} if done is None else done
    for task in tasks:
        found[task] = _search(model, task, train, judge, [share] * rounds, before, rounds_done)
        model.load_state_dict(before)
    for task, masks in found.items():
        model.use(task, masks)
    return found


def _search(
    model: Masked,
    task: str,
    train: Callable[[str], object],
    judge: Callable[[str], float] | None,
    shares: list[float],
    before: Mapping[str, Any],
    done: Rounds,
) -> Masks:
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable(model.trunk).items()}
    best, highest = masks, -math.inf
    for at, share in enumerate([*shares, 0.0] if judge is not None else shares):
        if (task, at) not in done:
            model.load_state_dict(before)
            model.use(task, masks)
            train(task)
            score = judge(task) if judge is not None else math.nan
            done[task, at] = pruned(prunable(model.trunk), masks, share), score
        left, score = done[task, at]
        if score > highest:
            best, highest = masks, score
        masks = left
    return masks if judge is None else best
