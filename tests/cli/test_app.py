"""The command line as a whole: it starts fast, and fails with the right words and the right code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import motet as package
from motet.cli import app as app_module
from motet.cli.app import main
from motet.errors import RunError

from .conftest import Motet
