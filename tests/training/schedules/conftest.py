"""The tasks of the other training tests with fewer rows: runs of a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.training.conftest import Toys, source

from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging


@pytest.fixture(scope="session")
def few_rows() -> tuple[Task, ...]:
    """Four tasks on three sources; mood and count read the same rows."""
    shared = source(train=24, validation=16)
    return (
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
        Classification("within", source=source(24, 16, seed=7), text=("text", "other"), label="within"),
        Tagging("places", source=source(16, 16, seed=8), tokens="tokens", labels="tags"),
    )


@pytest.fixture
def toys(tiny_encoder: Path, tmp_path: Path, few_rows: tuple[Task, ...]) -> Toys:
    return Toys(tiny_encoder, tmp_path, few_rows)


@pytest.fixture
def dropout_toys(make_tiny_encoder: Callable[[float], Path], tmp_path: Path, few_rows: tuple[Task, ...]) -> Toys:
    """The same with dropout, so that generators matter."""
    return Toys(make_tiny_encoder(0.1), tmp_path, few_rows, dropout=0.1)
