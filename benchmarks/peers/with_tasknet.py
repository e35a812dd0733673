"""tasknet: one line a task, a Trainer of transformers underneath.

    python benchmarks/peers/with_tasknet.py DATA OUT --tokens 20000

As its documentation has it: a `Classification` for every task, a class with hyperparameters, `Model_Trainer`, `train`.
Left as they are: 8 rows a batch, tasks drawn in proportion to their batches, rows padded to the longest allowed and
every batch cut to its own longest again, an embedding for every task on its first token, AdamW, a linearly falling
rate, gradients clipped at 1, float32. Given: the rate, the budget, the longest row, and no evaluation between epochs.
Labels are given as numbers: tasks whose labels have equal names would share a head. It does not tell the encoder which
text of a pair a token belongs to. When imported it asks the hub for metrics of taggers and translators, which are not
needed here and are left out.
"""

from __future__ import annotations

from pathlib import Path

import evaluate  # type: ignore[import-not-found]
import torch
from datasets import Dataset, DatasetDict
from given import HELD_OUT, Given, Meter, Row, Task, answers, parser, read, seed_all, steps, write
from torch import Tensor

evaluate.load = lambda *_, **__: None
import tasknet  # type: ignore[import-not-found]  # noqa: E402

ROWS = 8  # its own number


def data_sets(task: Task) -> DatasetDict:
    """The rows of a task."""
    names = ("sentence1", "sentence2")[: len(task.columns)]

    def split(name: str) -> Dataset:
        rows = task.rows(name)
        return Dataset.from_list([{**dict(zip(names, row.texts, strict=True)), "labels": row.label} for row in rows])

    return DatasetDict({name: split(name) for name in ("train", *HELD_OUT)})


def tokens_of_a_row(given: Given) -> float:
    """On average, where a task is drawn in proportion to its rows."""
    rows = {task: len(task.rows("train")) for task in given.tasks}
    return sum(count * task.tokens for task, count in rows.items()) / sum(rows.values())


def main() -> None:
    """Train, answer, and write."""
    options = parser(__doc__).parse_args()
    given = read(options.data)
    seed_all(options.seed)
    tasks = [
        tasknet.Classification(dataset=data_sets(task), name=task.name, num_labels=len(task.labels))
        for task in given.tasks
    ]

    class hparams:  # noqa: N801  (so it is called there)
        model_name = given.encoder
        output_dir = str(Path(options.out) / "trainer")
        learning_rate = options.rate
        max_length = given.max_length
        max_steps = steps(options.tokens, ROWS * tokens_of_a_row(given))
        seed = options.seed
        bf16 = options.precision == "bf16"
        eval_strategy = "no"
        save_strategy = "no"
        use_cpu = True

    model, trainer = tasknet.Model_Trainer(tasks, hparams)
    meter = Meter(*(one.base_model for one in model.task_models_list))
    trainer.train()
    model.eval()

    def logits(task: Task, some: list[Row]) -> Tensor:
        texts = zip(*(row.texts for row in some), strict=True)
        batch = trainer.tokenizer(
            *map(list, texts), padding=True, truncation=True, max_length=given.max_length, return_tensors="pt"
        )
        one = model.task_models_list[given.tasks.index(task)]
        return torch.as_tensor(one(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits)

    write(options.out, "tasknet", meter.plain(), answers(given, logits))


if __name__ == "__main__":
    main()
