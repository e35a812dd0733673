"""Every architecture with settings that suit the toy tasks, and what makes it hard sharing again.

Each module holds a part of `EXAMPLES`, by the name that is registered.
"""

from __future__ import annotations

from tests.architectures.examples.adversarial import ADVERSARIAL
from tests.architectures.examples.base import Example
from tests.architectures.examples.hierarchical import HIERARCHICAL
from tests.architectures.examples.inside import INSIDE
from tests.architectures.examples.parallel import PARALLEL
from tests.architectures.examples.states import STATES

EXAMPLES: dict[str, Example] = {**ADVERSARIAL, **HIERARCHICAL, **INSIDE, **PARALLEL, **STATES}
