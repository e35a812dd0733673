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
    "asynchronous joint, linear decay",
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
    "similar": Setup(
        "Setup A: similar tasks, where the sum over-trains", "", ("similar", "similar-static", "similar-more"), _SIMILAR
    ),
    "similar-all": Setup("Setup A: similar tasks, where it hardly does", "", ("similar-all",), _SIMILAR),
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

LIMITS = """**Limits first.** Two layers of a small encoder, short texts, and less than one pass over the large sets, so
that all of it fits on two cores. Holding peaks can win about one point in these regimes (below): as much as was
claimed, and less than the standard error of most validation scores. Three to five seeds show differences of a point
or more at best (`python benchmarks/power.py`). What this page does not list has not been run.
"""

PLAN = """## The plan, written before the first run that is compared

* **Two regimes of setup A.** 300 rows of each small set at a constant rate of 3e-4, where the sum over-trains on the
  small tasks while it has seen a third of the large ones; and all rows at 1e-4, where it hardly does and the method
  should cost nothing. A rate that falls is a variant of both sum and method, since it takes half of the headroom
  away.
* **Equal terms.** Every run ends with the step that brings it to 820,000 tokens; models for each task alone have a
  fifth of them each, in steps of a quarter of the size. Every variant has one trial, with the rates of the sum;
  static weights alone are the best of four on validation. The checkpoint with the best mean on validation is scored
  on test, for all variants alike but for `sum, last check`.
* **Settings of the method** are chosen on validation: fifteen forms of it, two seeds each (`ablation.yaml`). The
  literal form of the paper stays a variant of its own.
* **Seeds.** Three for all; two more for the sum, the three baselines that are best on validation, the single models,
  and the joint and sequential forms.
* **Tests.** Paired over seeds against the baseline that is best on validation, corrected (Holm) over our variants;
  task by task, corrected over the tasks.
* **Cost.** A run of setup A takes about 4.5 minutes of one core: `similar` 340 minutes, two more seeds of a part of
  it 70, `similar-static` 54, `similar-all` 95, `ablation` 135: six hours on two cores. Setup B has two more, and a
  plan of its own once its headroom is known.
"""

HEADROOM = """## Headroom, measured before anything else

Holding peaks can win no more than this: the mean over tasks of each task's own highest validation score, less the mean
at the best single check of the plain sum (distillation may add a little of its own). Regimes were chosen by it alone,
on validation, before any asynchronous run.
"""

AGAIN = """## Again

```sh
make reproduce                                                            # the small version, in twenty minutes
motet sweep benchmarks/asynchronous/similar.yaml --out studies/similar --jobs 2     # and the other studies like it
python benchmarks/asynchronous/record.py studies/similar
python benchmarks/asynchronous/page.py
```

Data sets are looked up in the folder that MOTET_DATA names. A study that was stopped goes on where it was.
"""
