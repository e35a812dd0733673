"""Following files that are being written: whole lines only, each once, whatever happens to the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.live import line

from motet.reporting import watch_follow
from motet.reporting.watch_follow import Follower, Watched
from motet.runs import EventLog, RunFolder


def step(number: int, **values: Any) -> dict[str, Any]:
    return {"event": "step", "step": number, **values}


def begin(folder: Path, *events: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.jsonl").write_text("".join(map(line, events)), encoding="utf-8")
    return folder


def test_a_line_counts_once_it_is_whole(tmp_path: Path) -> None:
    file = begin(tmp_path / "run", step(1)) / "events.jsonl"
    follower = Follower(RunFolder(tmp_path / "run"))
    assert [event["step"] for event in follower.news()] == [1]
    whole = line(step(2, name="Größe")).encode()
    with file.open("ab") as end:
        end.write(whole[:-6])  # within a character
        end.flush()
        assert [event["step"] for event in follower.news()] == [1]
        end.write(whole[-6:])
    assert follower.news()[-1] == step(2, name="Größe")


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = begin(tmp_path / "run", *map(step, range(50))) / "events.jsonl"
    follower = Follower(RunFolder(tmp_path / "run"))
    follower.news()
    read: list[bytes] = []

    def loads(text: bytes) -> dict[str, Any]:
        read.append(text)
        return {"event": "step"}

    monkeypatch.setattr("motet.reporting.watch_follow.json.loads", loads)
    with file.open("a") as end:
        end.write(line(step(50)))
    events = follower.news()
    monkeypatch.undo()
    assert len(events) == 51
    assert read == [line(step(50)).encode()]


def test_a_run_that_begins_later_and_one_that_is_begun_again(tmp_path: Path) -> None:
    follower = Follower(RunFolder(tmp_path / "run"))
    assert follower.news() == []
    begin(tmp_path / "run", step(1), step(2))
    assert len(follower.news()) == 2
    (tmp_path / "run" / "events.jsonl").unlink()
    assert follower.news() == []
    begin(tmp_path / "run", step(7))
    assert follower.news() == [step(7)]


def test_a_file_that_is_shorter_than_before_is_read_again(tmp_path: Path) -> None:
    file = begin(tmp_path / "run", step(1), step(2), step(3)) / "events.jsonl"
    follower = Follower(RunFolder(tmp_path / "run"))
    follower.news()
    os.truncate(file, 0)
    file.write_text(line(step(9)), encoding="utf-8")
    assert follower.news() == [step(9)]


def test_a_torn_line_that_a_resumed_run_cuts_off(tmp_path: Path) -> None:
    file = begin(tmp_path / "run", step(1), step(2)) / "events.jsonl"
    with file.open("a") as end:
        end.write('{"event": "st')
    follower = Follower(RunFolder(tmp_path / "run"))
    assert len(follower.news()) == 2
    log = EventLog(file)
    log.write("resumed", events=1, step=1)
    log.close()
    assert [event["event"] for event in follower.news()] == ["step", "resumed"]
    assert not follower.problem


def test_a_line_that_cannot_be_read_is_told_and_counted(tmp_path: Path) -> None:
    file = begin(tmp_path / "run", step(1)) / "events.jsonl"
    with file.open("a") as end:
        end.write('garbage\n[1]\n{"no": "event"}\n{"event": "resumed"}\n' + line({"event": "resumed", "events": 5}))
    follower = Follower(RunFolder(tmp_path / "run"))
    names = [event["event"] for event in follower.news()]
    assert names == ["step", *["unreadable"] * 4, "resumed"], "a place is a place, whatever stands in it"
    assert follower.problem.startswith("Line 2 of ")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "run" / "events.jsonl").mkdir(parents=True)
    follower = Follower(RunFolder(tmp_path / "run"))
    assert follower.news() == []
    assert "cannot be read: Is a directory" in follower.problem


def test_runs_are_found_below_a_folder_and_nothing_inside_them(tmp_path: Path) -> None:
    for name in ("first", "study/runs/none-0", "study/runs/none-1", "first/pilots/a", "a/b/c/too-deep", ".hidden/run"):
        begin(tmp_path / "runs" / name, step(1))
    (tmp_path / "away").mkdir()
    (tmp_path / "runs" / "link").symlink_to(begin(tmp_path / "elsewhere" / "run", step(1)).parent)
    watched = Watched([tmp_path / "runs"])
    assert list(watched.runs()) == ["first", "study/runs/none-0", "study/runs/none-1"]
    assert not watched.single
    begin(tmp_path / "runs" / "new", step(1))
    assert "new" in watched.runs()


def test_followers_stay_the_same(tmp_path: Path) -> None:
    begin(tmp_path / "runs" / "first", step(1))
    watched = Watched([tmp_path / "runs"])
    assert watched.runs()["first"] is watched.runs()["first"]


def test_one_run_or_none_yet_is_single(tmp_path: Path) -> None:
    assert Watched([begin(tmp_path / "first", step(1))]).single
    missing = Watched([tmp_path / "later"])
    assert missing.single
    assert list(missing.runs()) == ["later"]
    assert not Watched([tmp_path / "first", tmp_path / "later"]).single


def test_equal_names_are_told_apart_and_equal_runs_are_one(tmp_path: Path) -> None:
    paths = [begin(tmp_path / side / "run", step(1)) for side in ("a", "b")]
    assert list(Watched([*paths, paths[0]]).runs()) == ["run", "run/run"]
    third = begin(tmp_path / "c" / "run", step(1))
    assert list(Watched([*paths, third]).runs())[-1] == third.as_posix()


def test_of_very_many_runs_the_latest_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_follow, "MOST", 2)
    for number in range(4):
        run = begin(tmp_path / "runs" / f"run-{number}", step(1))
        os.utime(run / "events.jsonl", (number, number))
    watched = Watched([tmp_path / "runs"])
    assert list(watched.runs()) == ["run-2", "run-3"]
    assert watched.left_out == 2


def test_events_are_what_json_says(tmp_path: Path) -> None:
    begin(tmp_path / "run", step(1, losses={"a": None}))
    (event,) = Follower(RunFolder(tmp_path / "run")).news()
    assert event == json.loads(line(step(1, losses={"a": None})))
