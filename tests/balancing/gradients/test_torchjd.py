from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from hypothesis import given, strategies
from tests.balancing.gradients.jacobians import friendly, jacobian, jacobians, names
from torch import Tensor
from torchjd import aggregation

from motet.balancing.gradients.base import SolverFailed
from motet.balancing.gradients.torchjd import TorchJD
from motet.errors import RecipeError

OPTIONS: dict[str, dict[str, Any]] = {
    "AlignedMTL": {"scale_mode": "rmse"},
    "DualProj": {},
    "FairGrad": {"alpha": 1.0},
    "IMTLG": {},
    "Krum": {"n_byzantine": 1},
    "MGDA": {"max_iters": 50},
    "UPGrad": {},
}


def weights_of(rows: Tensor, rule: str, **options: Any) -> Tensor:
    return TorchJD(rule=rule, options=options).weighting(names(len(rows)))(rows @ rows.T, names(len(rows)))


@pytest.mark.parametrize("rule", OPTIONS)
def test_each_rule_is_torchjds(rule: str) -> None:
    rows = jacobian("conflicting", tasks=5)
    rows /= rows.square().sum(dim=1).mean().sqrt()  # at this size, nothing is rescaled
    expected = getattr(aggregation, f"{rule}Weighting")(**OPTIONS[rule])(rows @ rows.T)
    torch.testing.assert_close(weights_of(rows, rule, **OPTIONS[rule]), expected)


@given(jacobians(("random", "conflicting"), fewest=4), strategies.sampled_from(sorted(set(OPTIONS) - {"FairGrad"})))
def test_no_unit_is_too_small_or_too_large(rows: Tensor, rule: str) -> None:
    unit = rows.norm(dim=1).max()
    found = weights_of(rows, rule, **OPTIONS[rule])
    torch.testing.assert_close(found, weights_of(rows / unit, rule, **OPTIONS[rule]), rtol=1e-6, atol=1e-9)


@given(friendly(), strategies.sampled_from([0.5, 1.0, 2.0]), strategies.sampled_from([1e-6, 1.0, 1e6]))
def test_fairgrad_is_rescaled_by_its_own_law(rows: Tensor, alpha: float, unit: float) -> None:
    weights = weights_of(rows * unit, "FairGrad", alpha=alpha)
    gains = rows * unit @ (weights @ rows * unit)
    torch.testing.assert_close(gains * weights ** (1 / alpha), torch.ones_like(weights), rtol=0.02, atol=1e-3)


@given(friendly())
def test_smoothing_is_cr_mogm(rows: Tensor) -> None:
    rows, tasks = rows / rows.square().sum(dim=1).mean().sqrt(), names(len(rows))
    ours = TorchJD(rule="UPGrad", smoothing=0.7).weighting(tasks)
    theirs = aggregation.CRMOGMWeighting(aggregation.UPGradWeighting(), alpha=0.7)
    for turn in range(4):
        now = rows.roll(turn, dims=0)
        torch.testing.assert_close(ours(now @ now.T, tasks), theirs(now @ now.T))


def test_smoothing_remembers_tasks_by_name() -> None:
    weighting = TorchJD(rule="UPGrad", smoothing=0.5).weighting(names(3))
    conflict = torch.tensor([[1.0, -0.9], [-0.9, 1.0]], dtype=torch.float64)
    first = weighting(conflict, ["c", "a"])
    weighting(conflict, ["b", "c"])
    assert float(weighting.get_buffer("kept")[0]) == float(first[1])


def test_a_zero_gradient_is_not_shown_to_the_rule() -> None:
    rows = jacobian("one zero")
    found = weights_of(rows, "MGDA")
    assert found[0] == 0
    torch.testing.assert_close(found[1:], weights_of(rows[1:], "MGDA"))


def test_what_a_rule_refuses_is_a_failure_with_its_words() -> None:
    with pytest.raises(SolverFailed, match=r"KrumWeighting of torchjd: .* at least 4 rows"):
        weights_of(jacobian("random", tasks=3), "Krum", n_byzantine=1)


@pytest.mark.parametrize("rule", ["PCD", "GradVac", "CRMOGM", "NashMTL", "ConFIG", "PCGrad", "CAGrad"])
def test_rules_that_cannot_be_resumed_or_are_elsewhere_are_refused(rule: str) -> None:
    with pytest.raises(RecipeError, match=rf"rule = {rule}\n    of torchjd "):
        TorchJD(rule=rule)


def test_an_unknown_rule() -> None:
    with pytest.raises(RecipeError, match=r"is not known\. Did you mean `FairGrad`"):
        TorchJD(rule="fairgrad")


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("FairGrad", {}, "options.alpha\n    is missing"),
        ("FairGrad", {"aplha": 1.0}, "is not an option of this rule. Did you mean `alpha`"),
        ("DualProj", {"c": 1.0}, "balance.options.c\n    is not an option"),
        ("IMTLG", {"c": 1.0}, "This rule has none"),
        ("Krum", {"n_byzantine": -1}, "was refused by torchjd: n_byzantine must be non-negative"),
    ],
)
def test_wrong_options_are_told_before_training(rule: str, options: dict[str, Any], message: str) -> None:
    part = TorchJD(rule=rule, options=options)
    assert message in "\n".join(map(str, part.problems(["a", "b"])))
    with pytest.raises(RecipeError):
        part.weighting(["a", "b"])


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd", None)
    part = TorchJD()
    (problem,) = part.problems(["a"])
    assert "pip install 'motet[torchjd]'" in str(problem)
    with pytest.raises(RecipeError, match="needs the package torchjd"):
        part.weighting(["a"])


def test_smoothing_is_a_share_below_one() -> None:
    with pytest.raises(RecipeError, match="must be at least 0 and below 1"):
        TorchJD(smoothing=1.0)
