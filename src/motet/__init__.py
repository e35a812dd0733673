"""motet: train one text model on many tasks and keep every task at its own best.

    >>> import motet
    >>> tasks = [motet.Classification("mood", source="reviews.csv"), motet.Tagging("entities", source="news.conll")]
    >>> run = motet.train(tasks, steps=1000, out="runs/first")  # doctest: +SKIP
    >>> motet.load("runs/first").predict("what a day in Lisbon")  # doctest: +SKIP

Importing motet imports nothing large: each name below is looked up when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motet.architectures.parallel.hard_sharing import HardSharing
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
    from motet.balancing.regularisers.cmd import CMD
    from motet.balancing.regularisers.kl import KL
    from motet.balancing.regularisers.l2_to_start import L2ToStart
    from motet.balancing.regularisers.mmd import MMD
    from motet.balancing.regularisers.orthogonality import Orthogonality
    from motet.balancing.regularisers.soft_sharing import SoftSharing
    from motet.balancing.regularisers.successive import Successive
    from motet.balancing.regularisers.supervised_contrastive import SupervisedContrastive
    from motet.data.per_value import per_value
    from motet.data.sources import Source
    from motet.encoders.loading import Encoder
    from motet.errors import UserError
    from motet.model import MultiTaskModel, load
    from motet.sampling.annealed import Annealed
    from motet.sampling.boltzmann import BoltzmannBandit
    from motet.sampling.capped import SizeCapped
    from motet.sampling.dynamic import DynamicSampling
    from motet.sampling.fixed import FixedRatio
    from motet.sampling.linear_warmup import TemperatureWarmup
    from motet.sampling.mt_uncertainty import MTUncertainty
    from motet.sampling.multidds import MultiDDS
    from motet.sampling.proportional import Proportional
    from motet.sampling.round_robin import RoundRobin
    from motet.sampling.temperature import Temperature
    from motet.sampling.thompson import ThompsonBandit
    from motet.sampling.uniform import Uniform
    from motet.study.comparison import compare
    from motet.study.sweep import sweep
    from motet.tasks.classification import Classification
    from motet.tasks.generation import Generation
    from motet.tasks.language import CausalLanguage, MaskedLanguage
    from motet.tasks.multilabel import MultiLabel
    from motet.tasks.ordinal import Ordinal
    from motet.tasks.ranking import Ranking
    from motet.tasks.regression import Regression
    from motet.tasks.spans import Spans
    from motet.tasks.tagging import Tagging
    from motet.training.convergence import PRESETS, Never, Patience
    from motet.training.experiment import Experiment, Training
    from motet.training.responses import Continue, Distill, Drop, Stop
    from motet.training.run import Run, resume, train
    from motet.training.schedules.curriculum import Curriculum
    from motet.training.schedules.joint import Joint
    from motet.training.schedules.low_to_high import LowToHigh
    from motet.training.schedules.phases import Phase, Phases
    from motet.training.schedules.pretrain_finetune import PretrainFinetune
    from motet.training.schedules.primary_auxiliary import PrimaryAuxiliary
    from motet.training.schedules.primary_first import PrimaryFirst
    from motet.training.schedules.sequential import Sequential
    from motet.training.schedules.state_machine import StateMachine
    from motet.training.schedules.worst_first import WorstFirst

__version__ = "0.1.0"
__all__ = [
    "CMD",
    "DBMTL",
    "DWA",
    "FAMO",
    "IMTLG",
    "IMTLL",
    "KL",
    "MGDA",
    "MMD",
    "PRESETS",
    "AlignedMTL",
    "Annealed",
    "BoltzmannBandit",
    "CAGrad",
    "CausalLanguage",
    "Classification",
    "CoBa",
    "ConFIG",
    "Continue",
    "Curriculum",
    "Distill",
    "Drop",
    "DynamicSampling",
    "DynamicTaskPrioritisation",
    "Encoder",
    "Experiment",
    "FixedRatio",
    "FixedWeights",
    "Generation",
    "GeometricMean",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "HardSharing",
    "InverseScore",
    "InverseSize",
    "Joint",
    "L2ToStart",
    "LogClasses",
    "LossRatio",
    "LowToHigh",
    "MTUncertainty",
    "MaskedLanguage",
    "MultiDDS",
    "MultiLabel",
    "MultiTaskModel",
    "NashMTL",
    "Never",
    "Ordinal",
    "Orthogonality",
    "PCGrad",
    "Patience",
    "Phase",
    "Phases",
    "PretrainFinetune",
    "PrimaryAuxiliary",
    "PrimaryFirst",
    "Proportional",
    "RandomWeights",
    "Ranking",
    "Regression",
    "RevisedUncertainty",
    "RoundRobin",
    "Run",
    "ScaleInvariant",
    "Sequential",
    "SigmoidWeights",
    "SizeCapped",
    "SmoothTchebycheff",
    "SoftSharing",
    "Source",
    "Spans",
    "StateMachine",
    "Stop",
    "Successive",
    "Sum",
    "SupervisedContrastive",
    "Tagging",
    "Tchebycheff",
    "Temperature",
    "TemperatureWarmup",
    "ThompsonBandit",
    "TorchJD",
    "Training",
    "UPGrad",
    "Uncertainty",
    "Uniform",
    "UserError",
    "WorstFirst",
    "__version__",
    "compare",
    "load",
    "per_value",
    "resume",
    "sweep",
    "train",
]

_HOMES = {
    "architectures.parallel.hard_sharing": ("HardSharing",),
    "balancing.gradients.aligned": ("AlignedMTL",),
    "balancing.gradients.cagrad": ("CAGrad",),
    "balancing.gradients.conflict_free": ("ConFIG",),
    "balancing.gradients.db_mtl": ("DBMTL",),
    "balancing.gradients.graddrop": ("GradDrop",),
    "balancing.gradients.gradnorm": ("GradNorm",),
    "balancing.gradients.gradvac": ("GradVac",),
    "balancing.gradients.imtl_g": ("IMTLG",),
    "balancing.gradients.mgda": ("MGDA",),
    "balancing.gradients.nash": ("NashMTL",),
    "balancing.gradients.pcgrad": ("PCGrad",),
    "balancing.gradients.torchjd": ("TorchJD",),
    "balancing.gradients.upgrad": ("UPGrad",),
    "balancing.losses.coba": ("CoBa",),
    "balancing.losses.dwa": ("DWA",),
    "balancing.losses.dynamic_task_prioritisation": ("DynamicTaskPrioritisation",),
    "balancing.losses.famo": ("FAMO",),
    "balancing.losses.fixed": ("FixedWeights",),
    "balancing.losses.geometric": ("GeometricMean",),
    "balancing.losses.imtl_l": ("IMTLL",),
    "balancing.losses.inverse_score": ("InverseScore",),
    "balancing.losses.inverse_size": ("InverseSize",),
    "balancing.losses.log_classes": ("LogClasses",),
    "balancing.losses.loss_ratio": ("LossRatio",),
    "balancing.losses.random_weights": ("RandomWeights",),
    "balancing.losses.revised_uncertainty": ("RevisedUncertainty",),
    "balancing.losses.scale_invariant": ("ScaleInvariant",),
    "balancing.losses.sigmoid": ("SigmoidWeights",),
    "balancing.losses.smooth_tchebycheff": ("SmoothTchebycheff",),
    "balancing.losses.sum": ("Sum",),
    "balancing.losses.tchebycheff": ("Tchebycheff",),
    "balancing.losses.uncertainty": ("Uncertainty",),
    "balancing.regularisers.cmd": ("CMD",),
    "balancing.regularisers.kl": ("KL",),
    "balancing.regularisers.l2_to_start": ("L2ToStart",),
    "balancing.regularisers.mmd": ("MMD",),
    "balancing.regularisers.orthogonality": ("Orthogonality",),
    "balancing.regularisers.soft_sharing": ("SoftSharing",),
    "balancing.regularisers.successive": ("Successive",),
    "balancing.regularisers.supervised_contrastive": ("SupervisedContrastive",),
    "data.per_value": ("per_value",),
    "data.sources": ("Source",),
    "encoders.loading": ("Encoder",),
    "errors": ("UserError",),
    "model": ("MultiTaskModel", "load"),
    "sampling.annealed": ("Annealed",),
    "sampling.boltzmann": ("BoltzmannBandit",),
    "sampling.capped": ("SizeCapped",),
    "sampling.dynamic": ("DynamicSampling",),
    "sampling.fixed": ("FixedRatio",),
    "sampling.linear_warmup": ("TemperatureWarmup",),
    "sampling.mt_uncertainty": ("MTUncertainty",),
    "sampling.multidds": ("MultiDDS",),
    "sampling.proportional": ("Proportional",),
    "sampling.round_robin": ("RoundRobin",),
    "sampling.temperature": ("Temperature",),
    "sampling.thompson": ("ThompsonBandit",),
    "sampling.uniform": ("Uniform",),
    "study.comparison": ("compare",),
    "study.sweep": ("sweep",),
    "tasks.classification": ("Classification",),
    "tasks.generation": ("Generation",),
    "tasks.language": ("CausalLanguage", "MaskedLanguage"),
    "tasks.multilabel": ("MultiLabel",),
    "tasks.ordinal": ("Ordinal",),
    "tasks.ranking": ("Ranking",),
    "tasks.regression": ("Regression",),
    "tasks.spans": ("Spans",),
    "tasks.tagging": ("Tagging",),
    "training.convergence": ("PRESETS", "Never", "Patience"),
    "training.experiment": ("Experiment", "Training"),
    "training.responses": ("Continue", "Distill", "Drop", "Stop"),
    "training.run": ("Run", "resume", "train"),
    "training.schedules.curriculum": ("Curriculum",),
    "training.schedules.joint": ("Joint",),
    "training.schedules.low_to_high": ("LowToHigh",),
    "training.schedules.phases": ("Phase", "Phases"),
    "training.schedules.pretrain_finetune": ("PretrainFinetune",),
    "training.schedules.primary_auxiliary": ("PrimaryAuxiliary",),
    "training.schedules.primary_first": ("PrimaryFirst",),
    "training.schedules.sequential": ("Sequential",),
    "training.schedules.state_machine": ("StateMachine",),
    "training.schedules.worst_first": ("WorstFirst",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'motet' has no attribute '{name}'")
    value = getattr(import_module(f"motet.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
