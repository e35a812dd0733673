"""Names and numbers of events, as every tracker gets them."""

from __future__ import annotations

import math

import pytest
from tests.reporting.live import balanced_run
from tests.reporting.synthetic import VOICES, believable_run

from motet.tracking.points import points, settings


def test_a_step_has_losses_weights_and_numbers_of_the_run() -> None:
    event = {
        "event": "step", "step": 10, "losses": {"a": 0.5, "b": None}, "weights": {"a": 2.0}, "penalties": {"kl": 0.1},
        "learning_rate": 1e-4, "gradient_norm": None, "tokens": 600, "seconds": 2.0, "rows": {"a": 8}, "conflict": None,
    }  # fmt: skip
    assert points(event) == {
        "a/train/loss": 0.5,
        "a/train/weight": 2.0,
        "run/train/penalty_kl": 0.1,
        "run/train/learning_rate": 1e-4,
        "run/train/tokens_per_second": 300.0,
    }


def test_every_pair_of_gradients_has_one_cosine() -> None:
    cosines = [[1.0, 0.1, 0.2], [0.1, 1.0, 0.3], [0.2, 0.3, 1.0]]
    found = points({"event": "step", "conflict": {"names": ["a", "b", "c"], "norms": [1, 1, 1], "cosines": cosines}})
    assert found == {"a/train/cosine_with_b": 0.1, "a/train/cosine_with_c": 0.2, "b/train/cosine_with_c": 0.3}


def test_a_check_has_scores_errors_peaks_and_states() -> None:
    event = {
        "event": "check", "step": 60, "scores": {"a": {"accuracy": {"value": 0.8, "se": None}}},
        "smoothed": {"a": 0.79}, "best": {"a": {"value": 0.81, "step": 40}, "b": None},
        "states": {"a": "converged", "b": "learning"}, "own_epochs": {"a": 1.5}, "shares": {"a": 0.4},
        "mean_normalised": 0.97,
    }  # fmt: skip
    assert points(event) == {
        "a/validation/accuracy": 0.8,
        "a/validation/running_mean": 0.79,
        "a/validation/peak": 0.81,
        "a/train/converged": 1.0,
        "b/train/converged": 0.0,
        "a/train/own_epochs": 1.5,
        "a/train/share": 0.4,
        "run/validation/mean_normalised": 0.97,
    }


@pytest.mark.parametrize("run", [believable_run(), list(balanced_run(1))])
def test_all_names_have_three_parts_and_all_numbers_are_finite(run: list[dict[str, object]]) -> None:
    names = {voice.name for voice in VOICES} | {"run"}
    seen = 0
    for event in run:
        for name, value in points(event).items():
            task, split, metric = name.split("/")
            assert task in names
            assert split in ("train", "validation", "test")
            assert metric
            assert math.isfinite(value)
            seen += 1
    assert seen > 1000


def test_other_events_have_no_numbers() -> None:
    assert points({"event": "converged", "step": 3, "peak": 0.8}) == {}
    assert points({"event": "check"}) == {}


def test_settings_are_one_level_of_plain_values() -> None:
    found = settings(believable_run()[0])
    assert found["sampler.temperature"] == 2.0
    assert found["encoder.layers"] == 6
    assert found["tasks.query intent.train"] == 1200
    assert "training.clip" not in found
    assert all(isinstance(value, (str, int, float)) for value in found.values())
