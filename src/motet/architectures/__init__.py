"""Architectures: how task-specific computation is arranged around the encoder, one method a file.

>>> from motet.architectures import HardSharing
>>> HardSharing(pooling="cls").pooling
'cls'
"""

from motet.architectures.adversarial.shared_private import SharedPrivate
from motet.architectures.adversarial.task_discriminator import TaskDiscriminator
from motet.architectures.base import Architecture, Arrangement
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

__all__ = [
    "ATTEMPT",
    "CAMTL",
    "CGC",
    "IA3",
    "MADX",
    "MPT",
    "MTAN",
    "PLE",
    "Adapters",
    "Architecture",
    "Arrangement",
    "CrossStitch",
    "Cyclic",
    "FeatureFusion",
    "GatedFusion",
    "GroupTrunks",
    "HardSharing",
    "Hyperformer",
    "Interactive",
    "LayerwiseSoftSharing",
    "LeakyUnits",
    "LoRA",
    "MMoE",
    "MTLLoRA",
    "MixtureOfExperts",
    "MultiLevel",
    "PADNet",
    "PALs",
    "Pipeline",
    "PrefixTuning",
    "PromptTuning",
    "SharedFeatures",
    "SharedPrivate",
    "SignalPipeline",
    "Sluice",
    "SparseSharing",
    "TaskAttention",
    "TaskDiscriminator",
]
