"""torchjd's documented loop: the losses of all tasks, `mtl_backward`, an aggregator for the shared part.

    python benchmarks/peers/with_torchjd.py DATA OUT --tokens 20000

Left as in its documentation: 16 rows of every task in each step, UPGrad, which it recommends, and everything in a loop
of one's own, float32 or under autocast. Chosen here: AdamW, as plain gradient descent does not train transformers,
padding to the longest row of a batch, and heads on the mean of the states. Given: the rate and the budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from given import Endless, Given, Meter, Row, Task, answers, parser, read, seed_all, steps, write
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchjd.aggregation import UPGrad
from torchjd.autojac import jac_to_grad, mtl_backward
from transformers import AutoModel, AutoTokenizer

ROWS = 16  # of a task, as in its documentation


class Shared(nn.Module):
    """The encoder, and the mean of the states of a row."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)

    def forward(self, batch: Any) -> Tensor:
        """One vector a row."""
        states = self.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        return torch.as_tensor((states * mask).sum(dim=1) / mask.sum(dim=1))


class Collate:
    """Tokenise rows, and pad them to their longest."""

    def __init__(self, given: Given) -> None:
        self._tokenizer, self._length = AutoTokenizer.from_pretrained(given.encoder), given.max_length

    def __call__(self, rows: list[Row]) -> tuple[Any, Tensor]:
        texts = map(list, zip(*(row.texts for row in rows), strict=True))
        batch = self._tokenizer(*texts, padding=True, truncation=True, max_length=self._length, return_tensors="pt")
        return batch, torch.tensor([row.label for row in rows])


def batches(task: Task, count: int, seed: int, collate: Collate) -> Iterator[tuple[Any, Tensor]]:
    """The batches of a task."""
    rows: Any = task.rows("train")
    sampler = Endless(len(rows), ROWS * count, seed)
    return iter(DataLoader(rows, batch_size=ROWS, sampler=sampler, collate_fn=collate))


def main() -> None:
    """Train, answer, and write."""
    options = parser(__doc__).parse_args()
    given = read(options.data)
    seed_all(options.seed)
    collate = Collate(given)
    shared = Shared(given.encoder)
    meter = Meter(shared.encoder)
    heads = nn.ModuleList(nn.Linear(shared.encoder.config.hidden_size, len(task.labels)) for task in given.tasks)
    optimizer = torch.optim.AdamW([*shared.parameters(), *heads.parameters()], lr=options.rate)
    aggregator = UPGrad()
    count = steps(options.tokens, ROWS * len(given.tasks) * given.tokens)
    coming = [batches(task, count, options.seed + number, collate) for number, task in enumerate(given.tasks)]
    shared.train()
    for step in zip(*coming, strict=True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
            features = [shared(batch) for batch, _ in step]
            losses = [
                nn.functional.cross_entropy(head(vectors), labels)
                for head, vectors, (_, labels) in zip(heads, features, step, strict=True)
            ]
        mtl_backward(losses, features=features)
        jac_to_grad(shared.parameters(), aggregator)
        optimizer.step()
        optimizer.zero_grad()
    shared.eval()

    def logits(task: Task, some: list[Row]) -> Tensor:
        return torch.as_tensor(heads[given.tasks.index(task)](shared(collate(some)[0])))

    write(options.out, "torchjd", meter.plain(), answers(given, logits))


if __name__ == "__main__":
    main()
