"""Write tasks, rows and an encoder for programs that do not know motet.

    python benchmarks/peers/export_tasks.py FOLDER                                   five tasks on docstrings
    python benchmarks/peers/export_tasks.py FOLDER --recipe recipes/similar.yaml --data DATA

    FOLDER/tasks.json                 labels, metrics, lengths, and a digest of everything
    FOLDER/tasks/TASK/SPLIT.jsonl     a row a line: `text`, or `first` and `second`, and `label`
    FOLDER/encoder                    the encoder, cut to the layers that are used, and its tokenizer

The tasks of docstrings are two about a text of any length, one about a pair and two about a name of a few sub-words.
Every task gets rows of its own, so that no library gains by texts that two tasks share.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel

from motet.data.corpus import Corpus, load_corpus
from motet.data.examples import Examples
from motet.encoders.families import cut, family_of
from motet.encoders.loading import Encoder, load_tokenizer, locate
from motet.encoders.silence import silently
from motet.errors import DataError, Problem, RecipeError, UserError
from motet.recipe import load
from motet.registry import part_name
from motet.runs import remove
from motet.tasks.base import Task
from motet.tasks.classification import Classification, text_columns
from motet.training.experiment import Experiment

__all__ = ["docstring_tasks", "export"]

_SPLITS = ("train", "validation", "test")


def docstring_tasks() -> tuple[Classification, ...]:
    """Five tasks of one label each on the bundled docstrings."""
    read: dict[str, tuple[str | tuple[str, str], str]] = {
        "area": ("text", "area"),
        "kind": ("text", "kind"),
        "name_match": (("name", "text"), "belongs"),
        "area_of_name": ("name", "area"),
        "kind_of_name": ("name", "kind"),
    }
    return tuple(
        Classification(name, source="docstrings", text=text, label=label, metric="macro_f1")
        for name, (text, label) in read.items()
    )


def export(experiment: Experiment, data: Path | None, out: Path, most: dict[str, int]) -> str:
    """Write everything, in place of what an earlier call has written.

    Args:
        experiment: whose tasks and encoder are meant.
        data: where relative paths of sources are looked up.
        out: the folder.
        most: rows of a task in every split.

    Raises:
        UserError: a task that peers cannot learn, or data that cannot be read.

    Returns:
        A digest of everything.
    """
    _require_learnable(experiment)
    place = locate(experiment.encoder)
    tokenizer = load_tokenizer(experiment.encoder, place)
    corpus = load_corpus(experiment.tasks, tokenizer, experiment.encoder.max_length, data, _SPLITS)
    _require_splits(corpus)
    for old in ("tasks", "encoder"):
        remove(out / old)
    _write_encoder(experiment.encoder, place, out / "encoder")
    tokenizer.save_pretrained(out / "encoder")
    told = {name: _write_task(corpus, number, out / "tasks" / name, most) for number, name in enumerate(corpus.tasks)}
    plain = {"max_length": experiment.encoder.max_length, "tasks": told}
    plain["digest"] = _digest(
        plain, sorted(file for file in out.rglob("*") if file.suffix in (".jsonl", ".safetensors"))
    )
    (out / "tasks.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
    return str(plain["digest"])


def _require_learnable(experiment: Experiment) -> None:
    problems = [problem for task in experiment.tasks for problem in _task_problems(task)]
    if experiment.encoder.from_scratch:
        problems.append(Problem("encoder.from_scratch", "is not known to all peers", "true"))
    if problems:
        raise RecipeError(problems, heading="The comparison with peers")


def _task_problems(task: Task) -> Iterable[Problem]:
    place, remedy = f"tasks.{task.name}", "Leave the task out, or choose another recipe."
    if not isinstance(task, Classification):
        yield Problem(f"{place}.type", "must be classification, which all peers can learn", part_name(task), remedy)
    elif task.words:
        yield Problem(f"{place}.words", "must be false: peers read texts, not lists of words", "true", remedy)
    elif task.label_smoothing:
        yield Problem(f"{place}.label_smoothing", "must be 0, as with the peers", str(task.label_smoothing))


def _require_splits(corpus: Corpus) -> None:
    lacking = [(name, split) for name in corpus.tasks for split in _SPLITS if name not in corpus.examples(split)]
    if lacking:
        raise DataError([Problem(f"tasks.{name}", f"has no labelled {split} row") for name, split in lacking])


def _write_encoder(encoder: Encoder, place: Path, out: Path) -> None:
    config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    if family_of(config) != "encoder":
        raise RecipeError(
            Problem("encoder.name", "must be an encoder, which all peers can put a head on", encoder.name)
        )
    if encoder.layers is not None:
        cut(config, encoder.layers)
    with silently():
        model = AutoModel.from_pretrained(place, config=config, trust_remote_code=False, use_safetensors=True)
        model.save_pretrained(out)


def _write_task(corpus: Corpus, number: int, out: Path, most: dict[str, int]) -> dict[str, Any]:
    """Write the rows of a task, drawn with its number as the seed; what there is to know about it."""
    out.mkdir(parents=True)
    name = list(corpus.tasks)[number]
    task = corpus.tasks[name]
    assert isinstance(task, Classification)
    few = {split: corpus.examples(split)[name].take(most[split], seed=number) for split in _SPLITS}
    for split, examples in few.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(task, examples))
        (out / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    train = few["train"]
    return {
        "labels": list(task.classes),
        "pair": len(text_columns(task.text)) > 1,
        "metric": task.headline,
        "positive": task.positive,
        "tokens": float(train.tokens.lengths[train.rows].mean()),
    }


def _rows(task: Classification, examples: Examples) -> Iterable[dict[str, str]]:
    columns = text_columns(task.text)
    names = ("first", "second") if len(columns) > 1 else ("text",)
    for row in examples.records():
        texts = {
            name: "" if row[column] is None else str(row[column]) for name, column in zip(names, columns, strict=True)
        }
        yield {**texts, "label": str(row[task.label])}


def _digest(plain: dict[str, Any], files: Sequence[Path]) -> str:
    found = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


def chosen(recipe: Path | None, data: Path | None, layers: int | None) -> Experiment:
    """The experiment of a recipe, or the tasks of docstrings with the default encoder."""
    if recipe is None:
        return Experiment(tasks=docstring_tasks(), encoder=Encoder(layers=layers))
    if data is not None:
        os.environ["MOTET_DATA"] = str(data)  # the recipe looks at the cards of its sources there
    return load(recipe, [] if layers is None else [f"encoder.layers={layers}"]).experiment


def main(arguments: Sequence[str] | None = None) -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", type=Path, help="whose tasks are meant; by default five on docstrings")
    parser.add_argument("--data", type=Path, help="folder with the data sets of the recipe")
    parser.add_argument("--layers", type=int, help="of the encoder; by default as the recipe says, or all")
    parser.add_argument("--train-rows", type=int, default=3000, help="most of a task")
    parser.add_argument("--held-rows", type=int, default=300, help="most of a task in validation, and in test")
    options = parser.parse_args(arguments)
    most = {"train": options.train_rows, "validation": options.held_rows, "test": options.held_rows}
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        print(export(chosen(options.recipe, options.data, options.layers), options.data, options.folder, most))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
