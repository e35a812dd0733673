"""Those of `motet.architectures.hierarchical`."""

from __future__ import annotations

from tests.architectures.examples.base import Example

from motet.architectures.hierarchical.cyclic import Cyclic
from motet.architectures.hierarchical.interactive import Interactive
from motet.architectures.hierarchical.pipeline import Pipeline
from motet.architectures.hierarchical.signal_pipeline import SignalPipeline

HIERARCHICAL = {
    "pipeline": Example(
        lambda tasks: Pipeline(
            feeds={tasks[1]: (tasks[0],), tasks[-1]: (tasks[0], tasks[1])}, size=6, gold=0.5, dropout=0.0
        ),
        mixes=True,
    ),
    "signal_pipeline": Example(
        lambda tasks: SignalPipeline(signals={tasks[0]: tasks[-1], tasks[1]: tasks[-1]}),
        mixes=True,
    ),
    "interactive": Example(lambda tasks: Interactive(turns=3, size=6), mixes=True),
    "cyclic": Example(lambda tasks: Cyclic(order=(tasks[-1], tasks[0], tasks[1]), size=6), mixes=True),
}
