"""Regularisers: losses beside those of the tasks, on parameters or on representations, one method a file.

A regulariser is a part of the recipe; at work it is a `Penalty`, one number a batch, which is added to the update as it
is: no loss weight and no gradient rule sees it.

    on parameters         l2_to_start, successive, soft_sharing
    on representations    mmd, cmd, kl, orthogonality (pairs of tasks), supervised_contrastive (classes of a task)

    base.py      what all have in common
    pairs.py     comparing tasks two by two
    snapshot.py  parameters as they stood at a moment
    vectors.py   rows of numbers, made comparable

>>> import torch
>>> from motet.balancing.regularisers import KL, Features, Parameters
>>> penalty = KL(weight=0.5).build(Parameters((), {}, {}))
>>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
>>> float(penalty({"a": Features(rows), "b": Features(rows)})), float(penalty({"a": Features(rows)}))
(0.0, 0.0)
"""

from motet.balancing.regularisers.base import Features, Parameters, Penalty, Regulariser
from motet.balancing.regularisers.cmd import CMD
from motet.balancing.regularisers.kl import KL
from motet.balancing.regularisers.l2_to_start import L2ToStart
from motet.balancing.regularisers.mmd import MMD
from motet.balancing.regularisers.orthogonality import Orthogonality, overlap
from motet.balancing.regularisers.pairs import Matching, Paired
from motet.balancing.regularisers.snapshot import Snapshot
from motet.balancing.regularisers.soft_sharing import SoftSharing
from motet.balancing.regularisers.successive import Successive
from motet.balancing.regularisers.supervised_contrastive import SupervisedContrastive

__all__ = [
    "CMD",
    "KL",
    "MMD",
    "Features",
    "L2ToStart",
    "Matching",
    "Orthogonality",
    "Paired",
    "Parameters",
    "Penalty",
    "Regulariser",
    "Snapshot",
    "SoftSharing",
    "Successive",
    "SupervisedContrastive",
    "overlap",
]
