"""Every architecture with settings that suit the toy tasks, and what makes it hard sharing again.

Each module holds a part of `EXAMPLES`, by the name that is registered.
"""

from __future__ import annotations

from tests.architectures.examples.base import Example
from tests.architectures.examples.parallel import PARALLEL

EXAMPLES: dict[str, Example] = {**PARALLEL}
