"""Adapters of a language and of a task, one upon the other, and invertible ones at the vectors of sub-words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.modular.adapters import Adapter
from motet.architectures.routing import Inserted, Route, Routed, lacking
from motet.encoders.layers import sites
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, nearest, one_of, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["MADX", "Invertible", "Learns"]

Learns = Literal["words", "all"]


@register("architecture", "mad_x")
@dataclass(frozen=True, kw_only=True)
class MADX(Architecture):
    """An adapter of the language of a task under an adapter of the task, in every layer of a frozen trunk.

    Both stand behind the feed-forward network. Behind the vectors of sub-words stands an invertible adapter of the
    language; its inverse stands before the product with these vectors that says words. The language part learns from
    `masked_language` tasks, which have no adapter of their own, and is only passed through by others. So a task can
    answer texts of another language than it was trained in: ``model.arrangement.speak(task, language)`` gives it the
    adapters of that one.

    Source: Pfeiffer, Vulić, Gurevych, Ruder 2020, "MAD-X: An Adapter-Based Framework for Multi-Task Cross-Lingual
    Transfer"; the coupling: Dinh, Krueger, Bengio 2015, "NICE: Non-linear Independent Components Estimation".

    Args:
        languages: tasks by language, such as ``{en: [words-en, mood], de: [words-de]}``; tasks in none have an adapter
            of their own alone.
        invertible: whether languages have invertible adapters.
        learns: what the adapters of a language learn from: its `words`, that is the tasks that guess hidden ones, or
            `all` of its tasks. A language without words learns from all.
        language_reduction: by how much the bottleneck of a language is narrower than the states.
        task_reduction: the same for a task.
        invertible_reduction: the same within the halves of an invertible adapter.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        Without languages this is `Adapters` behind the feed-forward network. Languages learn first by the schedule
        `phases`, or in a run of their own with which that of the tasks begins (`start_from`).

    Example:
        >>> MADX(languages={"en": ("words-en", "mood"), "de": ("words-de",)}).task_reduction
        16
    """

    languages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    invertible: bool = True
    learns: Learns = "words"
    language_reduction: int = 2
    task_reduction: int = 16
    invertible_reduction: int = 2
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", {name: tuple(tasks) for name, tasks in self.languages.items()})
        reductions = {"language": self.language_reduction, "task": self.task_reduction}
        sizes = {f"{name}_reduction": size for name, size in reductions.items()}
        found = [*at_least(1, **sizes, invertible_reduction=self.invertible_reduction), *self._twice()]
        require([*found, *one_of(Learns, learns=self.learns), *below_one(dropout=self.dropout)])

    def _twice(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for language, tasks in self.languages.items():
            for task in tasks:
                if task in seen:
                    yield Problem(f"languages.{language}", "names a task for the second time", task)
                seen.add(task)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, ("outer",), "architecture.type")
        for language, names in self.languages.items():
            place = f"architecture.languages.{language}"
            for name in names:
                if name not in tasks:
                    yield Problem(place, f"names no task. {nearest(name, tasks)}", name)
        if self.invertible and self.languages and trunk.family != "encoder":
            rule = f"needs an encoder, which says words by the vectors that it reads; this is an `{trunk.family}`"
            yield Problem("architecture.invertible", rule, "true", "Set it to false.")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _MADX(self, trunk, tasks)


class Invertible(nn.Module):
    """A coupling that can be undone exactly: y1 = x1 + F(x2), y2 = x2 + G(y1), of the halves of a vector.

    F and G are bottlenecks with ReLU, which begin near zero.

    Args:
        width: of the vectors.
        reduction: by how much a bottleneck is narrower than its half.

    Example:
        >>> coupling, x = Invertible(5, 2), torch.randn(3, 5)
        >>> bool(torch.allclose(coupling.inverse(coupling(x)), x, atol=1e-6))
        True
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.sizes = [width - width // 2, width // 2]
        self.F = _Bottleneck(self.sizes[1], self.sizes[0], reduction)
        self.G = _Bottleneck(self.sizes[0], self.sizes[1], reduction)

    def forward(self, x: Tensor, *, undo: bool = False) -> Tensor:
        """The vectors ``[..., width]``, coupled."""
        if undo:
            return self.inverse(x)
        x1, x2 = torch.split(x, self.sizes, dim=-1)
        y1 = x1 + self.F(x2)
        return torch.cat([y1, x2 + self.G(y1)], dim=-1)

    def inverse(self, y: Tensor) -> Tensor:
        """What was coupled to these vectors ``[..., width]``."""
        y1, y2 = torch.split(y, self.sizes, dim=-1)
        x2 = y2 - self.G(y1)
        return torch.cat([y1 - self.F(x2), x2], dim=-1)


class _Bottleneck(nn.Module):
    def __init__(self, inside: int, outside: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(inside, max(1, inside // reduction))
        self.up = nn.Linear(self.down.out_features, outside)
        for linear in (self.down, self.up):
            nn.init.normal_(linear.weight, std=1e-2)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(functional.relu(self.down(x)))  # type: ignore[no-any-return]


class _Tongues:
    """Which language the rows of a task are in, and whether they teach it.

    Args:
        part: the architecture.
        tasks: by name.
    """

    def __init__(self, part: MADX, tasks: Mapping[str, Task]) -> None:
        self.of = {task: language for language, names in part.languages.items() for task in names}
        self.names = list(part.languages)
        self.teachers: set[str] = set()
        for names in part.languages.values():
            words = {name for name in names if tasks[name].level == "masked"} if part.learns == "words" else set()
            self.teachers |= words or set(names)

    def __call__(self, module: nn.Module, task: str, *given: Any, **options: Any) -> Tensor:
        """What a module of the language of a task returns; its weights have no gradient of tasks that do not teach."""
        weights: dict[str, Tensor] = dict(module.named_parameters())
        if task not in self.teachers:
            weights = {name: weight.detach() for name, weight in weights.items()}
        found: Tensor = functional_call(module, weights, given, dict(options))
        return found


class _Spoken(Inserted):
    """Modules of languages at one place of the trunk, and behind them those of tasks.

    Args:
        route: of the arrangement.
        tasks: as for `Inserted`.
        tongues: of the arrangement.
        languages: a module for each, by name.
    """

    def __init__(
        self, route: Route, tasks: Mapping[str, nn.Module], tongues: _Tongues, languages: Mapping[str, nn.Module]
    ) -> None:
        super().__init__(route, tasks)
        self.tongues = tongues
        self.languages = nn.ModuleDict({_in(language): module for language, module in languages.items()})

    def changes(self, task: str) -> bool:
        return super().changes(task) or task in self.tongues.of

    def changed(self, task: str, rows: slice, given: Tensor, states: Tensor) -> Tensor:
        if task in self.tongues.of:
            states = self.spoken(task, given, states)
        return super().changed(task, rows, given, states) if super().changes(task) else states

    def spoken(self, task: str, given: Tensor, states: Tensor) -> Tensor:
        """The states of the rows of a task, changed by the module of its language."""
        return self.tongues(self.languages[_in(self.tongues.of[task])], task, given, states)


class _Vectors(_Spoken):
    """Invertible adapters behind the vectors of sub-words, and their inverses before the words that heads say."""

    def spoken(self, task: str, given: Tensor, states: Tensor) -> Tensor:
        return self.tongues(self.languages[_in(self.tongues.of[task])], task, states)

    def said(self, last: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """What is compared with the vectors of sub-words, brought back to where these come from."""
        ((task, _),) = self.route.segments
        if task not in self.tongues.of:
            return None
        return self.tongues(self.languages[_in(self.tongues.of[task])], task, output, undo=True)


class _MADX(Routed):
    def __init__(self, part: MADX, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        self.tongues, self.tasks = _Tongues(part, tasks), list(tasks)
        words = [name for name, task in tasks.items() if task.level == "masked"]
        if part.invertible and part.languages:
            width = trunk.embeddings.embedding_dim
            own: dict[str, nn.Module] = {name: Invertible(width, part.invertible_reduction) for name in part.languages}
            vectors = _Vectors(self.route, {}, self.tongues, own)
            self.insert(vectors, behind=trunk.embeddings)
            for name in words:
                head: Any = self.heads[key(name)]
                head.projection.register_forward_hook(vectors.said)
        for layer in trunk.layers:
            languages = {name: Adapter(trunk.width, part.language_reduction, "relu") for name in part.languages}
            of = {name: Adapter(trunk.width, part.task_reduction, "relu") for name in tasks if name not in words}
            self.insert(_Spoken(self.route, of, self.tongues, languages), behind=sites(layer)["outer"])

    @property
    def languages(self) -> dict[str, str]:
        """The language that each task is answered in."""
        return dict(self.tongues.of)

    def speak(self, task: str, language: str) -> None:
        """Answer a task with the adapters of another language from now on; a model folder does not note it.

        Args:
            task: trained in some language.
            language: one of those of the architecture.

        Raises:
            ValueError: no such task or language.
        """
        for name, options in ((task, self.tasks), (language, self.tongues.names)):
            if name not in options:
                raise ValueError(f"`{name}` is not here. {nearest(name, options)}")
        self.tongues.of[task] = language


def _in(language: str) -> str:
    """The name of a language as that of a module, which no task has."""
    return "in_" + key(language).removeprefix("of_")
