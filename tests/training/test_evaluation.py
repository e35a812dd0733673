from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from tests.training.conftest import source

from motet.errors import RunError
from motet.runs import RunFolder
from motet.tasks.classification import Classification
from motet.training.evaluation import evaluate, evaluate_run, plain, predict_examples
from motet.training.plan import Prepared, prepare


@pytest.fixture
def prepared(toys: Any) -> Prepared:
    return prepare(toys.experiment())


def test_predictions_are_in_the_order_of_the_examples(prepared: Prepared) -> None:
    validation = prepared.corpus.examples("validation")
    found = predict_examples(prepared.model, validation, prepared.devices)
    alone = predict_examples(prepared.model, validation, prepared.devices, largest=1)
    for task, examples in validation.items():
        np.testing.assert_allclose(found[task].logits, alone[task].logits, atol=1e-5)
        np.testing.assert_array_equal(found[task].lengths, alone[task].lengths)
        units = [len(examples.target(at)) for at in range(len(examples))]
        assert found[task].lengths.tolist() == units


def test_a_part_of_the_rows_gets_the_same_predictions(prepared: Prepared) -> None:
    validation = prepared.corpus.examples("validation")
    few = {"mood": validation["mood"].take(7, seed=0), "count": validation["count"].take(9, seed=1)}
    whole = predict_examples(prepared.model, validation, prepared.devices)
    for task, predictions in predict_examples(prepared.model, few, prepared.devices).items():
        at = np.searchsorted(validation[task].rows, few[task].rows)
        np.testing.assert_allclose(predictions.logits, whole[task].logits[at], atol=1e-5)


def test_evaluation_leaves_mode_and_generators_alone(prepared: Prepared) -> None:
    for training in (True, False):
        prepared.model.train(training)
        before = torch.get_rng_state()
        evaluate(prepared.model, prepared.corpus.examples("validation"), prepared.devices)
        assert prepared.model.training is training
        assert torch.equal(before, torch.get_rng_state())


def test_scores_agree_with_another_library(prepared: Prepared) -> None:
    validation = {"mood": prepared.corpus.examples("validation")["mood"]}
    scores = evaluate(prepared.model, validation, prepared.devices)
    guess = predict_examples(prepared.model, validation, prepared.devices)["mood"].logits.argmax(axis=1)
    assert scores["mood"]["accuracy"].value == pytest.approx(accuracy_score(validation["mood"].targets, guess))
    assert plain(scores)["mood"]["accuracy"] == scores["mood"]["accuracy"].plain()


def test_a_finished_run_is_scored_on_its_test_split(toys: Any) -> None:
    experiment = toys.experiment(steps=4)
    run = toys.start(experiment)
    before = len(run.folder.events())
    event = evaluate_run(run.folder, experiment)
    assert (event["event"], event["split"]) == ("evaluation", "test")
    assert event["rows"] == {task.name: 30 for task in toys.tasks}
    assert len(run.folder.events()) == before + 1
    again = evaluate_run(RunFolder(run.folder.path), experiment, split="validation")
    assert {t: s[run.scores[t]["metric"]]["value"] for t, s in again["scores"].items()} == {
        task: score["final"] for task, score in run.scores.items()
    }


def test_a_split_that_no_task_has(toys: Any) -> None:
    rows = source(20, 10)
    task = Classification("mood", source={"train": rows["train"], "validation": rows["validation"]}, label="mood")
    experiment = replace(toys.experiment(tasks=(task,), steps=2))
    run = toys.start(experiment)
    with pytest.raises(RunError, match="split `test`"):
        evaluate_run(run.folder, experiment)
