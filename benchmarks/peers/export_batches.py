"""Write the rows of some steps for programs that do not know motet.

    python benchmarks/peers/export_batches.py batches.npz

Five tasks on docstrings, each with rows of its own, as `benchmarks/gradients.py` measures them: for every step and task
the token ids of its rows, padded to the longest of them, 0 behind the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gradients import different
from subject import Case, opened

from motet.data.batches import Chunk
from motet.encoders.loading import Encoder, locate


def rows_of(chunks: list[Chunk], task: str) -> np.ndarray:
    """The rows of one task, ``[rows, length]``."""
    found = [chunk.tokens[chunk.owned[task].rows] * chunk.mask[chunk.owned[task].rows] for chunk in chunks]
    length = max(piece.shape[1] for piece in found)
    return np.concatenate([np.pad(piece.numpy(), ((0, 0), (0, length - piece.shape[1]))) for piece in found])


def main() -> None:
    """Write them, and print where the encoder is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    case = Case(name="sum", tasks=different(), precision="fp32", layers=None, tokens=2048)
    with tempfile.TemporaryDirectory(prefix="motet-peers-") as folder, opened(case, Path(folder)) as subject:
        steps = subject.coming(options.steps)
        found = {
            f"{step}/{task}": rows_of([chunk for chunk in chunks if task in chunk.owned], task)
            for step, chunks in enumerate(steps)
            for task in sorted({task for chunk in chunks for task in chunk.owned})
        }
    np.savez_compressed(options.file, **found)
    print(locate(Encoder()))


if __name__ == "__main__":
    main()
