"""What runs say of each other, from runs whose every answer is known."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from scipy import stats

from motet.errors import RunError
from motet.reporting.study_view import Comparison
from motet.runs import RunFolder
from motet.significance import holm, over_seeds
from motet.study.comparison import compare
from motet.study.formulas import Evidence
from motet.study.ledger import StudyFolder
from motet.study.records import OnTest, read_tested, record_file, write_tested
from motet.study.results import gather
from motet.study.tables import plain, write_results

Answers = Mapping[str, Sequence[float]]
HEADLINES = {"mood": ("accuracy", True), "topic": ("accuracy", True), "stars": ("mae", False)}


def on_test(task: str, values: Sequence[float], rows: str = "r") -> OnTest:
    """A task whose score is a mean of values of rows."""
    metric, higher = HEADLINES[task]
    texts = [{"id": f"{n}", "input": f"film {n}", "truth": "good", "answer": "good" if value else "bad"}
             for n, value in enumerate(values)]  # fmt: skip
    scores = {metric: {"value": float(np.mean(values)), "se": 0.05}}
    evidence = Evidence.of("mean", [[value] for value in values])
    digest = f"{rows}-{task}-{len(values)}"
    return OnTest(metric, higher, scores, digest, f"{len(values):032x}", evidence, texts, len(values))


def write_run(
    folder: Path, answers: Answers, seed: int = 0, steps: int = 4, rows: str = "r", **experiment: Any
) -> Path:
    """A finished run with known answers to test rows."""
    run = RunFolder(folder)
    run.model.mkdir(parents=True)
    settings = {"training": {"seed": seed, "steps": steps}, **experiment}
    manifest = {"seed": seed, "experiment": settings, "packages": {"motet": "0.1.0"}}
    run.write_json(run.manifest_file, {**manifest, "data": dict.fromkeys(answers, f"print-{rows}")})
    tasks = [{"name": name, "metric": HEADLINES[name][0], "higher_is_better": HEADLINES[name][1]} for name in answers]
    headline = {name: float(np.mean(values)) for name, values in answers.items()}
    events: list[dict[str, Any]] = [
        {"event": "plan", "steps": steps, "tasks": tasks},
        {"event": "step", "step": steps, "tokens": 100 * steps, "seconds": 1.0},
        *({"event": "check", "step": step, "headline": headline, "smoothed": headline} for step in (2, steps)),
        {"event": "end", "step": steps, "logical": steps, "seconds": 2.0, "reason": "steps"},
        {"event": "evaluation", "split": "test", "model": "model"},
    ]
    run.events_file.write_text("".join(json.dumps({"time": 0.0, **event}) + "\n" for event in events))
    write_tested(record_file(run), {name: on_test(name, values, rows) for name, values in answers.items()})
    return folder


def draw(quality: float, seed: int, count: int = 200) -> list[float]:
    """Right and wrong answers to rows, which are hard or easy for every system."""
    hard = np.random.default_rng(0).random(count)
    own = np.random.default_rng(seed + 1000).normal(0, 0.1, count)
    return [float(value) for value in hard + own < quality]


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Two variants over four seeds: the other one is 9 points better on one task and worse on none."""
    paths = []
    for seed in range(4):
        plain = {"mood": draw(0.60, seed), "topic": draw(0.7, seed + 10), "stars": [1.0 + 0.01 * seed, 2.0] * 50}
        other = {"mood": draw(0.69, seed + 20), "topic": draw(0.7, seed + 30), "stars": [1.0, 1.8 + 0.01 * seed] * 50}
        paths.append(write_run(tmp_path / f"plain-{seed}", plain, seed))
        paths.append(write_run(tmp_path / f"other-{seed}", other, seed, balance="other"))
    return paths


def test_runs_that_differ_in_the_seed_alone_are_one_variant(two: list[Path]) -> None:
    found = compare(two)
    assert [(variant.name, variant.seeds) for variant in found.variants] == [
        ("plain", (0, 1, 2, 3)), ("other", (0, 1, 2, 3)),
    ]  # fmt: skip
    assert found.baseline == "plain"
    assert [task.name for task in found.tasks] == ["mood", "topic", "stars"]
    assert compare(two, baseline="other").baseline == "other"


def test_scores_and_gains_are_those_of_the_answers(two: list[Path]) -> None:
    found = compare(two)
    runs = {path.name: read_tested(record_file(RunFolder(path))) for path in two}
    ours, theirs = ([runs[f"{name}-{seed}"]["mood"].score for seed in range(4)] for name in ("other", "plain"))
    cell = found.cell("mood", "other")
    assert cell.mean == pytest.approx(np.mean(ours))
    assert cell.deviation == pytest.approx(np.std(ours, ddof=1))
    assert cell.gain is not None
    assert cell.gain.value == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert cell.gain.over_seeds == over_seeds(ours, theirs)
    assert cell.gain.over_seeds.t == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert cell.gain.verdict == "better"
    assert found.cell("mood", "plain").gain is None


def test_less_may_be_better(two: list[Path]) -> None:
    gain = compare(two).cell("stars", "other").gain
    assert gain is not None
    assert gain.value > 0
    assert gain.over_rows is not None
    assert gain.over_rows.low <= gain.value <= gain.over_rows.high
    turned = compare(two, baseline="other").cell("stars", "plain").gain
    assert turned is not None
    assert turned.value == pytest.approx(-gain.value)


def test_p_values_are_corrected_over_tasks(two: list[Path]) -> None:
    cells = [cell for cell in compare(two).cells if cell.gain is not None]
    for one, other in (("t", "p_seeds"), ("p", "p_rows")):
        raw = {cell.task: getattr(cell.gain.over_seeds if one == "t" else cell.gain.over_rows, one)  # type: ignore[union-attr]
               for cell in cells}  # fmt: skip
        assert {cell.task: getattr(cell.gain, other) for cell in cells} == holm(raw)


def test_the_mean_is_over_what_has_one(two: list[Path]) -> None:
    found = compare(two)
    other = found.variants[1]
    cells = [found.cell(task, "other") for task in ("mood", "topic")]
    assert other.mean == pytest.approx(np.mean([cell.mean for cell in cells]))
    assert other.gain is not None
    assert other.gain.value == pytest.approx(np.mean([cell.gain.value for cell in cells if cell.gain]))
    assert any("Left out of the mean" in note and "stars" in note for note in found.notes)


def test_relative_gains_ranks_and_outcomes(two: list[Path]) -> None:
    found = compare(two)
    plain_, other = found.variants
    means = {name: {task: found.cell(task, name).mean for task in HEADLINES} for name in ("plain", "other")}
    signs = {"mood": 1, "topic": 1, "stars": -1}
    each = [signs[t] * (means["other"][t] / means["plain"][t] - 1) for t in HEADLINES]
    assert other.mean_of_relative_gains == pytest.approx(np.mean(each))
    before, after = (sum(means[name][task] for task in ("mood", "topic")) for name in ("plain", "other"))
    assert other.relative_gain_of_mean == pytest.approx(after / before - 1)
    assert (plain_.mean_of_relative_gains, plain_.outcomes) == (None, None)
    assert other.outcomes is not None
    assert sum(other.outcomes) == 3 * 4
    assert plain_.rank + other.rank == 3.0
    assert other.rank < plain_.rank


def test_tasks_on_the_same_rows_draw_the_same(tmp_path: Path) -> None:
    """A task that is won exactly where another one is lost: their mean does not vary, whichever rows are drawn."""
    won = draw(0.6, 1)
    lost = [1 - value for value in won]
    runs = [
        write_run(tmp_path / "a", {"mood": [0.0] * 200, "topic": [1.0] * 200}),
        write_run(tmp_path / "b", {"mood": won, "topic": [1 - v for v in won]}, balance="other"),
    ]
    gain = compare(runs).variants[1].gain
    assert gain is not None
    assert gain.over_rows is not None
    assert (gain.over_rows.low, gain.over_rows.high) == pytest.approx((0.0, 0.0))
    assert sum(lost) > 0


def test_too_few_seeds_are_told(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{name}-{seed}", {"mood": draw(quality, seed)}, seed, balance=name)
            for name, quality in (("a", 0.3), ("b", 0.9)) for seed in (0, 1)]  # fmt: skip
    found = compare(runs)
    gain = found.cell("mood", "b").gain
    assert gain is not None
    assert (gain.p_seeds, gain.verdict) == (None, "too few seeds")
    assert gain.p_rows is not None
    assert gain.p_rows < 0.01
    assert any(note.startswith("Too few seeds: b and the baseline share fewer than 3") for note in found.notes)


def test_other_test_rows_are_refused(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", {"mood": [1.0] * 30, "topic": [1.0] * 20})
    other = write_run(tmp_path / "other", {"mood": [1.0] * 30, "topic": [1.0] * 20}, rows="s", balance="x")
    with pytest.raises(RunError) as error:
        compare([one, other])
    told = str(error.value)
    assert told.startswith("Only scores on the same test rows can be compared. This comparison has 2 problems")
    assert (
        "mood\n    has other test rows in other than in one. Their data has the fingerprints print-s and print-r"
        in told
    )


def test_other_metrics_are_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"mood": [1.0] * 30}, balance=name) for name in ("a", "b")]
    of = on_test("mood", [1.0] * 30)
    changed = OnTest(
        "macro_f1", True, {"macro_f1": {"value": 1.0, "se": 0.0}}, of.digest, "0" * 8, of.evidence, of.texts, 30
    )
    write_tested(record_file(RunFolder(runs[1])), {"mood": changed})
    with pytest.raises(RunError, match="is scored by macro_f1 in b, by accuracy in a"):
        compare(runs)


def test_only_tasks_that_all_have_are_compared(tmp_path: Path) -> None:
    both = write_run(tmp_path / "both", {"mood": [1.0] * 30, "topic": [1.0] * 30})
    one = write_run(tmp_path / "one", {"mood": [0.0] * 30}, balance="x")
    assert "Not compared, since some variant does not have them: topic." in compare([both, one]).notes
    with pytest.raises(RunError, match="no task in common"):
        compare([one, write_run(tmp_path / "other", {"topic": [0.0] * 30})])


def test_unequal_budgets_are_told(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"mood": [1.0] * 30}, steps=steps, balance=name)
            for name, steps in (("a", 100), ("b", 150))]  # fmt: skip
    assert "Unequal budgets: b had 150 steps, 50 % more than a with 100." in compare(runs).notes


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: [folder], "is no run folder"),
        (lambda folder: [folder / "nowhere"], "is no run folder"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, make: Callable[[Path], list[Path]], told: str) -> None:
    with pytest.raises(RunError, match=told):
        compare(make(tmp_path))


def test_the_same_recipe_and_seed_twice_is_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"mood": [1.0] * 30}) for name in ("a", "b")]
    with pytest.raises(RunError, match="two of the runs are of the same recipe and seed"):
        compare(runs)


def test_an_unknown_baseline_is_refused(two: list[Path]) -> None:
    with pytest.raises(RunError, match="no finished run of a variant `plian`"):
        compare(two, baseline="plian")


def test_a_score_that_is_no_number_claims_nothing(tmp_path: Path) -> None:
    runs = []
    for name, seed in ((name, seed) for name in ("a", "b") for seed in range(3)):
        runs.append(write_run(tmp_path / f"{name}-{seed}", {"mood": draw(0.5, seed)}, seed, balance=name))
    of = read_tested(record_file(RunFolder(runs[-1])), texts=True)["mood"]
    unknown = {"accuracy": {"value": None, "se": None}}
    ruined = replace(of, scores=unknown, evidence=Evidence.of("", []))
    write_tested(record_file(RunFolder(runs[-1])), {"mood": ruined})
    gain = compare(runs).cell("mood", "b").gain
    assert gain is not None
    assert (gain.p_rows, gain.p_seeds, gain.verdict) == (None, None, "a score is no number")


# --- studies


def line(name: str, variant: str, seed: int, **more: Any) -> dict[str, Any]:
    usual = {"task": "", "settings": [], "digest": "0" * 12, "status": "finished", "error": "", "commit": "abc",
             "chosen": True, "planned": True}  # fmt: skip
    return {"name": name, "variant": variant, "seed": seed, **usual, **more}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with a variant of single tasks, a failed run, a trial, one of an older study and a killed sweep."""
    folder = tmp_path / "study"
    lines = []
    for seed in range(3):
        write_run(folder / "runs" / f"sum-{seed}", {"mood": draw(0.6, seed), "topic": draw(0.5, seed)}, seed)
        lines.append(line(f"sum-{seed}", "sum", seed))
        for task in ("mood", "topic"):
            name = f"single-{task}-{seed}"
            write_run(folder / "runs" / name, {task: draw(0.7, seed + 5)}, seed)
            lines.append(line(name, "single", seed, task=task))
    write_run(folder / "runs" / "trial", {"mood": draw(0.1, 0), "topic": draw(0.1, 0)})
    lines += [
        line("trial", "sum", 0, chosen=False),
        line("bad-0", "bad", 0, status="failed", error="Traceback\nValueError: no"),
        line("bad-1", "bad", 1, status="running"),
        line("old-0", "old", 0, planned=False),
    ]
    about = {"budget": "steps", "baseline": "sum", "variants": {"sum": [], "bad": ["x=1"]}}
    StudyFolder(folder).ledger_file.write_text(json.dumps({"study": about, "runs": lines}), encoding="utf-8")
    return folder


def test_single_tasks_are_one_system(study: Path) -> None:
    found = compare([study])
    assert [(variant.name, len(variant.seeds)) for variant in found.variants] == [("sum", 3), ("single", 3)]
    assert found.variants[1].steps == 2 * found.variants[0].steps
    assert "Unequal budgets: single had 8 steps, 100 % more than sum with 4." in found.notes
    assert [task.name for task in found.tasks] == ["mood", "topic"]


def test_a_system_needs_all_its_tasks(study: Path) -> None:
    record_file(RunFolder(study / "runs" / "single-mood-1")).unlink()
    found = compare([study])
    assert found.variants[1].seeds == (0, 2)
    assert any("single has no score for 1 seed (1)" in note for note in found.notes)


def test_every_run_that_was_started_is_listed(study: Path) -> None:
    runs = {run.name: run for run in compare([study]).runs}
    assert (runs["sum-0"].part, runs["sum-0"].version, runs["sum-0"].commit) == ("compared", "0.1.0", "abc")
    assert (runs["trial"].part, runs["old-0"].part) == ("trial", "of an older study")
    assert (runs["bad-0"].part, runs["bad-0"].status) == ("missing", "failed")
    assert runs["bad-1"].status == "interrupted", "its sweep was killed"
    with StudyFolder(study).held():
        assert {run.name: run.status for run in compare([study]).runs}["bad-1"] == "running"


def test_the_worst_regressions_come_first(study: Path) -> None:
    found = compare([study], baseline="single")
    assert [(cell.task, cell.variant) for cell in found.worst] == [("topic", "sum"), ("mood", "sum")]
    assert found.lost
    assert all(row.answers == ("good", "bad") and row.truth == "good" for row in found.lost)
    assert [row.seeds[0] for row in found.lost] == sorted((row.seeds[0] for row in found.lost), reverse=True)
    assert not compare([study]).worst


def test_a_study_is_compared_alone(study: Path, two: list[Path]) -> None:
    with pytest.raises(RunError, match="is a study: compare it alone"):
        gather([study, *two])


def test_a_study_without_a_finished_run_says_so(tmp_path: Path) -> None:
    about = {"budget": "steps", "baseline": "a", "variants": {"a": []}}
    ledger = {"study": about, "runs": [line("a-0", "a", 0, status="failed")]}
    StudyFolder(tmp_path).ledger_file.write_text(json.dumps(ledger), encoding="utf-8")
    with pytest.raises(RunError, match="no run is finished and scored on test yet"):
        compare([tmp_path])


# --- files


def test_results_are_tidy(study: Path, tmp_path: Path) -> None:
    found = compare([study])
    parquet, csv = write_results(found, tmp_path)
    rows = pyarrow.parquet.read_table(parquet).to_pylist()
    assert len(rows) == 2 * 2 * 3
    for row in rows:
        assert row["score"] == found.cell(row["task"], row["variant"]).scores[row["seed"]]
        assert row["baseline"] == (row["variant"] == "sum")
    assert {row["run"] for row in rows if row["variant"] == "single" and row["task"] == "mood"} == {
        f"single-mood-{seed}" for seed in range(3)
    }
    assert pyarrow.csv.read_csv(csv).num_rows == len(rows)


def test_plain_data_is_json(study: Path) -> None:
    found: Comparison = compare([study])
    told = json.loads(json.dumps(plain(found), allow_nan=False))
    assert [variant["name"] for variant in told["variants"]] == ["sum", "single"]
    gain = told["cells"][-1]["gain"]
    assert {"value", "verdict", "p_rows", "p_seeds", "over_rows", "over_seeds"} == set(gain)
    assert not math.isnan(gain["value"])


def test_a_record_comes_back(tmp_path: Path) -> None:
    evidence = Evidence.of("macro_f1", [[0, 1, 1, 1], [], [0, 0, 1, 0, 2, 0, 0, 1]], positive=2)
    texts = [{"id": str(n), "input": "ä | b", "truth": "x", "answer": ""} for n in range(3)]
    scores = {"macro_f1": {"value": 0.5, "se": None}}
    one = OnTest("macro_f1", True, scores, "d", "r", evidence, texts, 3)
    other = OnTest("accuracy", True, {"accuracy": {"value": None, "se": None}}, "e", "r", Evidence.of("", []), texts, 3)
    write_tested(tmp_path / "test.parquet", {"one": one, "other": other})
    back = read_tested(tmp_path / "test.parquet", texts=True)
    assert list(back) == ["one", "other"]
    assert back["one"].texts == texts
    assert back["one"].evidence.offsets.tolist() == evidence.offsets.tolist()
    assert back["one"].evidence.numbers.tolist() == evidence.numbers.tolist()
    assert (back["one"].evidence.positive, back["one"].score) == (2, 0.5)
    assert math.isnan(back["one"].error)
    assert math.isnan(back["other"].score)
    assert (back["other"].evidence.formula, back["other"].rows) == ("", 3)


def test_a_record_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="is no record of a test"):
        read_tested(tmp_path / "test.parquet")


def test_comparing_imports_no_torch() -> None:
    program = (
        "import sys, motet.study.comparison, motet.study.tables, motet.reporting.study; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
