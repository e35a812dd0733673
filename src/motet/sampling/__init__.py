"""Samplers: which tasks' examples make up the next batch, one file a rule.

>>> from motet.sampling import Temperature
>>> Temperature(temperature=1).shares({"a": 1, "b": 3})
{'a': 0.25, 'b': 0.75}

A sampler is a recipe. At work it is a `Mixing`, which may have a memory: of validation scores, or of its turn.
"""

from motet.sampling.annealed import Annealed
from motet.sampling.base import Epoch, Mixing, Sampler, Supply
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

__all__ = [
    "Annealed",
    "BoltzmannBandit",
    "DynamicSampling",
    "Epoch",
    "FixedRatio",
    "MTUncertainty",
    "Mixing",
    "MultiDDS",
    "Proportional",
    "RoundRobin",
    "Sampler",
    "SizeCapped",
    "Supply",
    "Temperature",
    "TemperatureWarmup",
    "ThompsonBandit",
    "Uniform",
]
