"""Tasks: what is asked about a text, one file an answer shape.

A task knows its columns, its answer shape, the loss against true labels and against recorded predictions, how logits
are read as answers, and its scores. It does not know which head computes the logits.

    >>> from motet.tasks import Classification
    >>> task = Classification("sentiment", source="reviews.csv", classes=("bad", "good"))
    >>> task.outputs, task.headline
    (2, 'accuracy')
"""

from motet.tasks.base import Answers, Inputs, Scores, Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage, MaskedLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

__all__ = [
    "Answers",
    "CausalLanguage",
    "Classification",
    "Generation",
    "Inputs",
    "MaskedLanguage",
    "MultiLabel",
    "Ordinal",
    "Ranking",
    "Regression",
    "Scores",
    "Spans",
    "Tagging",
    "Task",
]
