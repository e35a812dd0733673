"""What task gradients cost with LibMTL and with torchjd, relative to a step that sums the losses.

    python benchmarks/peers/task_gradients.py batches.npz ENCODER --peer libmtl

Run in an environment of the peer's own, without motet; `task_gradients.sh` makes both and runs all. The model is the
encoder and a linear layer on the mean of its states for each task; every task reads rows of its own. A step of the
plain sum and one of the peer's take turns, in float32, with AdamW after each.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel

Batch = dict[str, tuple[Tensor, Tensor, Tensor]]


class Model(nn.Module):
    """An encoder with a head for each task."""

    def __init__(self, encoder: str, tasks: list[str]) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
        self.heads = nn.ModuleDict({task: nn.Linear(self.encoder.config.hidden_size, 2) for task in tasks})

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The mean states of the rows of every task."""
        found = {}
        for task, (tokens, mask, _) in batch.items():
            states = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
            found[task] = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return found

    def losses(self, batch: Batch, features: dict[str, Tensor]) -> list[Tensor]:
        """The mean cross-entropy of every task."""
        return [nn.functional.cross_entropy(self.heads[task](features[task]), batch[task][2]) for task in batch]


def read(file: str) -> list[Batch]:
    """The batches of all steps."""
    draw, steps = np.random.default_rng(0), {}
    for name, rows in np.load(file).items():
        step, task = name.split("/")
        tokens = torch.from_numpy(rows).long()
        labels = torch.from_numpy(draw.integers(0, 2, len(rows)))
        steps.setdefault(int(step), {})[task] = (tokens, (tokens > 0).long(), labels)
    return [steps[step] for step in sorted(steps)]


def plain(model: Model, batch: Batch) -> None:
    """The sum of the losses, taken back once."""
    torch.stack(model.losses(batch, model.features(batch))).sum().backward()


def with_torchjd(model: Model) -> Callable[[Batch], None]:
    """Its documented loop: `mtl_backward`, then an aggregation of the Jacobians."""
    from torchjd.aggregation import PCGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    shared, aggregator = [p for p in model.encoder.parameters() if p.requires_grad], PCGrad()

    def backward(batch: Batch) -> None:
        features = model.features(batch)
        losses = model.losses(batch, features)
        own = [model.heads[task].parameters() for task in batch]
        mtl_backward(losses, features=list(features.values()), tasks_params=own, shared_params=shared)
        jac_to_grad(shared, aggregator)

    return backward


def with_libmtl(model: Model) -> Callable[[Batch], None]:
    """Its PCGrad, in the place of the mixed class that its trainer makes."""
    # Its packages import what they need for everything, a module that torchvision has given up among them.
    for name in ("LibMTL", "LibMTL.weighting"):
        package, spec = types.ModuleType(name), importlib.util.find_spec(name)
        package.__path__ = list(spec.submodule_search_locations or ()) if spec is not None else []
        sys.modules[name] = package
    from LibMTL.weighting.PCGrad import PCGrad

    class Weighting(PCGrad):  # type: ignore[misc]
        task_num, rep_grad, device = len(model.heads), False, torch.device("cpu")

        def get_share_params(self) -> Any:
            return model.encoder.parameters()

        def zero_grad_share_params(self) -> None:
            model.encoder.zero_grad(set_to_none=False)

    weighting = Weighting()
    return lambda batch: weighting.backward(model.losses(batch, model.features(batch)))


def seconds(work: Callable[[], None]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("encoder")
    parser.add_argument("--peer", choices=["libmtl", "torchjd"], required=True)
    options = parser.parse_args()
    batches = read(options.file)
    model = Model(options.encoder, list(batches[0]))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    peer = (with_libmtl if options.peer == "libmtl" else with_torchjd)(model)

    def step(backward: Callable[[Batch], None], batch: Batch) -> None:
        backward(batch)
        optimiser.step()
        optimiser.zero_grad(set_to_none=options.peer == "torchjd")  # LibMTL writes into gradients that are there

    for backward in (lambda batch: plain(model, batch), peer):
        step(backward, batches[0])
    ratios = []
    for batch in batches[1:]:
        one = seconds(lambda batch=batch: step(lambda of: plain(model, of), batch))  # type: ignore[misc]
        ratios.append(seconds(lambda batch=batch: step(peer, batch)) / one)  # type: ignore[misc]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}, n = {len(ratios)}"
    print(f"docstrings  {options.peer} PCGrad, of the sum  {statistics.median(ratios):.3f}  {spread}")


if __name__ == "__main__":
    main()
