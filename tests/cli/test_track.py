"""--track: a real run with a tracker, and what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motet.tracking.tensorboard import TensorBoard

Motet = Callable[..., Any]


def test_a_run_is_tracked_where_that_is_asked_for(motet: Motet, inside: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    said = motet("train", "recipe.yaml", "--track", "tensorboard", "--out", tmp_path / "run", "-q")
    assert said.code == 0, said.err
    assert "TrackerFailed" not in said.err
    found = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    tags = found.Tags()["scalars"]
    assert {"mood/train/loss", "stars/validation/rmse", "run/train/learning_rate"} <= set(tags)
    assert [at.step for at in found.Scalars("mood/validation/peak")] == [4, 8]


def test_no_run_is_tracked_by_itself(motet: Motet, inside: Path, tmp_path: Path) -> None:
    assert motet("train", "recipe.yaml", "--out", tmp_path / "run", "-q").code == 0
    assert not (tmp_path / "run" / "trackers").exists()


def test_an_unknown_tracker_is_refused_before_anything_starts(motet: Motet, inside: Path, tmp_path: Path) -> None:
    said = motet("train", "recipe.yaml", "--track", "tensorbord", "--out", tmp_path / "run")
    assert said.code == 1
    assert "Did you mean `tensorboard`?" in said.err
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_answered_with_its_command(
    motet: Motet, inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorBoard, "package", "a_package_that_is_not_there")
    said = motet("train", "recipe.yaml", "--track", "tensorboard", "--out", tmp_path / "run")
    assert said.code == 1
    assert "Run: pip install 'motet[tensorboard]'." in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "run").exists()
