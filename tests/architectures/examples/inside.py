"""Those of `motet.architectures.modular` that stand inside the trunk."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tests.architectures.examples.base import Example, same_heads

from motet.architectures.modular.adapters import Adapters
from motet.architectures.modular.ca_mtl import CAMTL
from motet.architectures.modular.hyperformer import Hyperformer
from motet.architectures.modular.ia3 import IA3
from motet.architectures.modular.lora import LoRA
from motet.architectures.modular.mad_x import MADX
from motet.architectures.modular.mtl_lora import MTLLoRA
from motet.architectures.modular.pals import PALs
from motet.architectures.modular.prefix import PrefixTuning
from motet.architectures.modular.prompts import PromptTuning
from motet.model import MultiTaskModel

__all__ = ["INSIDE"]


def _zero(*ends: str) -> Callable[[MultiTaskModel, MultiTaskModel], None]:
    """Same heads, and nothing in the parameters whose names end so."""

    def neutralise(plain: MultiTaskModel, model: MultiTaskModel) -> None:
        same_heads(plain, model)
        found = [p for name, p in model.arrangement.named_parameters() if name.endswith(ends)]
        assert found
        with torch.no_grad():
            for parameter in found:
                parameter.zero_()

    return neutralise


# A balance of gradients needs something to compare, so that trunks are trained here.
INSIDE = {
    "adapters": Example(lambda tasks: Adapters(norms=True, freeze=False), neutralise=_zero("up.weight")),
    "ca_mtl": Example(lambda tasks: CAMTL(task_size=4, length=4, blocks=2, bottlenecks=1)),
    "hyperformer": Example(
        lambda tasks: Hyperformer(task_size=6, place_size=4, hidden=8, size=6, freeze=False),
        neutralise=_zero("gamma.0.weight", "beta.0.weight"),
    ),
    "ia3": Example(lambda tasks: IA3(freeze=False)),
    "lora": Example(lambda tasks: LoRA(rank=2, sites=("query", "value", "inner", "outer"), shared=True, freeze=False)),
    "mad_x": Example(
        lambda tasks: MADX(languages={"en": tuple(tasks[:1]), "de": tuple(tasks[1:2])}, task_reduction=2, freeze=False),
        neutralise=_zero("up.weight"),
    ),
    "mtl_lora": Example(lambda tasks: MTLLoRA(rank=2, temperature=0.5, freeze=False)),
    "pals": Example(lambda tasks: PALs(rank=8, heads=2)),
    "prefix_tuning": Example(
        lambda tasks: PrefixTuning(length=3, hidden=8, freeze=False), lambda tasks: PrefixTuning(length=0)
    ),
    "prompt_tuning": Example(lambda tasks: PromptTuning(length=3, freeze=False), lambda tasks: PromptTuning(length=0)),
}
