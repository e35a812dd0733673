"""Write down every run of finished or unfinished studies, one JSON line each, for the page of the reproduction.

    python benchmarks/asynchronous/record.py studies/similar studies/diverse

The lines of a study replace those that docs/results/asynchronous.jsonl has of it already. Runs that failed or were
stopped are written down too. Scores are in percent.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from motet.runs import Event
from motet.study.results import Result, gather

LINES = Path(__file__).resolve().parent.parent.parent / "docs" / "results" / "asynchronous.jsonl"
Line = dict[str, Any]


def lines_of(folder: Path) -> Iterator[Line]:
    """A line for every run of a study that was started."""
    for result in gather([folder]).results:
        if result.line["status"] != "waiting":
            known = ("variant", "task", "seed", "name", "digest", "commit", "status", "error", "chosen", "settings")
            yield {"study": folder.name, **{key: result.line[key] for key in known}, **_course(result)}


def _course(result: Result) -> Line:
    """What happened in a run; empty where it never began."""
    events = result.run.events() if result.run.exists() else []
    plan = _last(events, "plan")
    if not plan:
        return {}
    metrics = {task["name"]: task["metric"] for task in plan["tasks"]}
    checks = [event for event in events if event["event"] == "check"]
    candidates, end = _last(events, "candidates"), _last(events, "end")
    final = candidates[candidates["chosen"]] if candidates else {}
    return {
        "metrics": metrics,
        "train_rows": {task["name"]: task["train"] for task in plan["tasks"]},
        "epochs": {task: round(of, 2) for task, of in (checks[-1]["own_epochs"] if checks else {}).items()},
        "checked": [check["step"] for check in checks],
        "curves": {task: [_percent(check["headline"][task]) for check in checks] for task in metrics},
        "errors": {task: _percent(checks[-1]["scores"][task][m]["se"]) for task, m in metrics.items() if checks},
        "final_step": final.get("step"),
        "validation": {task: _percent(final["scores"][task][m]["value"]) for task, m in metrics.items() if final},
        "test": {name: _percent(of.score) for name, of in result.tested.items()} if result.counts else {},
        "converged": {e["task"]: e["step"] for e in events if e["event"] == "converged"},
        "peaks": {e["task"]: _percent(e["peak"]) for e in events if e["event"] == "converged"},
        "discarded": sum(e["discarded"] for e in events if e["event"] == "converged"),
        "ended": end.get("reason", ""),
        "steps": end.get("step", checks[-1]["step"] if checks else 0),
        "tokens": result.tokens,
        "seconds": round(sum(work.seconds for work in result.history.work), 1),
        "checking": round(sum(check["seconds"] for check in checks), 1),
        "precision": plan["precision"],
        "device": plan["device"],
    }


def _last(events: Sequence[Event], name: str) -> Mapping[str, Any]:
    return next((event for event in reversed(events) if event["event"] == name), {})


def _percent(score: float | None) -> float | None:
    return None if score is None else round(100 * score, 3)


def main() -> None:
    """Replace the lines of some studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path, help="folders of `motet sweep`")
    parser.add_argument("--lines", type=Path, default=LINES, help="the file of lines")
    given = parser.parse_args()
    text = given.lines.read_text(encoding="utf-8") if given.lines.exists() else ""
    names = {folder.name for folder in given.studies}
    kept = [line for line in map(json.loads, text.splitlines()) if line["study"] not in names]
    found = [line for folder in given.studies for line in lines_of(folder)]
    given.lines.parent.mkdir(parents=True, exist_ok=True)
    given.lines.write_text("".join(json.dumps(line) + "\n" for line in [*kept, *found]), encoding="utf-8")
    print(f"{len(found)} runs written down in {given.lines}")


if __name__ == "__main__":
    main()
