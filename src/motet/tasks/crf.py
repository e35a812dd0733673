"""Linear-chain conditional random fields: the probability of a whole tag sequence, not of one tag after another.

After Lafferty, McCallum and Pereira (2001), "Conditional Random Fields". With emissions e, a sentence of n words has

    score(t_1 .. t_n) = start[t_1] + sum_i e_i[t_i] + sum_i between[t_i, t_(i+1)] + end[t_n]
    p(t_1 .. t_n)     = exp(score(t_1 .. t_n)) / Z,    Z = the sum of exp(score) over all sequences

Emissions have shape ``[units, classes]``: the words of all rows, one after the other. Row i owns the next
``lengths[i]`` of them, and may own none. Values must be finite; -1e4 forbids a transition well enough. Half precision
is raised to float32, float64 stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Transitions", "log_marginals", "log_partition", "log_score", "negative_log_likelihood", "viterbi"]

Reduce = Callable[[Tensor, int], Tensor]  # log-sum-exp for sums over sequences, maximum for the best of them


@dataclass(frozen=True, eq=False)
class Transitions:
    """What tag sequences score whatever the words.

    Args:
        between: from one tag (row) to the next (column), ``[classes, classes]``.
        start: of the first tag, ``[classes]``.
        end: of the last tag, ``[classes]``.
    """

    between: Tensor
    start: Tensor
    end: Tensor


def log_partition(emissions: Tensor, lengths: np.ndarray, transitions: Transitions) -> Tensor:
    """Log Z of every row ``[rows]``; 0 where a row has no words."""
    unary = _unary(_centred(emissions), lengths, transitions)
    return _sum_rows(_evidence(unary, lengths, transitions.between) + emissions.detach().amax(1), lengths)


def log_score(emissions: Tensor, tags: Tensor, lengths: np.ndarray, transitions: Transitions) -> Tensor:
    """The score of one tag sequence a row ``[rows]``, from `tags` ``[units]``."""
    unary = _unary(_raised(emissions), lengths, transitions)
    _, positions = _places(lengths, tags.device)
    pairs = transitions.between[tags.roll(1), tags].where(positions > 0, 0)
    return _sum_rows(unary.gather(1, tags[:, None])[:, 0] + pairs, lengths)


def negative_log_likelihood(
    emissions: Tensor, tags: Tensor, lengths: np.ndarray, transitions: Transitions, ignored: int = -100
) -> Tensor:
    """Minus the log probability of the known tags, summed over rows.

    A word whose tag is `ignored` is unknown: the probability is that of all sequences which agree with the known tags
    of the row. A row without a known tag adds exactly 0, and exactly 0 to every gradient.

    Args:
        emissions: ``[units, classes]``.
        tags: ``[units]``, each a class or `ignored`.
        lengths: words of every row.
        transitions: scores of tag pairs and ends.
        ignored: stands for an unknown tag.

    Example:
        >>> nothing = Transitions(torch.zeros(2, 2), torch.zeros(2), torch.zeros(2))
        >>> tags, lengths = torch.tensor([1, -100, 0]), np.array([2, 0, 1])
        >>> round(float(negative_log_likelihood(torch.zeros(3, 2), tags, lengths, nothing).exp()), 3)
        4.0
    """
    unary = _unary(_centred(emissions), lengths, transitions)
    known = tags != ignored
    contradicts = known[:, None] & (tags[:, None] != torch.arange(unary.shape[1], device=tags.device))
    agreeing = unary.masked_fill(contradicts, -torch.inf)
    evidence = _evidence(torch.cat([unary, agreeing]), np.tile(lengths, 2), transitions.between)
    every, agreed = evidence.view(2, len(tags))
    # Where no tag is known the two are equal, but their gradients would cancel only up to rounding.
    return _sum_rows(every - agreed, lengths).where(_sum_rows(known, lengths) > 0, 0).sum()


def log_marginals(emissions: Tensor, lengths: np.ndarray, transitions: Transitions) -> Tensor:
    """Log p(tag of the word | all words of its row), by forward-backward: ``[units, classes]``, differentiable."""
    unary = _unary(_centred(emissions), lengths, transitions)
    before = _messages(unary, lengths, transitions.between, torch.logsumexp)
    after = _messages_after(unary, lengths, transitions.between, torch.logsumexp)
    return (before + unary + after).log_softmax(1)


@torch.no_grad()
def viterbi(emissions: np.ndarray | Tensor, lengths: np.ndarray, transitions: Transitions) -> np.ndarray:
    """The most probable tag sequence of every row, one after the other ``[units]``.

    Example:
        >>> no_change = Transitions(torch.tensor([[0.0, -9.0], [-9.0, 0.0]]), torch.zeros(2), torch.zeros(2))
        >>> emissions = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> viterbi(emissions, np.array([3]), no_change), viterbi(emissions, np.array([1, 2]), no_change)
        (array([0, 0, 0]), array([0, 1, 1]))
    """
    if isinstance(emissions, np.ndarray):
        emissions = torch.tensor(emissions, device=transitions.between.device)
    unary = _unary(_centred(emissions), lengths, transitions)
    scores = unary + _messages_after(unary, lengths, transitions.between, torch.amax)
    first, *others = _pad(scores, lengths).unbind(1)
    path = [first.argmax(1)]
    for word in others:
        path.append((transitions.between[path[-1]] + word).argmax(1))
    return torch.stack(path, 1)[_places(lengths, unary.device)].cpu().numpy()


def _raised(emissions: Tensor) -> Tensor:
    return emissions.to(torch.promote_types(emissions.dtype, torch.float32))


def _centred(emissions: Tensor) -> Tensor:
    """Emissions less the highest of the word: a constant that changes no probability, but would cost digits."""
    raised = _raised(emissions)
    return raised - raised.detach().amax(1, keepdim=True)


def _unary(emissions: Tensor, lengths: np.ndarray, transitions: Transitions) -> Tensor:
    """The emissions, with `start` added at the first word of every row and `end` at the last."""
    if len(emissions) != lengths.sum():
        raise ValueError(f"the rows have {lengths.sum()} words together, and there are emissions of {len(emissions)}")
    first = _places(lengths, emissions.device)[1][:, None] == 0
    last = first.roll(-1, 0)  # the word before a first one; the first of all follows the last of all
    return emissions + transitions.start.where(first, 0) + transitions.end.where(last, 0)


def _evidence(unary: Tensor, lengths: np.ndarray, between: Tensor) -> Tensor:
    """What every word adds to log Z of its row ``[units]``: log of sum over p(tag | words before) * exp(unary)."""
    return (_messages(unary, lengths, between, torch.logsumexp) + unary).logsumexp(1)


def _messages(unary: Tensor, lengths: np.ndarray, between: Tensor, reduce: Reduce) -> Tensor:
    """The forward recursion, scaled at every word: what the words before say about its tag ``[units, classes]``."""
    words = _pad(unary, lengths).unbind(1)
    messages = [torch.zeros_like(words[0])]
    for word in words[:-1]:
        belief = messages[-1] + word
        belief = belief - reduce(belief, 1).unsqueeze(1)
        messages.append(reduce(belief.unsqueeze(2) + between, 1))
    return torch.stack(messages, 1)[_places(lengths, unary.device)]


def _messages_after(unary: Tensor, lengths: np.ndarray, between: Tensor, reduce: Reduce) -> Tensor:
    """The backward recursion, which is the forward one read from right to left: what the words after say."""
    return _messages(unary.flip(0), lengths[::-1], between.T, reduce).flip(0)


def _places(lengths: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """The row of every word, and its position there."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.arange(len(rows)) - (np.cumsum(lengths) - lengths)[rows]
    return torch.from_numpy(rows).to(device), torch.from_numpy(positions).to(device)


def _pad(values: Tensor, lengths: np.ndarray) -> Tensor:
    """From ``[units, ...]`` to ``[rows, longest, ...]``, zeros behind; at least one position, so that steps start."""
    padded = values.new_zeros(len(lengths), int(lengths.max(initial=1)), *values.shape[1:])
    padded[_places(lengths, values.device)] = values
    return padded


def _sum_rows(values: Tensor, lengths: np.ndarray) -> Tensor:
    """From ``[units]`` to ``[rows]``."""
    return _pad(values, lengths).sum(1)
