"""Commands about modules of tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Motet = Callable[..., Any]


def test_masks_are_found_and_used(motet: Motet, inside: Path) -> None:
    found = motet("masks", "recipe.yaml", "--rounds", 2, "--steps", 2, "--density", 0.3, "--out", "found.safetensors")
    assert found.code == 0, found.err
    assert found.out == "found.safetensors\n"
    assert "stars: round 2 of 2, keeps 30.0% of the weights" in found.err
    line = "architecture: {type: sparse_sharing, masks: found.safetensors}"
    assert line in found.err
    recipe = inside / "sparse.yaml"
    recipe.write_text((inside / "recipe.yaml").read_text("utf-8") + line + "\n", "utf-8")
    trained = motet("train", "sparse.yaml", "--out", "sparse", "--quiet")
    assert trained.code == 0, trained.err
    again = motet("masks", "recipe.yaml", "--out", "found.safetensors")
    assert again.code == 1
    assert "is there already" in again.err


def test_a_density_that_means_nothing_is_told(motet: Motet, inside: Path) -> None:
    found = motet("masks", "recipe.yaml", "--density", 2)
    assert found.code == 1
    assert "density = 2.0\n    must be above 0 and at most 1" in found.err
