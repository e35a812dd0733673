"""The guide: its study file is one, and its table of power is what the script prints."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from motet.study.definition import KEYS, Budget, read_study

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guides" / "comparing.md").read_text(encoding="utf-8")


def test_the_study_file_says_what_the_page_says(write_study: Callable[[str], Path]) -> None:
    (text,) = re.findall(r"^```text\n(base:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    study = read_study(write_study(text))
    assert list(study.variants) == ["sum", "uncertainty", "patient"]
    assert (study.seeds, study.baseline, study.budget) == ((0, 1, 2, 3, 4), "sum", "steps")
    assert len(study.search) == 2
    assert study.single_task


def test_every_key_is_explained() -> None:
    section = PAGE.partition("## A study file")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(KEYS)
    assert all(f"`{budget}`" in section for budget in get_args(Budget))


def test_the_power_is_that_of_the_script() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "power.py"))
    assert script["table"]([3, 5, 10], [0.5, 1.0, 1.5, 2.0, 3.0]) in PAGE
