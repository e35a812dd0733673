"""The live table on a terminal, plain rows elsewhere, and the time left."""

from __future__ import annotations

import io
import math
import random
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console as Terminal
from tests.reporting.synthetic import SHAPES, VOICES, Voice, believable_run, plan
from tests.reporting.test_report import damaged

from motet.reporting.console import Console
from motet.reporting.pace import Pace
from motet.runs import Event, EventLog, read_events


def shown(events: Iterable[Event], *, terminal: bool = False, quiet: bool = False, past: Iterable[Event] = ()) -> str:
    """What a console writes for some events."""
    file = io.StringIO()
    drawn = Terminal(file=file, force_terminal=terminal, width=140, _environ={"TERM": "xterm"})
    console = Console(terminal=drawn, quiet=quiet, past=past)
    for event in events:
        console(event)
    console.close()
    return file.getvalue()


def lines(text: str) -> list[str]:
    return [re.sub(r" {2,}", "  ", line.strip()) for line in text.splitlines()]


def test_the_plan_is_a_row_a_task_and_the_run_in_words() -> None:
    printed = lines(shown([plan()]))
    assert printed[0] == "task  type  train  dev  test  rows/step  share  own epochs  metric  answer"
    assert "query intent  classification  1,200  400  1,000  8.0  20 %  20.0  macro_f1  10 labels" in printed
    assert any("rmse (less is better)" in line for line in printed)
    assert "all-MiniLM-L6-v2, 6 layers, 22.7 M parameters, bf16 on cpu, 2 threads" in printed
    assert any(line.startswith("3,000 steps, a check every 60, 2,048 tokens a batch, seed 0") for line in printed)
    assert "warning task-starved duplicates: gets only 3 passes over its rows" in printed


def test_large_soft_labels_are_told_before_they_are_written() -> None:
    assert "soft labels" not in shown([plan()])
    printed = lines(shown([plan(SHAPES)]))
    told = "continuation 15.4 MB (256 bytes a sub-word) and summary 18.4 MB (256 bytes a sub-word)"
    assert f"soft labels, if recorded: {told}" in printed
    large = replace(VOICES[0], train=1_000_000)
    assert "soft labels, if recorded: query intent 52.0 MB" in lines(shown([plan((large, *VOICES[1:]))]))


def test_who_labels_what_is_a_table_for_every_source_of_several_tasks() -> None:
    file = io.StringIO()
    console = Console(terminal=Terminal(file=file, width=140))
    console.print_coverage(plan())
    assert file.getvalue() == ""
    console.print_coverage(plan(SHAPES))
    assert lines(file.getvalue()) == [
        "reviews: some rows have no label",
        "task  train  test",
        "stars  1,200 (46.5 %)  1,000 (100 %)",
        "scale  1,500 (58.1 %)  1,000 (100 %)",
        "no label  80 (3.1 %)  0",
        "1 label  2,300 (89.1 %)  0",
        "2 labels  200 (7.8 %)  1,000 (100 %)",
        "all rows  2,580  1,000",
        "",
    ]


def test_scores_of_any_size_fit_their_table() -> None:
    events = believable_run(voices=SHAPES)
    first, second, third, *_ = (at for at, event in enumerate(events) if event["event"] == "check")
    printed = lines(shown(events[: first + 1]))
    assert re.fullmatch(r"words  learning  \d\.\d{3}  –  –  0\.24", printed[-6])
    assert re.fullmatch(r"continuation  learning  \d\.\d{3}  6,668\.0 ± 180\.3  6,668\.0 @60  0\.32", printed[-5])
    assert re.search(
        r"words  learning  \d\.\d{3}  337,116 ± 8,390  337,116 @180",
        "\n".join(lines(shown(events[second : third + 1]))),
    )


def test_elsewhere_rows_are_printed_at_checks_only() -> None:
    events = believable_run()
    until = next(at for at, event in enumerate(events) if event["event"] == "check")
    assert shown(events[1:until]) == ""
    printed = lines(shown(events[: until + 1]))
    assert "step 60 of 3,000  2 %  35 min left  1.5 steps/s" in printed or printed[-7].startswith("step 60 of 3,000")
    assert printed[-6] == "task  state  loss  score  best  own epochs"
    assert re.fullmatch(r"query intent  learning  \d\.\d{3}  0\.363 ± 0\.010  0\.363 @60  0\.40", printed[-5])


def test_a_whole_run_on_plain_rows() -> None:
    text = shown(believable_run())
    printed = lines(text)
    assert "\x1b" not in text
    assert sum(line.startswith("task  state") for line in printed) == 50
    said = "query intent converged at step 780: best 0.811 at step 540, 5.2 own epochs; then distill, 240 steps rewound"
    assert said in printed
    assert any(line.startswith("warning held-below-peak rating: was not rewound") for line in printed)
    assert "the budget ended while still learning: duplicates" in printed
    assert "ended at step 3,000 after 41 min: steps" in printed
    assert any(
        re.fullmatch(r"entities  held  0\.\d{3}  0\.545 ± 0\.012  0\.558 @2,040  7\.1", line) for line in printed
    )


def test_a_terminal_gets_one_table_that_stays() -> None:
    text = shown(believable_run(), terminal=True)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.rsplit("step 3,000 of 3,000", 1)[1])
    assert lines(last)[1].startswith("task  state  loss")
    assert "ended at step 3,000" in last


def test_a_dumb_terminal_gets_plain_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    console = Console(terminal=Terminal(file=file, force_terminal=True, width=140, _environ={"TERM": "dumb"}))
    for event in believable_run()[:100]:
        console(event)
    console.close()
    assert "\x1b[?25l" not in file.getvalue()


def test_quiet_prints_warnings_only() -> None:
    printed = lines(shown(believable_run(), quiet=True))
    assert len(printed) == 2
    assert all(line.startswith("warning held-below-peak") for line in printed)


def test_a_resumed_run_knows_its_past_without_repeating_it() -> None:
    events = believable_run()
    half = len(events) // 2
    text = shown([{"event": "resumed", "step": 1480, "events": half}, *events[half:]], past=events[:half])
    assert lines(text)[0] == "resumed at step 1,480"
    assert "of 3,000" in text
    assert "query intent converged" not in text
    assert re.search(r"query intent +held", text)


@pytest.mark.parametrize("voices", [VOICES, SHAPES], ids=["shares", "shapes"])
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_missing_values_never_raise(seed: int, terminal: bool, voices: tuple[Voice, ...]) -> None:
    chance = random.Random(seed)
    events = [damaged(event, chance, chance.choice([0.05, 0.5])) for event in believable_run(seed, voices)[::3]]
    text = shown(events, terminal=terminal)
    for event in events[:1]:
        Console(terminal=Terminal(file=io.StringIO())).print_coverage(event)
    assert not re.search(r"\b(nan|None|inf)\b", text)


def test_markup_in_names_is_text() -> None:
    event = {"event": "check", "step": 1, "headline": {"[red]a[/red]": 0.5}}
    assert "[red]a[/red]" in shown([event])
    assert "[/b]" in shown([{"event": "warning", "code": "[b]", "message": "[/b]"}])


def test_it_listens_to_an_event_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    log = EventLog(tmp_path / "events.jsonl", listeners=(console,))
    log.write("step", step=1, logical=1, losses={"a": math.nan})
    log.write("check", step=1, logical=1, headline={"a": math.nan}, scores={"a": None}, best={"a": None})
    log.write("end", step=1, reason=None)
    log.close()
    console.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ended at step 1" in captured.err
    assert [event["event"] for event in read_events(tmp_path / "events.jsonl")] == ["step", "check", "end"]


def step(at: int, seconds: float | None) -> Event:
    return {"event": "step", "step": at, "seconds": seconds}


def paced(*events: Event, steps: int | None = 100, every: int | None = None) -> Pace:
    pace = Pace(steps, every)
    for event in events:
        pace.take(event)
    return pace


def test_the_first_slow_step_is_not_counted() -> None:
    assert paced(step(1, 60.0)).seconds_left is None
    assert paced(step(1, 60.0), step(2, 2.0)).seconds_left == pytest.approx(98 * 2.0)


def test_a_stalled_step_does_not_change_the_estimate() -> None:
    events = [step(1, 1.0), *(step(at, 2.0) for at in range(2, 9)), step(9, 500.0)]
    assert paced(*events).seconds_left == pytest.approx(91 * 2.0)


def test_several_steps_in_an_event_share_their_time() -> None:
    assert paced(step(10, 60.0), step(20, 20.0)).steps_per_second == pytest.approx(0.5)


def test_checks_that_remain_are_added_apart() -> None:
    check = {"event": "check", "step": 20, "seconds": 7.0}
    pace = paced(step(10, 60.0), step(20, 20.0), check, steps=100, every=20)
    assert pace.seconds_left == pytest.approx(80 * 2.0 + 4 * 7.0)


def test_a_resumed_run_is_slow_again_at_first() -> None:
    resumed = {"event": "resumed", "step": 40, "events": 3}
    pace = paced(step(10, 10.0), step(20, 10.0), resumed, step(50, 90.0), step(60, 10.0))
    assert pace.seconds_left == pytest.approx(40.0)


@pytest.mark.parametrize("seconds", [None, math.nan])
def test_steps_without_time_are_not_counted(seconds: float | None) -> None:
    assert paced(step(1, 1.0), step(2, seconds)).seconds_left is None


def test_without_a_plan_there_is_a_speed_but_no_end() -> None:
    pace = paced(step(1, 1.0), step(2, 0.5), steps=None)
    assert (pace.steps_per_second, pace.seconds_left) == (2.0, None)


def test_past_the_plan_nothing_is_left() -> None:
    assert paced(step(1, 1.0), step(120, 60.0), every=10).seconds_left == 0


def test_penalties_stand_below_the_table_on_one_line() -> None:
    step = {"event": "step", "step": 1, "losses": {"topic": 0.5}, "penalties": {"mmd": 0.00012345, "kl#2": 2}}
    check = {"event": "check", "step": 1}
    assert lines(shown([step, check]))[-1] == "penalties  mmd 0.000123  kl#2 2"
    assert "penalties" not in shown([{**step, "penalties": {}}, check])
