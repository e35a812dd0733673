"""What the page of the reproduction says beside its figures, and which studies belong to which setup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["AGAIN", "CLAIM", "HEADROOM", "LIMITS", "OURS", "PLAN", "SETUPS", "SINGLE", "SUM", "Setup"]


class Setup(NamedTuple):
    """Five tasks in one regime.

    Args:
        title: of its part of the page.
        about: what stands above its figures.
        studies: the folders of its sweeps.
        tasks: in the order of the tables.
        controls: variants that are neither ours nor baselines.
    """

    title: str
    about: str
    studies: tuple[str, ...]
    tasks: tuple[str, ...]
    controls: tuple[str, ...] = ("drop", "rewind only", "blended")


SUM = "sum"
SINGLE = "single"
OURS = (
    "asynchronous joint",
    "asynchronous joint, paper",
    "asynchronous sequential, large first",
    "asynchronous sequential, small first",
)

_SIMILAR = ("category", "pros_cons", "rating", "counterfactual", "sentiment")
_DOCSTRINGS = ("area", "kind", "parameters", "parameter_count", "name_match")
_DIVERSE = ("rating", "match", "attributes", "ranking", "answer_span")

SETUPS: Mapping[str, Setup] = {
    "small": Setup("The small version", "", ("small",), _SIMILAR),
    "small-docstrings": Setup("The small version, on docstrings", "", ("small-docstrings",), _DOCSTRINGS),
    "similar": Setup("Setup A: similar tasks", "", ("similar", "similar-more"), _SIMILAR),
    "diverse": Setup("Setup B: diverse tasks", "", ("diverse", "diverse-more"), _DIVERSE),
}

CLAIM = """# Asynchronous convergence, reproduced on public data

**What was claimed.** Lu et al. 2022, "Asynchronous Convergence in Multi-Task Learning via Knowledge Distillation from
Converged Tasks" (NAACL Industry Track), report for two setups of five proprietary tasks each that the better of their
joint and sequential settings is 0.9 % (similar tasks) and 1.5 % (diverse tasks) above the best baseline of loss
weighting and gradient balancing, on average over the tasks, and that no converged task declines. Whether these are
points or relative is not said where we could read; names of baselines, tasks and settings are not public. This page
repeats the comparison on public data with every run listed, whatever it shows.
"""

LIMITS = ""

PLAN = ""

HEADROOM = """## Headroom, measured before anything else

Holding peaks can win no more than this: the mean over tasks of each task's own highest validation score, less the mean
at the best single check of the plain sum (distillation may add a little of its own). Regimes were chosen by it alone,
on validation, before any asynchronous run.
"""

AGAIN = ""
