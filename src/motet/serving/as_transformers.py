"""One task as a plain model of transformers, where one of its classes computes the same.

These classes put layers of their own between the states and the answer, and none of them asks what was trained here.
So weights are chosen with which these layers let the answer through:

* ReLU and GELU: ``f(z) - f(-z) = z``, so the answer goes through once as it is and once turned over.
* tanh: an answer made very small goes through unchanged but for its cube, and is made large again behind it.
* a last linear layer without bias: the bias goes into that of the normalisation before it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from motet.answering import Answering, require_tasks
from motet.architectures.heads import Head, key
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.data.batches import Chunk
from motet.encoders.silence import silently
from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.registry import part_name
from motet.runs import write_atomically
from motet.serving.checking import Sample, differences
from motet.serving.exporting import require_free
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

__all__ = ["Plain", "export_plain"]

_TOLERANCE = 1e-5
_SMALL = 2.0**-14  # what an answer is multiplied by before a tanh; one of 20 then comes out 1e-5 off
_ACTIVATIONS = Literal["tanh", "turned"]


@dataclass(frozen=True)
class _Way:
    """From the first state of a text to its answer.

    Args:
        first: the layer before the activation.
        last: the layer behind it.
        activation: tanh, or one of those for which ``f(z) - f(-z) = z``.
        mean: the setting with which the class reads the mean of the states instead, and its two values.
    """

    first: str
    last: str
    activation: _ACTIVATIONS
    mean: tuple[str, str, str] | None = None


_ROBERTA = _Way("classifier.dense", "classifier.out_proj", "tanh")
_WAYS: dict[str, _Way] = {
    "albert": _Way("albert.pooler", "classifier", "tanh"),
    "bert": _Way("bert.pooler.dense", "classifier", "tanh"),
    "camembert": _ROBERTA,
    "deberta-v2": _Way("pooler.dense", "classifier", "turned"),
    "distilbert": _Way("pre_classifier", "classifier", "turned"),
    "electra": _Way("classifier.dense", "classifier.out_proj", "turned"),
    "eurobert": _Way("dense", "classifier", "turned", ("classifier_pooling", "bos", "mean")),
    "mpnet": _ROBERTA,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
_NORMS = {"gpt2": "ln_f"}  # the last layer before a decoder's states
_PROBLEMS = {Classification: "single_label_classification", MultiLabel: "multi_label_classification"}
_REMEDY = "Export it to ONNX instead: `--to onnx`."


@dataclass(frozen=True)
class Plain:
    """What was written.

    Args:
        folder: where.
        kind: the class of transformers that reads it.
        difference: the largest to what the original says.
    """

    folder: Path
    kind: str
    difference: float


def export_plain(model: MultiTaskModel, out: str | Path, name: str, rows: Sample) -> Plain:
    """Write one task as a plain model of transformers, read it back, and hold it against the original.

    Args:
        model: on the CPU.
        out: a folder that is not there yet.
        name: of the task.
        rows: to hold the two against each other on.

    Raises:
        RunError: the folder is there, or no class of transformers computes what the model does.

    Example:
        >>> from motet.serving.as_transformers import export_plain
        >>> export_plain(motet.load("runs/first"), "exports/topic", "topic", rows).kind  # doctest: +SKIP
        'BertForSequenceClassification'
    """
    require_tasks(model.tasks, [name])
    folder = Path(out)
    require_free(folder)
    task = model.tasks[name]
    found: list[Plain] = []

    def fill(path: Path) -> None:
        made = _made(model, task)
        with silently():
            made.save_pretrained(path)
            model.tokenizer.save_pretrained(path)
            again = type(made).from_pretrained(path).eval()
        worst = differences(model, _Adapted(again, model, task), {name: rows[name]})[name]
        if not worst <= _tolerance(task):
            raise _refused(task, f"{type(made).__name__} differs from the original by {worst:.2g}")
        found.append(Plain(folder, type(made).__name__, worst))

    write_atomically(folder, fill)
    return found[0]


def _made(model: MultiTaskModel, task: Task) -> PreTrainedModel:
    head = _head(model, task)
    trunk = model.arrangement.trunk
    target = _target(model, task)
    body = next((module for module in target.modules() if type(module) is type(trunk.reader)), None)
    if body is None:
        raise _refused(task, f"{type(target).__name__} reads texts in another way than a {type(trunk.model).__name__}")
    target.tie_weights()
    missing, unexpected = body.load_state_dict(trunk.reader.state_dict(), strict=False)
    if unexpected or any("pooler" not in name.split(".") for name in missing):
        raise _refused(task, f"{type(target).__name__} holds other weights than a {type(trunk.model).__name__}")
    weight, bias = head.linear.weight.double(), head.linear.bias.double()
    with torch.no_grad():
        if isinstance(task, (Tagging, Spans)):
            _put(_final(target, task), weight, bias)
        elif trunk.family == "decoder":
            mean, scale = _units(task)
            _put_without_bias(target, weight * scale, bias * scale + mean, task)
        else:
            _put_through(target, weight, bias, task)
    return cast(PreTrainedModel, target.eval())


def _head(model: MultiTaskModel, task: Task) -> Head:
    """The head of a task, if it reads the last states of the trunk and nothing stands between."""
    part, name = model.architecture, task.name
    if not isinstance(part, HardSharing):
        raise _refused(task, f"the architecture `{part_name(part)}` computes more than a trunk and a head")
    if part.read_layer.get(name, model.arrangement.trunk.depth) != model.arrangement.trunk.depth:
        raise _refused(task, "it reads another layer than the last")
    if part.task_layers.get(name):
        raise _refused(task, "it has layers of its own")
    if isinstance(task, Tagging) and task.crf:
        raise _refused(task, "no class of transformers has a conditional random field")
    if not isinstance(task, (Classification, MultiLabel, Regression, Ranking, Tagging, Spans)):
        raise _refused(task, f"no class of transformers has the answer of `{part_name(task)}`")
    head = model.arrangement.heads[key(name)]
    return cast(Head, head)


def _target(model: MultiTaskModel, task: Task) -> PreTrainedModel:
    """A model of the class that fits, with fresh weights."""
    trunk = model.arrangement.trunk
    config = copy.deepcopy(cast(Any, trunk.model.config))
    auto: Any = AutoModelForSequenceClassification
    if isinstance(task, (Tagging, Spans)):
        auto = AutoModelForTokenClassification if isinstance(task, Tagging) else AutoModelForQuestionAnswering
    if type(config) not in auto._model_mapping or (isinstance(task, Spans) and trunk.family == "encoder-decoder"):
        raise _refused(task, f"transformers has no class for it around a {type(trunk.model).__name__}")
    _label(config, task)
    config.pad_token_id = model.tokenizer.pad_token_id
    if not isinstance(task, (Tagging, Spans)):
        _pool(config, task, cast(Head, model.arrangement.heads[key(task.name)]).pooling, trunk.family)
    with torch.random.fork_rng(), silently():
        target = cast(PreTrainedModel, auto.from_config(config, dtype=torch.float32))
    if hasattr(target, "head"):
        raise _refused(task, f"{type(target).__name__} normalises what stands before the answer")
    return target


def _label(config: Any, task: Task) -> None:
    labels: Sequence[str] = getattr(task, "classes", ()) or [task.name]
    config.num_labels = task.outputs
    config.problem_type = _PROBLEMS.get(type(task))
    if isinstance(task, Regression):
        config.problem_type = "regression"
    if not isinstance(task, Spans):
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: at for at, label in enumerate(labels)}


def _pool(config: Any, task: Task, pooling: str, family: str) -> None:
    """Have the class read the state that the head reads."""
    kind = config.model_type
    if family == "decoder":
        if pooling != "last":
            raise _refused(
                task, f"it reads the {pooling} of the states, where a decoder of transformers reads the last"
            )
        return
    way = _WAYS.get(kind)
    if way is None:
        raise _refused(task, f"no way is known through the classifier of transformers around a `{kind}`")
    if way.mean is not None and pooling in ("cls", "mean"):
        setattr(config, way.mean[0], way.mean[1] if pooling == "cls" else way.mean[2])
    elif pooling != "cls":
        told = "the classifiers of transformers read the first (`architecture.pooling: cls`)"
        raise _refused(task, f"it reads the {pooling} of the states, where {told}")


def _final(target: nn.Module, task: Task) -> nn.Linear:
    names = ("qa_outputs",) if isinstance(task, Spans) else ("classifier", "score")
    found = next((getattr(target, name) for name in names if hasattr(target, name)), None)
    if not isinstance(found, nn.Linear) or found.bias is None:
        raise _refused(task, f"{type(target).__name__} has more than one linear layer before the answer")
    return found


def _put(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    """Fill the first rows of a layer, and leave nothing in the others."""
    layer.weight.zero_()[: len(weight), : weight.shape[1]] = weight
    layer.bias.zero_()[: len(bias)] = bias


def _put_through(target: Any, weight: Tensor, bias: Tensor, task: Task) -> None:
    """Let an answer through two linear layers with an activation between them."""
    way = _WAYS[target.config.model_type]
    mean, scale = _units(task)
    first, last = target.get_submodule(way.first), target.get_submodule(way.last)
    same = scale * torch.eye(len(bias), dtype=weight.dtype)
    if way.activation == "tanh":
        before, bias_before, behind = _SMALL * weight, _SMALL * bias, same / _SMALL
    else:
        before, bias_before = torch.cat([weight, -weight]), torch.cat([bias, -bias])
        behind = torch.cat([same, -same], dim=1)
    if len(before) > first.out_features:
        width = f"{first.out_features} features of {type(target).__name__}"
        raise _refused(task, f"{len(bias)} labels do not go through the {width}")
    _put(first, before, bias_before)
    _put(last, behind, torch.full_like(bias, mean))


def _put_without_bias(target: Any, weight: Tensor, bias: Tensor, task: Task) -> None:
    """Fill a last layer that has no bias, and move what is before it by as much as gives that bias."""
    norm: Any = getattr(target.base_model, _NORMS.get(target.config.model_type, ""), None)
    if norm is None or norm.bias is None:
        raise _refused(task, f"{type(target).__name__} has no bias, and no normalisation that could have one for it")
    moved = torch.linalg.lstsq(weight, bias[:, None], driver="gelsd").solution[:, 0]
    target.score.weight.copy_(weight)
    norm.bias.copy_(norm.bias.double() + moved)


def _tolerance(task: Task) -> float:
    """How far a logit may be off: more where numbers are far from 0 for their spread, in float32."""
    mean, scale = _units(task)
    return _TOLERANCE * (abs(mean) + abs(scale)) / abs(scale)


def _units(task: Task) -> tuple[float, float]:
    """Where the numbers of a task lie and how they spread: a logit is the distance in units of the latter."""
    if not isinstance(task, Regression) or task.mean is None or task.scale is None:
        return 0.0, 1.0
    return task.mean, task.scale


def _refused(task: Task, reason: str) -> RunError:
    return RunError(f"`{task.name}` cannot be a plain model of transformers: {reason}. {_REMEDY}")


class _Adapted(Answering):
    """A plain model that answers a task as the original does."""

    def __init__(self, plain: PreTrainedModel, original: MultiTaskModel, task: Task) -> None:
        self.tasks = {task.name: task}
        self.tokenizer = original.tokenizer
        self._plain: Any = plain
        self._typed = original.arrangement.trunk.family == "encoder"
        self._max_length = original.max_length

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
        ((name, owned),) = chunk.owned.items()
        types = {} if chunk.types is None or not self._typed else {"token_type_ids": chunk.types}
        out = self._plain(input_ids=chunk.tokens, attention_mask=chunk.mask, **types)
        task = self.tasks[name]
        said = torch.stack([out.start_logits, out.end_logits], dim=-1) if isinstance(task, Spans) else out.logits
        if owned.words is not None:
            said = said[owned.words[0], owned.words[1]]
        mean, scale = _units(task)
        return {name: ((said.double() - mean) / scale).float()}

    def written(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        raise TypeError("a plain model writes nothing")
