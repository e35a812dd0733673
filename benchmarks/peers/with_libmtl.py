"""LibMTL's trainer, as its example for texts (XTREME) sets it up.

    python benchmarks/peers/with_libmtl.py DATA OUT --tokens 20000

Left as in the example: a batch of 32 rows of every task in each step, all rows padded to the longest allowed ahead of
time, the pooler of the encoder and dropout before every head, AdamW, equal weights (EW), hard sharing (HPS), float32,
which is all that it offers. Given: the rate and the budget, as one epoch of so many batches. The release on the
registry asks for a GPU, for a part of torchvision that is gone and for a method of iterators that torch has given up;
a device, an empty module and the reading of a batch are put in their places.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import torch
from given import Endless, Given, Meter, Row, Task, answers, parser, read, seed_all, steps, write
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModel, AutoTokenizer

sys.modules["LibMTL.model"] = types.ModuleType("LibMTL.model")  # networks for images
from LibMTL import Trainer  # type: ignore[import-not-found]  # noqa: E402
from LibMTL.architecture import HPS  # type: ignore[import-not-found]  # noqa: E402
from LibMTL.loss import CELoss  # type: ignore[import-not-found]  # noqa: E402
from LibMTL.metrics import AccMetric  # type: ignore[import-not-found]  # noqa: E402
from LibMTL.weighting import EW  # type: ignore[import-not-found]  # noqa: E402

ROWS = 32  # as in the example

Columns = tuple[Tensor, ...]


class TextTrainer(Trainer):  # type: ignore[misc]
    """The trainer, for rows of sub-words on a CPU."""

    def __init__(self, *given: Any, rate: float, **named: Any) -> None:
        self.rate = rate
        super().__init__(*given, **named)

    def _prepare_model(self, weighting: Any, architecture: Any, encoder_class: Any, decoders: Any) -> None:
        self.device = torch.device("cpu")
        super()._prepare_model(weighting, architecture, encoder_class, decoders)

    def _prepare_optimizer(self, optim_param: Any, scheduler_param: Any) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.rate, eps=1e-8)
        self.scheduler = None

    def _process_data(self, loader: list[Any]) -> tuple[Columns, Tensor]:
        *inputs, labels = next(loader[1])
        return tuple(inputs), labels


def encoder_class(folder: str) -> type[nn.Module]:
    """The class of an encoder, which the trainer builds by itself."""

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(folder)

        def forward(self, inputs: Columns) -> Tensor:
            tokens, mask, types_of_tokens = inputs
            read = self.bert(input_ids=tokens, attention_mask=mask, token_type_ids=types_of_tokens)
            return torch.as_tensor(read.pooler_output)

    return Encoder


def tensors(rows: list[Row], tokenizer: Any, length: int) -> Columns:
    """Rows padded to the longest allowed."""
    texts = map(list, zip(*(row.texts for row in rows), strict=True))
    batch = tokenizer(*texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]


def loader(rows: list[Row], columns: Columns, sampler: Endless | None) -> DataLoader[Columns]:
    """Batches of a task, in the order of a sampler or one after the other."""
    labels = torch.tensor([row.label for row in rows])
    return DataLoader(TensorDataset(*columns, labels), batch_size=ROWS, sampler=sampler)


def trainer_of(given: Given, rate: float) -> TextTrainer:
    """The trainer, with a decoder for every task."""
    width = AutoModel.from_pretrained(given.encoder).config.hidden_size
    told = {
        task.name: {"metrics": ["Acc"], "metrics_fn": AccMetric(), "loss_fn": CELoss(), "weight": [1]}
        for task in given.tasks
    }
    decoders = {task.name: nn.Sequential(nn.Dropout(0.1), nn.Linear(width, len(task.labels))) for task in given.tasks}
    return TextTrainer(
        rate=rate,
        task_dict=told,
        weighting=EW,
        architecture=HPS,
        encoder_class=encoder_class(given.encoder),
        decoders=nn.ModuleDict(decoders),
        rep_grad=False,
        multi_input=True,
        optim_param={},
        scheduler_param=None,
        weight_args={},
        arch_args={},
    )


def main() -> None:
    """Train, answer, and write."""
    options = parser(__doc__).parse_args()
    given = read(options.data)
    seed_all(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(given.encoder)
    trainer = trainer_of(given, options.rate)
    meter = Meter(trainer.model.encoder.bert)
    count = steps(options.tokens, ROWS * len(given.tasks) * given.tokens)

    def loaders(split: str, most: int | None, count: int | None) -> dict[str, DataLoader[Columns]]:
        found = {}
        for number, task in enumerate(given.tasks):
            rows = task.rows(split)[:most]
            sampler = Endless(len(rows), ROWS * count, options.seed + number) if count else None
            found[task.name] = loader(rows, tensors(rows, tokenizer, given.max_length), sampler)
        return found

    # it scores an epoch at its end, and has to be given something for that
    trainer.train(loaders("train", None, count), loaders("validation", ROWS, None), epochs=1)
    trainer.model.eval()

    def logits(task: Task, some: list[Row]) -> Tensor:
        return torch.as_tensor(trainer.model(tensors(some, tokenizer, given.max_length), task.name)[task.name])

    write(options.out, "LibMTL", meter.plain(), answers(given, logits))


if __name__ == "__main__":
    main()
