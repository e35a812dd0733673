"""Balances that weigh gradients: one backward pass for every task, at worst, and an update that all of them shaped.

Three things are kept apart: where gradients are taken, how they become a Gramian (the table of their dot products),
and the rule, which turns the Gramian into one weight for each gradient. The rules are here, one a file; each has a
part for recipes and a `Weighting` for the work, and says on which scale its update is:

    base.py      what recipes of rules have in common
    rules.py     what rules have in common
    geometry.py  what a Gramian says about its gradients: lengths, angles, dependence
    solvers.py   the two small optimisation problems that some rules pose
    orders.py    random orders that resume
    draws.py     random numbers that resume
    torchjd.py   the door to the rules of torchjd

A task whose gradient is zero has nothing to say: no rule lets it stop the others.

>>> import torch
>>> from motet.balancing.gradients.pcgrad import PCGrad
>>> weighting = PCGrad().weighting(["a", "b"])
>>> weighting(torch.tensor([[1.0, -0.5], [-0.5, 1.0]], dtype=torch.float64), ["a", "b"])
tensor([1.5000, 1.5000], dtype=torch.float64)
"""
