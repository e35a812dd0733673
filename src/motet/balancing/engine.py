"""Task gradients, taken apart and put together by a rule.

Every task's gradient of the shared parameters is a row of its own, over all batches of a step and all processes. The
dot products of the rows are the Gramian, from which the rule finds a weight for each; heads keep the plain gradients of
their tasks. One backward pass a task: where tasks bring different rows of text, each pass runs through its own alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import Self

from motet.balancing.base import Balancer
from motet.balancing.gradients.geometry import conflict
from motet.balancing.gradients.rules import Combining, Rule
from motet.balancing.proof import require_sum
from motet.balancing.rows import HELD, Rows, gramian
from motet.errors import Problem, RecipeError

__all__ = ["GradientBalancer"]


class GradientBalancer(Balancer):
    """A rule at work on the gradients of the shared parameters.

    Held tasks are added with weight 1 and are not seen by the rule. The rows are kept from step to step: 4 bytes for
    every task and every shared parameter that is not in an embedding matrix.

    Args:
        rule: which.
        where: `shared` compares the gradients of all shared parameters; `last_layer` those of one layer, batch by
            batch, and weighs the losses, heads included.
        every: weights are found anew every so many steps; in between a step costs one backward pass.
        layered: whether each layer of the trunk has weights of its own.
        record: whether `conflict` is kept.
    """

    kept: Tensor
    steps: Tensor

    def __init__(
        self, rule: Rule, where: str = "shared", every: int = 1, *, layered: bool = False, record: bool = False
    ) -> None:
        super().__init__()
        self.rule = rule
        self.of_layers = nn.ModuleList()
        self.where = where
        self.every = every
        self.layered = layered
        self.record = record
        self.register_buffer("kept", torch.ones(len(rule.tasks), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._trunk: Sequence[nn.Module] = ()  # not as an attribute, or it would count as a part of the balance
        self._shared: list[nn.Parameter] = []
        self._last: list[nn.Parameter] = []
        self._rows: Rows | None = None
        self._losses: dict[str, Tensor] = {}
        self._proven = False

    def attach(self, trunk: nn.Module, shared: Sequence[nn.Parameter], last: Sequence[nn.Parameter]) -> None:
        """Hear what tasks share.

        Raises:
            RecipeError: nothing that is to be compared is trained.
        """
        self._trunk, self._shared, self._last = (trunk,), list(shared), [p for p in last if p.requires_grad]
        if not (self._last if self.where == "last_layer" else any(p.requires_grad for p in shared)):
            remedy = "Train more of the encoder, or use a balance of losses."
            raise RecipeError(Problem("balance.where", "compares gradients of what is frozen", self.where, remedy))
        if self.where == "shared":
            rows = self._ready()
            self.of_layers = nn.ModuleList(copy.deepcopy(self.rule) for _ in rows.spans[1:])
            if isinstance(self.rule, Combining):
                self.rule.attach(rows.columns)

    @property
    def fallbacks(self) -> int:
        return sum(int(rule.fallbacks) for rule in [self.rule, *self.of_layers])

    @property
    def summed(self) -> Sequence[nn.Parameter]:
        return self._shared if self._apart else ()

    def begin(self, step: int, steps: int) -> None:
        self.weights, self.conflict = {}, {}
        if self._apart:
            rows = self._ready()
            rows.clear()
            rows.tables.listen()

    def backward(self, losses: MutableMapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        if self._apart:
            self._take_apart(losses, held)
            return
        if self._fresh:
            self._compare_last_layers(losses)
        known = dict(zip(self.rule.tasks, self.kept.tolist(), strict=True))
        self.weights = {task: torch.tensor(known[task]) for task in losses}
        terms = [*(known[task] * loss for task, loss in losses.items()), *held.values()]
        if terms:
            torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Combine the rows of the step and leave the result in the shared parameters."""
        rows = self._rows
        if rows is not None and self._apart:
            rows.gather(self.total, self.processes)
            self._put_together(rows)
            rows.clear()
        self._losses = {}
        self.steps += 1

    @property
    def _fresh(self) -> bool:
        return int(self.steps) % self.every == 0

    @property
    def _apart(self) -> bool:
        return self.where == "shared" and self._fresh

    def _ready(self) -> Rows:
        """The rows for the parameters that are trained by now."""
        if self._rows is None or not self._rows.fit(self._shared):
            whole, (trunk,) = isinstance(self.rule, Combining), self._trunk
            self._rows = Rows(trunk, self._shared, len(self.rule.tasks), whole=whole, layered=self.layered)
        return self._rows

    def _take_apart(self, losses: MutableMapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        """A backward pass a task, and one for all that are held."""
        rows = self._ready()
        self._note(losses)
        if held:
            losses[HELD] = torch.stack(list(held.values())).sum()
        rows.allot(self._present(losses))
        whole = None if self._proven or not losses else torch.stack(list(losses.values())).sum()
        for task in list(losses):
            # Tasks may share rows of text, whose graph is needed until the last of them. It goes with the last loss.
            loss = losses.pop(task)
            loss.backward(retain_graph=bool(losses) or whole is not None)  # type: ignore[no-untyped-call]
            rows.take(task)
        if whole is not None:
            names = {id(p): name for name, p in self._trunk[0].named_parameters()}
            require_sum(rows, names, whole, self.precision)
            self._proven = True
        rows.tables.lookups.clear()

    def _put_together(self, rows: Rows) -> None:
        names = rows.names
        if not names:
            rows.combine(torch.ones(len(rows.spans), 0))
        elif isinstance(self.rule, Combining):
            rows.put(self.rule(rows.of(names), names, self._values(names).cpu()))
        else:
            rows.combine(self._weigh(rows.gramians(), names))

    def _compare_last_layers(self, losses: Mapping[str, Tensor]) -> None:
        names = self._present(losses)
        if not names:
            return
        empty = torch.zeros(sum(p.numel() for p in self._last), device=self._last[0].device)
        found = {task: _gradient(loss, self._last) for task, loss in losses.items()}
        self._note(losses)
        rows = torch.stack([self.total(found.get(name, empty)) for name in names])
        self._weigh(gramian(rows)[None], names)
        self._losses = {}

    def _weigh(self, gramians: Tensor, names: Sequence[str]) -> Tensor:
        """Weights by group, ``[groups, names]``, that the rule finds from the dot products in each."""
        both = torch.cat([gramians.flatten(), self._values(names).to(gramians)]).cpu()  # wait for the device once
        products, losses = both[: -len(names)].view(gramians.shape), both[-len(names) :]
        rules = [self.rule, *self.of_layers]
        weights = torch.stack([rule(of_group, names, losses) for rule, of_group in zip(rules, products, strict=True)])
        self.kept[self.rule.rows(names)] = weights.mean(dim=0).to(self.kept)
        self.weights = dict(zip(names, weights.mean(dim=0).float(), strict=True))
        if self.record:
            self.conflict = conflict(products.sum(dim=0), names)
        return weights

    def _present(self, tasks: Iterable[str]) -> list[str]:
        """Those of which some process has a loss, in the order of the alphabet, held ones last."""
        known, mine = [*self.rule.tasks, HELD], set(tasks)
        if self.processes == 1:
            return [task for task in known if task in mine]
        here = torch.tensor([float(task in mine) for task in known], device=self._shared[0].device)
        return [task for task, count in zip(known, self.total(here).tolist(), strict=True) if count]

    def _note(self, losses: Mapping[str, Tensor]) -> None:
        for task, loss in losses.items():
            self._losses[task] = self._losses.get(task, torch.zeros_like(loss)).detach() + loss.detach()

    def _values(self, names: Sequence[str]) -> Tensor:
        nothing = torch.zeros((), device=self._shared[0].device)
        return self.total(torch.stack([self._losses.get(name, nothing) for name in names]).double())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What else there is to keep stays on the CPU, where rules work.
        self.rule._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([g.reshape(-1) for g in found])
