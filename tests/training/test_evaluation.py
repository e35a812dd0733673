from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, log_loss
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
        np.testing.assert_allclose(found[task].values, alone[task].values, atol=1e-5)
        np.testing.assert_array_equal(found[task].lengths, alone[task].lengths)
        units = [len(examples.target(at)) for at in range(len(examples))]
        assert found[task].lengths.tolist() == units


def test_a_part_of_the_rows_gets_the_same_predictions(prepared: Prepared) -> None:
    validation = prepared.corpus.examples("validation")
    few = {"mood": validation["mood"].take(7, seed=0), "count": validation["count"].take(9, seed=1)}
    whole = predict_examples(prepared.model, validation, prepared.devices)
    for task, predictions in predict_examples(prepared.model, few, prepared.devices).items():
        at = np.searchsorted(validation[task].rows, few[task].rows)
        np.testing.assert_allclose(predictions.values, whole[task].values[at], atol=1e-5)


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
    guess = predict_examples(prepared.model, validation, prepared.devices)["mood"].values.argmax(axis=1)
    truth = [validation["mood"].target(row).item() for row in range(len(guess))]
    assert scores["mood"]["accuracy"].value == pytest.approx(accuracy_score(truth, guess))
    assert plain(scores)["mood"]["accuracy"] == scores["mood"]["accuracy"].plain()


@pytest.fixture
def shapes(shape_toys: Any) -> Prepared:
    return prepare(shape_toys.experiment())


@pytest.mark.parametrize("soft", [False, True])
def test_every_shape_is_read_in_any_chunk_alike(shapes: Prepared, soft: bool) -> None:
    validation = shapes.corpus.examples("validation")
    found = predict_examples(shapes.model, validation, shapes.devices, soft=soft)
    alone = predict_examples(shapes.model, validation, shapes.devices, largest=1, soft=soft)
    for task, examples in validation.items():
        np.testing.assert_allclose(found[task].values, alone[task].values, atol=1e-4)
        np.testing.assert_array_equal(found[task].lengths, alone[task].lengths)
        assert len(found[task].lengths) == len(examples.rows)
    words = validation["where"].tokens.words
    assert words is not None
    assert found["where"].lengths.tolist() == [len(words[int(row)]) for row in validation["where"].rows]
    assert len(found["where"].lengths) > len(validation["where"]), "some passages have several windows"


def test_distillation_gets_logits_and_scores_what_they_need(shapes: Prepared) -> None:
    only = {"words": shapes.corpus.examples("validation")["words"]}
    soft = predict_examples(shapes.model, only, shapes.devices, soft=True)["words"]
    kept = predict_examples(shapes.model, only, shapes.devices)["words"]
    assert soft.values.shape == (len(kept.values), len(shapes.model.tokenizer))
    assert kept.values.shape[1] == 1, "the likelihood of what is hidden"
    assert kept.values.min() >= (np.log(np.exp(soft.values).sum(axis=1)) - soft.values.max(axis=1)).min() - 1e-5


def test_every_shape_is_scored_the_same_every_time(shapes: Prepared) -> None:
    validation = shapes.corpus.examples("validation")
    scores = evaluate(shapes.model, validation, shapes.devices)
    assert {name: set(of_task) for name, of_task in scores.items()} == {
        name: set(task.metrics) for name, task in shapes.model.tasks.items()
    }
    assert evaluate(shapes.model, validation, shapes.devices) == scores, "hidden words are the same ones too"


def test_the_true_label_loss_is_that_of_training(shapes: Prepared, prepared: Prepared) -> None:
    for of in (shapes, prepared):
        train = of.corpus.examples("train")
        able = [name for name, task in of.model.tasks.items() if "loss" in task.monitors]
        assert set(of.model.tasks) - set(able) == {"words"} & set(of.model.tasks)
        scores = evaluate(of.model, train, of.devices, able)
        assert all(("loss" in scores[name]) == (name in able) for name in scores)
        for name, examples in train.items():
            if name not in able:
                continue
            task = of.model.tasks[name]
            said = predict_examples(of.model, {name: examples}, of.devices)[name]
            groups = np.arange(len(examples.rows)) if examples.groups is None else examples.groups
            order = np.argsort(groups, kind="stable")
            rows = np.split(said.values, np.cumsum(said.lengths)[:-1])
            logits = torch.from_numpy(np.concatenate([rows[row] for row in order]))
            target = torch.from_numpy(np.concatenate([examples.target(int(row)) for row in order]))
            lengths = np.bincount(groups) if task.group else said.lengths
            expected = float(task.loss(logits, target, lengths)) / task.labelled(target, lengths)
            assert scores[name]["loss"].value == pytest.approx(expected, rel=1e-5)
            assert 0 < scores[name]["loss"].se < 10 * expected


def test_the_loss_of_classes_agrees_with_another_library(prepared: Prepared) -> None:
    only = {"mood": prepared.corpus.examples("validation")["mood"]}
    said = predict_examples(prepared.model, only, prepared.devices)["mood"].values
    chances = np.exp(said) / np.exp(said).sum(axis=1, keepdims=True)
    true = [int(only["mood"].target(row).item()) for row in range(len(only["mood"].rows))]
    loss = evaluate(prepared.model, only, prepared.devices, ["mood"])["mood"]["loss"]
    assert loss.value == pytest.approx(log_loss(true, chances), rel=1e-5)
    each = -np.log(chances[np.arange(len(true)), true])
    assert loss.se == pytest.approx(each.std(ddof=1) / np.sqrt(len(each)), rel=1e-5)


def test_queries_are_ranked_whole(shapes: Prepared) -> None:
    only = {"order": shapes.corpus.examples("validation")["order"]}
    said = predict_examples(shapes.model, only, shapes.devices)["order"].values[:, 0].reshape(6, 3)
    relevance = np.asarray([only["order"].target(row).item() for row in range(18)]).reshape(6, 3)
    expected = [average_precision_score(r > 0, s) for r, s in zip(relevance, said, strict=True) if r.any()]
    assert 0 < len(expected) < 6
    scores = evaluate(shapes.model, only, shapes.devices)
    assert scores["order"]["map"].value == pytest.approx(np.mean(expected))


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
