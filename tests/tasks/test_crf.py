"""Conditional random fields, held against the enumeration of all tag sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from motet.tasks.crf import (
    Transitions,
    log_marginals,
    log_partition,
    log_score,
    negative_log_likelihood,
    viterbi,
)

IGNORED = -100


@dataclass(frozen=True)
class Case:
    """Random rows of words, their tags, and random transitions; all float64."""

    emissions: Tensor
    tags: Tensor
    lengths: np.ndarray
    transitions: Transitions

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return (self.emissions, self.transitions.between, self.transitions.start, self.transitions.end)

    def partly(self, known: Sequence[int]) -> Tensor:
        """The tags where `known` is not 0; what is known of a word is repeated when the list is too short."""
        return self.tags.where(torch.tensor(np.resize(known, len(self.tags)), dtype=torch.bool), IGNORED)

    def row(self, i: int) -> Case:
        words = slice(self.lengths[:i].sum(), self.lengths[: i + 1].sum())
        return Case(self.emissions[words], self.tags[words], self.lengths[i : i + 1], self.transitions)


def make(lengths: Sequence[int], classes: int = 3, seed: int = 0, scale: float = 2.0) -> Case:
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(random.normal(scale=scale, size=shape))

    words = sum(lengths)
    tags = torch.from_numpy(random.integers(classes, size=words))
    transitions = Transitions(draw(classes, classes), draw(classes), draw(classes))
    return Case(draw(words, classes), tags, np.array(lengths, dtype=np.int64), transitions)


def cast(transitions: Transitions, dtype: torch.dtype) -> Transitions:
    return Transitions(transitions.between.to(dtype), transitions.start.to(dtype), transitions.end.to(dtype))


def nothing(classes: int, dtype: torch.dtype = torch.float64) -> Transitions:
    return Transitions(torch.zeros(classes, classes, dtype=dtype), *torch.zeros(2, classes, dtype=dtype))


def plain_score(tags: Sequence[int], emissions: np.ndarray, transitions: Transitions) -> float:
    """The score of one sequence, straight from its definition."""
    if not tags:
        return 0.0
    total = float(transitions.start[tags[0]] + transitions.end[tags[-1]])
    total += sum(float(emissions[i, tag]) for i, tag in enumerate(tags))
    return total + sum(float(transitions.between[a, b]) for a, b in pairwise(tags))


def all_sequences(row: Case) -> tuple[np.ndarray, np.ndarray]:
    """Every tag sequence of a row ``[sequences, words]``, and their scores."""
    words, classes = row.emissions.shape
    sequences = list(product(range(classes), repeat=words))
    scores = [plain_score(tags, row.emissions.numpy(), row.transitions) for tags in sequences]
    return np.array(sequences, dtype=np.int64).reshape(len(sequences), words), np.array(scores)


def log_sum(scores: np.ndarray) -> float:
    return float(np.logaddexp.reduce(scores))


def losses(case: Case, tags: Tensor) -> float:
    return float(negative_log_likelihood(case.emissions, tags, case.lengths, case.transitions))


def slopes(value: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradients; zeros of what is not used, such as transitions where every row has one word."""
    return torch.autograd.grad(value, inputs, materialize_grads=True)


rows = st.lists(st.integers(0, 5), max_size=5)
cases = st.builds(make, rows, classes=st.integers(1, 4), seed=st.integers(0, 999), scale=st.sampled_from([0.1, 2, 20]))
masks = st.lists(st.integers(0, 1), min_size=1, max_size=20)

# Long enough that rows end before others, begin late in the batch, are empty in every place and are alone.
RAGGED = [[], [0], [1], [0, 0], [0, 3, 0], [3, 1, 0, 2], [1, 1, 4], [5, 0, 1]]


@given(cases)
def test_partition_is_the_sum_over_all_sequences(case: Case) -> None:
    found = log_partition(case.emissions, case.lengths, case.transitions)
    expected = [log_sum(all_sequences(case.row(i))[1]) for i in range(len(case.lengths))]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(cases)
def test_score_is_the_definition(case: Case) -> None:
    found = log_score(case.emissions, case.tags, case.lengths, case.transitions)
    alone = map(case.row, range(len(case.lengths)))
    expected = [plain_score(row.tags.tolist(), row.emissions.numpy(), row.transitions) for row in alone]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(cases)
def test_marginals_are_sums_over_the_sequences_with_the_tag(case: Case) -> None:
    found = log_marginals(case.emissions, case.lengths, case.transitions).numpy()
    expected = []
    for row in map(case.row, range(len(case.lengths))):
        sequences, scores = all_sequences(row)
        for word, tag in product(range(len(row.tags)), range(row.emissions.shape[1])):
            expected.append(log_sum(scores[sequences[:, word] == tag]) - log_sum(scores))
    np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-10, atol=1e-11)


@given(cases)
def test_viterbi_finds_the_best_of_all_sequences(case: Case) -> None:
    found = viterbi(case.emissions, case.lengths, case.transitions)
    best = [
        sequences[scores.argmax()] for sequences, scores in map(all_sequences, map(case.row, range(len(case.lengths))))
    ]
    assert found.tolist() == [tag for row in best for tag in row]


@given(cases, masks)
def test_likelihood_sums_over_the_sequences_that_agree(case: Case, known: list[int]) -> None:
    tags = case.partly(known)
    expected, begin = 0.0, 0
    for i, length in enumerate(case.lengths):
        sequences, scores = all_sequences(case.row(i))
        told = tags[begin : begin + length].numpy()
        agree = ((sequences == told) | (told == IGNORED)).all(axis=1)
        expected += log_sum(scores) - log_sum(scores[agree])
        begin += length
    assert losses(case, tags) == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(cases)
def test_with_every_tag_known_the_loss_is_partition_less_score(case: Case) -> None:
    expected = log_partition(case.emissions, case.lengths, case.transitions) - log_score(
        case.emissions, case.tags, case.lengths, case.transitions
    )
    assert losses(case, case.tags) == pytest.approx(float(expected.sum()), rel=1e-10, abs=1e-10)


@given(cases)
def test_marginals_are_the_gradient_of_the_partition(case: Case) -> None:
    emissions = case.emissions.requires_grad_()
    (slope,) = torch.autograd.grad(log_partition(emissions, case.lengths, case.transitions).sum(), emissions)
    marginals = log_marginals(emissions, case.lengths, case.transitions).exp()
    torch.testing.assert_close(slope, marginals, rtol=1e-9, atol=1e-12)


def test_probabilities_of_completions_add_up() -> None:
    case = make([4], classes=3)
    hidden = case.tags.clone()
    hidden[[1, 2]] = IGNORED
    completions = []
    for pair in product(range(3), repeat=2):
        completed = hidden.clone()
        completed[[1, 2]] = torch.tensor(pair)
        completions.append(np.exp(-losses(case, completed)))
    assert np.exp(-losses(case, hidden)) == pytest.approx(sum(completions))


def test_one_known_tag_costs_its_marginal() -> None:
    case = make([4], classes=3)
    marginals = log_marginals(case.emissions, case.lengths, case.transitions)
    for word, tag in enumerate(case.tags.tolist()):
        known = [int(word == other) for other in range(4)]
        assert losses(case, case.partly(known)) == pytest.approx(-float(marginals[word, tag]))


DIFFERENTIABLE: dict[str, Callable[[Tensor, Case, Transitions], Tensor]] = {
    "log_partition": lambda e, case, t: log_partition(e, case.lengths, t),
    "log_score": lambda e, case, t: log_score(e, case.tags, case.lengths, t),
    "likelihood": lambda e, case, t: negative_log_likelihood(e, case.tags, case.lengths, t),
    "partial likelihood": lambda e, case, t: negative_log_likelihood(e, case.partly([0, 1, 0]), case.lengths, t),
    "log_marginals": lambda e, case, t: log_marginals(e, case.lengths, t),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("lengths", [[0, 3, 1, 0, 2], [4], [1, 1]], ids=str)
def test_gradients_are_those_of_finite_differences(name: str, lengths: list[int]) -> None:
    case = make(lengths)

    def function(emissions: Tensor, between: Tensor, start: Tensor, end: Tensor) -> Tensor:
        return DIFFERENTIABLE[name](emissions, case, Transitions(between, start, end))

    assert torch.autograd.gradcheck(function, [value.requires_grad_() for value in case.inputs])


@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_rows_together_are_rows_alone(lengths: list[int]) -> None:
    """What a row gives does not depend on the rows beside it, nor on how far they make it padded."""
    case = make(lengths)
    emissions, transitions = case.emissions.float(), cast(case.transitions, torch.float32)
    alone = [case.row(i) for i in range(len(lengths))]

    def joined(function: Callable[[Case], Tensor], like: Tensor) -> Tensor:
        return torch.cat([like[:0], *map(function, alone)])

    partition = log_partition(emissions, case.lengths, transitions)
    marginals = log_marginals(emissions, case.lengths, transitions)
    score = log_score(emissions, case.tags, case.lengths, transitions)
    pairs = [
        (partition, joined(lambda row: log_partition(row.emissions.float(), row.lengths, transitions), partition)),
        (marginals, joined(lambda row: log_marginals(row.emissions.float(), row.lengths, transitions), marginals)),
        (score, joined(lambda row: log_score(row.emissions.float(), row.tags, row.lengths, transitions), score)),
    ]
    for together, apart in pairs:
        torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-6)
    best = [viterbi(row.emissions, row.lengths, transitions) for row in alone]
    assert viterbi(emissions, case.lengths, transitions).tolist() == [tag for row in best for tag in row]


@pytest.mark.parametrize("known", [[1], [0, 1, 1]], ids=["all tags", "some tags"])
@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_loss_and_gradients_of_rows_together_are_the_sums_of_rows_alone(lengths: list[int], known: list[int]) -> None:
    case = make(lengths)
    inputs = [value.requires_grad_() for value in case.inputs]
    tags = case.partly(known)
    loss = negative_log_likelihood(case.emissions, tags, case.lengths, case.transitions)
    bounds = np.cumsum([0, *lengths])
    alone = torch.zeros((), dtype=torch.float64) + sum(value.sum() * 0 for value in inputs)
    for i in range(len(lengths)):
        row = case.row(i)
        alone = alone + negative_log_likelihood(
            row.emissions, tags[bounds[i] : bounds[i + 1]], row.lengths, case.transitions
        )
    torch.testing.assert_close(loss, alone)
    for together, apart in zip(slopes(loss, inputs), slopes(alone, inputs), strict=True):
        torch.testing.assert_close(together, apart)


@given(st.permutations(range(5)), st.integers(0, 99))
def test_rows_in_another_order_give_the_same_in_that_order(order: list[int], seed: int) -> None:
    case = make([3, 0, 1, 5, 2], seed=seed)
    parts = np.split(np.arange(len(case.tags)), np.cumsum(case.lengths)[:-1])
    words = np.concatenate([parts[i] for i in order])
    lengths, emissions, tags = case.lengths[order], case.emissions[words], case.tags[words]

    partition = log_partition(case.emissions, case.lengths, case.transitions)
    torch.testing.assert_close(log_partition(emissions, lengths, case.transitions), partition[order])
    score = log_score(case.emissions, case.tags, case.lengths, case.transitions)
    torch.testing.assert_close(log_score(emissions, tags, lengths, case.transitions), score[order])
    marginals = log_marginals(case.emissions, case.lengths, case.transitions)
    torch.testing.assert_close(log_marginals(emissions, lengths, case.transitions), marginals[words])
    best = viterbi(case.emissions, case.lengths, case.transitions)
    assert viterbi(emissions, lengths, case.transitions).tolist() == best[words].tolist()
    loss = negative_log_likelihood(emissions, tags, lengths, case.transitions)
    assert float(loss) == pytest.approx(losses(case, case.tags))


@given(cases)
def test_a_sentence_read_from_right_to_left_is_as_probable(case: Case) -> None:
    mirrored = Transitions(case.transitions.between.T, case.transitions.end, case.transitions.start)
    emissions, tags, lengths = case.emissions.flip(0), case.tags.flip(0), case.lengths[::-1]
    assert float(negative_log_likelihood(emissions, tags, lengths, mirrored)) == pytest.approx(losses(case, case.tags))
    best = viterbi(case.emissions, case.lengths, case.transitions)
    assert viterbi(emissions, lengths, mirrored).tolist() == best.tolist()[::-1]


SCALES = [1e-10, 1e-5, 1.0, 1e2, 1e4]


@pytest.mark.parametrize("scale", SCALES)
def test_without_transitions_words_are_independent(scale: float) -> None:
    case = make([4, 0, 1, 3], classes=4)
    emissions, zeros = (case.emissions * scale).float(), nothing(4, torch.float32)
    tags = case.partly([1, 1, 0])
    partition = log_partition(emissions, case.lengths, zeros)
    expected = [part.sum() for part in torch.split(emissions.logsumexp(1), case.lengths.tolist())]
    torch.testing.assert_close(partition, torch.stack(expected))
    torch.testing.assert_close(log_marginals(emissions, case.lengths, zeros), emissions.log_softmax(1))
    loss = negative_log_likelihood(emissions, tags, case.lengths, zeros)
    torch.testing.assert_close(loss, cross_entropy(emissions, tags, reduction="sum"))
    assert viterbi(emissions, case.lengths, zeros).tolist() == emissions.argmax(1).tolist()


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("scale", SCALES)
def test_float32_agrees_with_float64_at_every_scale(scale: float, offset: float) -> None:
    case = make([6, 0, 1, 30], classes=4)
    emissions, transitions = (case.emissions * scale + offset).float(), cast(case.transitions, torch.float32)
    exact, exactly = emissions.double(), cast(transitions, torch.float64)
    leaf = emissions.requires_grad_()
    loss = negative_log_likelihood(leaf, case.tags, case.lengths, transitions)
    torch.testing.assert_close(
        loss.double(), negative_log_likelihood(exact, case.tags, case.lengths, exactly), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        log_marginals(leaf, case.lengths, transitions).double(),
        log_marginals(exact, case.lengths, exactly),
        rtol=1e-5,
        atol=1e-5,
    )
    torch.testing.assert_close(
        log_partition(leaf, case.lengths, transitions).double(),
        log_partition(exact, case.lengths, exactly),
        rtol=1e-6,
        atol=1e-5,
    )
    assert viterbi(emissions, case.lengths, transitions).tolist() == viterbi(exact, case.lengths, exactly).tolist()
    (slope,) = torch.autograd.grad(loss, leaf)
    twin = exact.requires_grad_()
    (exact_slope,) = torch.autograd.grad(negative_log_likelihood(twin, case.tags, case.lengths, exactly), twin)
    torch.testing.assert_close(slope.double(), exact_slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1e4, 1e-10])
def test_extreme_transitions_give_finite_losses_and_gradients(size: float) -> None:
    case = make([6, 1, 0, 3], classes=3)
    transitions = cast(Transitions(*(value * size for value in case.inputs[1:])), torch.float32)
    inputs = [case.emissions.float(), transitions.between, transitions.start, transitions.end]
    leaves = [value.requires_grad_() for value in inputs]
    for tags in (case.tags, case.partly([0, 1])):
        loss = negative_log_likelihood(leaves[0], tags, case.lengths, Transitions(*leaves[1:]))
        assert loss.isfinite()
        assert all(slope.isfinite().all() for slope in torch.autograd.grad(loss, leaves))
    marginals = log_marginals(leaves[0], case.lengths, Transitions(*leaves[1:]))
    assert marginals.isfinite().all()
    torch.testing.assert_close(marginals.exp().sum(1), torch.ones(len(marginals)))


def test_a_small_loss_of_a_long_row_keeps_its_digits() -> None:
    case = make([2000], classes=5, scale=3.0)
    sure = case.emissions + 20.0 * torch.eye(5, dtype=torch.float64)[case.tags] + 1e3
    transitions = cast(case.transitions, torch.float32)
    exact = negative_log_likelihood(sure.float().double(), case.tags, case.lengths, cast(transitions, torch.float64))
    found = negative_log_likelihood(sure.float(), case.tags, case.lengths, transitions)
    assert float(exact) < 100  # where log Z is about two million, and float32 has steps of 0.125
    assert float(found) == pytest.approx(float(exact), abs=1e-3)


def test_a_very_negative_transition_forbids() -> None:
    case = make([5, 1, 4, 0], classes=3)
    transitions = nothing(3)
    transitions.between[1, 2] = transitions.start[2] = transitions.end[0] = -1e4
    best = np.split(viterbi(case.emissions, case.lengths, transitions), np.cumsum(case.lengths)[:-1])
    for row in filter(len, best):
        assert (1, 2) not in set(pairwise(row.tolist()))
        assert row[0] != 2
        assert row[-1] != 0
    marginals = log_marginals(case.emissions, case.lengths, transitions).exp()
    assert float(marginals[0, 2]) == 0.0
    assert float(marginals[4, 0]) == 0.0


def test_rows_without_known_tags_add_exactly_nothing() -> None:
    case = make([3, 2, 4], classes=3)
    tags = case.tags.clone()
    tags[3:5] = IGNORED
    words = [0, 1, 2, 5, 6, 7, 8]

    def measure(emissions: Tensor, tags: Tensor, lengths: np.ndarray) -> tuple[Tensor, ...]:
        leaves = [emissions.float().requires_grad_(), *(value.float().requires_grad_() for value in case.inputs[1:])]
        loss = negative_log_likelihood(leaves[0], tags, lengths, Transitions(*leaves[1:]))
        return (loss, *slopes(loss, leaves))

    loss, of_words, *of_transitions = measure(case.emissions, tags, case.lengths)
    expected, of_known, *expected_transitions = measure(case.emissions[words], tags[words], case.lengths[[0, 2]])
    torch.testing.assert_close(loss, expected)
    assert not of_words[3:5].any()
    torch.testing.assert_close(of_words[words], of_known)
    torch.testing.assert_close(of_transitions, expected_transitions)


@pytest.mark.parametrize("lengths", [*RAGGED, [7] * 40], ids=str)
def test_a_batch_without_known_tags_has_gradients_of_exactly_zero(lengths: list[int]) -> None:
    case = make(lengths)
    leaves = [value.float().requires_grad_() for value in case.inputs]
    unknown = torch.full_like(case.tags, IGNORED)
    loss = negative_log_likelihood(leaves[0], unknown, case.lengths, Transitions(*leaves[1:]))
    assert not loss.detach()
    assert not any(slope.any() for slope in slopes(loss, leaves))


def test_ignored_may_be_another_number() -> None:
    case = make([4])
    other = case.tags.clone()
    other[1] = -1
    found = negative_log_likelihood(case.emissions, other, case.lengths, case.transitions, ignored=-1)
    assert float(found) == losses(case, case.partly([1, 0, 1, 1]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(dtype: torch.dtype) -> None:
    case = make([4, 0, 2])
    half, transitions = case.emissions.to(dtype), cast(case.transitions, torch.float32)
    for name, function in DIFFERENTIABLE.items():
        found = function(half, case, transitions)
        assert found.dtype == torch.float32, name
        torch.testing.assert_close(found, function(half.float(), case, transitions), rtol=0, atol=0)
    best = viterbi(half, case.lengths, transitions)
    assert best.tolist() == viterbi(half.float(), case.lengths, transitions).tolist()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_autocast_changes_nothing(name: str) -> None:
    case = make([4, 0, 2])
    emissions, transitions = case.emissions.float(), cast(case.transitions, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = DIFFERENTIABLE[name](emissions, case, transitions)
    torch.testing.assert_close(found, DIFFERENTIABLE[name](emissions, case, transitions), rtol=0, atol=0)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float64_stays(name: str) -> None:
    case = make([4, 0, 2])
    assert DIFFERENTIABLE[name](case.emissions, case, case.transitions).dtype == torch.float64


def test_viterbi_reads_arrays_and_tensors_alike() -> None:
    case = make([4, 0, 2])
    logits = case.emissions.numpy().astype(np.float32)
    logits.flags.writeable = False  # as memory-mapped logits are
    best = viterbi(logits, case.lengths, case.transitions)
    assert isinstance(best, np.ndarray)
    assert best.dtype == np.int64
    assert best.tolist() == viterbi(torch.tensor(logits).requires_grad_(), case.lengths, case.transitions).tolist()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("words", [1, 5])
def test_lengths_must_count_the_words(name: str, words: int) -> None:
    case = make([words])
    wrong = Case(case.emissions, case.tags, np.array([2, 1]), case.transitions)
    with pytest.raises(ValueError, match=f"3 words together, and there are emissions of {words}"):
        DIFFERENTIABLE[name](case.emissions, wrong, case.transitions)
