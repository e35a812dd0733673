from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from motet.serving.batcher import Batcher, Order, QueueClosedError, QueueFullError

BUDGET, WAIT, ROOM = 20, 1.0, 12


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def items(batch: Sequence[Any]) -> list[Any]:
    return [entry.item for entry in batch]


def order(*costs: int, name: str = "") -> Order[str]:
    return Order([f"{name}{place}" for place in range(len(costs))], costs)


class Use(RuleBasedStateMachine):
    """Orders, cancellations and the passing of time in any sequence, against a plain list of what waits."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.batcher: Batcher[str] = Batcher(BUDGET, WAIT, ROOM, self.clock)
        self.waiting: list[tuple[Order[str], int, float]] = []
        self.orders = 0

    @rule(costs=st.lists(st.integers(1, 30), min_size=1, max_size=ROOM + 3))
    def put(self, costs: list[int]) -> None:
        self.orders += 1
        new = order(*costs, name=f"{self.orders}-")
        fits = not self.waiting or len(self.waiting) + len(costs) <= ROOM
        try:
            self.batcher.put(new)
        except QueueFullError:
            assert not fits
        else:
            assert fits
            self.waiting += [(new, place, self.clock.now) for place in range(len(costs))]

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from([each for each, _, _ in self.waiting]))
        self.batcher.cancel(gone)
        self.waiting = [each for each in self.waiting if each[0] is not gone]

    @rule(seconds=st.floats(0, 2))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def cut(self) -> None:
        batch = self.batcher.cut_if_ready()
        assert [(entry.order, entry.place) for entry in batch] == [each[:2] for each in self.waiting[: len(batch)]]
        costs = [entry.cost for entry in batch]
        assert sum(costs) <= BUDGET or len(batch) == 1
        if batch:
            rest = self.waiting[len(batch) :]
            assert not rest or sum(costs) + rest[0][0].costs[rest[0][1]] > BUDGET, "the batch could have been larger"
        elif self.waiting:
            assert sum(of.costs[place] for of, place, _ in self.waiting) < BUDGET
            assert self.clock.now < self.waiting[0][2] + WAIT, "the oldest item waits for longer than it should"
        self.waiting = self.waiting[len(batch) :]

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.batcher) >= len(self.waiting)

    def teardown(self) -> None:
        self.batcher.close()
        left = []
        while batch := self.batcher.take():
            left += [(entry.order, entry.place) for entry in batch]
        assert left == [each[:2] for each in self.waiting]


TestUse = Use.TestCase


@given(gaps=st.lists(st.floats(0.01, 0.4), min_size=1, max_size=20))
def test_arrivals_do_not_move_the_deadline(gaps: list[float]) -> None:
    clock = Clock()
    batcher: Batcher[str] = Batcher(1000, WAIT, 1000, clock)
    batcher.put(order(1))
    for gap in gaps:
        assert not batcher.cut_if_ready() or clock.now >= WAIT
        clock.now += gap
        batcher.put(order(1))
        if clock.now >= WAIT:
            break
    else:
        clock.now = WAIT
    assert batcher.cut_if_ready()


def test_a_spent_budget_waits_for_nothing() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, WAIT, ROOM, Clock())
    batcher.put(order(10))
    assert not batcher.cut_if_ready()
    batcher.put(order(10, name="b"))
    assert len(batcher.cut_if_ready()) == 2


def test_an_item_above_the_budget_is_read_alone() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, WAIT, ROOM, Clock())
    batcher.put(order(1, 50, 1))
    assert [items(batcher.cut_if_ready()) for _ in range(2)] == [["0"], ["1"]]


def test_what_is_behind_is_not_taken_first() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, 0.0, ROOM, Clock())
    batcher.put(order(15, 10, 1))
    assert items(batcher.take()) == ["0"]  # the last would fit, and waits for its turn


def test_a_full_queue_takes_all_of_an_order_or_nothing() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, WAIT, 3, Clock())
    batcher.put(order(1, 1))
    with pytest.raises(QueueFullError, match="2 items wait, and there is room for 3"):
        batcher.put(order(1, 1))
    assert len(batcher) == 2


def test_cancelled_items_make_room() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, WAIT, 3, Clock())
    gone = order(1, 1, 1)
    batcher.put(gone)
    batcher.cancel(gone)
    batcher.put(order(1, 1, name="b"))
    assert len(batcher) == 2


def test_a_closed_batcher_gives_away_what_it_has_and_takes_no_more() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, WAIT, ROOM, Clock())
    batcher.put(order(1, 1))
    batcher.close()
    with pytest.raises(QueueClosedError):
        batcher.put(order(1))
    assert items(batcher.take()) == ["0", "1"]
    assert batcher.take() == []


def test_threads_lose_nothing() -> None:
    batcher: Batcher[int] = Batcher(50, 0.001, 10_000)
    taken: list[int] = []

    def take() -> None:
        while batch := batcher.take():
            assert sum(entry.cost for entry in batch) <= 50
            taken.extend(items(batch))

    def put(first: int) -> None:
        for number in range(first, first + 200):
            batcher.put(Order([number], [number % 7 + 1]))

    taker = threading.Thread(target=take)
    putters = [threading.Thread(target=put, args=(1000 * each,)) for each in range(4)]
    for thread in (taker, *putters):
        thread.start()
    for thread in putters:
        thread.join()
    batcher.close()
    taker.join(10)
    assert sorted(taken) == [1000 * each + number for each in range(4) for number in range(200)]
    for each in range(4):
        mine = [number for number in taken if number // 1000 == each]
        assert mine == sorted(mine)


def test_taking_waits_without_end_for_a_first_item() -> None:
    batcher: Batcher[str] = Batcher(BUDGET, 0.001, ROOM)
    found: list[list[Any]] = []
    taker = threading.Thread(target=lambda: found.append(batcher.take()))
    taker.start()
    taker.join(0.05)
    assert taker.is_alive()
    batcher.put(order(1))
    taker.join(5)
    assert [items(batch) for batch in found] == [["0"]]
