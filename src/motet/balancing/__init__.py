"""Balances: how task losses or task gradients become one update, one rule a file.

>>> from motet.balancing import Facts, Sum
>>> balancer = Sum().build({"mood": Facts(examples=1200, classes=2), "length": Facts(examples=800)})

A balancer is asked for the gradients of a step, with any subset of its tasks. It may also want to hear which step
comes (`begin`), how the tasks score (`observe`) and what the update did to the batch (`look_again`).
"""

from motet.balancing.base import Balance, Balancer, Facts
from motet.balancing.gradients.aligned import AlignedMTL
from motet.balancing.gradients.cagrad import CAGrad
from motet.balancing.gradients.conflict_free import ConFIG
from motet.balancing.gradients.db_mtl import DBMTL
from motet.balancing.gradients.graddrop import GradDrop
from motet.balancing.gradients.gradnorm import GradNorm
from motet.balancing.gradients.gradvac import GradVac
from motet.balancing.gradients.imtl_g import IMTLG
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.nash import NashMTL
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.gradients.torchjd import TorchJD
from motet.balancing.gradients.upgrad import UPGrad
from motet.balancing.losses.coba import CoBa
from motet.balancing.losses.dwa import DWA
from motet.balancing.losses.dynamic_task_prioritisation import DynamicTaskPrioritisation
from motet.balancing.losses.famo import FAMO
from motet.balancing.losses.fixed import FixedWeights
from motet.balancing.losses.geometric import GeometricMean
from motet.balancing.losses.imtl_l import IMTLL
from motet.balancing.losses.inverse_score import InverseScore
from motet.balancing.losses.inverse_size import InverseSize
from motet.balancing.losses.log_classes import LogClasses
from motet.balancing.losses.loss_ratio import LossRatio
from motet.balancing.losses.random_weights import RandomWeights
from motet.balancing.losses.revised_uncertainty import RevisedUncertainty
from motet.balancing.losses.scale_invariant import ScaleInvariant
from motet.balancing.losses.sigmoid import SigmoidWeights
from motet.balancing.losses.smooth_tchebycheff import SmoothTchebycheff
from motet.balancing.losses.sum import Sum
from motet.balancing.losses.tchebycheff import Tchebycheff
from motet.balancing.losses.uncertainty import Uncertainty
from motet.balancing.losses.weighting import LossBalance, LossBalancer

__all__ = [
    "DBMTL",
    "DWA",
    "FAMO",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "AlignedMTL",
    "Balance",
    "Balancer",
    "CAGrad",
    "CoBa",
    "ConFIG",
    "DynamicTaskPrioritisation",
    "Facts",
    "FixedWeights",
    "GeometricMean",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "InverseScore",
    "InverseSize",
    "LogClasses",
    "LossBalance",
    "LossBalancer",
    "LossRatio",
    "NashMTL",
    "PCGrad",
    "RandomWeights",
    "RevisedUncertainty",
    "ScaleInvariant",
    "SigmoidWeights",
    "SmoothTchebycheff",
    "Sum",
    "Tchebycheff",
    "TorchJD",
    "UPGrad",
    "Uncertainty",
]
