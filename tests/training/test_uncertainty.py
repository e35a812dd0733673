"""How sure a model is, held against its predictions; and the rows that a step keeps for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from tests.training.conftest import Toys

from motet.sampling.mt_uncertainty import MTUncertainty
from motet.training.evaluation import predict_examples
from motet.training.feed import Feed
from motet.training.plan import Prepared, prepare
from motet.training.uncertainty import ModelEntropies

EVERY = ("mood", "within", "places")


@pytest.fixture
def prepared(dropout_toys: Toys) -> Prepared:
    tasks = tuple(task for task in dropout_toys.tasks if task.name in EVERY)
    return prepare(dropout_toys.experiment(tasks=tasks, sampler=MTUncertainty(), tokens_per_batch=130))


def entropies_of(prepared: Prepared, task: str) -> np.ndarray:
    """Of every training row, from its predictions."""
    examples = prepared.corpus.examples("train")[task]
    said = predict_examples(prepared.model, {task: examples}, prepared.devices)[task]
    units = entropy(softmax(said.values.astype(np.float64), axis=1), axis=1)
    return np.asarray([part.mean() for part in np.split(units, np.cumsum(said.lengths)[:-1])])


@pytest.mark.parametrize("task", EVERY)
def test_entropies_are_those_of_the_predictions(prepared: Prepared, task: str) -> None:
    examples = prepared.corpus.examples("train")[task]
    asked = np.concatenate([examples.rows[5:15], examples.rows[8:3:-1], examples.rows[:1]])
    found = ModelEntropies(prepared.model, prepared.devices)({task: examples}, asked)[task]
    at = examples.find(asked)
    np.testing.assert_allclose(found, entropies_of(prepared, task)[at], rtol=1e-4)
    assert len(set(found.round(9))) > 5


def test_rows_without_a_label_have_none(toys: Toys) -> None:
    prepared = prepare(toys.experiment(tasks=toys.tasks[:1]))
    examples = prepared.corpus.examples("train")["mood"]
    part = examples.part(slice(10, 20))
    found = ModelEntropies(prepared.model, prepared.devices)({"mood": part}, examples.rows[5:25])["mood"]
    assert np.isnan(found).tolist() == [True] * 5 + [False] * 10 + [True] * 5


def test_asking_leaves_everything_as_it_was(prepared: Prepared) -> None:
    prepared.model.train()
    before = torch.get_rng_state()
    examples = prepared.corpus.examples("train")["mood"]
    ModelEntropies(prepared.model, prepared.devices)({"mood": examples}, examples.rows)
    assert prepared.model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None and p.requires_grad for p in prepared.model.parameters())


@pytest.mark.parametrize("form", ["paper", "code"])
def test_a_step_keeps_the_rows_that_rank_highest(prepared: Prepared, form: Any) -> None:
    experiment, padding = replace(prepared.experiment, sampler=MTUncertainty(form=form)), prepared.model.padding()
    feed, plain = (Feed(prepared.corpus, experiment, padding) for _ in range(2))
    train = prepared.corpus.examples("train")
    guesses = {task: np.log(prepared.corpus.tasks[task].outputs) for task in EVERY}
    for _ in range(4):
        counts = plain._counts(EVERY, {})
        pool = {name: plain.streams[name].draw(3 * count) for name, count in counts.items()}
        entropies = {task: entropies_of(prepared, task)[train[task].find(rows)] for task, rows in pool.items()}
        means = {task: of.mean() for task, of in entropies.items()}
        largest = max(means.values())
        ranks = {
            task: of / guesses[task] * (means[task] if form == "code" else 1) / largest
            for task, of in entropies.items()
        }
        rows = sorted(
            (-rank, task, row) for task, of in ranks.items() for rank, row in zip(of, pool[task], strict=True)
        )
        kept = sorted((task, int(row)) for _, task, row in rows[: sum(counts.values())])
        chunks = feed.next(EVERY, ModelEntropies(prepared.model, prepared.devices))
        found = [
            (t, int(train[t].rows[at])) for chunk in chunks for t, own in chunk.owned.items() for at in own.examples
        ]
        assert sorted(found) == kept
    assert sum(feed.taken.values()) == sum(feed.drawn.values())
    assert sum(feed.taken.values()) == pytest.approx(4 * feed.rows_per_step, abs=3)


def test_a_feed_that_chooses_has_to_be_told(prepared: Prepared) -> None:
    with pytest.raises(ValueError, match="how sure the model is"):
        prepared.feed.next(EVERY)
