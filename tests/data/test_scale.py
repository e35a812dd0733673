"""Whatever is read batch by batch comes out as if it had been read at once, and is never held as Python values."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
import os
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tests.training.conftest import source

from motet.data import draws, mapping, workers
from motet.data.cells import BATCH, Cells, in_batches
from motet.data.checks import inspect
from motet.data.corpus import Corpus, load_corpus
from motet.data.encoding import TokenRows, tokenise
from motet.data.examples import Flat
from motet.data.files import read_file
from motet.data.findings import look
from motet.data.rows import groups, matching, positions, ranks, text_hashes, with_text
from motet.data.sources import Source, Table, read
from motet.data.splits import ID, identify
from motet.encoders import Encoder, load_tokenizer
from motet.tasks.base import Inputs, Task
from motet.tasks.classification import Classification
from motet.tasks.language import MaskedLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

INPUTS = Inputs(("text",))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is in several batches."""
    for module in ("cells", "examples", "ids"):
        monkeypatch.setattr(f"motet.data.{module}.BATCH", 3)


def chunked(values: list[Any], size: int, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    parts = [pa.array(values[at : at + size], kind) for at in range(0, len(values), size)]
    return pa.chunked_array(parts, kind or (parts[0].type if parts else pa.int64()))


# Columns in batches


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 70), st.integers(1, 9))
def test_batches_are_the_rows_asked_for(wanted: list[int], chunk: int, batch: int) -> None:
    column = chunked([f"{row}" for row in range(61)], chunk)
    rows = np.asarray(sorted(wanted), dtype=np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("motet.data.cells.BATCH", batch)
        found = [(here.tolist(), part.to_pylist()) for here, (part,) in in_batches([column], rows)]
        everything = [part.to_pylist() for _, (part,) in in_batches([column])]
    assert [row for here, _ in found for row in here] == sorted(wanted)
    assert all(values == [f"{row}" for row in here] for here, values in found)
    assert all(here[-1] - here[0] < batch for here, _ in found)
    assert all(len(part) == batch for part in everything[:-1])
    assert [value for part in everything for value in part] == column.to_pylist()


@pytest.mark.usefixtures("small_batches")
def test_cells_are_a_sequence_like_any_other() -> None:
    values = ["a", None, "c", "d", "e", "f", "g", "h"]
    rows = np.asarray([1, 1, 2, 5, 7], dtype=np.int64)
    cells, expected = Cells(chunked(values, 2), rows), [values[row] for row in rows]
    assert len(cells) == 5
    assert list(cells) == expected == [cells[place] for place in range(5)]
    assert cells[-1] == "h"
    assert cells[1:4] == expected[1:4]
    assert cells == expected
    assert expected == cells
    assert cells != [*expected[:-1], "x"]
    assert cells != expected[:-1]
    assert cells != 5
    assert list(Cells(chunked(values, 3))) == values
    assert list(Cells(chunked(values, 3), rows[:0])) == []
    assert "g" not in cells


def test_cells_are_not_all_python_values_at_a_time() -> None:
    cells = Cells(chunked([f"a long enough label {row % 7}" for row in range(30 * BATCH)], 5000))
    assert peak(lambda: len(set(cells))) < 4 << 20 < sys.getsizeof("a long enough label 0") * len(cells)


def peak(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Which rows


SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-2, 2)),
    (pa.float64(), st.sampled_from([0.0, -0.0, 1.0, 0.5, float("nan")])),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.sampled_from(["", "1", "True", "a"])),
    (pa.null(), st.none()),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 1), max_size=2)),
]
WANTED = [None, 0, 1, True, 1.0, 0.5, "1", "a", "", [1], [], float("nan"), 2**70]


@pytest.mark.usefixtures("small_batches")
@given(st.sampled_from(SCALARS).flatmap(lambda of: st.tuples(st.just(of[0]), st.lists(st.none() | of[1], max_size=9))))
def test_rows_match_as_python_has_it(column: tuple[pa.DataType, list[Any]]) -> None:
    kind, values = column
    dataset = Dataset(pa.table({"of": chunked(values, 4, kind)}))
    for wanted in WANTED:
        assert matching(dataset, {"of": wanted}).tolist() == [value == wanted for value in values], repr(wanted)


@pytest.mark.usefixtures("small_batches")
def test_texts_are_found_and_hashed_in_every_batch() -> None:
    texts = ["a", " ", None, "One  two", "", "one TWO ", "\u00a0", "b"]
    dataset = Dataset.from_dict({"text": texts, "other": ["x"] * 8})
    assert with_text(dataset, INPUTS).tolist() == [bool((text or "").strip()) for text in texts]
    hashes = text_hashes(dataset, Inputs(("text", "other")))
    assert hashes[3] == hashes[5]
    assert len(set(hashes.tolist())) == 5, "those of white space alone are equal"


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=20), st.integers(1, 5))
def test_groups_are_numbered_by_first_appearance(values: list[str | None], chunk: int) -> None:
    dataset = Dataset(pa.table({"of": chunked(values, chunk, pa.string())}))
    rows = positions(np.asarray([value is not None for value in values], dtype=bool))
    assert rows.dtype == np.int32
    expected = ranks(np.asarray([value for value in values if value is not None], dtype=object))
    assert groups(dataset, "of", rows).tolist() == expected.tolist()


# Ids and draws


def on_disk(folder: Path, columns: dict[str, Any], name: str = "train") -> Path:
    from pyarrow import parquet

    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([1, 2, 3, 4, 5, 6, 7], ""),
        (list("abcdefg"), ""),
        ([1.5, 2.0, True, 4.0, 5.0, 6.0, 7.0], ""),
        (["a", "b", "c", "d", "c", None, "a"], "`c` stands in rows 3 and 5"),
        (["a", "b", "c", None, "c", "d", "a"], "row 4 has none"),
        (["a", "b", "c", "d", "e", "f", "a"], "`a` stands in rows 1 and 7"),
        (["None", "b", "c", "d", "e", "f", None], "row 7 has none"),
        ([7, 7, 7, 7, 7, 7, 7], "`7` stands in rows 1 and 2"),
    ],
)
@pytest.mark.parametrize("disk", [False, True])
def test_ids_of_many_rows(tmp_path: Path, values: list[Any], rule: str, disk: bool) -> None:
    kind = pa.string() if isinstance(values[1], str) else pa.int64() if isinstance(values[0], int) else pa.float64()
    columns = {"id": pa.array(values, kind), "text": pa.array(list("tuvwxyz"))}
    dataset = read_file(on_disk(tmp_path, columns)).dataset if disk else Dataset(pa.table(columns))
    found = identify({"train": dataset}, "", "here")["train"]
    expected = [f"train:{row}" for row in range(1, 8)] if rule else [str(value) for value in columns["id"].to_pylist()]
    assert found[ID][:] == expected
    assert found["text"][:] == list("tuvwxyz")
    assert found.features[ID].dtype == "string"
    assert found._fingerprint == identify({"train": dataset}, "", "here")["train"]._fingerprint
    if rule:
        with pytest.raises(Exception, match=rule):
            identify({"train": dataset}, "id", "here")


def test_ids_of_a_selection_are_those_of_its_rows() -> None:
    chosen = Dataset.from_dict({"id": [5, 6, 7, 8], "text": list("abcd")}).select([3, 1])
    found = identify({"train": chosen}, "", "here")["train"]
    assert found[ID][:] == ["8", "6"]
    assert found.data.table.column("text").to_pylist() == ["d", "b"]


def test_numbers_of_rows_on_disk_are_on_disk_too(tmp_path: Path) -> None:
    dataset = read_file(on_disk(tmp_path, {"n": list(range(50_000))})).dataset
    before = pa.total_allocated_bytes()
    found = identify({"train": dataset}, "", "here")["train"]
    assert pa.total_allocated_bytes() - before < 50_000
    assert found[49_999] == {"n": 49_999, ID: "train:50000"}


@given(st.integers(1, 60), st.integers(0, 3), st.data())
def test_a_draw_takes_the_rows_of_lowest_rank(total: int, seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, total))
    rank = {row: hashlib.blake2b(f"{seed} p {row}".encode(), digest_size=16).digest() for row in range(total)}
    lowest = heapq.nsmallest(count, rank, key=rank.__getitem__)
    assert np.flatnonzero(draws._drawn(count, total, "p", seed)).tolist() == sorted(lowest)


@pytest.mark.parametrize("count", range(1, 13))
def test_ranks_that_begin_alike_are_compared_to_their_end(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    class Alike:
        def __init__(self, text: bytes, digest_size: int) -> None:
            self._row = int(text.split()[-1])

        def digest(self) -> bytes:
            return bytes([0] * 7 + [self._row % 3] + [0] * 7 + [12 - self._row])

    monkeypatch.setattr("motet.data.draws.hashlib.blake2b", Alike)
    lowest = sorted(range(12), key=lambda row: (row % 3, 12 - row))[:count]
    assert np.flatnonzero(draws._drawn(count, 12, "p", 0)).tolist() == sorted(lowest)


# Targets


def test_targets_of_one_number_need_no_offsets() -> None:
    flat = Flat.of(np.asarray([row], dtype=np.float32) for row in range(5))
    assert flat.offsets is None
    assert [flat[row].tolist() for row in range(5)] == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert Flat.of(iter([np.zeros(2, dtype=np.float32)] * 3)).width == 2
    assert Flat.of([np.zeros(2, dtype=np.float32), np.zeros(1, dtype=np.float32)]).offsets is not None


def test_targets_are_not_kept_as_arrays_of_their_own() -> None:
    count = 20 * BATCH
    made = peak(lambda: Flat.of(np.asarray([row], dtype=np.float32) for row in range(count)))
    assert made < 30 * count < count * sys.getsizeof(np.zeros(1, dtype=np.float32))


def tasks_of(shared: dict[str, list[dict[str, Any]]]) -> list[Task]:
    """One of every way in which rows and answers are stored."""
    return [
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
        Ranking("order", source=shared, query="other", candidate="text", relevance="relevance", query_id="query"),
        Tagging("places", source=shared, tokens="tokens", labels="tags"),
        MultiLabel("topics", source=shared, labels="topics"),
        Spans("where", source=shared, question="other", context="passage", answers="places", stride=4),
        MaskedLanguage("words", source=shared),
        Classification("some", source=shared, text="text", label="mood", where={"size": "long"}),
    ]


def loaded(encoder: Path, tasks: list[Task]) -> Corpus:
    return load_corpus(tasks, load_tokenizer(Encoder(str(encoder)), encoder), 32)


def test_a_corpus_read_in_small_batches_is_the_same(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = tasks_of(source(train=36, validation=18))
    expected = loaded(tiny_encoder, tasks)
    for module in ("cells", "examples", "ids"):
        monkeypatch.setattr(f"motet.data.{module}.BATCH", 7)
    assert_equal(loaded(tiny_encoder, tasks), expected)


def assert_equal(one: Corpus, other: Corpus) -> None:
    assert one.tasks == other.tasks
    assert one.notes == other.notes
    for split, examples in one.splits.items():
        for name, of_task in examples.items():
            same = other.examples(split)[name]
            assert of_task.rows.tolist() == same.rows.tolist()
            assert of_task.ids == same.ids
            assert str(of_task.groups) == str(same.groups)
            for row in range(len(same.rows)):
                assert of_task.target(row).tolist() == same.target(row).tolist()


def test_tasks_that_label_the_same_rows_share_their_positions(tiny_encoder: Path) -> None:
    train = loaded(tiny_encoder, tasks_of(source(train=36, validation=18))).examples("train")
    assert train["mood"].rows is train["count"].rows is train["order"].rows is train["places"].rows
    assert {str(examples.rows.dtype) for examples in train.values()} == {"int32"}
    assert len(train["some"].rows) < 36 < len(train["where"].rows)


def test_part_of_some_examples(tiny_encoder: Path) -> None:
    train = loaded(tiny_encoder, tasks_of(source(train=36, validation=18))).examples("train")
    for whole in train.values():
        part = whole.part(slice(3, 8))
        assert part.rows.tolist() == whole.rows[3:8].tolist()
        assert part.ids == list(whole.ids)[3:8]
        assert [part.target(row).tolist() for row in range(5)] == [whole.target(row).tolist() for row in range(3, 8)]
    tied = train["order"].part(slice(7, 13)).groups
    assert tied is not None
    assert tied.tolist() == [0, 0, 1, 1, 1, 2]
    assert train["mood"].part(slice(34, 99)).rows.tolist() == [34, 35]


# Checks


def table_of(rows: list[dict[str, Any]]) -> Table:
    return read({"train": rows, "validation": rows[:4]})


def test_checks_and_findings_are_the_same_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [
        {"text": f"t {n % 9}", "label": "ab"[n % 2], "number": float(n % 5), "of": n % 3, "query": f"q {n // 4}"}
        for n in range(40)
    ]
    for n in (8, 9, 10, 11, 21, 36):
        rows[n]["number"] = 0.0
    rows[5]["text"], rows[6]["text"], rows[7]["text"] = "", None, "T  8"
    wrong: list[dict[str, Any]] = [{**row, "number": None if n in (3, 9) else 1.5} for n, row in enumerate(rows)]
    tasks = [
        (Classification("label", source="s", classes=("a", "c")), rows),
        (Classification("label", source="s", where={"of": 1}), rows),
        (Regression("number", source="s", value="number"), rows),
        (Regression("number", source="s", value="number"), wrong),
        (Classification("label", source="s", where={"of": 7}), rows),
        (Ranking("order", source="s", query="query", candidate="text", relevance="number"), rows),
    ]
    expected = [inspect(task, table_of(of)) for task, of in tasks]
    assert [bool(found.problems) for found in expected] == [True, False, False, True, True, False]
    assert any("1 of 10 examples of train have nothing relevant" in note for note in expected[-1].notes)
    resolved = [found.task for found in expected if found.task is not None]
    tables = {task.name: table_of(rows) for task in resolved}
    seen = look(resolved, tables)
    for module in ("cells", "examples", "ids"):
        monkeypatch.setattr(f"motet.data.{module}.BATCH", 3)
    assert [inspect(task, table_of(of)) for task, of in tasks] == expected
    assert look(resolved, tables) == seen


# Files that are mapped


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell what a process holds")
def test_what_was_read_of_a_mapped_file_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "numbers.arrow"
    numbers = np.arange(12 << 20, dtype=np.int64)  # 96 MiB
    table = pa.table({"n": numbers})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, max_chunksize=1 << 16)
    mapping.trim()
    column = pa.ipc.open_stream(mapping.mapped(path)).read_all().column("n")
    before = mapping._held()
    parts = [chunk.to_numpy() for chunk in column.chunks]
    assert sum(int(part.sum()) for part in parts) == int(numbers.sum())
    assert mapping._held() - before > 64 << 20
    mapping.trim()
    assert mapping._held() - before < 16 << 20
    assert sum(int(part.sum()) for part in parts) == int(numbers.sum()), "it is there again when it is looked at"
    for _, (part,) in in_batches([column]):
        part.to_numpy()
    assert mapping._held() - before < 48 << 20


def test_small_batches_of_a_file_become_larger_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"n": n, "text": "a " * 20}) + "\n" for n in range(60_000)))
    column = read_file(path).dataset.data.table.column("n")
    assert column.to_pylist() == list(range(60_000))
    assert column.num_chunks < 6


# Several processes


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_MANY", 50)
    monkeypatch.setattr(workers, "_EACH", 25)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


@pytest.fixture
def sentences(tmp_path: Path) -> Iterator[Table]:
    columns = {"text": [f"the train {n} leaves at nine" for n in range(120)], "other": ["a film"] * 120}
    on_disk(tmp_path / "source", {name: values[:30] for name, values in columns.items()}, "validation")
    on_disk(tmp_path / "source", columns)
    yield read(Source(tmp_path / "source"))


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize("before", [None, "true"])
def test_two_processes_tokenise_what_one_does(
    sentences: Table,
    tiny_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    before: str | None,
) -> None:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)
    if before is None:
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    else:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
    tokenizer(["it is dry"] * 50)  # with threads of its own, which a fork leaves behind
    environment, variables, train = os.environ, dict(os.environ), sentences.splits["train"]
    inputs = Inputs(("text", "other") if before else ("text",))
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        two = tokenise(train, inputs, tokenizer, 16)
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")
    assert os.environ is environment
    assert dict(os.environ) == variables
    assert len(list(Path(train.cache_files[0]["filename"]).parent.glob("cache-*_of_00002.arrow"))) >= 2
    monkeypatch.setattr(workers, "_MANY", 10**9)
    monkeypatch.setattr("motet.data.encoding.tokenise_batch", None)
    assert_same_rows(tokenise(train, inputs, tokenizer, 16), two)  # found in the cache, by one process too
    monkeypatch.undo()
    one = tokenise(Dataset(train.data.table.combine_chunks()), inputs, tokenizer, 16)
    assert_same_rows(one, two)


def assert_same_rows(one: TokenRows, other: TokenRows) -> None:
    assert len(one.tokens) == len(other.tokens) == 120
    for row in range(120):
        assert one.tokens[row].tolist() == other.tokens[row].tolist()
    assert one.lengths.tolist() == other.lengths.tolist() == [len(one.tokens[row]) for row in range(120)]
    assert one.truncated == other.truncated


@pytest.mark.usefixtures("two_processes")
def test_windows_of_two_processes_know_their_passages(sentences: Table, tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder)
    found = tokenise(sentences.splits["train"], Inputs(("other", "text"), stride=2), tokenizer, 12)
    assert found.origin is not None
    assert found.origin.tolist() == sorted(found.origin.tolist())
    assert set(found.origin.tolist()) == set(range(120))
    assert len(found.origin) > 120


@pytest.mark.parametrize(
    ("rows", "processors", "ranks", "expected"),
    [(50_000, 8, 1, None), (50_001, 8, 1, 2), (10**6, 8, 1, 8), (10**6, 8, 4, 2), (10**6, 1, 1, None)],
)
def test_processes_are_started_where_it_pays(
    sentences: Table, monkeypatch: pytest.MonkeyPatch, rows: int, processors: int, ranks: int, expected: int | None
) -> None:
    class Long(Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return rows

    monkeypatch.setattr("os.cpu_count", lambda: processors)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    with workers.workers(Long(sentences.splits["train"].data)) as count:
        assert count == expected
    with workers.workers(Long(pa.table({"text": ["in memory"]}))) as count:
        assert count is None
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn", "fork"])
    with workers.workers(Long(sentences.splits["train"].data)) as count:
        assert count is None
