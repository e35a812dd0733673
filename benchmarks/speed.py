"""How fast motet is, as ratios measured within one run.

    python benchmarks/speed.py                              on the bundled documentation strings
    python benchmarks/speed.py --data FOLDER                and on five real data sets, those of recipes/similar.yaml
    python benchmarks/speed.py --only holding --steps 20    one row alone, with longer turns

A ratio is the median over turns in which both sides take part. Close everything else that computes, or choose
`--clock cpu`, which counts the processor time of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from bare import Bare, Batch
from measuring import Row, Stopwatch, table
from subject import RECIPE, Choice, Subject, opened

from motet.data.batches import Padding, reading_chunks
from motet.data.examples import Examples
from motet.training.distillation import SoftLabels
from motet.training.evaluation import evaluate, predict_examples

_LARGEST = 4096  # tokens of a chunk that is read, as in `predict_examples`
_FIRST_STEP = Path(__file__).with_name("first_step.py")


def training(subject: Subject, watch: Stopwatch, options: argparse.Namespace) -> list[Row]:
    """Trainer against the bare loop, and how much of what they compute is padding."""
    bare = Bare(subject.trainer.model, options.precision)
    ratios, real, padded = [], 0, 0
    for number in range(options.rounds + 1):
        chunks = subject.coming(options.steps)
        batches = [bare.batches(step) for step in chunks]
        motet, loop = watch.turn(partial(subject.step, options.steps), partial(bare.learn, batches), number)
        if number:  # the first turn warms up
            ratios.append(loop / motet)
            real += sum(chunk.real for step in chunks for chunk in step)
            padded += sum(chunk.padded for step in chunks for chunk in step)
    name = subject.choice.name
    return [
        Row(name, f"training, tokens/s of the bare loop, {options.precision}", ratios, least=0.95),
        Row(name, "padding, share of tokens", [1 - real / padded], most=0.05),
    ]


def bf16(subject: Subject, watch: Stopwatch, options: argparse.Namespace) -> list[Row]:
    """A step in bfloat16 against one in float32."""
    devices = subject.trainer.devices

    def in_precision(precision: str) -> None:
        devices.precision = precision

    timed = _alternately(subject, watch, options, lambda: in_precision("bf16"), lambda: in_precision("fp32"))
    in_precision(options.precision)
    return [Row(subject.choice.name, "bf16, seconds of a step in fp32", [a / b for a, b in timed])]


def holding(subject: Subject, watch: Stopwatch, options: argparse.Namespace) -> list[Row]:
    """A step in which all tasks are held by recorded labels against one from true labels."""
    objective, held = subject.trainer.objective, subject.held()

    def hold(tasks: bool) -> None:
        objective.held = dict(held) if tasks else {}

    timed = _alternately(subject, watch, options, lambda: hold(True), lambda: hold(False))
    hold(False)
    return [
        Row(subject.choice.name, "holding, seconds of a step from true labels", [a / b for a, b in timed], most=1.03)
    ]


def _alternately(
    subject: Subject,
    watch: Stopwatch,
    options: argparse.Namespace,
    first: Callable[[], None],
    second: Callable[[], None],
) -> list[tuple[float, float]]:
    """Seconds of the same steps after each of two changes."""
    state = subject.trainer.feed.state()

    def after(change: Callable[[], None]) -> None:
        change()
        subject.trainer.feed.restore(state)
        subject.step(options.steps)

    return watch.turns(lambda: after(first), lambda: after(second), options.rounds)


def recording(subject: Subject, watch: Stopwatch, options: argparse.Namespace) -> list[Row]:
    """Soft labels of one task, predicted and written, against bare inference."""
    name = next(iter(subject.prepared.corpus.tasks))
    examples = {name: subject.some("train", options.rows)[name]}
    path = subject.folder / "recorded.arrow"

    def record() -> None:
        found = predict_examples(subject.trainer.model, examples, subject.trainer.devices)[name]
        SoftLabels.write(path, found, examples[name].ids, {"task": name})

    ratios = _against_inference(subject, watch, options, record, examples)
    return [Row(subject.choice.name, "recording, rows/s of bare inference", ratios, least=0.90)]


def evaluation(subject: Subject, watch: Stopwatch, options: argparse.Namespace) -> list[Row]:
    """All scores of all tasks against bare inference."""
    examples = subject.some("validation", options.rows)
    ratios = _against_inference(
        subject, watch, options, lambda: evaluate(subject.trainer.model, examples, subject.trainer.devices), examples
    )
    return [Row(subject.choice.name, "evaluation, rows/s of bare inference", ratios, least=0.85)]


def _against_inference(
    subject: Subject,
    watch: Stopwatch,
    options: argparse.Namespace,
    work: Callable[[], object],
    examples: Mapping[str, Examples],
) -> list[float]:
    bare = Bare(subject.trainer.model, options.precision)
    batches = list(_read(subject, bare, examples))
    return [loop / motet for motet, loop in watch.turns(work, lambda: bare.infer(batches), options.rounds)]


def _read(subject: Subject, bare: Bare, examples: Mapping[str, Examples]) -> Iterator[Batch]:
    """The chunks that motet reads these examples in, rows that several tasks share once."""
    groups: dict[int, list[str]] = {}
    for name, of_task in examples.items():
        groups.setdefault(id(of_task.tokens), []).append(name)
    padding = Padding(pad=cast(int, subject.trainer.model.tokenizer.pad_token_id), largest=_LARGEST)
    for names in groups.values():
        tokens = examples[names[0]].tokens
        rows = np.unique(np.concatenate([examples[name].rows for name in names]))
        asked = {name: subject.prepared.corpus.tasks[name] for name in names}
        yield from bare.batches(chunk for chunk, _ in reading_chunks(tokens, rows, asked, padding))


def starting(choice: Choice, rounds: int) -> list[Row]:
    """The second start of a run against the first one, which reads and tokenises; a process each."""
    whole, alone = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="motet-speed-") as folder:
            first, second = _start(choice, Path(folder)), _start(choice, Path(folder))
        alone.append(second[0] / first[0])
        whole.append(second[1] / first[1])
    return [
        Row(choice.name, "second start to the first step, of the first start", alone, most=0.30),
        Row(choice.name, "the same, with the start of Python and all imports", whole),
    ]


def _start(choice: Choice, folder: Path) -> tuple[float, float]:
    caches = {"MOTET_CACHE": str(folder / "motet"), "HF_DATASETS_CACHE": str(folder / "datasets")}
    arguments = [choice.source, choice.precision, str(choice.layers or ""), str(choice.data or "")]
    with tempfile.TemporaryDirectory(dir=folder) as run:
        command = [sys.executable, str(_FIRST_STEP), run, *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, env={**os.environ, **caches}, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1]), time.perf_counter() - started


def importing(rounds: int) -> list[Row]:
    """What a user waits for before anything happens, against the import of torch."""
    commands = {
        "motet --help": "import sys; sys.argv = ['motet', '--help']; from motet.cli.app import main; main()",
        "import motet": "import motet",
        "import torch": "import torch",
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, code in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            if number:  # the first one reads the files from disk
                seconds[name].append(time.perf_counter() - started)
    torches = seconds.pop("import torch")
    return [
        Row("", f"{name}, of `import torch`", [a / b for a, b in zip(of, torches, strict=True)], most=0.40)
        for name, of in seconds.items()
    ]


_STEPPED = {f.__name__: f for f in (training, bf16, recording, holding, evaluation)}


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Every row that was asked for, as soon as it is there."""
    wanted = options.only or [*_STEPPED, "start", "import"]
    for choice in _choices(options):
        named = [name for name in wanted if name in _STEPPED]
        if named:
            with _subject(choice) as subject:
                watch = Stopwatch(subject.trainer.devices.device, cpu=options.clock == "cpu")
                for name in named:
                    yield from _STEPPED[name](subject, watch, options)
        if "start" in wanted:
            yield from starting(choice, options.starts)
    if "import" in wanted:
        yield from importing(options.rounds)


@contextmanager
def _subject(choice: Choice) -> Iterator[Subject]:
    with tempfile.TemporaryDirectory(prefix="motet-speed-") as folder, opened(choice, Path(folder)) as subject:
        yield subject


def _choices(options: argparse.Namespace) -> list[Choice]:
    chosen = [Choice("docstrings", None, options.precision, options.layers)]
    if options.data:
        os.environ["MOTET_DATA"] = str(options.data)  # the recipe looks at the cards of its sources there
        chosen.append(Choice(str(options.recipe), options.data, options.precision, options.layers))
    return chosen


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the data sets of the recipe")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="measured where --data is given")
    parser.add_argument("--steps", type=int, default=10, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side")
    parser.add_argument("--starts", type=int, default=1, help="pairs of first and second starts")
    parser.add_argument("--rows", type=int, default=1000, help="rows of a task that are read without training")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="fp32")
    parser.add_argument("--layers", type=int, help="of the default encoder; by default all")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--only", nargs="+", choices=[*_STEPPED, "start", "import"])
    parser.add_argument("--json", type=Path, help="write the rows to a file, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write a file if one was named."""
    options = _options(arguments)
    rows = []
    for row in measure(options):
        rows.append(row)
        print(f"{row.source} {row.name}: {row.value:.3f}", file=sys.stderr, flush=True)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.clock} clock\n")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([row.plain() for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
