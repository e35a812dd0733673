"""A model that was exported to ONNX: onnxruntime computes, texts are read and answers told as by the original."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from motet.answering import Answering, require_tasks
from motet.data.batches import Chunk
from motet.encoders.loading import Encoder, load_tokenizer
from motet.errors import RecipeError, RunError, UserError
from motet.model import read_description, spelled
from motet.tasks.base import Task

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["DESCRIPTION", "FORMAT", "GRAPH", "OnnxModel", "Outputs"]

DESCRIPTION, GRAPH, FORMAT = "onnx.json", "model.onnx", 1


@dataclass(frozen=True)
class Outputs:
    """What there is to know about a graph.

    Args:
        inputs: the names of what goes in.
        names: for every task the name of what comes out.
        learnt: for every task whose answer depends on some, rows of numbers that stand behind its logits.
    """

    inputs: tuple[str, ...]
    names: Mapping[str, str]
    learnt: Mapping[str, Tensor]


class OnnxModel(Answering):
    """A model that was exported to ONNX.

    Only the pass differs from the original, so `predict` takes and gives the same.

    Args:
        session: of onnxruntime.
        tokenizer: of the original.
        tasks: resolved tasks by name.
        outputs: of the graph.
        max_length: longest row in sub-words.

    Example:
        >>> from motet.serving.onnx_model import OnnxModel
        >>> model = OnnxModel.from_pretrained("exports/first")  # doctest: +SKIP
        >>> model.predict("what a day in Lisbon", tasks=["emotion"])  # doctest: +SKIP
    """

    def __init__(
        self,
        session: InferenceSession,
        tokenizer: PreTrainedTokenizerBase,
        tasks: Mapping[str, Task],
        outputs: Outputs,
        *,
        max_length: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.tasks = dict(tasks)
        self.outputs = outputs
        self._session = session
        self._max_length = max_length

    @property
    def max_length(self) -> int:
        return self._max_length

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @contextmanager
    def resting(self) -> Iterator[None]:
        yield

    def logits(self, chunk: Chunk) -> dict[str, Tensor]:
        types = torch.zeros_like(chunk.tokens) if chunk.types is None else chunk.types
        every = {"input_ids": chunk.tokens, "attention_mask": chunk.mask, "token_type_ids": types}
        given = {name: every[name].numpy() for name in self.outputs.inputs}
        wanted = [self.outputs.names[name] for name in chunk.owned]
        said = self._session.run(wanted, given)
        return {
            name: self._units(name, torch.from_numpy(values), chunk)
            for name, values in zip(chunk.owned, said, strict=True)
        }

    def _units(self, name: str, values: Tensor, chunk: Chunk) -> Tensor:
        owned = chunk.owned[name]
        units = values[owned.rows] if owned.words is None else values[owned.words[0], owned.words[1]]
        learnt = self.outputs.learnt.get(name)
        return units if learnt is None else torch.cat([units, learnt])

    def written(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        raise TypeError("a graph writes nothing")

    @classmethod
    def from_pretrained(cls, folder: str | Path, tasks: Sequence[str] = ()) -> OnnxModel:
        """Read the folder that `motet export` wrote.

        Args:
            folder: with the graph.
            tasks: those to answer; all if there is none.

        Raises:
            RunError: onnxruntime or a file is missing, damaged or of a newer format; an unknown task.
        """
        path = Path(folder)
        missing = f"{path} holds no export: it has no {DESCRIPTION}. `motet export RUN --out {path}` makes one."
        described = read_description(path / DESCRIPTION, FORMAT, missing)
        try:
            known: dict[str, Task] = {name: spelled("task", task) for name, task in described["tasks"].items()}
            learnt = {name: torch.tensor(rows) for name, rows in described["learnt"].items()}
            outputs = Outputs(tuple(described["inputs"]), dict(described["outputs"]), learnt)
            encoder = Encoder(str(path), max_length=described["encoder"]["max_length"])
        except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
            raise RunError(f"{path / DESCRIPTION} is damaged ({type(error).__name__}: {error}).") from error
        try:
            tokenizer = load_tokenizer(encoder, path)
        except RecipeError as error:
            raise RunError(f"{path} cannot be loaded: {error}") from error
        require_tasks(known, tasks)
        chosen = {name: known[name] for name in tasks or known}
        return cls(open_session(path / GRAPH), tokenizer, chosen, outputs, max_length=encoder.max_length)


def open_session(path: Path) -> InferenceSession:
    """A session for a graph, on the CPU with as many threads as torch has.

    Raises:
        RunError: onnxruntime is not installed, or the file is no graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RunError("ONNX needs a package that is not here. Run: pip install 'motet[export]'") from error
    if not path.exists():
        raise RunError(f"{path.parent} cannot be loaded: it has no {path.name}.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes of errors have no public base
        raise RunError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from error
