"""A recipe as it stands and without convergence, over several seeds, paired by seed.

    python benchmarks/paired.py foundation --data FOLDER --seeds 0 1 2
    python benchmarks/paired.py answer-shapes --data FOLDER --seeds 0 1 2
    python benchmarks/paired.py foundation --page        only write the page again, from the recorded lines

Finished runs are skipped and interrupted ones resumed, so the same command goes on after anything. Every finished run
is scored once on test and becomes a line of docs/results/STUDY.jsonl, from which STUDY.md is made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paired_page import STUDIES, page

from motet.errors import UserError
from motet.metrics import METRICS
from motet.recipe import load
from motet.reporting.console import Console
from motet.runs import Event, RunFolder
from motet.training.evaluation import evaluate_run
from motet.training.experiment import Experiment
from motet.training.run import resume, start

_REPOSITORY = Path(__file__).resolve().parent.parent
_VARIANTS: dict[str, tuple[str, ...]] = {"shipped": (), "none": ("convergence=none",)}
Line = dict[str, Any]


def perform(name: str, experiment: Experiment, options: argparse.Namespace) -> RunFolder:
    """Bring one run to its end, from wherever it is, and score it on test."""
    run = RunFolder(options.out / name)
    listeners = [Console(quiet=True)]
    if _event(run, "end"):
        _require_same(run, experiment)
    elif run.exists():
        resume(run.path, experiment, folder=options.data, listeners=listeners)
    else:
        start(experiment, run.path, folder=options.data, listeners=listeners)
    if not _event(run, "evaluation"):
        evaluate_run(run, experiment, split="test", folder=options.data)
    return run


def _require_same(run: RunFolder, experiment: Experiment) -> None:
    if run.read_json(run.manifest_file)["experiment"] != json.loads(json.dumps(experiment.describe())):
        raise SystemExit(f"{run.path} was run with other settings. Choose another --out, or delete it.")


def _event(run: RunFolder, name: str) -> Event:
    """The last event of a name; empty without."""
    return next((event for event in reversed(run.events()) if event["event"] == name), {})


def summarise(variant: str, seed: int, run: RunFolder) -> Line:
    """One finished run in a line."""
    manifest, end, plan = run.read_json(run.manifest_file), _event(run, "end"), _event(run, "plan")
    tasks = {task["name"]: _scores(task["name"], task["metric"], run) for task in plan["tasks"]}
    means = {key: sum(task[key] for task in tasks.values()) / len(tasks) for key in ("peak", "final", "drop", "test")}
    return {
        "variant": variant,
        "seed": seed,
        "settings": digest(manifest["experiment"]),
        "tasks": tasks,
        "mean": means,
        "steps": {"physical": end["step"], "logical": end["logical"]},
        "reason": end["reason"],
        "seconds": end["seconds"],
        "switches": [_switch(event) for event in run.events() if event["event"] == "converged"],
        "machine": {key: manifest[key] for key in ("platform", "device", "precision", "threads", "processes")},
        "versions": {"python": manifest["python"], **manifest["packages"]},
    }


def _scores(task: str, metric: str, run: RunFolder) -> dict[str, Any]:
    """Validation at its highest, validation of the model, what lies between, and test; all better when higher."""
    sign = 1 if METRICS[metric].higher_is_better else -1
    seen = [event["scores"][task][metric]["value"] for event in run.events() if event["event"] == "check"]
    candidates = _event(run, "candidates")
    final = candidates[candidates["chosen"]]["scores"][task][metric]
    test = _event(run, "evaluation")["scores"][task][metric]
    peak = max(sign * value for value in seen)
    return {
        "metric": metric,
        "peak": peak,
        "final": sign * final["value"],
        "final_se": final["se"],
        "drop": peak - sign * final["value"],
        "test": sign * test["value"],
        "test_se": test["se"],
    }


def _switch(event: Event) -> dict[str, Any]:
    return {key: event[key] for key in ("task", "step", "logical", "best_step", "own_epochs", "then", "rewind")}


def digest(experiment: Mapping[str, Any]) -> str:
    """What tells settings apart, the seed left out."""
    training = {key: value for key, value in experiment["training"].items() if key != "seed"}
    text = json.dumps({**experiment, "training": training}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def record(file: Path, line: Line) -> None:
    """Put a line among those of the study, in place of an older one of the same variant and seed."""
    lines = {(old["variant"], old["seed"]): old for old in recorded(file)}
    lines[line["variant"], line["seed"]] = line
    text = "".join(json.dumps(lines[key], ensure_ascii=False) + "\n" for key in sorted(lines))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def recorded(file: Path) -> list[Line]:
    """All lines so far."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def run_all(options: argparse.Namespace) -> None:
    """Every variant and seed that was asked for; a seed of all variants before the next seed."""
    for seed in options.seeds:
        for variant in options.variants:
            name = f"{variant}-{seed}"
            settings = [*options.set, *_VARIANTS[variant], f"training.seed={seed}"]
            print(f"{name} ...", flush=True)
            run = perform(name, load(_REPOSITORY / STUDIES[options.study].recipe, settings).experiment, options)
            line = summarise(variant, seed, run)
            record(options.results / f"{options.study}.jsonl", line)
            print(f"{name}: test {100 * line['mean']['test']:.2f}, {line['seconds']:.0f} s", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--data", type=Path, help="folder with the data sets of the recipe")
    parser.add_argument("--out", type=Path, help="where the runs go; by default runs/STUDY")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=list(_VARIANTS), default=list(_VARIANTS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="other settings, for all runs")
    parser.add_argument("--results", type=Path, default=_REPOSITORY / "docs" / "results")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    options = parser.parse_args(arguments)
    options.out = options.out or Path("runs", options.study)
    if not options.page and options.data is None:
        parser.error("--data is needed, but for --page")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and write the page."""
    options = _options(arguments)
    if not options.page:
        os.environ["MOTET_DATA"] = str(options.data)  # the recipe looks at the cards of its sources there
        try:
            run_all(options)
        except UserError as error:
            raise SystemExit(str(error)) from error
    lines = recorded(options.results / f"{options.study}.jsonl")
    if not lines:
        raise SystemExit(f"{options.results} holds no finished run yet.")
    (options.results / f"{options.study}.md").write_text(page(options.study, lines), encoding="utf-8")


if __name__ == "__main__":
    main()
