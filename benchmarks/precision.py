"""What bfloat16 costs in score and saves in time: the same runs in both precisions, seed by seed.

    python benchmarks/precision.py --out runs/precision --seeds 0 1 2

Five tasks on the bundled docstrings, the first three layers of the default encoder, plain joint training. Prints a
line a seed and the mean difference of test scores with its standard error over seeds; `precision: auto` is honest only
while that difference is no loss.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from motet.data.docstrings import tasks
from motet.data.sources import Source
from motet.encoders.loading import Encoder
from motet.runs import RunFolder
from motet.sampling.uniform import Uniform
from motet.training.convergence import Never
from motet.training.evaluation import evaluate_run
from motet.training.experiment import Experiment, Training
from motet.training.run import start


def experiment(precision: Any, seed: int, steps: int) -> Experiment:
    """The run, for one precision and seed."""
    source = Source("docstrings", rows={"train": 2000, "validation": 250})
    return Experiment(
        tasks=tuple(replace(task, source=source) for task in tasks()),
        encoder=Encoder(layers=3, max_length=48),
        sampler=Uniform(),
        convergence=Never(),
        training=Training(
            steps=steps, tokens_per_batch=1024, check_every=steps, learning_rate=2e-4, precision=precision, seed=seed
        ),
    )


def measure(precision: str, seed: int, steps: int, out: Path) -> dict[str, float]:
    """Mean headline score on test, and seconds a step; a finished run is not repeated."""
    wanted, run = experiment(precision, seed, steps), RunFolder(out / f"{precision}-{seed}")
    if not run.exists():
        start(wanted, run.path)
        evaluate_run(run, wanted)
    events = run.events()
    scores = next(event["scores"] for event in reversed(events) if event["event"] == "evaluation")
    headline = {task.name: task.headline for task in wanted.tasks}
    seconds = sum(event["seconds"] for event in events if event["event"] == "step")
    return {"score": mean(scores[task][metric]["value"] for task, metric in headline.items()), "step": seconds / steps}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs", "precision"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    differences, ratios = [], []
    for seed in options.seeds:
        found = {name: measure(name, seed, options.steps, options.out) for name in ("fp32", "bf16")}
        differences.append(100 * (found["bf16"]["score"] - found["fp32"]["score"]))
        ratios.append(found["fp32"]["step"] / found["bf16"]["step"])
        print(json.dumps({"seed": seed, **{n: {k: round(v, 4) for k, v in f.items()} for n, f in found.items()}}))
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    print(f"bf16 minus fp32, mean test score of five tasks: {mean(differences):+.2f} ± {error:.2f} points")
    print(f"a step in bf16 is {mean(ratios):.2f} times as fast")


if __name__ == "__main__":
    main()
