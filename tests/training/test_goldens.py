"""Loss curves that only move for a reason."""

from __future__ import annotations

import json

import pytest
from tests.training import goldens
from tests.training.conftest import Toys

KEPT = json.loads(goldens.FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", goldens.COMBINATIONS)
def test_losses_are_those_recorded(toys: Toys, name: str) -> None:
    found = goldens.curve(toys, *goldens.COMBINATIONS[name])
    assert found.keys() == KEPT[name].keys()
    for task, losses in KEPT[name].items():
        assert found[task] == pytest.approx(losses, rel=1e-3), task


def test_the_curves_differ() -> None:
    assert len({json.dumps(of) for of in KEPT.values()}) == len(KEPT)
