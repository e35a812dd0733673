from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from motet.errors import RunError
from motet.training import evaluation
from motet.training.convergence import Patience
from motet.training.distillation import SoftLabels
from motet.training.evaluation import Predictions, predict_examples, predict_parts
from motet.training.plan import Prepared, prepare

EAGER = Patience(checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False, rewind="none")


@pytest.fixture(params=["toys", "shape_toys"])
def prepared(request: pytest.FixtureRequest) -> Prepared:
    return prepare(request.getfixturevalue(request.param).experiment())


def recordable(prepared: Prepared) -> dict[str, Any]:
    train = prepared.corpus.examples("train")
    return {name: examples for name, examples in train.items() if examples.task.recordable}


def test_few_rows_are_predicted_as_one_part(prepared: Prepared) -> None:
    train = recordable(prepared)
    whole = {n: predict_examples(prepared.model, {n: e}, prepared.devices, soft=True)[n] for n, e in train.items()}
    for name, examples in train.items():
        ((part, predictions),) = predict_parts(prepared.model, examples, prepared.devices)
        assert part.ids == examples.ids
        np.testing.assert_array_equal(predictions.values, whole[name].values)
        assert predictions.lengths.tolist() == whole[name].lengths.tolist()


@pytest.mark.parametrize(("rows", "numbers"), [(7, 1 << 23), (1 << 16, 20), (5, 20)])
def test_parts_together_are_the_whole(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, rows: int, numbers: int
) -> None:
    monkeypatch.setattr(evaluation, "_ROWS", rows)
    monkeypatch.setattr(evaluation, "_NUMBERS", numbers)
    for name, examples in recordable(prepared).items():
        whole = predict_examples(prepared.model, {name: examples}, prepared.devices, soft=True)[name]
        parts = list(predict_parts(prepared.model, examples, prepared.devices, largest=1))
        assert len(parts) > 1
        assert [row for part, _ in parts for row in part.rows.tolist()] == examples.rows.tolist()
        assert [name for part, _ in parts for name in part.ids] == list(examples.ids)
        assert all(len(part.rows) <= rows for part, _ in parts)
        assert all(predictions.values.size <= numbers or len(part.rows) == 1 for part, predictions in parts)
        lengths = np.concatenate([predictions.lengths for _, predictions in parts])
        assert lengths.tolist() == whole.lengths.tolist()
        values = np.concatenate([predictions.values for _, predictions in parts])
        np.testing.assert_allclose(values, whole.values, atol=1e-5, rtol=1e-5)


def test_a_part_has_enough_rows_for_a_chunk(toys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(toys.experiment())
    monkeypatch.setattr(evaluation, "_NUMBERS", 1)
    examples = prepared.corpus.examples("train")["places"]
    for part, _ in list(predict_parts(prepared.model, examples, prepared.devices, largest=50))[:-1]:
        assert 50 <= part.tokens.lengths[part.rows].sum() < 50 + 32


def test_asking_leaves_the_model_as_it_was(toys: Any) -> None:
    prepared = prepare(toys.experiment())
    prepared.model.train()
    state = torch.random.get_rng_state()
    list(predict_parts(prepared.model, prepared.corpus.examples("train")["mood"], prepared.devices))
    assert prepared.model.training
    assert torch.equal(torch.random.get_rng_state(), state)


# The file


def parts_of(lengths: list[int], size: int) -> Iterator[tuple[list[str], Predictions]]:
    values = np.arange(2 * sum(lengths), dtype=np.float64).reshape(-1, 2) / 7
    bounds = np.cumsum([0, *lengths])
    for at in range(0, len(lengths), size):
        own = lengths[at : at + size]
        said = values[bounds[at] : bounds[at + len(own)]]
        yield [f"row {at + n}" for n in range(len(own))], Predictions(said, np.asarray(own))


LENGTHS = [2, 0, 1, 3, 1, 1, 0, 4]
IDS = [f"row {n}" for n in range(8)]


@pytest.mark.parametrize("size", [1, 3, 8, 99])
def test_a_file_written_in_parts_reads_like_one_written_at_once(tmp_path: Path, size: int) -> None:
    SoftLabels.record(tmp_path / "parts.arrow", parts_of(LENGTHS, size), {"task": "mood", "step": 4})
    examples: Any = SimpleNamespace(ids=IDS)
    labels = SoftLabels.read(tmp_path / "parts.arrow", "mood", examples)
    ((_, whole),) = parts_of(LENGTHS, 99)
    SoftLabels.write(tmp_path / "whole.arrow", whole, IDS, {"task": "mood", "step": 4})
    expected = SoftLabels.read(tmp_path / "whole.arrow", "mood", examples)
    assert labels.outputs == expected.outputs == 2
    for order in ([0, 1, 2, 3, 4, 5, 6, 7], [7, 0, 3], [5]):
        assert torch.equal(labels.of(np.asarray(order)), expected.of(np.asarray(order)))
    with pa.memory_map(str(tmp_path / "parts.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column("id").to_pylist() == IDS
    assert json.loads(table.schema.metadata[b"motet"]) == {"task": "mood", "step": 4, "outputs": 2}
    same = (tmp_path / "parts.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()
    assert same == (size >= len(LENGTHS))


def test_every_part_is_in_the_file_before_the_next_is_made(tmp_path: Path) -> None:
    sizes = []

    def watched() -> Iterator[tuple[list[str], Predictions]]:
        for part in parts_of([500] * 6, 1):
            sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            yield part

    SoftLabels.record(tmp_path / "mood.arrow", watched(), {"task": "mood"})
    assert all(later - earlier >= 500 * 2 * 4 for earlier, later in pairwise(sizes))
    assert [file.name for file in tmp_path.iterdir()] == ["mood.arrow"]


def test_a_recording_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[list[str], Predictions]]:
        yield from parts_of(LENGTHS, 3)
        raise RuntimeError("the machine is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        SoftLabels.record(tmp_path / "mood.arrow", failing(), {"task": "mood"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([*IDS[:-1], "other"], "1 rows have none, 1 are of no row .`other` is the first"),
        (IDS[:-1], "0 rows have none, 1 are of no row .`row 7` is the first"),
        ([*IDS[:6], IDS[7], IDS[6]], "their order differs"),
    ],
)
def test_other_rows_are_found_in_any_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: list[str], message: str
) -> None:
    monkeypatch.setattr("motet.data.cells.BATCH", 2)
    SoftLabels.record(tmp_path / "mood.arrow", parts_of(LENGTHS, 3), {"task": "mood"})
    examples: Any = SimpleNamespace(ids=ids)
    with pytest.raises(RunError, match=message):
        SoftLabels.read(tmp_path / "mood.arrow", "mood", examples)


# In a run


def test_a_run_that_records_in_parts_does_what_any_run_does(toys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"steps": 14, "check_every": 2, "learning_rate": 1e-3, "decay": "constant"}
    whole = toys.run(EAGER, **settings).folder
    monkeypatch.setattr(evaluation, "_ROWS", 11)
    parts = toys.run(EAGER, **settings).folder
    names = [file.name for file in sorted(whole.soft_labels.iterdir())]
    assert names
    assert [file.name for file in sorted(parts.soft_labels.iterdir())] == names
    for name in names:
        one, other = (pa.ipc.open_file(str(run.soft_labels / name)).read_all() for run in (whole, parts))
        assert one.column("id").to_pylist() == other.column("id").to_pylist()
        assert other.column("id").num_chunks > one.column("id").num_chunks == 1
        ours, theirs = (table.column("logits").combine_chunks().values.to_numpy() for table in (one, other))
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)
    rows = {event["task"]: event["rows"] for event in parts.events() if event["event"] == "soft_labels"}
    train = prepare(toys.experiment()).corpus.examples("train")
    assert rows == {task: len(train[task].rows) for task in rows}
