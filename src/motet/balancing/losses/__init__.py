"""Balances that weigh losses: one backward pass, whatever the number of tasks.

Every rule is one formula of the losses of a step, and the weight of a task is the formula's slope in its loss. Rules
that learn from anything else keep it in tensors, a number for each task:

    weighting.py  the base: from a formula to weights and gradients
    constant.py   weights that are known before the first step
    learned.py    weights that are learned, by adam.py
"""
