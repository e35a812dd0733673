from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import torch

from motet.data.batches import Chunk, Padding
from motet.data.corpus import Corpus
from motet.sampling.annealed import Annealed
from motet.sampling.fixed import FixedRatio
from motet.sampling.multidds import MultiDDS
from motet.sampling.uniform import Uniform
from motet.training.experiment import Experiment
from motet.training.feed import Feed
from motet.training.plan import prepare

EVERY = ("mood", "count", "within", "places")


@pytest.fixture
def make_feed(toys: Any) -> Any:
    """Makes feeds at their beginning, with the settings given."""
    corpora: list[Corpus] = []

    def make(**settings: Any) -> Feed:
        experiment: Experiment = toys.experiment(**settings)
        if not corpora:
            corpora.append(prepare(experiment).corpus)
        return Feed(corpora[0], experiment, Padding(pad=0))

    return make


def rows(chunks: list[Chunk]) -> Counter[str]:
    found: Counter[str] = Counter()
    for chunk in chunks:
        found.update({task: len(own.rows) for task, own in chunk.owned.items()})
    return found


def total(feed: Feed, live: tuple[str, ...], steps: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(steps):
        found += rows(feed.next(live))
    return found


def test_rows_follow_the_shares_to_the_row(make_feed: Any) -> None:
    feed = make_feed(tokens_per_batch=130)
    found = total(feed, EVERY, 40)
    for name, stream in feed.streams.items():
        for task in stream.tasks:
            assert abs(found[task] - 40 * feed.rows_per_step * feed.shares[name]) < 1
    assert found["mood"] == found["count"], "they read the same rows"


def test_a_step_holds_its_tokens_on_average(make_feed: Any) -> None:
    feed = make_feed(tokens_per_batch=200)
    real = [sum(chunk.real for chunk in feed.next(EVERY)) for _ in range(60)]
    assert sum(real) / len(real) == pytest.approx(200, rel=0.05)


def test_shared_rows_count_for_every_task_that_reads_them(make_feed: Any) -> None:
    feed = make_feed(sampler=Uniform())
    assert feed.shares == pytest.approx(dict.fromkeys(feed.streams, 1 / 3))


def test_epochs_are_passes_over_own_rows(make_feed: Any) -> None:
    feed = make_feed()
    assert [feed.epochs(task) for task in EVERY] == [0, 0, 0, 0]
    found = total(feed, EVERY, 9)
    assert feed.epochs("mood") == found["mood"] / 60
    assert feed.epochs("places") == found["places"] / 40


def test_only_live_tasks_draw(make_feed: Any) -> None:
    feed = make_feed()
    assert set(total(feed, ("within", "mood"), 5)) == {"within", "mood"}
    assert feed.epochs("places") == feed.epochs("count") == 0


def test_single_batches_hold_one_stream(make_feed: Any) -> None:
    feed = make_feed(batches="single", sampler=Uniform())
    kinds = Counter(tuple(sorted(rows(feed.next(EVERY)))) for _ in range(90))
    assert set(kinds) == {("count", "mood"), ("within",), ("places",)}
    assert min(kinds.values()) > 18
    assert set(total(feed, ("places",), 5)) == {"places"}


def test_a_step_is_smaller_where_streams_are_closed(make_feed: Any) -> None:
    feed = make_feed(tokens_per_batch=130, sampler=FixedRatio(ratio=dict(zip(EVERY, (1, 1, 2, 1), strict=True))))
    shares, per_step = dict(feed.shares), feed.rows_per_step
    assert shares == {"mood+count": 0.25, "within": 0.5, "places": 0.25}
    found = total(feed, ("places", "within"), 40)
    assert abs(found["places"] - 40 * per_step * 0.25) < 1
    assert abs(found["within"] - 40 * per_step * 0.5) < 1
    assert feed.shares == shares, "they sum to 1 over all streams, open or not"


def test_single_batches_are_as_large_as_ever(make_feed: Any) -> None:
    ratio = dict(zip(EVERY, (1, 1, 2, 1), strict=True))
    feed = make_feed(batches="single", tokens_per_batch=130, sampler=FixedRatio(ratio=ratio))
    found = total(feed, ("places", "within"), 300)
    assert found["places"] + found["within"] == 300 * round(feed.rows_per_step)
    assert found["within"] / found["places"] == pytest.approx(2, rel=0.4)


def test_an_epoch_of_the_mixture_is_as_many_rows_as_all_streams_hold(make_feed: Any) -> None:
    feed = make_feed(steps=30, accumulate=2)
    size = 60 + 60 + 40
    assert feed.epoch == (1, 1 + 60 * feed.rows_per_step / size)
    found = total(feed, EVERY, 60)
    taken = found["mood"] + found["within"] + found["places"]
    assert feed.epoch.now == 1 + taken / size
    assert feed.epoch.passed == pytest.approx(1, abs=0.01), "the steps of the run are over"
    assert feed.drawn_shares() == {task: found[task] / taken for task in EVERY}


def test_nothing_drawn_has_no_shares(make_feed: Any) -> None:
    assert set(make_feed().drawn_shares().values()) == {0}


def test_shares_that_move_keep_the_tokens_of_a_step(shape_toys: Any) -> None:
    feed = feed_of(shape_toys, sampler=Annealed(drop=1.0), tokens_per_batch=400, steps=60)
    first, per_step = feed.shares, feed.rows_per_step
    real = [sum(chunk.real for chunk in feed.next(SHAPES)) for _ in range(60)]
    assert sum(real) / 60 == pytest.approx(400, rel=0.08)
    assert feed.shares != first
    assert feed.rows_per_step != per_step
    assert list(feed.shares.values()) == pytest.approx([1 / len(feed.streams)] * len(feed.streams), rel=0.05)


def test_rewards_are_due_every_so_many_steps(make_feed: Any) -> None:
    feed = make_feed(sampler=MultiDDS(every=3))
    assert [step for step in range(10) if feed.due(step)] == [3, 6, 9]
    assert not any(make_feed().due(step) for step in range(10))


@pytest.mark.parametrize("batches", ["mixed", "single"])
def test_a_restored_feed_goes_on_exactly(make_feed: Any, batches: str) -> None:
    feed = make_feed(batches=batches, tokens_per_batch=130)
    total(feed, EVERY, 4)
    saved = json.loads(json.dumps(feed.state()))
    expected = [feed.next(EVERY) for _ in range(6)]
    fresh = make_feed(batches=batches, tokens_per_batch=130)
    fresh.restore(saved)
    for chunks in expected:
        again = fresh.next(EVERY)
        assert len(again) == len(chunks)
        for left, right in zip(chunks, again, strict=True):
            assert torch.equal(left.tokens, right.tokens)
            assert left.owned.keys() == right.owned.keys()
    assert fresh.state() == feed.state()


def feed_of(shape_toys: Any, shards: int = 1, **settings: Any) -> Feed:
    experiment: Experiment = shape_toys.experiment(**settings)
    prepared = prepare(experiment)
    return Feed(prepared.corpus, experiment, prepared.model.padding(), shards)


SHAPES = ("topics", "size", "where", "order", "words")


def test_an_example_of_several_rows_counts_once(shape_toys: Any) -> None:
    feed = feed_of(shape_toys)
    stream = feed.streams["order"]
    assert len(stream) == 12
    queries, windows = 0, 0
    while feed.epochs("order") < 1:
        for chunk in feed.next(("order", "where")):
            queries += len(chunk.owned["order"].rows) if "order" in chunk.owned else 0
            windows += len(chunk.owned["where"].rows) if "where" in chunk.owned else 0
    assert queries == 3 * feed.drawn["order"], "all candidates of every query"
    assert feed.drawn["where"] < windows <= 2 * feed.drawn["where"], "a passage may have two windows"


def test_a_step_of_every_shape_holds_its_tokens_on_average(shape_toys: Any) -> None:
    feed = feed_of(shape_toys, tokens_per_batch=400)
    steps = 60
    real = [sum(chunk.real for chunk in feed.next(SHAPES)) for _ in range(steps)]
    assert sum(real) / steps == pytest.approx(400, rel=0.08)
    for task, rows in feed.task_rows().items():
        assert feed.drawn[task] / steps == pytest.approx(rows, rel=0.05)


def test_a_restored_feed_hides_the_same_words(shape_toys: Any) -> None:
    feed, fresh = feed_of(shape_toys), feed_of(shape_toys)
    for _ in range(3):
        feed.next(SHAPES)
    fresh.restore(json.loads(json.dumps(feed.state())))
    steps = [(feed.next(SHAPES), fresh.next(SHAPES)) for _ in range(4)]
    for left, right in steps:
        assert all(torch.equal(one.tokens, other.tokens) for one, other in zip(left, right, strict=True))
    again = [chunk.tokens for chunks, _ in steps for chunk in chunks if "words" in chunk.owned]
    mask = fresh._padding.masking
    assert mask is not None
    assert all((tokens == mask.mask).any() for tokens in again)


def test_processes_draw_the_same_step(shape_toys: Any) -> None:
    one, three = feed_of(shape_toys), feed_of(shape_toys, shards=3)
    for _ in range(5):
        whole, shared = one.next(SHAPES), three.next(SHAPES)
        assert rows(whole) == rows(shared)
        assert {chunk.shard for chunk in shared} == {0, 1, 2}
        assert sum(chunk.real for chunk in whole) == sum(chunk.real for chunk in shared)
    assert one.state() == three.state()
