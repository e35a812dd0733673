"""The page: right numbers, nothing external, whole whatever is missing."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.synthetic import SHAPES, VOICES, Voice, believable_run, plan

from motet.errors import RunError
from motet.reporting import report
from motet.runs import Event, EventLog, RunFolder

VOID = {"br", "hr", "img", "input", "link", "meta"}
MANIFEST = {"motet": "0.1.0", "packages": {"torch": "2.13.0"}, "seeds": [0], "dirty": False, "commit": None}


class Page(HTMLParser):
    """Reads a page strictly: every element closed in its turn, every identity used once."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.identities: list[str] = []
        self.targets: list[str] = []
        self.headings: list[int] = []
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs), f"an attribute of {tag} is there twice"
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        self.identities += [found["id"]] if "id" in found else []
        self.targets += found.get("aria-labelledby", "").split()
        self.targets += [found["href"][1:]] if found.get("href", "").startswith("#") else []
        self.addresses += [found[name] for name in ("src", "href", "xlink:href", "data", "action") if name in found]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def read(page: str) -> Page:
    """Parse a page and hold it against what is true of every page."""
    parsed = Page(page)
    assert len(set(parsed.identities)) == len(parsed.identities)
    assert set(parsed.targets) <= set(parsed.identities)
    assert parsed.headings[0] == 1
    assert parsed.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False))
    assert all(address.startswith("#") for address in parsed.addresses)
    assert not re.search(r"https?:|//[a-z]|url\((?!#)|@import|<script|<link|<iframe|xmlns", page)
    assert not re.search(r"\b(nan|NaN|inf|None|Undefined)\b", parsed.text)
    return parsed


@pytest.fixture(scope="module")
def page() -> str:
    return report.render(believable_run(), MANIFEST, "first")


def test_the_page_is_whole_and_alone(page: str) -> None:
    read(page)
    assert "http" not in page


def test_the_page_tells_the_outcome(page: str) -> None:
    text = read(page).text
    assert "5 tasks, 4 held at their peak, 1 still learning when the budget ended" in text
    for words in (
        "query intent 10 labels · macro_f1 0.811 ± 0.010 step 540 0.811 ± 0.010 0.000 0.02 se held at its peak",
        "entities 13 labels a word · span_f1 0.558 ± 0.012 step 2,040 0.545 ± 0.012 0.013 1.1 se",
        "rating a number · rmse, less is better 0.719 ± 0.014 step 1,860 0.721 ± 0.014 0.003",
        "duplicates 2 labels · accuracy 0.846 ± 0.009 step 3,000 0.851 ± 0.009 none 0.004 above still learning",
        "Mean of the 4 where higher is better, of different metrics",
    ):
        assert words in text


def test_the_page_shows_both_candidates_and_which_was_chosen(page: str) -> None:
    assert "Last, step 3,000 chosen … on test Best mean over tasks, step 2,820" in read(page).text


def test_the_page_draws_what_was_discarded_and_what_was_held(page: str) -> None:
    assert page.count('class="line discarded"') > 2 * len(VOICES)
    assert page.count("480 of 3,000 steps") == 1
    assert 'class="line held"' in page


def test_the_page_lists_switches_soft_labels_phases_and_warnings(page: str) -> None:
    text = read(page).text
    for words in (
        "query intent 780 540 5.2 0.811 0.790 0.807 distill full 240",
        "entities 2,280 2,040 5.4 0.558 0.532 0.542 distill none 0",
        "query intent 780 540 1,200 62.4 kB 260 3a6d1db2810f",
        "until topics converged 781–1,380",
        "all training 1–3,000",
        "task-starved duplicates gets only 3 passes over its rows planning",
        "held-below-peak rating was not rewound",
    ):
        assert words in text


def test_the_page_keeps_settings_environment_and_commands(page: str) -> None:
    text = read(page).text
    assert "convergence type patience checks 4" in text
    assert "packages torch 2.13.0" in text
    assert "dirty no" in text
    assert "commit –" in text
    assert "motet train recipe.yaml --out runs/first motet eval runs/first --split test" in text


@pytest.fixture(scope="module")
def shapes() -> str:
    return report.render(believable_run(voices=SHAPES), {}, "shapes")


def test_scores_that_are_no_shares(shapes: str) -> None:
    text = read(shapes).text
    for words in (
        "words words · perplexity, less is better 14.11 ± 0.35 step 3,000 14.07 ± 0.35 none 0.041 above still learning",
        "stars 5 steps · quadratic_kappa 0.595 ± 0.021",
        "scale 5 steps · mae, less is better 0.458 ± 0.018",
        "Mean of the 3 where higher is better, of different metrics",
        "perplexity, less is better, words, logarithmic scale",
        "quadratic_kappa, higher is better, 5 steps, begins at 0.161",
        "mae mean absolute error, in the units of the data, or in steps where it is a scale",
    ):
        assert words in text
    assert text.count("logarithmic scale") == 2
    assert "%" not in text.partition("Validation scores per task")[2].partition("Warnings")[0].partition("Time")[0]


def test_who_labels_what_where_tasks_share_a_source(page: str, shapes: str) -> None:
    assert "Who labels what" not in page
    text = read(shapes).text
    assert text.count("Who labels what") == 1
    for words in (
        "reviews : some rows have no label.",
        "stars 1,200 46.5 % 1,000 100 % scale 1,500 58.1 % 1,000 100 %",
        "no label 80 3.1 % 0 1 label 2,300 89.1 % 0 2 labels 200 7.8 % 1,000 100 % all rows 2,580 1,000",
    ):
        assert words in text


def test_names_cannot_break_out_of_the_page() -> None:
    wicked = ("<script>alert(1)</script>", '"><svg onload=x>', "</style></title>{{ 7 * 7 }}", "a&b 'c'", "</pre>")
    voices = tuple(replace(voice, name=name) for voice, name in zip(VOICES, wicked, strict=True))
    events = believable_run(voices=voices)
    events[0]["commands"] = ["motet train '</pre><script>'"]
    events[0]["settings"] = {"<b>": {"</td>": ["<i>", None]}}
    parsed = read(report.render(events, {"<script>": "</details>"}, "<h1>"))
    for name in wicked:
        assert name in parsed.text
    assert "49" not in re.findall(r"\d+", parsed.text.split("Outcome")[0])


def test_a_page_without_any_event() -> None:
    assert "Nothing has happened yet" in read(report.render([], {}, "empty")).text


def test_a_page_with_only_a_plan() -> None:
    text = read(report.render([plan()], {}, "planned")).text
    assert "5 tasks planned, no step taken yet" in text
    assert "What was planned: 3,000 steps, a check every 60" in text
    assert "Drop from peak" not in text


def test_a_page_without_a_plan() -> None:
    assert "No plan was written." in read(report.render(believable_run()[1:], {}, "planless")).text


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.9])
def test_a_page_of_a_run_that_goes_on(share: float) -> None:
    events = believable_run()
    text = read(report.render(events[: int(share * len(events))], {}, "going on")).text
    assert "of 3,000" in text
    assert "still learning" not in text


def damaged(value: Any, chance: random.Random, share: float) -> Any:
    """The value, with a share of its leaves and branches gone, null or not a number."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key == "event" or chance.random() > share / 3}
        return {key: item if key == "event" else damaged(item, chance, share) for key, item in kept.items()}
    if chance.random() < share:
        return chance.choice([None, math.nan, math.inf])
    return [damaged(item, chance, share / 3) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("voices", [VOICES, SHAPES], ids=["shares", "shapes"])
@pytest.mark.parametrize("seed", range(8))
def test_a_page_of_damaged_events(seed: int, voices: tuple[Voice, ...]) -> None:
    chance = random.Random(seed)
    whole = copy.deepcopy(believable_run(seed, voices))
    events = [damaged(event, chance, chance.choice([0.02, 0.2, 0.6])) for event in whole]
    read(report.render(events, {}, "damaged"))


def test_writing_the_report_of_a_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "first")
    log = EventLog(run.events_file)
    for event in believable_run()[:100]:
        log.write(event["event"], **{key: value for key, value in event.items() if key not in ("event", "time")})
    log.close()
    run.manifest_file.write_text(json.dumps(MANIFEST), encoding="utf-8")
    assert report.write(run) == run.report_file
    text = read(run.report_file.read_text(encoding="utf-8")).text
    assert "motet run first" in text
    assert "2.13.0" in text
    assert sorted(path.name for path in run.path.iterdir()) == ["events.jsonl", "manifest.json", "report.html"]


def test_a_folder_without_a_run_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        report.write(RunFolder(tmp_path))


def test_rendering_does_not_change_the_events() -> None:
    events: list[Event] = believable_run()
    before = copy.deepcopy(events)
    report.render(events, MANIFEST, "first")
    assert events == before


def test_penalties_are_told_without_what_a_rewind_threw_away() -> None:
    steps = [
        {"event": "step", "step": at, "logical": at, "losses": {"topic": 1.0}, "penalties": {"mmd": value}}
        for at, value in ((1, 0.25), (2, 0.5), (3, 9.0))
    ]
    rewind = {"event": "converged", "step": 3, "logical": 3, "task": "topic", "best_step": 2, "best_logical": 2}
    told = report.render([*steps, {**rewind, "rewind": "full", "discarded": 1, "event_id": 1}], {}, "run")
    told = told.partition("<h3>Penalties</h3>")[2].partition("</table>")[0]
    assert [value for value in ("mmd", "0.25", "0.5") if value not in told] == []
    assert "9" not in told.partition("<tbody")[2]
    assert "Penalties" not in report.render([{**steps[0], "penalties": {}}], {}, "run")
