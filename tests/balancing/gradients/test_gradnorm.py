from __future__ import annotations

import pytest
import torch
from tests.balancing.gradients.jacobians import names

from motet.balancing.gradients.base import Weighting
from motet.balancing.gradients.gradnorm import GradNorm
from motet.errors import RecipeError


def step(weighting: Weighting, lengths: list[float], losses: list[float], tasks: str = "ab") -> list[float]:
    gramian = torch.diag(torch.tensor(lengths, dtype=torch.float64) ** 2)
    found: list[float] = weighting(gramian, list(tasks), torch.tensor(losses)).tolist()
    return found


def after_first_losses(part: GradNorm, tasks: str = "ab") -> Weighting:
    """A rule for which the first loss of every task was 1; without gradients, weights stay as they are."""
    weighting = part.weighting(list(tasks))
    weighting.get_buffer("first").fill_(1.0)
    return weighting


def test_three_steps_by_hand() -> None:
    weighting = after_first_losses(GradNorm(optimiser="sgd"))
    assert step(weighting, [1, 4], [0.5, 0.8]) == [1, 1]
    # Lengths (1, 4) are to be (1.686650, 3.413540): slopes (-1, 4).
    assert step(weighting, [1, 4], [0.5, 0.8]) == pytest.approx([1.064935, 0.935065], abs=1e-6)
    # Lengths (1.064935, 3.740260), paces (0.4, 1.6) after losses (.2, .8): to be (0.607811, 4.862487), slopes (1, -4).
    # The second step was from (1.064935, 0.935065) with slopes (-1, 4): (1.089935, 0.835065) * 2 / 1.925.
    assert step(weighting, [1, 4], [0.2, 0.8]) == pytest.approx([1.132400, 0.867600], abs=1e-6)
    # From there: (1.107400, 0.967600) * 2 / 2.075.
    assert step(weighting, [1, 4], [0.2, 0.8]) == pytest.approx([1.067373, 0.932627], abs=1e-6)


def test_adam_moves_weights_by_its_rate_whatever_the_length_of_gradients() -> None:
    for unit in (1e-3, 1.0, 1e6):
        weighting = after_first_losses(GradNorm(learning_rate=0.1))
        step(weighting, [unit, 4 * unit], [1, 1])
        assert step(weighting, [unit, 4 * unit], [1, 1]) == pytest.approx([1.1, 0.9], abs=1e-4)


def test_alpha_zero_equalises_lengths() -> None:
    weighting = after_first_losses(GradNorm(alpha=0.0), "abc")
    for _ in range(400):
        found = step(weighting, [1, 2, 4], [1, 1, 1], "abc")
    assert [weight * length for weight, length in zip(found, [1, 2, 4], strict=True)] == pytest.approx(
        [12 / 7] * 3, rel=0.1
    )


def test_the_task_that_lags_gains_weight() -> None:
    weighting = after_first_losses(GradNorm())
    for _ in range(50):
        found = step(weighting, [1, 1], [0.9, 0.1])
    assert found[0] > 1.4


def test_first_losses_are_those_of_the_first_step_of_each_task() -> None:
    weighting = GradNorm().weighting(["a", "b"])
    step(weighting, [1], [3.0], "a")
    step(weighting, [1, 1], [2.0, 0.0])
    torch.testing.assert_close(weighting.get_buffer("first"), torch.tensor([3.0, 1e-8], dtype=torch.float64))


def test_weights_sum_to_the_number_of_tasks_in_the_step() -> None:
    weighting = GradNorm(optimiser="sgd", learning_rate=0.1).weighting(names(3))
    for tasks in ("abc", "ab", "c", "bc", "abc"):
        count = len(tasks)
        found = step(weighting, [1.0, 3.0, 9.0][:count], [1.0, 2.0, 3.0][:count], tasks)
        assert sum(found) == pytest.approx(count)
        assert float(weighting.get_buffer("learned.values").sum()) == pytest.approx(3)


def test_an_absent_task_keeps_its_part_of_the_whole() -> None:
    weighting = after_first_losses(GradNorm(), "abc")
    step(weighting, [1, 2, 3], [1, 2, 1], "abc")
    before = float(weighting.get_buffer("learned.values")[2])
    step(weighting, [5, 1], [1, 2], "ab")
    assert float(weighting.get_buffer("learned.values")[2]) == before


def test_no_weight_turns_negative() -> None:
    weighting = after_first_losses(GradNorm(optimiser="sgd"))
    for _ in range(5):
        found = step(weighting, [1e6, 1e-6], [1, 1])
        assert min(found) > 0


@pytest.mark.parametrize("losses", [[0.0, 1.0], [1e15, 1e-15], [-1.0, 1.0]])
def test_no_loss_breaks_it(losses: list[float]) -> None:
    weighting = GradNorm().weighting(["a", "b"])
    for _ in range(3):
        assert sum(step(weighting, [1, 2], losses)) == pytest.approx(2)


def test_losses_must_be_given() -> None:
    with pytest.raises(ValueError, match="needs the losses"):
        GradNorm().weighting(["a"])(torch.ones(1, 1), ["a"])


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        GradNorm(alpha=-1.0, learning_rate=0.0, optimiser="adamw", every=0)  # type: ignore[arg-type]
    assert [problem.name for problem in caught.value.problems] == ["every", "alpha", "learning_rate", "optimiser"]


def test_it_looks_at_the_last_layer_unless_told_otherwise() -> None:
    assert GradNorm().where == "last_layer"
    assert isinstance(GradNorm(where="shared").weighting(["a"]), Weighting)
