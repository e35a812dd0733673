from __future__ import annotations

from collections import Counter

import torch

from motet.balancing.gradients.orders import Orders


def test_each_task_meets_all_others_once() -> None:
    found = Orders(6, seed=0)(torch.tensor([4, 0, 3]))
    assert [sorted(row) for row in found.tolist()] == [[1, 2], [0, 2], [0, 1]]
    assert Orders(6, seed=0)(torch.tensor([2])).shape == (1, 0)


def test_all_orders_are_equally_likely() -> None:
    orders = Orders(4, seed=0)
    counts = Counter(tuple(orders(torch.arange(4))[0].tolist()) for _ in range(1200))
    assert len(counts) == 6
    assert max(abs(count - 200) for count in counts.values()) < 60


def test_an_order_depends_on_nothing_but_the_step() -> None:
    of_all = Orders(5, seed=3)(torch.arange(5)).tolist()
    of_some = Orders(5, seed=3)(torch.tensor([4, 1, 0])).tolist()
    named = [[4, 1, 0][place] for place in of_some[0]]
    assert named == [task for task in of_all[4] if task in (0, 1)]


def test_seeds_differ_and_steps_differ() -> None:
    rows, orders = torch.arange(8), Orders(8, seed=0)
    first = orders(rows)
    assert not first.equal(orders(rows))
    assert not first.equal(Orders(8, seed=1)(rows))
    assert first.equal(Orders(8, seed=0)(rows))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    Orders(4, seed=0)(torch.arange(4))
    assert torch.get_rng_state().equal(before)
