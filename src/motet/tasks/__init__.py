"""Tasks: what is asked about a text, one file an answer shape.

A task knows its columns, its answer shape, the loss against true labels and against recorded predictions, how logits
are read as answers, and its scores. It does not know which head computes the logits.

    >>> from motet.tasks import Classification
    >>> task = Classification("sentiment", source="reviews.csv", classes=("bad", "good"))
    >>> task.outputs, task.headline
    (2, 'accuracy')
"""

from motet.tasks.base import Inputs, Scores, Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

__all__ = ["Classification", "Inputs", "Regression", "Scores", "Tagging", "Task"]
