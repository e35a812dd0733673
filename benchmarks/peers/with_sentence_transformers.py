"""The trainer of sentence-transformers, with a data set and a loss for every task and round robin between them.

    python benchmarks/peers/with_sentence_transformers.py DATA OUT --tokens 20000

As its documentation has it for several data sets: a dictionary of data sets, a dictionary of losses, and the round
robin sampler, with which every task is drawn from equally often. A pair is learnt with its `SoftmaxLoss`, which encodes
both texts by themselves; it has no loss for the label of a single text, so a linear layer on the embedding stands in.
Left as they are: 8 rows a batch, texts tokenised whenever they are drawn, padding to the longest of a batch, AdamW, a
linearly falling rate, gradients clipped at 1, float32. Given: the rate, the budget, no checkpoints, and no
normalisation of embeddings, which a classifier does not want.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from datasets import Dataset
from given import Given, Meter, Row, Task, answers, parser, read, seed_all, steps, write
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import SoftmaxLoss
from torch import Tensor, nn

ROWS = 8  # the trainer's own number


class TextLoss(nn.Module):
    """The cross-entropy of the label of a single text."""

    def __init__(self, model: SentenceTransformer, labels: int) -> None:
        super().__init__()
        self.model = model
        self.classifier = nn.Linear(_width(model), labels)

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        """The loss, or the logits where there are no labels."""
        (features,) = sentence_features
        logits: Tensor = self.classifier(self.model(features)["sentence_embedding"])
        return logits if labels is None else nn.functional.cross_entropy(logits, labels.view(-1))


def _width(model: SentenceTransformer) -> int:
    return model.get_embedding_dimension() or 0


def losses_of(given: Given, model: SentenceTransformer) -> dict[str, nn.Module]:
    """One for every task."""
    return {
        task.name: SoftmaxLoss(model, _width(model), len(task.labels))
        if task.pair
        else TextLoss(model, len(task.labels))
        for task in given.tasks
    }


def data_set(task: Task) -> Dataset:
    """The training rows of a task."""
    rows = task.rows("train")
    return Dataset.from_list([{**dict(zip(task.columns, row.texts, strict=True)), "label": row.label} for row in rows])


def main() -> None:
    """Train, answer, and write."""
    options = parser(__doc__).parse_args()
    given = read(options.data)
    seed_all(options.seed)
    model = SentenceTransformer(given.encoder, device="cpu")
    model.max_seq_length = given.max_length
    meter = Meter(model[0])
    losses = losses_of(given, model)
    training = SentenceTransformerTrainingArguments(
        output_dir=str(Path(options.out) / "trainer"),
        learning_rate=options.rate,
        max_steps=steps(options.tokens, ROWS * given.tokens),
        multi_dataset_batch_sampler="round_robin",
        bf16=options.precision == "bf16",
        seed=options.seed,
        save_strategy="no",
        use_cpu=True,
    )
    data = {task.name: data_set(task) for task in given.tasks}
    SentenceTransformerTrainer(model=model, args=training, train_dataset=data, loss=losses).train()
    model.eval()

    def logits(task: Task, some: list[Row]) -> Tensor:
        features = [model.preprocess(list(texts)) for texts in zip(*(row.texts for row in some), strict=True)]
        found = losses[task.name](features, None)
        return torch.as_tensor(found[1] if task.pair else found)

    write(options.out, "sentence-transformers", meter.plain(), answers(given, logits))


if __name__ == "__main__":
    main()
