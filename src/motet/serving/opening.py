"""Whatever can answer texts, opened by its folder."""

from __future__ import annotations

from pathlib import Path

from motet.answering import Answering
from motet.errors import RunError
from motet.model import load
from motet.serving.onnx_model import DESCRIPTION, OnnxModel

__all__ = ["open_model"]


def open_model(path: str | Path, device: str = "cpu", *, onnx: bool = False) -> Answering:
    """The model of a model folder, of a finished run, or of an export to ONNX.

    Args:
        path: the folder.
        device: where a model of torch computes; an export computes on the CPU.
        onnx: refuse anything but an export.

    Raises:
        RunError: it is none of these.

    Example:
        >>> open_model("exports/first", onnx=True).predict("what a day")  # doctest: +SKIP
    """
    folder = Path(path)
    if (folder / DESCRIPTION).exists():
        return OnnxModel.from_pretrained(folder)
    if onnx:
        raise RunError(f"{folder} is no export to ONNX. `motet export RUN --out {folder}` writes one.")
    return load(folder).to(device)
