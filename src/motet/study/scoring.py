"""A finished run on its test split: scored once, with a record of every row.

python -m motet.study.scoring runs/first
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motet.data.corpus import load_corpus
from motet.data.examples import Examples, counts
from motet.errors import RunError, UserError
from motet.model import MultiTaskModel
from motet.recipe.loading import load
from motet.runs import EventLog, RunFolder
from motet.study.evidence import evidence_of, resampled_alike
from motet.study.formulas import Evidence
from motet.study.records import OnTest, record_file, write_tested
from motet.tasks.base import Answers, Scores, Task
from motet.training.devices import Devices
from motet.training.evaluation import answers_of, plain, predict_examples, write_examples
from motet.training.experiment import Experiment

__all__ = ["score_run"]

_SHOWN = 300  # characters of a row that are kept for people


def score_run(run: RunFolder, folder: Path | None = None) -> Path:
    """Score the model of a finished run on test and keep what every row leaves; nothing is done twice.

    Args:
        run: the run folder.
        folder: where relative paths of sources are looked up; by default where they were when the run was begun.

    Raises:
        RunError: the run has no model, its data has changed, or a task of it has no test rows.
    """
    file = record_file(run.require())
    if not run.model.is_dir():
        raise RunError(f"{run.path} has no model yet: it is not finished.")
    if not file.exists():
        manifest, experiment = run.read_json(run.manifest_file), load(run.recipe_file).experiment
        noted = folder or (Path(manifest["folder"]) if manifest.get("folder") else None)
        model = MultiTaskModel.from_pretrained(run.model)
        examples = _test_examples(run, experiment, model, noted)
        devices = Devices(experiment.training.device, manifest["precision"])
        model.to(devices.device)
        _score(run, model, examples, devices)
    return file


def _test_examples(
    run: RunFolder, experiment: Experiment, model: MultiTaskModel, folder: Path | None
) -> dict[str, Examples]:
    corpus = load_corpus(experiment.tasks, model.tokenizer, experiment.encoder.max_length, folder, splits=("test",))
    noted = run.read_json(run.manifest_file)["data"]
    changed = [name for name, found in corpus.fingerprints.items() if noted.get(name) != found]
    if changed:
        raise RunError(
            f"{run.path} cannot be scored: the rows of {', '.join(changed)} are not those it was begun with. "
            "Relative paths are looked up in the working directory first: go where the run was begun."
        )
    examples = corpus.examples("test")
    without = [name for name in model.tasks if name not in examples]
    if without:
        raise RunError(f"{run.path} cannot be compared: there are no test rows of {', '.join(without)}.")
    return examples


def _score(run: RunFolder, model: MultiTaskModel, examples: Mapping[str, Examples], devices: Devices) -> None:
    found, scores = {}, {}
    for name, predictions in predict_examples(model, examples, devices).items():
        of_task, task = examples[name], model.tasks[name]
        texts = model.spell(write_examples(model, of_task, devices)) if task.generates else []
        answers = answers_of(predictions, of_task, texts, records=True)
        targets = [of_task.target(row) for row in range(len(of_task.rows))]
        scores[name] = task.score(answers, targets)
        found[name] = _tested(task, of_task, answers, targets, scores[name])
    write_tested(record_file(run), found)
    if not any(event["event"] == "evaluation" and event["split"] == "test" for event in run.events()):
        log = EventLog(run.events_file)
        log.write("evaluation", split="test", model="model", scores=plain(scores), rows=counts(examples))
        log.close()


def _tested(task: Task, examples: Examples, answers: Answers, targets: Sequence[np.ndarray], scores: Scores) -> OnTest:
    evidence = evidence_of(task, answers, targets)
    if not resampled_alike(evidence, scores[task.headline].value):
        evidence = Evidence.of("", [])
    texts = list(_texts(task, examples, answers))
    ids = "\n".join(map(str, examples.ids))
    return OnTest(
        metric=task.headline,
        higher_is_better=task.higher_is_better,
        scores=plain({task.name: scores})[task.name],
        digest=_digest(ids, json.dumps([[r[column] for column in task.columns] for r in answers.records], default=str)),
        rows_digest=_digest(ids),
        evidence=evidence,
        texts=texts,
        rows=len(texts),
    )


def _texts(task: Task, examples: Examples, answers: Answers) -> Iterator[dict[str, str]]:
    """Every example as a person reads it."""
    said = task.decode(answers) if task.answers_texts else []
    ids = examples.ids
    for at, rows in enumerate(answers.examples):
        record = answers.records[at]
        yield {
            "id": str(ids[int(rows[0])]),
            "input": " | ".join(_spelt(record[column]) for column in task.inputs.columns)[:_SHOWN],
            "truth": _spelt(record[task.target])[:_SHOWN] if task.target else "",
            "answer": _spelt(_answer(said[at]))[:_SHOWN] if said else "",
        }


def _answer(said: Mapping[str, Any]) -> Any:
    """The answer itself, without how sure the model is of it."""
    return next((said[key] for key in ("label", "labels", "value", "tags", "text", "order") if key in said), "")


def _spelt(cell: Any) -> str:
    if isinstance(cell, (list, tuple)) and not any(isinstance(part, dict) for part in cell):
        return " ".join(map(str, cell))
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def main(arguments: Sequence[str] | None = None) -> None:
    """Score one run; a mistake of the user is told without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m motet.study.scoring", description="Score a finished run on test.")
    parser.add_argument("run", type=Path)
    try:
        score_run(RunFolder(parser.parse_args(arguments).run))
    except UserError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
