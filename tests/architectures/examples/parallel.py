"""Those of `motet.architectures.parallel`."""

from __future__ import annotations

import torch
from tests.architectures.examples.base import Example, same_heads

from motet.architectures.heads import Head, LanguageHead
from motet.architectures.parallel.cross_stitch import CrossStitch
from motet.architectures.parallel.gated_fusion import GatedFusion
from motet.architectures.parallel.group_trunks import GroupTrunks
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.architectures.parallel.leaky_units import LeakyUnit, LeakyUnits
from motet.architectures.parallel.shared_features import SharedFeatures
from motet.architectures.parallel.sluice import Sluice
from motet.architectures.parallel.soft_sharing import LayerwiseSoftSharing
from motet.model import MultiTaskModel


def half_each(plain: MultiTaskModel, model: MultiTaskModel) -> None:
    """Let heads of twice the width give equal shares to their two halves."""
    heads = model.arrangement.heads
    for name, head in plain.arrangement.heads.items():
        wide = heads[name]
        assert isinstance(head, Head) and isinstance(wide, Head) and not isinstance(head, LanguageHead)
        with torch.no_grad():
            wide.linear.weight.copy_(torch.cat([head.linear.weight, head.linear.weight], dim=1) / 2)
            wide.linear.bias.copy_(head.linear.bias)


def keep_own(plain: MultiTaskModel, model: MultiTaskModel) -> None:
    """Let no leaky unit hear another column."""
    same_heads(plain, model)
    units = [module for module in model.modules() if isinstance(module, LeakyUnit)]
    assert units
    for unit in units:
        torch.nn.init.constant_(unit.update.bias, 100.0)


PARALLEL = {
    "hard_sharing": Example(
        lambda tasks: HardSharing(read_layer={next(iter(tasks)): 1}),
        lambda tasks: HardSharing(),
    ),
    "group_trunks": Example(
        lambda tasks: GroupTrunks(groups={"first": (tasks[0],), "others": tuple(tasks[2:])}, shared_layers=1)
    ),
    "soft_sharing": Example(
        lambda tasks: LayerwiseSoftSharing(gamma=0.1, squared=True, tied=(2,)),
        lambda tasks: LayerwiseSoftSharing(),
        extras=frozenset({"layer_distance"}),
    ),
    "shared_features": Example(lambda tasks: SharedFeatures(shared_layers=1), neutralise=half_each),
    "gated_fusion": Example(lambda tasks: GatedFusion(shared_layers=1)),
    "cross_stitch": Example(lambda tasks: CrossStitch(own=0.7)),
    "sluice": Example(
        lambda tasks: Sluice(own=0.7, last=0.6, c=0.01),
        lambda tasks: Sluice(own=1.0, last=1.0),
        extras=frozenset({"subspaces"}),
    ),
    "leaky_units": Example(lambda tasks: LeakyUnits(units_after=(1, 2)), neutralise=keep_own),
}
