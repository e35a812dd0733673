"""The reproduction: its studies can be read, and its page says what its lines say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.benchmarks.conftest import programs

from motet.study.definition import read_study

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "asynchronous"
NAMES = ("headroom", "page", "record", "reproduce", "words")
STUDIES = [path for path in sorted(FOLDER.glob("*.yaml")) if "\nbase:" in f"\n{path.read_text(encoding='utf-8')}"]


@pytest.fixture(autouse=True)
def modules() -> Iterator[dict[str, ModuleType]]:
    with programs(FOLDER, NAMES) as found:
        yield found


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_can_be_read(path: Path) -> None:
    study = read_study(path)
    assert study.variants and study.base.is_file()


def test_ours_and_controls_are_variants_of_the_studies(modules: dict[str, Any]) -> None:
    words = modules["words"]
    for name, setup in words.SETUPS.items():
        files = [FOLDER / f"{study}.yaml" for study in setup.studies]
        variants = {variant for file in files if file in STUDIES for variant in read_study(file).variants}
        assert not variants or (words.SUM in variants and variants & set(words.OURS)), name


def lines(seeds: int, gain: float) -> list[dict[str, Any]]:
    """Three variants of two tasks; ours is better by about so much, and holds one task within 0.1 of its peak."""
    draw = np.random.default_rng(0)
    found = []
    for variant, plus in (("sum", 0.0), ("uncertainty", -1.0), ("asynchronous joint", gain)):
        for seed in range(seeds):
            one, other = 80 + seed + plus + draw.normal(0, 0.1), 60 - seed + plus + draw.normal(0, 0.1)
            held = variant.startswith("asynchronous")
            found.append(
                {
                    "study": "similar",
                    "variant": variant,
                    "task": "",
                    "seed": seed,
                    "digest": f"{variant[:3]}{seed}",
                    "commit": "0123456789ab",
                    "status": "finished",
                    "chosen": True,
                    "curves": {"category": [one - 6, one, one - 0.1], "rating": [other, other - 6, other - 3]},
                    "checked": [10, 20, 30],
                    "validation": {"category": one, "rating": other},
                    "test": {"category": one, "rating": other},
                    "converged": {"category": 30} if held else {},
                    "peaks": {"category": one} if held else {},
                    "discarded": 0,
                    "ended": "steps",
                    "steps": 30,
                    "tokens": 3000,
                    "seconds": 1.5,
                }
            )
    return found


def test_the_page_agrees_with_another_library(modules: dict[str, Any]) -> None:
    page, words = modules["page"], modules["words"]
    told = lines(5, 2.0)
    setup = words.SETUPS["similar"]._replace(tasks=("category", "rating"))
    contest = page.Contest(setup, told)
    assert contest.best_baseline == "sum"
    ours, theirs = (list(contest.means(name).values()) for name in ("asynchronous joint", "sum"))
    of = contest.against("asynchronous joint", "sum")
    assert of.t == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    text = page.results(contest)
    room = np.mean([modules["headroom"].headroom(line["curves"]).smoothed for line in told if line["variant"] == "sum"])
    row = next(row for row in text.splitlines() if row.startswith("| asynchronous joint"))
    assert f"{of.difference:+.2f} ± {of.deviation:.2f}" in row
    assert f"{of.difference / room:+.0%}" in row
    assert "the best baseline" in next(row for row in text.splitlines() if row.startswith("| sum"))
    assert "5 of 5" in page.held(contest)
    assert page.runs(contest).count("`0123456`") == len(told)


def test_two_seeds_give_no_p_value(modules: dict[str, Any]) -> None:
    page, words = modules["page"], modules["words"]
    contest = page.Contest(words.SETUPS["similar"]._replace(tasks=("category", "rating")), lines(2, 2.0))
    of = contest.against("asynchronous joint", "sum")
    assert (of.t, of.verdict) == (None, "too few seeds")


def test_a_system_counts_only_when_all_its_runs_are_there(modules: dict[str, Any]) -> None:
    page, words = modules["page"], modules["words"]
    told = lines(3, 2.0)
    told[0]["test"] = {}
    contest = page.Contest(words.SETUPS["similar"]._replace(tasks=("category", "rating")), told)
    assert list(contest.systems["sum"]) == [1, 2]
    assert contest.against("asynchronous joint", "sum").seeds == 2
    assert "finished" in page.runs(contest), "it is still listed"


def test_headroom_is_nothing_where_all_tasks_peak_together(modules: dict[str, Any]) -> None:
    headroom = modules["headroom"].headroom
    together = headroom({"a": [1.0, 4.0, 2.0], "b": [5.0, 9.0, 2.0]})
    assert together.raw == 0
    apart = headroom({"a": [9.0, 1.0], "b": [1.0, 9.0]})
    assert apart.raw == pytest.approx(4.0)
