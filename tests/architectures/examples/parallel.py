"""Those of `motet.architectures.parallel`."""

from __future__ import annotations

from tests.architectures.examples.base import Example

from motet.architectures.parallel.hard_sharing import HardSharing

PARALLEL = {
    "hard_sharing": Example(
        lambda tasks: HardSharing(read_layer={next(iter(tasks)): 1}),
        lambda tasks: HardSharing(),
    ),
}
