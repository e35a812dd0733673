"""Every sampler in a run: it trains, its shares are written, and an interrupted run goes on exactly."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console as Terminal
from tests.training.conftest import Toys, require_same_model

from motet import registry
from motet.errors import RecipeError
from motet.reporting import report
from motet.reporting.console import Console
from motet.reporting.numerals import amount, percent
from motet.sampling.boltzmann import BoltzmannBandit
from motet.sampling.dynamic import DynamicSampling
from motet.sampling.fixed import FixedRatio
from motet.sampling.mt_uncertainty import MTUncertainty
from motet.sampling.multidds import MultiDDS
from motet.sampling.thompson import ThompsonBandit
from motet.training.convergence import Patience
from motet.training.plan import prepare
from motet.training.run import Run

EVERY = ("mood", "count", "within", "places")
GIVEN: dict[str, Any] = {
    "dynamic": DynamicSampling(references=dict(zip(EVERY, (0.9, 0.5, 0.8, 0.7), strict=True))),
    "fixed": FixedRatio(ratio=dict(zip(EVERY, (3, 1, 0, 2), strict=True))),
    "multidds": MultiDDS(every=2, updates=5, rate=0.1),
}
EAGER = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False)


def part_of(name: str) -> Any:
    return GIVEN[name] if name in GIVEN else registry.find("sampler", name)()


ARMS = ("boltzmann", "thompson", "round_robin")


def runs_of(toys: Toys, experiment: Any) -> tuple[Run, Run]:
    """A run, and the same one broken off after its fifth step."""
    whole = toys.start(experiment)

    return whole, toys.goes_on(experiment, "step", 5)


def assert_same(one: Run, other: Run) -> None:
    require_same_model(other, one)
    checks = [[e["shares"] for e in run.folder.events() if e["event"] == "check"] for run in (one, other)]
    assert checks[0] == checks[1]


def experiment_of(toys: Toys, name: str, rule: Patience = EAGER, **settings: Any) -> Any:
    tasks = tuple(task for task in toys.tasks if name != "mt_uncertainty" or task.name != "count")
    given = {"steps": 7, "check_every": 2, "seed": 3, "tokens_per_batch": 120, **settings}
    return toys.experiment(rule, sampler=part_of(name), tasks=tasks, **given)


@pytest.mark.parametrize("name", registry.names("sampler"))
def test_an_interrupted_run_goes_on_exactly(dropout_toys: Toys, name: str) -> None:
    batches = "single" if name in ARMS else "mixed"
    assert_same(*runs_of(dropout_toys, experiment_of(dropout_toys, name, batches=batches, accumulate=2)))


@pytest.mark.parametrize("name", [*ARMS, "mt_uncertainty", "multidds"])
def test_so_does_one_in_the_other_kind_of_batches(dropout_toys: Toys, name: str) -> None:
    batches = "mixed" if name in ARMS else "single"
    assert_same(*runs_of(dropout_toys, experiment_of(dropout_toys, name, batches=batches)))


@pytest.mark.parametrize("name", ["boltzmann", "multidds"])
@pytest.mark.parametrize("rewind", ["full", "weights"])
def test_so_does_one_that_rewinds(dropout_toys: Toys, name: str, rewind: Any) -> None:
    experiment = experiment_of(dropout_toys, name, replace(EAGER, rewind=rewind))
    whole, cut = runs_of(dropout_toys, experiment)
    assert_same(whole, cut)
    assert any(event["discarded"] for event in whole.folder.events() if event["event"] == "converged")


def test_a_full_rewind_puts_the_sampler_back(dropout_toys: Toys) -> None:
    prepared = prepare(experiment_of(dropout_toys, "boltzmann"))
    feed = prepared.feed
    feed.next(EVERY)
    saved = json.loads(json.dumps(feed.state()))
    feed.observe(dict.fromkeys(EVERY, 0.1))
    shares = feed.shares
    assert feed.state()["mixing"] != saved["mixing"]
    feed.restore(saved)
    feed.observe(dict.fromkeys(EVERY, 0.1))
    assert feed.shares == shares


def test_bandits_hear_the_metric_that_a_task_is_judged_by(dropout_toys: Toys) -> None:
    for rule, sign in ((EAGER, 1.0), (replace(EAGER, tasks={"count": {"monitor": "rmse"}}), -1.0)):
        experiment = experiment_of(dropout_toys, "boltzmann", rule)
        feed = prepare(replace(experiment, sampler=BoltzmannBandit(primary="count", rate=1.0))).feed
        feed.next(("within",))
        feed.observe({"count": 0.25, "mood": 9.0})
        assert feed.mixing.state()["values"] == {"mood+count": 1.0, "within": sign * 0.25, "places": 1.0}


def test_checks_tell_what_was_drawn(toys: Toys) -> None:
    run = toys.run(EAGER, sampler=part_of("fixed"), steps=9, check_every=3)
    events = run.folder.events()
    plan = events[0]
    expected = {row["name"]: row["share"] for row in plan["tasks"]}
    assert expected == pytest.approx({"mood": 2 / 4, "count": 2 / 4, "within": 0, "places": 2 / 4}, abs=1e-3)
    checks = [event for event in events if event["event"] == "check"]
    rows: dict[str, int] = dict.fromkeys(EVERY, 0)
    for event in events:
        for task, count in event.get("rows", {}).items() if event["event"] == "step" else ():
            rows[task] += count
    total = rows["mood"] + rows["within"] + rows["places"]
    assert checks[-1]["shares"] == pytest.approx({task: count / total for task, count in rows.items()}, abs=1e-4)
    assert checks[-1]["shares"] == pytest.approx(expected, abs=0.05)
    size = 60 + 60 + 40
    assert plan["epochs"] == pytest.approx(9 * total / 9 / size, rel=0.05)


def test_a_task_that_is_only_watched_does_not_set_the_interval(toys: Toys) -> None:
    prepared = prepare(toys.experiment(sampler=part_of("fixed"), check_every=None, steps=100))
    assert prepared.experiment.training.check_every == 8, "what a check costs"
    assert [w["task"] for w in prepared.plan["warnings"] if w["code"] == "task-starved"] == ["within"]


def test_what_does_not_fit_the_tasks_is_told_at_once(toys: Toys) -> None:
    with pytest.raises(RecipeError) as caught:
        toys.experiment(sampler=FixedRatio(ratio={"mod": 1, "count": 2, "within": 1, "places": 1}))
    assert [(p.name, p.rule) for p in caught.value.problems] == [
        ("sampler.ratio.mod", "names no task. Did you mean `mood`?"),
        ("sampler.ratio.mood", "is missing"),
    ]
    with pytest.raises(RecipeError) as caught:
        toys.experiment(sampler=DynamicSampling(references={"mood": 1, "count": 2}))
    assert [p.name for p in caught.value.problems] == ["sampler.references.within", "sampler.references.places"]
    for bandit in (BoltzmannBandit(primary="place"), ThompsonBandit(primary="place")):
        with pytest.raises(RecipeError, match=r"sampler.primary = place\n    names no task. Did you mean `places`\?"):
            toys.experiment(sampler=bandit)
    with pytest.raises(RecipeError, match=r"tasks.count = regression\n    chooses between no classes"):
        toys.experiment(sampler=MTUncertainty())


def test_only_choices_between_classes_have_an_uncertainty(shape_toys: Toys) -> None:
    with pytest.raises(RecipeError) as caught:
        shape_toys.experiment(sampler=MTUncertainty())
    assert [p.name for p in caught.value.problems] == [f"tasks.{task.name}" for task in shape_toys.tasks]


def test_the_plan_and_the_report_tell_the_shares(toys: Toys) -> None:
    run = toys.run(EAGER, sampler=part_of("fixed"), steps=4, check_every=2, tokens_per_batch=500)
    events = run.folder.events()
    terminal = io.StringIO()
    Console(terminal=Terminal(file=terminal, width=200))(events[0])
    assert f"{amount(events[0]['epochs'])} epochs of all rows" in terminal.getvalue()
    shares = [event["shares"] for event in events if event["event"] == "check"][-1]
    page = report.render(events, {}, "first")
    assert f"<small>drawn {percent(shares['places'])}</small>" in page
