"""Architectures: how task-specific computation is arranged around the encoder, one method a file.

>>> from motet.architectures import HardSharing
>>> HardSharing(pooling="cls").pooling
'cls'
"""

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.parallel.hard_sharing import HardSharing

__all__ = ["Architecture", "Arrangement", "HardSharing"]
