"""Where and how a run computes: device, precision, and one or several processes.

Every process draws the same global batch and computes its part of it; gradients are summed. So losses and updates do
not depend on how many processes there are.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from motet.errors import Problem, RecipeError

__all__ = ["Devices", "faster_in_bf16"]

Found = TypeVar("Found")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them

Item = TypeVar("Item")


class Devices:
    """The processes of a run and what each computes on.

    Args:
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `fp32` or `bf16`.

    Raises:
        RecipeError: the device is not there, or cannot compute in bfloat16.
    """

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise RecipeError(Problem("training.device", "must be auto, cpu or cuda", device))
        if device == "cuda" and not torch.cuda.is_available():
            raise RecipeError(Problem("training.device", "is not on this machine", device, "Use `auto`."))
        cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
        self._accelerator = Accelerator(cpu=cpu, mixed_precision="no")
        self.device: torch.device = self._accelerator.device
        if self.device.type == "cpu":
            keep_memory()
        self.precision = self._choose(precision)

    @property
    def rank(self) -> int:
        """Which of the processes this one is."""
        return int(self._accelerator.process_index)

    @property
    def count(self) -> int:
        """How many processes there are."""
        return int(self._accelerator.num_processes)

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Matrix products in bfloat16 where that was chosen."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def share(self, items: Any) -> Any:
        """This process's part of a sequence."""
        return items[self.rank :: self.count] if self.count > 1 else items

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.count == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained])
        parts = torch.split(self.sum(flat), [p.numel() for p in trained])
        for p, part in zip(trained, parts, strict=True):
            p.grad = part.view_as(p)

    def sum(self, tensor: Tensor) -> Tensor:
        """A tensor added up over all processes."""
        if self.count == 1:
            return tensor
        total: Tensor = self._accelerator.reduce(tensor, reduction="sum")
        return total

    def gather(self, pieces: dict[str, dict[int, Found]]) -> dict[str, dict[int, Found]]:
        """Join what the processes have found for different rows."""
        if self.count == 1:
            return pieces
        joined: dict[str, dict[int, Found]] = {name: {} for name in pieces}
        for part in gather_object([pieces]):
            for name, rows in part.items():
                joined[name].update(rows)
        return joined

    def barrier(self) -> None:
        """Wait for all processes."""
        self._accelerator.wait_for_everyone()

    def _choose(self, precision: str) -> str:
        if precision != "auto":
            return precision
        mine = faster_in_bf16(self.device)
        return "bf16" if bool(self.sum(torch.tensor(float(mine), device=self.device)) == self.count) else "fp32"


def keep_memory() -> None:
    """Let this process keep what a step frees for the next one, where the C library is glibc.

    By default large tensors come from the system and go back to it in every step, and the system fills them with zeros
    each time they come, which is dear on virtual machines.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_MMAP_THRESHOLD, 2**25)  # the highest that glibc takes


def faster_in_bf16(device: torch.device, margin: float = 1.2) -> bool:
    """Whether matrix products of the size of a small encoder are faster in bfloat16 here, measured in a moment."""
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    times = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = (torch.ones(512, 768, dtype=kind, device=device) for _ in range(2))
        a @ b.T
        times[kind] = min(_timed(a, b) for _ in range(5))
    return times[torch.float32] > margin * times[torch.bfloat16]


def _timed(a: Tensor, b: Tensor) -> float:
    start = time.perf_counter()
    for _ in range(4):
        a @ b.T
    if a.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
