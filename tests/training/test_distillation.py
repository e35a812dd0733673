from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from motet.errors import RunError
from motet.training.distillation import OnlineTeacher, RecordedTeacher, SoftLabels, copied
from motet.training.evaluation import Predictions, predict_examples
from motet.training.plan import prepare

LENGTHS = np.asarray([2, 0, 1, 3])
LOGITS = np.arange(18, dtype=np.float64).reshape(6, 3) / 7
IDS = ["a", "b", "c", "é"]
EXAMPLES: Any = SimpleNamespace(ids=IDS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "soft_labels" / "mood.arrow"
    SoftLabels.write(path, Predictions(LOGITS, LENGTHS), IDS, {"task": "mood", "step": 4})
    return path


def test_soft_labels_come_back(file: Path) -> None:
    labels = SoftLabels.read(file, "mood", EXAMPLES)
    assert labels.outputs == 3
    parts = np.split(LOGITS.astype(np.float32), np.cumsum(LENGTHS)[:-1])
    for order in ([0, 1, 2, 3], [3, 1], [2], [3, 3, 0]):
        expected = np.concatenate([parts[at] for at in order])
        np.testing.assert_array_equal(labels.of(np.asarray(order)).numpy(), expected)


def test_other_programs_can_read_them(file: Path) -> None:
    with pa.memory_map(str(file)) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
    assert table.column("id").to_pylist() == IDS
    assert json.loads(table.schema.metadata[b"motet"]) == {"task": "mood", "step": 4, "outputs": 3}
    assert [len(row) for row in table.column("logits").to_pylist()] == (3 * LENGTHS).tolist()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_said_to_be_so(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"mood.arrow cannot be read as soft labels"):
        SoftLabels.read(file, "mood", EXAMPLES)


def test_what_is_no_soft_labels(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        SoftLabels.read(tmp_path / "none.arrow", "mood", EXAMPLES)
    table = pa.table({"id": IDS})
    with pa.OSFile(str(tmp_path / "other.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(RunError, match="cannot be read"):
        SoftLabels.read(tmp_path / "other.arrow", "mood", EXAMPLES)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "c"], "0 rows have none, 1 are of no row .`é` is the first"),
        (["a", "b", "c", "d"], "1 rows have none, 1 are of no row .`d` is the first"),
        (["b", "a", "c", "é"], "their order differs"),
    ],
)
def test_soft_labels_of_other_rows(file: Path, ids: list[str], message: str) -> None:
    other: Any = SimpleNamespace(ids=ids)
    with pytest.raises(RunError, match=message):
        SoftLabels.read(file, "mood", other)


@pytest.mark.parametrize("kind", ["toys", "shape_toys"])
def test_both_teachers_give_the_predictions_of_their_weights(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    prepared = prepare(request.getfixturevalue(kind).experiment())
    train, model = prepared.corpus.examples("train"), prepared.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    online = OnlineTeacher([copied(model, before)], model.tasks, prepared.devices)
    predictions = predict_examples(model, train, prepared.devices, soft=True)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)  # the teacher must not follow
    for chunk in prepared.feed.next(list(train)):
        for task in (name for name in chunk.owned if model.tasks[name].recordable):
            path = tmp_path / f"{task}.arrow"
            SoftLabels.write(path, predictions[task], train[task].ids, {"task": task})
            recorded = RecordedTeacher(SoftLabels.read(path, task, train[task])).logits(chunk, task)
            torch.testing.assert_close(recorded, online.logits(chunk, task), atol=1e-5, rtol=1e-5)
