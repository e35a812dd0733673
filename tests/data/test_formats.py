from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.formats import READERS, suffix_of
from motet.errors import DataError


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [dict(cells) for _, cells in READERS[suffix_of(path)](path)]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        rows_of(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.json", "A.JSONL"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, '\ufeff{"text": "one\u2028line"}\r\n\n{"text": "two", "n": 1}')
    assert rows_of(path) == [{"text": "one\u2028line"}, {"text": "two", "n": 1}]
    assert [place for place, _ in READERS[".jsonl"](path)] == ["line 1", "line 3"]


def test_a_json_list(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", '[\n  {"text": "one"},\n  {"text": "two"}\n]')
    assert rows_of(path) == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": 2\n', 2, "is not JSON"),
        ("a.jsonl", '{"a": 1}\n\n[1, 2]\n', 3, "must hold one object, found [1, 2]"),
        ("a.json", '[\n{"a": 1},\n{"a" 2}]', 3, "is not JSON"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', 2, "is not UTF-8 text: byte 8 of the line is 0xff"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", 3, "must have 2 cells as the header has, found 3"),
        ("a.csv", 'a,b\n"x\ny",2\n"open,3\n', 4, "is not a row of cells"),
        ("a.csv", "a,b,a\n", 1, "found twice: a"),
        ("a.conll", "# id 1\nEU B-org\nrejects\n", 3, "must have 2 columns as the lines before it, found 1"),
        ("a.conllu", "1\tEU\n", 1, "must have 10 columns"),
    ],
)
def test_the_line_that_cannot_be_read(tmp_path: Path, name: str, content: str | bytes, line: int, words: str) -> None:
    message = complaint(written(tmp_path, name, content))
    assert message.startswith(f"line {line}  {tmp_path / name}")
    assert words in message


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz"])
def test_a_broken_archive(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, "".join(f'{{"a": "{number * 7919 % 10007}"}}\n' for number in range(5000)))
    path.write_bytes(path.read_bytes()[:-2000])
    message = complaint(path)
    assert "damaged or broken off" in message
    assert 1000 < int(message.split()[1]) < 5000


def test_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_text('{"a": 1}')
    assert "damaged" in complaint(path)


def test_numbers_only_where_all_cells_are(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "whole,real,code,text,empty\n1,1,007,1,\n-20,.5,8,NA,\n,1e-3,9,null,\n")
    assert rows_of(path) == [
        {"whole": 1, "real": 1.0, "code": "007", "text": "1", "empty": None},
        {"whole": -20, "real": 0.5, "code": "8", "text": "NA", "empty": None},
        {"whole": None, "real": 0.001, "code": "9", "text": "null", "empty": None},
    ]


def test_long_digits_are_codes(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "id\n12345678901234567890\n1\n")
    assert rows_of(path) == [{"id": "12345678901234567890"}, {"id": "1"}]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators(tmp_path: Path, separator: str) -> None:
    path = written(tmp_path, "a.csv", f'text{separator}label\n"x{separator} ""y""\nz"{separator}b\n')
    assert rows_of(path) == [{"text": f'x{separator} "y"\nz', "label": "b"}]


def test_raw_and_quoted_tabs(tmp_path: Path) -> None:
    assert rows_of(written(tmp_path, "a.tsv", 'text\tlabel\n"a\tb"\tc\n')) == [{"text": "a\tb", "label": "c"}]
    raw = written(tmp_path, "b.tsv", 'text\tlabel\n"He said\tc\nfine\td\n')
    assert rows_of(raw) == [{"text": '"He said', "label": "c"}, {"text": "fine", "label": "d"}]


def test_a_long_cell_leaves_the_limit_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = written(tmp_path, "a.csv", f"text\n{'x' * 300_000}\n")
    assert len(rows_of(path)[0]["text"]) == 300_000
    assert csv.field_size_limit() == before


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00")).map("x{}".format)))
def test_csv_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, "a") for text in texts)])
    assert [row["text"] for row in rows_of(path)] == texts


def test_sentences(tmp_path: Path) -> None:
    content = "-DOCSTART- O\n\n# id 7 domain=en\nEU  B-org\n#  O\n\n\n# O\nPeter B-per"
    path = written(tmp_path, "a.conll", content)
    assert rows_of(path) == [
        {"tokens": ["EU", "#"], "column_1": ["B-org", "O"]},
        {"tokens": ["#", "Peter"], "column_1": ["O", "B-per"]},
    ]
    assert [place for place, _ in READERS[".conll"](path)] == ["line 4", "line 8"]


def test_tabs_keep_odd_words(tmp_path: Path) -> None:
    path = written(tmp_path, "a.bio", "a b\tO\n\u3000\tO\n")
    assert rows_of(path) == [{"tokens": ["a b", "\u3000"], "column_1": ["O", "O"]}]


def test_universal_dependencies(tmp_path: Path) -> None:
    lines = [
        "# text = vámonos",
        "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_",
        "1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_",
        "2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_",
        "2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_",
    ]
    (row,) = rows_of(written(tmp_path, "a.conllu", "\n".join(lines)))
    assert row["tokens"] == ["vamos", "nos"]
    assert row["upos"] == ["VERB", "PRON"]
    assert "id" not in row


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text() | st.none() | st.integers(), min_size=1)))
def test_json_lines_give_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="")
    assert rows_of(path) == rows
