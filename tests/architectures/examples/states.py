"""Those that make states for tasks from what the trunk returns."""

from __future__ import annotations

from typing import Any, cast

import torch
from tests.architectures.examples.base import Example, same_heads

from motet.architectures.hierarchical.feature_fusion import FeatureFusion
from motet.architectures.hierarchical.pad_net import PADNet
from motet.architectures.hierarchical.task_attention import TaskAttention
from motet.architectures.modular.mixture_of_experts import MixtureOfExperts
from motet.architectures.parallel.cgc import CGC
from motet.architectures.parallel.mmoe import MMoE
from motet.architectures.parallel.mtan import MTAN
from motet.architectures.parallel.multi_level import MultiLevel
from motet.architectures.parallel.ple import PLE
from motet.model import MultiTaskModel


def last_layer_alone(plain: MultiTaskModel, model: MultiTaskModel) -> None:
    """Put all weight on the last layer."""
    same_heads(plain, model)
    with torch.no_grad():
        for fusion in cast(Any, model.arrangement).fusions.children():
            fusion.weights[-1] = 40.0


def open_masks(plain: MultiTaskModel, model: MultiTaskModel) -> None:
    """Let everything of the last layer through."""
    same_heads(plain, model)
    with torch.no_grad():
        for masks in cast(Any, model.arrangement).masks.children():
            masks[-1].outer.weight.zero_()
            masks[-1].outer.bias.fill_(40.0)


STATES = {
    "mmoe": Example(lambda tasks: MMoE(experts=3, size=8)),
    "cgc": Example(lambda tasks: CGC(shared=2, private=2, size=8, gate="text")),
    "ple": Example(lambda tasks: PLE(levels=3, shared=2, private=1, size=8)),
    "multi_level": Example(
        lambda tasks: MultiLevel(layers={tasks[0]: 1, tasks[-1]: 1}, shortcut=True),
        lambda tasks: MultiLevel(shortcut=True),
    ),
    "mtan": Example(lambda tasks: MTAN(size=8), neutralise=open_masks),
    "feature_fusion": Example(lambda tasks: FeatureFusion(), neutralise=last_layer_alone),
    "task_attention": Example(lambda tasks: TaskAttention(size=8)),
    "pad_net": Example(lambda tasks: PADNet(size=8, first=0.5)),
    "mixture_of_experts": Example(
        lambda tasks: MixtureOfExperts(experts=3, k=2, size=8, task_size=4),
        extras=frozenset({"load_balance"}),
    ),
}
