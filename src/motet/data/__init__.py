"""Data: tables with splits become token rows, examples of tasks, and batches.

    Source --read--> Table --tokenise--> TokenRows --collect--> Examples --Stream.draw--> Chunk

Everything large stays on disk, memory-mapped; tokenisation is cached by content.

    >>> from motet.data import Source
    >>> Source("reviews.csv", rows={"train": 1000}).seed
    13
"""

from motet.data.corpus import Corpus, load_corpus
from motet.data.examples import Examples
from motet.data.sources import Source, Table, read

__all__ = ["Corpus", "Examples", "Source", "Table", "load_corpus", "read"]
