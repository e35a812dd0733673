"""Samplers: which tasks' examples make up the next batch, one file a rule.

>>> from motet.sampling import Temperature
>>> Temperature(temperature=1).shares({"a": 1, "b": 3})
{'a': 0.25, 'b': 0.75}
"""

from motet.sampling.base import Sampler
from motet.sampling.proportional import Proportional
from motet.sampling.temperature import Temperature
from motet.sampling.uniform import Uniform

__all__ = ["Proportional", "Sampler", "Temperature", "Uniform"]
