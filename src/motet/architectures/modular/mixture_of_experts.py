"""Many shared experts, a few of which run for each token, chosen by its state and its task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.experts import Experts
from motet.architectures.heads import Heads, Pooling, answering, key
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["LOAD_BALANCE", "MixtureOfExperts", "Router", "load_balance"]

LOAD_BALANCE = "load_balance"


@register("architecture", "mixture_of_experts")
@dataclass(frozen=True, kw_only=True)
class MixtureOfExperts(Architecture):
    """Shared experts, of which those run that a gate chooses for a token and its task.

    The head of task t reads x + sum_{i in top k} G(x, t)_i E_i(x), where x is the last state of a token, E_i are small
    feed-forward networks and G(x, t) = softmax(top-k(W [x; e_t] + noise)) with a learnt embedding e_t of the task.
    While training, noise with a learnt scale, softplus(W_noise x), is added before the choice. Whatever the tasks,
    every expert runs once over the tokens that chose it. Networks begin at zero, at which this is hard sharing. All
    but embeddings of tasks and heads is shared.

    To keep experts in use, `balance` times n sum_i f_i p_i is added to the losses as `load_balance`, f_i being the
    share of choices that fell on expert i and p_i its mean probability before the choice. It is 1 where all are used
    alike.

    Source: Shazeer et al. 2017, "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer"; a
    gate that knows the task: Gupta et al. 2022, "Sparsely Activated Mixture-of-Experts are Robust Multi-Task Learners";
    Pham et al. 2023, "Task-Based MoE for Multitask Multilingual Machine Translation"; the loss: Fedus, Zoph, Shazeer
    2022, "Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity".

    Args:
        experts: how many there are.
        k: how many run for a token.
        size: hidden features of an expert.
        task_size: of the embedding of a task; with 0 the gate is not told the task.
        noise: whether choices are perturbed while training.
        balance: weight of the loss that keeps experts in use.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `mmoe` has a gate for each task, and runs all of its experts for every token.

    Example:
        >>> MixtureOfExperts(experts=16, k=4).task_size
        32
    """

    experts: int = 8
    k: int = 2
    size: int = 256
    task_size: int = 32
    noise: bool = True
    balance: float = 0.01
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *at_least(1, size=self.size),
                *at_least(0, task_size=self.task_size, balance=self.balance),
                *below_one(dropout=self.dropout),
                *self._misrouted(),
            ]
        )

    def _misrouted(self) -> Iterable[Problem]:
        if self.experts < 1:
            yield Problem("experts", "leaves the gate nothing to choose from: at least 1", str(self.experts))
        elif not 1 <= self.k <= self.experts:
            yield Problem("k", f"must be 1 to the number of experts, {self.experts}", str(self.k))
        elif self.k == 1 < self.experts:
            rule = "must be at least 2: the weight of a single chosen expert is 1, from which the gate learns nothing"
            yield Problem("k", rule, str(self.k))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _MixtureOfExperts(self, trunk, tasks)


class Router(nn.Module):
    """Which experts run for a token, and by what weight.

    Args:
        width: size of the states.
        task_size: of the embedding of a task.
        part: with the number of experts, `k` and `noise`.
    """

    def __init__(self, width: int, part: MixtureOfExperts) -> None:
        super().__init__()
        self.k = part.k
        self.of_state = nn.Linear(width, part.experts)
        self.of_task = nn.Linear(part.task_size, part.experts, bias=False) if part.task_size else None
        self.noise = nn.Linear(width, part.experts) if part.noise else None

    def scores(self, states: Tensor, embeddings: Tensor | None, task: Tensor) -> Tensor:
        """What the choice goes by, ``[tokens, experts]``.

        Args:
            states: ``[tokens, width]``.
            embeddings: of the tasks, ``[tasks, size]``.
            task: of each token, ``[tokens]``.
        """
        scores: Tensor = self.of_state(states)
        if self.of_task is not None and embeddings is not None:
            scores = scores + self.of_task(embeddings)[task]  # W [x; e], cut into its two parts
        if self.noise is not None and self.training:
            scores = scores + torch.randn_like(scores) * functional.softplus(self.noise(states))
        return scores

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The chosen experts of every token and their weights, both ``[tokens, k]``."""
        best, chosen = scores.topk(self.k, dim=-1)
        return chosen, best.softmax(dim=-1)


class _MixtureOfExperts(Together):
    def __init__(self, part: MixtureOfExperts, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.balance = part.balance
        self.experts = Experts(part.experts, trunk.width, part.size)
        self.router = Router(trunk.width, part)
        named = answering(tasks) if part.task_size else ()
        self.embeddings = nn.ParameterDict({key(name): nn.Parameter(torch.randn(part.task_size)) for name in named})

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        logits = super().forward(chunk)
        if self.training and self.balance:
            self.extras.setdefault(LOAD_BALANCE, torch.zeros((), device=chunk.tokens.device))
        return logits

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        owned = [chunk.owned[name].rows for name in parts]
        rows, lengths = torch.cat(owned), [len(of_task) for of_task in owned]
        real = chunk.mask[rows].bool()
        place = torch.arange(chunk.mask.numel(), device=rows.device).view_as(chunk.mask)[rows][real]
        task = torch.cat([torch.full_like(of_task, number) for number, of_task in enumerate(owned)])
        task = task.unsqueeze(1).expand_as(real)[real]
        states = read.last[rows]
        added = torch.zeros_like(states)
        added[real] = self._routed(read.last.flatten(0, 1), place, task, self._embedded(parts))
        return dict(zip(parts, torch.split(states + added, lengths), strict=True))

    def _embedded(self, tasks: Iterable[str]) -> Tensor | None:
        if not len(self.embeddings):
            return None
        return torch.stack([self.embeddings[key(name)] for name in tasks])

    def _routed(self, states: Tensor, place: Tensor, task: Tensor, embeddings: Tensor | None) -> Tensor:
        """What experts add, ``[tokens, width]``.

        Args:
            states: of all places of a chunk, ``[places, width]``.
            place: of each token, as often as there are tasks that own it, ``[tokens]``.
            task: of each token, ``[tokens]``.
            embeddings: of the tasks, ``[tasks, size]``, where the gate is told of them.
        """
        scores = self.router.scores(states[place], embeddings, task)
        chosen, weights = self.router(scores)
        if self.training and self.balance:
            self.extras[LOAD_BALANCE] = self.balance * load_balance(scores, chosen)
        added = torch.zeros(len(place), states.shape[-1], dtype=states.dtype, device=states.device)
        for expert in range(scores.shape[-1]):
            token, rank = (chosen == expert).nonzero(as_tuple=True)
            once, again = torch.unique(
                place[token], return_inverse=True
            )  # tasks that own the same token share the work
            made = weights[token, rank].unsqueeze(-1) * self.experts.added(expert, states[once])[again]
            added = added.index_add(0, token, made.to(added.dtype))
        return added

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.embeddings:
            yield self.embeddings[key(task)]


def load_balance(scores: Tensor, chosen: Tensor) -> Tensor:
    """How unevenly experts are used: 1 where they are used alike, at most their number.

    Args:
        scores: before the choice, ``[tokens, experts]``.
        chosen: experts, ``[tokens, k]``.

    Example:
        >>> load_balance(torch.zeros(4, 2), torch.tensor([[0], [1], [0], [1]]))
        tensor(1.)
    """
    experts = scores.shape[-1]
    choices = functional.one_hot(chosen, experts).to(scores.dtype).mean(dim=(0, 1))
    return experts * torch.sum(choices * scores.softmax(dim=-1).mean(dim=0))
