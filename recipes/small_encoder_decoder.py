"""Write the folder of a small encoder-decoder that has learnt nothing yet, for recipes that train one from scratch.

    python recipes/small_encoder_decoder.py cogs rnnlg

The folder, `encoders/small` unless `--out` names another, holds the config of a T5 of 1.6 million weights and a
tokenizer whose sub-words are those of the training texts of the named sources. There are no weights in it: a recipe
begins with fresh ones when it says `encoder: {name: encoders/small, from_scratch: true}`. `generation.yaml` does.

A source is what it is in a recipe: a folder or file, looked up in the working directory and then in the folder that
MOTET_DATA names, or a data set on the hub.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config

from motet.data.sources import Source, read
from motet.recipe.loading import data_folder

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # in the order of their ids, which are those of T5


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: it can spell every text, and gives it back letter by letter."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    special = [PAD, END, UNKNOWN]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, special.index(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,  # else spaces before full stops would be lost in what is written
    )


def make_config(vocabulary: int, width: int, layers: int) -> T5Config:
    """A T5 with heads of 32 numbers, and as many layers that write as layers that read."""
    config = T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=32,
        d_ff=4 * width,
        num_heads=width // 32,
        num_layers=layers,
        num_decoder_layers=layers,
        architectures=["T5ForConditionalGeneration"],
    )
    config.update({"decoder_start_token_id": config.pad_token_id})
    return config


def training_texts(sources: Sequence[str], columns: Sequence[str]) -> Iterator[str]:
    """All texts in some columns of the training splits of some sources."""
    folder = data_folder(Path(), sources)
    for source in sources:
        train = read(Source(source), folder).splits["train"]
        for column in columns:
            yield from (text for text in train[column] if text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", nargs="+", help="whose training texts the sub-words are made of")
    parser.add_argument("--columns", nargs="+", default=["source", "target"], help="the columns of these texts")
    parser.add_argument("--out", type=Path, default=Path("encoders", "small"), help="the folder to write")
    parser.add_argument("--vocabulary", type=int, default=2000, help="most sub-words")
    parser.add_argument("--width", type=int, default=128, help="size of the states, a multiple of 32")
    parser.add_argument("--layers", type=int, default=3, help="layers that read, and as many that write")
    chosen = parser.parse_args(arguments)
    tokenizer = train_tokenizer(training_texts(chosen.sources, chosen.columns), chosen.vocabulary)
    tokenizer.save_pretrained(chosen.out)
    make_config(len(tokenizer), chosen.width, chosen.layers).save_pretrained(chosen.out)
    print(f"{chosen.out}: {len(tokenizer):,} sub-words, {chosen.layers} + {chosen.layers} layers of {chosen.width}")


if __name__ == "__main__":
    main()
