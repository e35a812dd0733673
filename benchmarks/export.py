"""Holds ONNX exports in float32 and int8 against the model they were made of: time, size, differences, scores.

    python benchmarks/export.py
    python benchmarks/export.py --run runs/first --split test

Without `--run` a model is trained first, as `motet demo` does, for a few steps: the default encoder, five tasks about
documentation strings. Times are of `predict` for the same texts in turns, so that drift of the machine touches all;
they include tokenising and decoding, which are the same for all. A ratio above 1 says that the export is faster.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from measuring import Row, Stopwatch, table

from motet.answering import Answering
from motet.cli.app import main as motet
from motet.model import load
from motet.recipe import load as read_recipe
from motet.runs import RunFolder
from motet.serving.checking import examples_of, sample
from motet.serving.exporting import Exported, export_onnx, fitting
from motet.serving.onnx_model import OnnxModel


def trained(folder: Path, steps: int) -> Path:
    """The run of a demo."""
    out = folder / "run"
    try:
        motet(["demo", "--out", str(out), "--steps", str(steps), "--quiet"])
    except SystemExit as done:
        if done.code:
            raise
    return out


def timed(name: str, first: Answering, second: Answering, texts: Sequence[str], rounds: int) -> Row:
    """How many times as fast the second is, text by text and all at once alike."""
    watch = Stopwatch(torch.device("cpu"))
    turns = watch.turns(lambda: first.predict(list(texts)), lambda: second.predict(list(texts)), rounds)
    return Row("documentation", name, [before / after for before, after in turns])


def told(exported: Exported) -> str:
    """Differences and scores of an export, a line a task."""
    lines = []
    for name, difference in exported.differences.items():
        line = f"{name:<18} float32 differs by {difference:.1e}"
        if name in exported.rounded:
            line += f", int8 by {exported.rounded[name]:.1e}"
        if name in exported.losses:
            loss = exported.losses[name]
            line += (
                f"; {loss.metric} {loss.before:.4f} -> {loss.after:.4f} (se {loss.se or 0:.4f}), lost {loss.lost:+.4f}"
            )
        lines.append(line)
    return "\n".join(lines)


def weight(folder: Path, pattern: str) -> float:
    """MiB of files."""
    return sum(file.stat().st_size for file in folder.glob(pattern)) / 2**20


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run; without, one is made")
    parser.add_argument("--steps", type=int, default=200, help="of the run that is made")
    parser.add_argument("--split", default="test", help="to score on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = RunFolder(given.run or trained(Path(place), given.steps)).require()
        loaded = read_recipe(run.recipe_file)
        model = load(run.path)
        examples = examples_of(loaded.experiment, model, given.split, loaded.folder)
        names = [name for name in fitting(model)[0] if name in examples]
        exported = {
            kind: export_onnx(
                model, Path(place) / kind, sample(examples), tasks=names, int8=kind == "int8", examples=examples
            )
            for kind in ("float32", "int8")
        }
        graphs = {kind: OnnxModel.from_pretrained(of.folder) for kind, of in exported.items()}
        single = next(name for name in names if len(model.tasks[name].inputs.columns) == 1)
        records = examples[single].records()[: given.texts]
        texts = [str(record[model.tasks[single].inputs.columns[0]]) for record in records]
        rows = [
            timed(f"{kind}, {len(texts)} texts at once", model, graphs[kind], texts, given.rounds) for kind in graphs
        ]
        rows += [timed(f"{kind}, one text", model, graphs[kind], texts[:1], 5 * given.rounds) for kind in graphs]
        sizes = {"model folder": weight(run.model, "*.safetensors")}
        sizes |= {kind: weight(of.folder, "model.onnx*") for kind, of in exported.items()}
    print(f"{torch.get_num_threads()} thread(s); times of torch in float32 over those of the export")
    print(table(rows))
    print(", ".join(f"{kind} {size:.1f} MiB" for kind, size in sizes.items()))
    print(told(exported["int8"]))
    if given.out:
        report = {"rows": [row.plain() for row in rows], "mebibytes": sizes}
        report["scores"] = {name: vars(loss) for name, loss in exported["int8"].losses.items()}
        given.out.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
