from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from tests.balancing.gradients.jacobians import CHANGES, friendly, jacobian, jacobians, names
from torch import Tensor
from torchjd.aggregation import MGDAWeighting as Oracle

from motet.balancing.gradients.conflict_free import ConFIG
from motet.balancing.gradients.mgda import MGDA, Normalise
from motet.errors import RecipeError


def weights_of(rows: Tensor, normalise: Normalise = "none", losses: Tensor | None = None) -> Tensor:
    tasks = names(len(rows))
    return MGDA(normalise=normalise).weighting(tasks)(rows @ rows.T, tasks, losses)


@given(jacobians(tuple(kind for kind in CHANGES if kind not in ("all zero", "one zero"))))
def test_it_is_the_shortest_average(rows: Tensor) -> None:
    weights = weights_of(rows)
    update = weights @ rows
    assert (weights >= 0).all()
    assert float(weights.sum()) == pytest.approx(1)
    size = rows.norm(dim=1) * rows.norm(dim=1).max()
    assert (rows @ update - update @ update >= -1e-9 * size).all()
    assert update.norm() <= rows.norm(dim=1).min() * (1 + 1e-6) + 1e-9 * rows.norm(dim=1).max()


@settings(max_examples=20)
@given(friendly())
def test_torchjd_finds_nothing_shorter(rows: Tensor) -> None:
    expected = (Oracle(max_iters=100)(rows @ rows.T) @ rows).norm()
    found = (weights_of(rows) @ rows).norm()
    assert found <= expected * (1 + 1e-9)
    assert expected <= found + 0.1 * rows.norm(dim=1).max()


@given(friendly())
def test_two_in_closed_form(rows: Tensor) -> None:
    first, second = rows[:2]
    share = ((second - first) @ second / (first - second).square().sum()).clamp(0, 1)
    expected = torch.stack([share, 1 - share])
    torch.testing.assert_close(weights_of(rows[:2]), expected, rtol=1e-6, atol=1e-9)


def test_two_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    weights = weights_of(rows)
    torch.testing.assert_close(weights, torch.tensor([0.8, 0.2], dtype=torch.float64))
    torch.testing.assert_close(rows @ (weights @ rows), torch.tensor([0.8, 0.8], dtype=torch.float64))


@given(friendly())
def test_normalised_by_length_it_has_equal_cosines_where_these_need_no_negative_weight(rows: Tensor) -> None:
    expected = ConFIG().weighting(names(len(rows)))(rows @ rows.T, names(len(rows)))
    assume((expected > 0).all())
    weights = weights_of(rows, "l2")
    torch.testing.assert_close(weights / weights.sum(), expected / expected.sum(), rtol=1e-5, atol=1e-7)


@given(jacobians(("random", "of six scales", "one small"), fewest=2))
def test_normalised_by_length_the_update_does_not_depend_on_units(rows: Tensor) -> None:
    units = rows / rows.norm(dim=1, keepdim=True)
    torch.testing.assert_close(weights_of(rows, "l2") @ rows, weights_of(units) @ units, rtol=1e-6, atol=1e-9)


def test_normalised_by_loss() -> None:
    rows, losses = jacobian("random", tasks=3), torch.tensor([0.5, 2.0, 0.1])
    scaled = rows / losses[:, None]
    torch.testing.assert_close(weights_of(rows, "loss", losses) @ rows, weights_of(scaled) @ scaled)


@pytest.mark.parametrize("loss", [0.0, -1.0, 1e-30, 1e15])
def test_no_loss_is_too_small_to_divide_by(loss: float) -> None:
    assert weights_of(jacobian("random"), "loss", torch.tensor([loss, 1.0, 1.0, 1.0])).isfinite().all()


def test_to_normalise_by_losses_they_must_be_given() -> None:
    with pytest.raises(ValueError, match="needs the losses"):
        weights_of(jacobian("random"), "loss")


def test_a_small_gradient_stops_the_others_unless_lengths_are_equalised() -> None:
    rows = jacobian("one small")
    assert (weights_of(rows) @ rows).norm() < 1e-3
    assert (weights_of(rows, "l2") @ rows).norm() > 0.1


def test_a_zero_gradient_takes_no_part() -> None:
    rows = jacobian("one zero")
    weights = weights_of(rows)
    assert weights[0] == 0
    torch.testing.assert_close(weights[1:], weights_of(rows[1:]))


def test_an_unknown_normalisation() -> None:
    with pytest.raises(RecipeError, match="Did you mean `loss`"):
        MGDA(normalise="loss+")  # type: ignore[arg-type]
