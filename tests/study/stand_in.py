"""A run without training: the files that `motet train`, `motet resume` and the scoring leave, in milliseconds.

    python stand_in.py train BASE KEY=VALUE... --out FOLDER --quiet
    python stand_in.py resume FOLDER --quiet
    python stand_in.py score FOLDER         leaves an empty record; `score` writes one that can be read

A variant that says `behave` fails, dies of its own hand, takes long, or scores better or worse.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

ROWS = 40


def settings(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


def train(run: Path, given: dict[str, str], resumed: bool = False) -> None:
    behave = json.loads(given.get("behave", '""'))
    seed = int(given.get("training.seed", 0))
    run.mkdir(parents=True, exist_ok=True)
    if not resumed:
        manifest = {"seed": seed, "threads": int(os.environ["OMP_NUM_THREADS"]), "given": given}
        write(run / "manifest.json", {**manifest, "packages": {"motet": "0"}, "data": {"mood": "x"}, "experiment": {}})
        task = {"name": "mood", "metric": "accuracy", "higher_is_better": True}
        note(run, {"event": "plan", "steps": 4, "tasks": [task]})
    note(run, {"event": "resumed", "events": 1, "step": 0} if resumed else {"event": "step", "step": 1})
    if behave == "fail":
        sys.exit("the loss of `mood` is not finite")
    if behave == "die" and not resumed:
        os.kill(os.getpid(), signal.SIGKILL)
    if behave == "slow" and not resumed:
        interrupted: list[int] = []
        signal.signal(signal.SIGINT, lambda *_: interrupted.append(1))
        (run / "slow").write_text(str(os.getpid()))
        for _ in range(600):
            time.sleep(0.05)
            if interrupted or (run / "release").exists():
                break
        if interrupted:
            note(run, {"event": "interrupted", "step": 1})
            sys.exit(130)
    score = float(given.get("quality", 0.5)) + 0.001 * seed
    note(run, {"event": "check", "step": 2, "scores": {"mood": {"accuracy": {"value": score, "se": 0.01}}},
               "headline": {"mood": score}, "smoothed": {"mood": score}})  # fmt: skip
    (run / "model").mkdir(exist_ok=True)
    scored = {"step": 4, "scores": {"mood": {"accuracy": {"value": score, "se": 0.01}}}}
    note(run, {"event": "candidates", "chosen": "last", "last": scored})
    note(run, {"event": "end", "step": 4, "logical": 4, "seconds": 0.1, "reason": "steps"})


def score(run: Path) -> None:
    import numpy as np

    from motet.study.formulas import Evidence
    from motet.study.records import OnTest, write_tested

    manifest = json.loads((run / "manifest.json").read_text())
    quality = float(manifest["given"].get("quality", 0.5))
    right = (np.random.default_rng(manifest["seed"]).random(ROWS) < quality).astype(float)
    texts = [{"id": str(n), "input": f"film {n}", "truth": "good", "answer": "good" if r else "bad"}
             for n, r in enumerate(right)]  # fmt: skip
    scores = {"accuracy": {"value": float(right.mean()), "se": 0.05}}
    rows = manifest["given"].get("rows", "same")
    tested = OnTest("accuracy", True, scores, rows, "0" * 32, Evidence.of("mean", right[:, None].tolist()), texts, ROWS)
    write_tested(run / "test.parquet", {"mood": tested})
    note(run, {"event": "evaluation", "split": "test", "model": "model", "scores": {"mood": scores}})


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def note(run: Path, event: dict[str, object]) -> None:
    with (run / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": 0.0, **event}) + "\n")


def main() -> None:
    action, *words = sys.argv[1:]
    if action == "train":
        train(Path(words[words.index("--out") + 1]), settings(words))
    elif action == "resume":
        run = Path(words[0])
        train(run, json.loads((run / "manifest.json").read_text())["given"], resumed=True)
    else:
        (Path(words[0]) / "test.parquet").touch()
        note(Path(words[0]), {"event": "evaluation", "split": "test"})


if __name__ == "__main__":
    main()
