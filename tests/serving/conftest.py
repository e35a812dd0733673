"""Commands are run here as in the tests of the command line; a small model answers in many shapes."""

from __future__ import annotations

from tests.cli.conftest import motet
from tests.serving.served import served_model

__all__ = ["motet", "served_model"]
