"""Those of `motet.architectures.adversarial`, sparse sharing, and prompts that tasks share."""

from __future__ import annotations

from typing import Any

import torch
from tests.architectures.examples.base import Example

from motet.architectures.adversarial.shared_private import SharedPrivate
from motet.architectures.adversarial.task_discriminator import TaskDiscriminator
from motet.architectures.modular.attempt import ATTEMPT
from motet.architectures.modular.mpt import MPT
from motet.architectures.modular.sparse_sharing import SparseSharing
from motet.model import MultiTaskModel


def _deaf_to_private_states(plain: MultiTaskModel, model: MultiTaskModel) -> None:
    """Heads that read the shared states as those of hard sharing do, and nothing of the private ones."""
    heads: Any = model.arrangement.heads
    ours = {name: torch.zeros_like(weight) for name, weight in heads.state_dict().items()}
    for name, weight in plain.arrangement.heads.state_dict().items():
        ours[name][..., : weight.shape[-1]] = weight
    heads.load_state_dict(ours)


ADVERSARIAL = {
    "task_discriminator": Example(
        lambda tasks: TaskDiscriminator(
            groups=dict.fromkeys(tasks[:2], "some"), lambda_adv=0.5, hidden=8, multi_discriminator=True
        ),
        lambda tasks: TaskDiscriminator(lambda_adv=0.0),
        extras=frozenset({"adversarial"}),
    ),
    "shared_private": Example(
        lambda tasks: SharedPrivate(
            groups=dict.fromkeys(tasks[:2], "some"), lambda_adv=0.5, gamma=0.3, private_layers=2, branch=1
        ),
        neutralise=_deaf_to_private_states,
        extras=frozenset({"adversarial", "orthogonality"}),
    ),
    "sparse_sharing": Example(
        lambda tasks: SparseSharing(density=0.6, start="random"),
        lambda tasks: SparseSharing(),
    ),
    "attempt": Example(
        lambda tasks: ATTEMPT(
            length=3, sources=2, bottleneck=4, temperature=0.5, shared_attention=False, target_competes=True
        ),
        lambda tasks: ATTEMPT(length=0),
    ),
    "mpt": Example(lambda tasks: MPT(length=3, rank=2, freeze=False), lambda tasks: MPT(length=0)),
}
