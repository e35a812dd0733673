"""The Trainer of transformers on several tasks, which take turns batch by batch.

    python benchmarks/peers/with_transformers.py DATA OUT --tokens 20000

Its documentation trains one task: a model with a head, a data set that is tokenised once, a collator that pads to the
longest row of a batch. Here every task has such a model, all of them share one encoder, and a batch sampler alternates
between the tasks. Left as they are: 8 rows a batch, rows in random order, AdamW, a linearly falling rate, gradients
clipped at 1, float32. Given: the rate, the budget, and no checkpoints. Its head reads the first token through the
pooler of the encoder, not the mean of all tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from given import Endless, Given, Meter, Row, Task, answers, parser, read, seed_all, steps, write
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

ROWS = 8  # the Trainer's own number


class Model(nn.Module):
    """A sequence classifier for every task, on one encoder."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        of = [
            AutoModelForSequenceClassification.from_pretrained(given.encoder, num_labels=len(t.labels))
            for t in given.tasks
        ]
        self.encoder = of[0].base_model
        for model in of:
            setattr(model, model.base_model_prefix, self.encoder)
        self.of = nn.ModuleList(of)

    def forward(
        self,
        task: int,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Any:
        """The output of the task's classifier."""
        named = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        return self.of[task](**named, labels=labels)


class Alternating:
    """Batches of the tasks in turn.

    Args:
        sizes: rows of every task; they lie one behind the other.
        count: how many batches.
        seed: of the orders of rows.
    """

    def __init__(self, sizes: list[int], count: int, seed: int) -> None:
        self._sizes, self._count, self._seed = sizes, count, seed

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        rows = [iter(Endless(size, ROWS * self._count, self._seed + at)) for at, size in enumerate(self._sizes)]
        for number in range(self._count):
            task = number % len(self._sizes)
            begin = sum(self._sizes[:task])
            yield [begin + next(rows[task]) for _ in range(ROWS)]


class MultiTaskTrainer(Trainer):
    """A Trainer whose batches come from the tasks in turn."""

    def get_train_dataloader(self) -> Any:
        rows: Any = self.train_dataset
        batches = Alternating([len(of) for of in rows.datasets], self.args.max_steps, self.args.seed)
        loader = DataLoader(rows, batch_sampler=batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)


def tokenised(task: Task, number: int, tokenizer: Any, length: int) -> Dataset:
    """The training rows of a task."""
    rows = task.rows("train")
    plain = [{**dict(zip(task.columns, row.texts, strict=True)), "label": row.label, "task": number} for row in rows]

    def tokenise(batch: dict[str, Any]) -> Any:
        return tokenizer(*(batch[column] for column in task.columns), truncation=True, max_length=length)

    return Dataset.from_list(plain).map(tokenise, batched=True, remove_columns=list(task.columns))


def main() -> None:
    """Train, answer, and write."""
    options = parser(__doc__).parse_args()
    given = read(options.data)
    seed_all(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(given.encoder)
    model = Model(given)
    meter = Meter(model.encoder)
    collator = DataCollatorWithPadding(tokenizer)

    def collate(features: list[dict[str, Any]]) -> dict[str, Any]:
        numbers = [feature.pop("task") for feature in features]
        return {**collator(features), "task": numbers[0]}

    training = TrainingArguments(
        output_dir=str(Path(options.out) / "trainer"),
        learning_rate=options.rate,
        max_steps=steps(options.tokens, ROWS * given.tokens),
        bf16=options.precision == "bf16",
        seed=options.seed,
        save_strategy="no",
        use_cpu=True,
        remove_unused_columns=False,  # `task` is one that no sequence classifier knows
    )
    rows = [tokenised(task, number, tokenizer, given.max_length) for number, task in enumerate(given.tasks)]
    trainer = MultiTaskTrainer(model, training, train_dataset=ConcatDataset(rows), data_collator=collate)
    trainer.train()
    model.eval()

    def logits(task: Task, some: list[Row]) -> Tensor:
        texts = zip(*(row.texts for row in some), strict=True)
        batch = tokenizer(
            *map(list, texts), padding=True, truncation=True, max_length=given.max_length, return_tensors="pt"
        )
        return torch.as_tensor(model(given.tasks.index(task), **batch).logits)

    write(options.out, "transformers", meter.plain(), answers(given, logits))


if __name__ == "__main__":
    main()
