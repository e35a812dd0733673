"""A run folder survives kills, full disks and broken listeners."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet import runs
from motet.errors import RunError
from motet.runs import Event, EventLog, RunFolder, read_events, remove, surviving, write_atomically

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    path.write_text("old")
    return path


def fail(error: BaseException) -> Callable[[Path], None]:
    """A writer that breaks off half way."""

    def write(path: Path) -> None:
        path.write_text("half")
        raise error

    return write


def fill(folder: Path) -> None:
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "deep" / "b.bin").write_bytes(b"b")


def test_a_file_is_replaced_whole(file: Path) -> None:
    write_atomically(file, lambda path: path.write_text("new"))
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_nothing_is_seen_before_it_is_whole(file: Path) -> None:
    def write(path: Path) -> None:
        assert path.parent == file.parent  # another file system could not rename
        path.write_text("new")
        assert file.read_text() == "old"

    write_atomically(file, write)


def test_parents_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "c.txt", lambda path: path.write_text("new"))
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "new"


def test_a_full_disk_keeps_the_old_file(file: Path) -> None:
    with pytest.raises(RunError, match=r"could not write .*state\.json: No space left on device.*intact") as caught:
        write_atomically(file, fail(FULL))
    assert caught.value.__cause__ is FULL
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("call", ["_sync", "remove"])
def test_a_disk_that_fills_up_late_keeps_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    genuine, calls = getattr(runs, call), []

    def once(path: Path) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise FULL
        genuine(path)

    monkeypatch.setattr(runs, call, once)
    with pytest.raises(RunError, match="No space left"):
        write_atomically(file, lambda path: path.write_text("new"))
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_any_other_error_passes_through_and_leaves_no_litter(file: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_atomically(file, fail(error))
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_everything_is_on_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(runs, "_sync", lambda path: order.append(path.name))
    genuine = Path.replace

    def replace(path: Path, target: Path) -> Path:
        order.append("rename")
        return genuine(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_atomically(tmp_path / "kept", fill)
    before, after = order[: order.index("rename")], order[order.index("rename") + 1 :]
    assert {"a.bin", "b.bin", "deep"} < set(before)
    assert after == [tmp_path.name]  # the new name itself


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", fill)
    assert (tmp_path / "kept" / "deep" / "b.bin").read_bytes() == b"b"
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", fill)

    def other(folder: Path) -> None:
        folder.mkdir()
        (folder / "c.bin").write_bytes(b"c")

    with pytest.raises(RunError, match="could not write"):
        write_atomically(tmp_path / "kept", other)
    assert (tmp_path / "kept" / "a.bin").read_bytes() == b"a"
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_a_full_disk_leaves_no_half_folder(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        fill(folder)
        raise FULL

    with pytest.raises(RunError):
        write_atomically(tmp_path / "kept", write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("litter", [fill, lambda path: path.write_text("half")], ids=["folder", "file"])
def test_litter_of_a_killed_process_is_no_obstacle(tmp_path: Path, litter: Callable[[Path], object]) -> None:
    litter(tmp_path / f".kept.{os.getpid()}.partial")
    write_atomically(tmp_path / "kept", fill)
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_a_writer_that_writes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="could not write"):
        write_atomically(tmp_path / "kept", lambda path: None)


def test_remove_takes_files_folders_and_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    for name in ("folder", "file", "missing"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_events_are_read_back_in_order(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run" / "events.jsonl")
    log.write("plan", tasks=["a", "b"])
    log.write("step", step=1, note="Zeile\nzwei \u2028 ü")
    events = list(read_events(tmp_path / "run" / "events.jsonl"))
    log.close()
    assert [event["event"] for event in events] == ["plan", "step"]
    assert events[0]["tasks"] == ["a", "b"]
    assert events[1]["note"] == "Zeile\nzwei \u2028 ü"
    assert events[0]["time"] <= events[1]["time"]
    assert log.count == 2


def test_an_event_is_on_disk_at_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for count in range(3):
        log.write("step", step=count)
        assert (tmp_path / "events.jsonl").read_bytes().count(b"\n") == count + 1
    log.close()


@given(st.integers(0, 80))
def test_a_torn_line_is_cut_off(tmp_path_factory: pytest.TempPathFactory, lost: int) -> None:
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    lines = [json.dumps({"event": "step", "note": "ü" * 5, "step": step}, ensure_ascii=False) for step in range(3)]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(content[: len(content) - lost])
    whole = content[: len(content) - lost].count(b"\n")
    assert len(list(read_events(path))) == whole  # a reader beside the writer sees whole events only
    log = EventLog(path)
    assert log.count == whole
    log.write("resumed", events=whole)
    log.close()
    assert [event["event"] for event in read_events(path)] == ["step"] * whole + ["resumed"]


def test_what_is_no_plain_data_leaves_the_log_intact(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(TypeError):
        log.write("step", tensor=object())
    log.write("step", step=1)
    log.close()
    assert len(list(read_events(tmp_path / "events.jsonl"))) == log.count == 1


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.close()
    log.close()


def test_a_log_on_a_full_disk_is_told_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flush() -> None:
        raise FULL

    log = EventLog(tmp_path / "events.jsonl")
    with monkeypatch.context() as full:
        full.setattr(log, "_file", SimpleNamespace(write=len, flush=flush))
        with pytest.raises(RunError, match=r"could not write .*events\.jsonl: No space left"):
            log.write("step", step=1)
    log.close()
    assert log.count == 0


def test_listeners_hear_every_event_after_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    heard: list[Event] = []

    def listen(event: Event) -> None:
        assert list(read_events(path))[-1] == event
        heard.append(event)

    log = EventLog(path, listeners=(listen,))
    log.write("plan")
    log.write("step", step=1)
    log.close()
    assert heard == list(read_events(path))


def test_broken_listeners_are_dropped_with_a_warning(tmp_path: Path) -> None:
    heard: list[str] = []

    def broken(event: Event) -> None:
        raise RuntimeError("no terminal")

    def also_broken(event: Event) -> None:
        raise KeyError("colour")

    log = EventLog(tmp_path / "events.jsonl", listeners=(broken, also_broken, lambda e: heard.append(e["event"])))
    log.write("plan")
    log.write("step")
    log.close()
    events = list(read_events(tmp_path / "events.jsonl"))
    assert heard == [event["event"] for event in events] == ["plan", "warning", "warning", "step"]
    assert [event["message"] for event in events[1:3]] == ["RuntimeError: no terminal", "KeyError: 'colour'"]
    assert {event["code"] for event in events[1:3]} == {"listener-failed"}
    assert log.count == 4


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "plan"}\n\x00\x00\xff\n')
    with pytest.raises(RunError, match=r"events\.jsonl, line 2, cannot be read"):
        list(read_events(path))


def named(*names: str | int) -> list[Event]:
    """Events by name; a number is a resumption from a checkpoint that had seen so many events."""
    return [{"event": "resumed", "events": name} if isinstance(name, int) else {"event": name} for name in names]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (named("a", "b"), named("a", "b")),
        (named("a", "b", 0, "c"), named(0, "c")),
        (named("a", "b", 2, "c"), named("a", "b", 2, "c")),
        (named("a", "b", 1, "c", 4, "d"), named("a", 1, "c", 4, "d")),
        (named("a", "b", 1, "c", 1, "d"), named("a", 1, "d")),
        (named("a", "b", "c", 2, "d", "e", 5, "f"), named("a", "b", 2, "d", 5, "f")),
    ],
)
def test_a_resumed_run_forgets_what_its_checkpoint_had_not_seen(written: list[Event], expected: list[Event]) -> None:
    assert surviving(written) == expected


@given(st.lists(st.sampled_from(["step", "checkpoint", "kill"]), max_size=30))
def test_the_events_of_a_run_killed_anywhere_are_its_history(actions: list[str]) -> None:
    written: list[Event] = []
    history: list[Event] = []
    checkpoint: tuple[int, list[Event]] = (0, [])
    for number, action in enumerate(actions):
        if action == "checkpoint":
            checkpoint = (len(written), list(history))
            continue
        event: Event = {"event": "step", "number": number}
        if action == "kill":
            event, history = {"event": "resumed", "events": checkpoint[0]}, list(checkpoint[1])
        written.append(event)
        history.append(event)
    assert surviving(written) == history


def test_a_run_folder_is_told_from_any_other(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert not run.exists()
    assert run.events() == []
    with pytest.raises(RunError, match="is not a run folder"):
        run.require()
    EventLog(run.events_file).close()
    assert run.require() is run


def test_a_run_folder_reads_the_events_that_count(tmp_path: Path) -> None:
    run = RunFolder(str(tmp_path))
    log = EventLog(run.events_file)
    for event in named("a", "b", 1, "c"):
        log.write(**event)
    log.close()
    assert [event["event"] for event in run.events()] == ["a", "resumed", "c"]


def test_json_comes_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    value = {"step": 3, "tasks": ["ü", None], "best": 0.25}
    run.write_json(run.state_file, value)
    assert run.read_json(run.state_file) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, r"state\.json is missing"), (b'{"step": ', r"state\.json cannot be read"), (b"\xff", "cannot be read")],
    ids=["missing", "torn", "not text"],
)
def test_json_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    run = RunFolder(tmp_path)
    if content is not None:
        run.state_file.write_bytes(content)
    with pytest.raises(RunError, match=message):
        run.read_json(run.state_file)
