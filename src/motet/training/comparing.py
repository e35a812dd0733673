"""What it takes to compare the gradients of tasks: memory, backward passes, and tasks that meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from motet.balancing.gradients.base import GradientBalance
from motet.balancing.representation import lengths_alone
from motet.balancing.rows import Rows
from motet.errors import Problem, RecipeError
from motet.model import MultiTaskModel
from motet.registry import part_name
from motet.training.experiment import Experiment
from motet.training.feed import Feed

__all__ = ["notes", "require_comparable", "shared_parameters", "warnings"]

_GIB = 1 << 30
_CHEAPER = "`where: representation` or `where: last_layer`"


def shared_parameters(model: MultiTaskModel) -> list[nn.Parameter]:
    """Those that serve more than one task, frozen ones included."""
    own = {id(p) for task in model.tasks for p in model.arrangement.own_parameters(task)}
    return [p for p in model.parameters() if id(p) not in own]


def require_comparable(experiment: Experiment, model: MultiTaskModel, feed: Feed) -> None:
    """Refuse a balance of gradients that could not compare any, or needs more memory than it may take.

    Raises:
        RecipeError: with every reason.
    """
    balance = experiment.balance
    if isinstance(balance, GradientBalance):
        problems = [
            *_read_again(balance, model),
            *_frozen(balance, model),
            *_never_met(experiment, balance, feed),
            *_too_much(balance, model),
        ]
        if problems:
            raise RecipeError(problems)


def notes(experiment: Experiment, model: MultiTaskModel, feed: Feed) -> Iterator[str]:
    """What the comparison costs, in sentences."""
    balance = experiment.balance
    if not isinstance(balance, GradientBalance):
        return
    if balance.where == "representation" and not balance.combines:
        yield from lengths_alone([stream.tasks for stream in feed.streams.values()])
    if balance.where != "shared":
        return
    name, columns = part_name(balance), _columns(balance, model)
    yield (
        f"{name}: keeps {_size(_bytes(balance, model))} of gradients, 4 bytes for each of {len(model.tasks)} tasks and "
        f"{columns / 1e6:.1f} million shared parameters{'' if balance.combines else ', embedding matrices left out'}"
    )
    price = _price(feed)
    if price > 1.05 and balance.every == 1:
        yield (
            f"{name}: rows that several tasks label are passed through backwards once a task, so that a step costs "
            f"about {price:.1f} of one; {_CHEAPER} costs about 1"
        )


def warnings(experiment: Experiment) -> Iterator[dict[str, str]]:
    """Comparisons that compare nothing."""
    if isinstance(experiment.balance, GradientBalance) and len(experiment.tasks) == 1:
        (task,) = experiment.tasks
        message = f"`{part_name(experiment.balance)}` has one gradient and nothing to compare it with: it is the sum."
        yield {"code": "one-gradient", "task": task.name, "message": message}


def _read_again(balance: GradientBalance, model: MultiTaskModel) -> Iterator[Problem]:
    if balance.where == "representation" and not model.arrangement.one_pass:
        rule = f"needs one pass of the encoder for all tasks, and `{part_name(model.architecture)}` makes several"
        yield Problem("balance.where", rule, balance.where, "Use `where: shared`, or a balance of losses.")


def _frozen(balance: GradientBalance, model: MultiTaskModel) -> Iterator[Problem]:
    if balance.where == "representation":
        return
    shared, last = shared_parameters(model), list(model.arrangement.trunk.last_layer.parameters())
    here = {id(p) for p in shared}
    compared = [p for p in last if id(p) in here] if balance.where == "last_layer" else shared
    if any(p.requires_grad for p in compared):
        return
    if balance.where == "last_layer" and any(p.requires_grad for p in last):
        rule, remedy = "compares gradients of a layer that one task has for itself", "Use `where: shared`."
    else:
        rule, remedy = "compares gradients of what is frozen", "Train more of the encoder, or use a balance of losses."
    yield Problem("balance.where", rule, balance.where, remedy)


def _never_met(experiment: Experiment, balance: GradientBalance, feed: Feed) -> Iterator[Problem]:
    training = experiment.training
    alone = all(len(stream.tasks) == 1 for stream in feed.streams.values())
    batch_by_batch = training.accumulate == 1 or balance.where != "shared"
    if training.batches == "single" and alone and batch_by_batch and len(experiment.tasks) > 1:
        several = "" if balance.where != "shared" else ", or `training.accumulate` of several batches a step"
        rule = f"never lets two tasks meet, so that `{part_name(balance)}` has no gradients to compare"
        yield Problem("training.batches", rule, "single", f"Use `batches: mixed`{several}.")


def _too_much(balance: GradientBalance, model: MultiTaskModel) -> Iterator[Problem]:
    needed = _bytes(balance, model)
    if needed > balance.most_memory * _GIB:
        rule = f"is less than the {_size(needed)} that the gradients of {len(model.tasks)} tasks take"
        remedy = f"Use {_CHEAPER}, train fewer layers, or raise it."
        yield Problem("balance.most_memory", rule, f"{balance.most_memory:g}", remedy)


def _bytes(balance: GradientBalance, model: MultiTaskModel) -> int:
    return 4 * len(model.tasks) * _columns(balance, model) if balance.where == "shared" else 0


def _columns(balance: GradientBalance, model: MultiTaskModel) -> int:
    trained = [p for p in shared_parameters(model) if p.requires_grad]
    return Rows(model.arrangement.trunk, trained, 0, whole=balance.combines).columns


def _price(feed: Feed) -> float:
    """What a step costs, of one of a sum: a forward pass is a third of it, and each backward pass two."""
    rows = feed.rows_per_step
    passes: Sequence[float] = [
        feed.shares[name] * (1 + 2 * _readers(feed, name) / max(1e-9, rows * feed.shares[name])) / 3
        for name in feed.streams
    ]
    return sum(passes)


def _readers(feed: Feed, stream: str) -> float:
    """Rows of a stream in a step, counted once for each task that labels them."""
    task_rows = feed.task_rows()
    return sum(task_rows[task] for task in feed.streams[stream].tasks)


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / (1 << 20):.0f} MiB"
