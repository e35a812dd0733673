"""The page and the tables of a comparison: whole, self-contained, with the numbers of the comparison."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console as Terminal
from tests.reporting.test_report import read

from motet.reporting import study_words as words
from motet.reporting.study import render, write
from motet.reporting.study_tables import parts
from motet.reporting.study_view import Cell, Comparison, Curve, Gain, Lost, RunLine, Task, Variant
from motet.significance import Interval, OverSeeds, WinTieLoss


def gain(value: float, p: float = 0.01, seeds: int = 3) -> Gain:
    t = p if seeds > 2 else None
    return Gain(Interval(value, value - 0.02, value + 0.02, p), OverSeeds(seeds, value, 0.01, t, t, 1.0, 0.8), p, t)


@pytest.fixture
def study() -> Comparison:
    """Two rivals of a baseline on a task told in points and one told in units; one run failed."""
    tasks = (Task("mood <i>", "accuracy", True, 1200, True), Task("stars", "rmse", False, 60, False))
    names = ("sum", "async", "un/certain")
    gains = {"sum": None, "async": gain(0.034), "un/certain": gain(-0.02, 0.4)}
    variants = tuple(
        Variant(
            name,
            (0, 1, 2),
            0.812,
            0.0061,
            gains[name],
            0.0123,
            -0.004,
            1.5,
            WinTieLoss(4, 1, 1) if gains[name] else None,
            900.0,
            81_000.0,
            75.0,
            ('balance="sum"',),
        )
        for name in names
    )
    cells = tuple(
        Cell(task.name, name, {0: 0.8, 1: 0.81, 2: 0.82}, 0.81, 0.01, gains[name]) for name in names for task in tasks
    )
    usual = {
        "task": "",
        "digest": "0123456789ab",
        "version": "0.1.0",
        "commit": "abc-dirty",
        "steps": 900,
        "seconds": 75.0,
    }
    runs = tuple(RunLine(f"{name}-{seed}", name, seed=seed, status="finished", part="compared", **usual)  # type: ignore[arg-type]
                 for name in names for seed in range(3))  # fmt: skip
    failed = replace(runs[0], name="bad", variant="bad", status="failed", part="missing", error="it broke & fell")
    curves = tuple(
        Curve(task.name, name, seed, tuple((10.0 * k, 0.5 + 0.01 * k + 0.001 * seed) for k in range(1, 9)))
        for task in tasks for name in names for seed in range(3)
    )  # fmt: skip
    lost = (Lost("mood <i>", "un/certain", "row-7", "a film <b>", "good", ("good", "bad"), (2, 3)),)
    notes = ("sum has no score for 1 seed (4); pairs with it are left out.",)
    return Comparison("first", "sum", "steps", tasks, variants, cells, (0, 1, 2), (*runs, failed), curves, lost, notes)


def test_the_page_is_whole_and_needs_nothing(study: Comparison) -> None:
    page = read(render(study))
    for part in (
        "async better than sum on the mean of 1 task, beyond noise",
        "3 variants",
        "10 runs started, 9 compared",
        "mood <i>",
        "a film <b>",
        "it broke & fell",
        "abc-dirty",
        "01234567",
        "+3.4",
        "+1.4 to +5.4",
        "81.2 ± 0.6",
        "1,200 rows",
        "rmse, less is better",
        "4 / 1 / 1",
        "+1.2 %",
        "−0.4 %",
        "pairs with it are left out",
        "2 of 3",
        "How this was tested",
    ):
        assert part in page.text, part


def test_every_run_is_a_line_of_the_curves(study: Comparison) -> None:
    page = render(study)
    for colour in ("v0", "v1", "v2"):
        assert len(re.findall(rf'<path d="[^"]*" class="line {colour}"', page)) == 2 * 3


def test_gains_are_drawn_where_they_are(study: Comparison) -> None:
    page = render(study)
    dots = [float(x) for x in re.findall(r'class="gain v\d" cx="([\d.]+)%"', page)]
    assert len(dots) == 2, "the task in units is no part of it, and one task has no mean"
    (zero,) = set(re.findall(r'<line x1="([\d.]+)%" x2="\1%" y1="0" y2="[\d.]+" class="reference"', page))
    assert dots[1] < float(zero) < dots[0]


def test_the_worst_come_first(study: Comparison) -> None:
    assert [(cell.variant, cell.task) for cell in study.worst] == [("un/certain", "mood <i>"), ("un/certain", "stars")]
    best = replace(study, cells=tuple(replace(cell, gain=None) for cell in study.cells), lost=())
    assert "No variant loses on any task." in read(render(best)).text


def test_a_page_of_little_is_whole_too(study: Comparison) -> None:
    alone = replace(study, variants=study.variants[:1], cells=study.cells[:2], curves=(), lost=(), notes=(), runs=())
    assert "sum on 2 tasks, with nothing to compare it with" in read(render(alone)).text
    few = tuple(replace(v, gain=gain(0.1, seeds=2) if v.gain else None, deviation=None) for v in study.variants)
    told = read(render(replace(study, variants=few, budget=""))).text
    assert "No difference can be claimed against sum on 2 tasks: async lies 10.0 points above it" in told
    assert "too few seeds" in told
    missing = tuple(replace(v, mean=None, gain=None, mean_of_relative_gains=None) for v in study.variants)
    read(render(replace(study, variants=missing)))


def test_many_variants_have_lines_of_their_own(study: Comparison) -> None:
    many = tuple(replace(study.variants[1], name=f"v{n}") for n in range(18))
    cells = tuple(replace(study.cells[2], variant=variant.name) for variant in many)
    page = render(replace(study, baseline="v0", variants=many, cells=(*cells, *(
        replace(study.cells[3], variant=variant.name) for variant in many)), curves=()))  # fmt: skip
    assert 'class="line v1 dashed"' in page


def test_the_page_is_written_into_the_folder(study: Comparison, tmp_path: Path) -> None:
    assert write(study, tmp_path).read_text(encoding="utf-8") == render(study)


def test_tables_hold_the_same_numbers(study: Comparison) -> None:
    terminal = Terminal(file=io.StringIO(), width=160)
    for part in parts(study):
        terminal.print(part)
    told = terminal.file.getvalue()  # type: ignore[attr-defined]
    rows = [re.split(r" {2,}", line.strip()) for line in told.splitlines()]
    assert ["async", "81.2 ± 0.6", "+3.4", "+1.4 to +5.4", "0.010", "0.010", "better"] in rows
    assert ["un/certain", "81.2 ± 0.6", "−2.0", "−4.0 to 0.0", "0.40", "0.40", "within noise"] in rows
    assert ["async", "+1.2 %", "−0.4 %", "1.50", "4 / 1 / 1", "3", "900", "81,000", "1 min 15 s"] in rows
    assert ["mood <i> (accuracy)", "sum", "81.0 ± 1.0", "baseline"] in rows
    assert "note: sum has no score" in told
    assert "equal steps meant" in told


@pytest.mark.parametrize(
    ("found", "told"), [(None, "–"), (0.00001, "< 0.001"), (0.0499, "0.050"), (0.5, "0.50"), (1.0, "1.00")]
)
def test_p_values(found: float | None, told: str) -> None:
    assert words.p_value(found) == told


def test_what_is_rounded_to_nothing_has_no_sign() -> None:
    assert words.points(-0.0001) == words.points(0.0001) == "0.0"
    assert words.points(float("nan")) == "–"
    nothing = replace(gain(0.0), over_seeds=replace(gain(0.0).over_seeds, g=-0.001))
    assert words.effect(nothing) == "0.00"


def test_only_what_both_tests_say_is_claimed() -> None:
    one = gain(0.1, 0.01)
    assert one.verdict == "better"
    assert replace(one, p_rows=0.2).verdict == replace(one, p_seeds=0.2).verdict == "within noise"
    assert replace(one, p_rows=None).verdict == "within noise"
    assert gain(-0.1, 0.01).verdict == "worse"
    assert gain(0.1, 0.0001, seeds=2).verdict == "too few seeds"
