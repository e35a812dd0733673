"""A frozen trunk costs no state of the optimiser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS

from motet.architectures.modular.adapters import Adapters
from motet.architectures.modular.hyperformer import Hyperformer
from motet.architectures.modular.ia3 import IA3
from motet.architectures.modular.lora import LoRA
from motet.architectures.modular.mtl_lora import MTLLoRA
from motet.architectures.modular.prefix import PrefixTuning
from motet.architectures.modular.prompts import PromptTuning
from motet.encoders.loading import Encoder
from motet.model import build
from motet.training.experiment import Training
from motet.training.optimisation import Clock, Optimiser

PARTS = [Adapters(norms=True), Hyperformer(), IA3(), LoRA(shared=True), MTLLoRA(), PrefixTuning(), PromptTuning()]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_only_what_is_trained_has_a_state(tiny_encoder: Path, part: Any) -> None:
    model = build(Encoder(str(tiny_encoder), max_length=64), part, TASKS)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = Optimiser(model, (), Training(steps=4, warmup=0.0, learning_rate=0.01))
    for _ in range(3):
        optimiser.zero()
        loss: Any = sum(logits.square().sum() for logits in model(CHUNK).values())
        loss.backward()
        optimiser.step(Clock())
    learning = [p for p in model.parameters() if p.requires_grad]
    moments = sum(value.numel() for name, value in optimiser.tensors().items() if not name.endswith(".step"))
    assert moments == 2 * sum(p.numel() for p in learning)
    assert sum(p.numel() for p in learning) < sum(p.numel() for p in model.parameters())
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) is not p.requires_grad, name
