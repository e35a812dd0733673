"""Balances: how task losses or task gradients become one update, one rule a file.

>>> from motet.balancing import Sum
>>> balancer = Sum().build(["a", "b"])
"""

from motet.balancing.base import Balance, Balancer
from motet.balancing.losses.sum import Sum

__all__ = ["Balance", "Balancer", "Sum"]
