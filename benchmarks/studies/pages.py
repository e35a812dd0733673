"""What each page of studies says beside its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["PAGES", "Page"]


class Page(NamedTuple):
    """A page.

    Args:
        introduction: what stands above the figures.
        studies: the name of the folder of each study, and its title.
        commands: that make the page again.
        repeated: a data set and the column that marks test rows to leave out of a second mean.
        repeated_words: what these rows are.
    """

    introduction: str
    studies: Mapping[str, str]
    commands: str
    repeated: tuple[str, str] | None = None
    repeated_words: str = ""


def _commands(page: str, *studies: str) -> str:
    sweeps = [f"    motet sweep benchmarks/studies/{name}-study.yaml --out studies/{name} --jobs 2" for name in studies]
    made = f"    python benchmarks/studies/page.py {page} {' '.join(f'studies/{name}' for name in studies)}"
    return "\n".join(
        [*sweeps, made, "", "`MOTET_DATA` names the folder of the data sets. Sweeps go on where they were stopped.\n"]
    )


_OPTIMISATION = """# Sequential convergence beside joint

In the sequential setting one task learns at a time, and those before it are held by distillation; in the joint setting
all learn from the start, and each is held when it has converged. Two layers of the encoder, few rows, constant rate. A
task has the same rows a step in all variants, so that a step of the sequential setting is cheaper while few tasks are
live; it may take more of them. `log_classes` divides the loss of every task by the logarithm of its number of classes
(Aghajanyan et al. 2021). Test was read once a run.

What it shows, limits first: this is a comparison at about equal tokens, not at equal convergence. In most runs the
steps ran out before the last tasks of the order had converged, in some before they began, and that is what the
sequential setting loses here; a task that never beats a constant answer (`name_match` seldom does in so short a run)
keeps those behind it waiting. Tasks at the head of an order score about as in the joint setting. `log_classes` made no
difference that could be told from noise, so the plain sum stays the default.
"""

_FDU_MTL = """# FDU-MTL: sixteen domains of reviews

Is a review positive? One task for each domain: Liu, Qiu, Huang 2017, "Adversarial Multi-task Learning for Text
Classification". Three layers of the encoder, texts cut after 96 sub-words, about one pass over the rows; the checkpoint
with the best mean on validation is scored on test, once. The models of single tasks have read a sixteenth of the tokens
each, and so as many together, in smaller batches. The discriminator sees the labelled texts alone.

The paper's recurrent networks are quoted with a mean accuracy of about 82 for single tasks and 86.1 for the adversarial
shared-private model (all test rows; quoted from memory, not read again). A linear model on TF-IDF features has 85.1
with a model for each domain, and 88.2 with one for all. Of the 6,400 test rows 539 repeat a training text of their
domain; the second mean leaves them out.

What it shows: one model for all is four points above a model for each domain at equal tokens, and neither private
states nor the adversary add to that; plain hard sharing is ahead in every seed. In the paper, whose networks begin with
word vectors and not with a pretrained encoder, the adversarial model is ahead. All of them are below the linear model
for all domains: half of the reviews are longer than 96 sub-words and were cut, and each was read once.
"""

_ARCHITECTURES = """# Intent and slots: who reads whom

Two tasks on the utterances of SNIPS, which share one pass of the encoder. In hard sharing neither knows what the other
says; in a pipeline one reads the answers of the other, in a cycle each reads the other's, in turns, and interactive
tasks answer, read all answers, and answer again. Two layers of the encoder and 1,500 of the 13,084 utterances, seven
passes over them; the checkpoint with the best mean on validation is scored on test, once.

Limits first: three seeds, and four comparisons that are not corrected for each other. Seconds are those of a machine
that other programs used too. A first attempt with 600 steps of 768 tokens was stopped for its cost after one run (hard
sharing, seed 0).
"""

PAGES = {
    "optimisation": Page(
        _OPTIMISATION,
        {
            "docstrings": "Docstrings: the five tasks of the demo",
            "similar": "Setup A: five similar tasks on product text",
        },
        _commands("optimisation", "docstrings", "similar"),
    ),
    "fdu-mtl": Page(
        _FDU_MTL,
        {"fdu_mtl": "Accuracy by domain"},
        _commands("fdu-mtl", "fdu_mtl"),
        ("fdu_mtl", "seen_in_train"),
        "rows that repeat a training text",
    ),
    "architectures": Page(_ARCHITECTURES, {"intent_slots": "SNIPS"}, _commands("architectures", "intent_slots")),
}
