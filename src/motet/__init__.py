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
    from motet.architectures.adversarial.shared_private import SharedPrivate
    from motet.architectures.adversarial.task_discriminator import TaskDiscriminator
    from motet.architectures.hierarchical.cyclic import Cyclic
    from motet.architectures.hierarchical.feature_fusion import FeatureFusion
    from motet.architectures.hierarchical.interactive import Interactive
    from motet.architectures.hierarchical.pad_net import PADNet
    from motet.architectures.hierarchical.pipeline import Pipeline
    from motet.architectures.hierarchical.signal_pipeline import SignalPipeline
    from motet.architectures.hierarchical.task_attention import TaskAttention
    from motet.architectures.modular.adapters import Adapters
    from motet.architectures.modular.attempt import ATTEMPT
    from motet.architectures.modular.ca_mtl import CAMTL
    from motet.architectures.modular.hyperformer import Hyperformer
    from motet.architectures.modular.ia3 import IA3
    from motet.architectures.modular.lora import LoRA
    from motet.architectures.modular.mad_x import MADX
    from motet.architectures.modular.mixture_of_experts import MixtureOfExperts
    from motet.architectures.modular.mpt import MPT
    from motet.architectures.modular.mtl_lora import MTLLoRA
    from motet.architectures.modular.pals import PALs
    from motet.architectures.modular.prefix import PrefixTuning
    from motet.architectures.modular.prompts import PromptTuning
    from motet.architectures.modular.sparse_sharing import SparseSharing
    from motet.architectures.parallel.cgc import CGC
    from motet.architectures.parallel.cross_stitch import CrossStitch
    from motet.architectures.parallel.gated_fusion import GatedFusion
    from motet.architectures.parallel.group_trunks import GroupTrunks
    from motet.architectures.parallel.hard_sharing import HardSharing
    from motet.architectures.parallel.leaky_units import LeakyUnits
    from motet.architectures.parallel.mmoe import MMoE
    from motet.architectures.parallel.mtan import MTAN
    from motet.architectures.parallel.multi_level import MultiLevel
    from motet.architectures.parallel.ple import PLE
    from motet.architectures.parallel.shared_features import SharedFeatures
    from motet.architectures.parallel.sluice import Sluice
    from motet.architectures.parallel.soft_sharing import LayerwiseSoftSharing
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
    from motet.training.pretrained_teachers import PretrainedTeacher
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
    "ATTEMPT",
    "CAMTL",
    "CGC",
    "CMD",
    "DBMTL",
    "DWA",
    "FAMO",
    "IA3",
    "IMTLG",
    "IMTLL",
    "KL",
    "MADX",
    "MGDA",
    "MMD",
    "MPT",
    "MTAN",
    "PLE",
    "PRESETS",
    "Adapters",
    "AlignedMTL",
    "Annealed",
    "BoltzmannBandit",
    "CAGrad",
    "CausalLanguage",
    "Classification",
    "CoBa",
    "ConFIG",
    "Continue",
    "CrossStitch",
    "Curriculum",
    "Cyclic",
    "Distill",
    "Drop",
    "DynamicSampling",
    "DynamicTaskPrioritisation",
    "Encoder",
    "Experiment",
    "FeatureFusion",
    "FixedRatio",
    "FixedWeights",
    "GatedFusion",
    "Generation",
    "GeometricMean",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "GroupTrunks",
    "HardSharing",
    "Hyperformer",
    "Interactive",
    "InverseScore",
    "InverseSize",
    "Joint",
    "L2ToStart",
    "LayerwiseSoftSharing",
    "LeakyUnits",
    "LoRA",
    "LogClasses",
    "LossRatio",
    "LowToHigh",
    "MMoE",
    "MTLLoRA",
    "MTUncertainty",
    "MaskedLanguage",
    "MixtureOfExperts",
    "MultiDDS",
    "MultiLabel",
    "MultiLevel",
    "MultiTaskModel",
    "NashMTL",
    "Never",
    "Ordinal",
    "Orthogonality",
    "PADNet",
    "PALs",
    "PCGrad",
    "Patience",
    "Phase",
    "Phases",
    "Pipeline",
    "PrefixTuning",
    "PretrainFinetune",
    "PretrainedTeacher",
    "PrimaryAuxiliary",
    "PrimaryFirst",
    "PromptTuning",
    "Proportional",
    "RandomWeights",
    "Ranking",
    "Regression",
    "RevisedUncertainty",
    "RoundRobin",
    "Run",
    "ScaleInvariant",
    "Sequential",
    "SharedFeatures",
    "SharedPrivate",
    "SigmoidWeights",
    "SignalPipeline",
    "SizeCapped",
    "Sluice",
    "SmoothTchebycheff",
    "SoftSharing",
    "Source",
    "Spans",
    "SparseSharing",
    "StateMachine",
    "Stop",
    "Successive",
    "Sum",
    "SupervisedContrastive",
    "Tagging",
    "TaskAttention",
    "TaskDiscriminator",
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

_HOMES = {  # of all but architectures, which are many and names of their package
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
    "training.pretrained_teachers": ("PretrainedTeacher",),
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
    if name not in __all__:
        raise AttributeError(f"module 'motet' has no attribute '{name}'")
    value = getattr(import_module(f"motet.{_HOME_OF.get(name, 'architectures')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
