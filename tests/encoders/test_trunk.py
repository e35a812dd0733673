from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.encoders.conftest import SIZE, MakeFolder
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GraniteConfig,
    GraniteForCausalLM,
)

from motet.encoders.loading import Encoder, load_trunk
from motet.encoders.silence import silently
from motet.encoders.trunk import States, Trunk
from motet.runs import RunFolder
from motet.training.checkpoints import Checkpoints

SEQ2SEQ, DECODERS = ("t5", "bart"), ("gpt2", "llama")
WRITERS = (*SEQ2SEQ, *DECODERS)
KINDS = ("bert", *WRITERS)

ROWS = ([9, 10, 11, 12, 13, 14], [15, 16], [17, 18, 19, 20], [21])
ANSWERS: tuple[list[int], ...] = ([5, 6, 7], [8, 9, 10, 11, 12], [], [13])
TOKENS = torch.tensor([row + [1] * (6 - len(row)) for row in ROWS])
MASK = torch.tensor([[1] * len(row) + [0] * (6 - len(row)) for row in ROWS])
TARGET = torch.tensor([token for answer in ANSWERS for token in answer])
LENGTHS = np.array(list(map(len, ANSWERS)))

MakeTrunk = Callable[[str], Trunk]


@pytest.fixture
def make_trunk(make_folder: MakeFolder) -> MakeTrunk:
    return lambda kind: load_trunk(Encoder(str(make_folder(kind)), max_length=32), make_folder(kind))


@pytest.fixture
def make_reference(make_folder: MakeFolder) -> Callable[[str], Any]:
    """The model as transformers itself loads it."""

    def make(kind: str) -> Any:
        cls = AutoModelForSeq2SeqLM if kind in SEQ2SEQ else AutoModelForCausalLM if kind in DECODERS else AutoModel
        with silently():
            return cls.from_pretrained(make_folder(kind)).eval()

    return make


@pytest.mark.parametrize(
    ("kind", "family", "depth", "heads", "intermediate", "dropout", "positions", "ends"),
    [
        ("bert", "encoder", 3, 2, 24, 0.1, 64, ()),
        ("t5", "encoder-decoder", 3, 3, 24, 0.1, None, (1,)),
        ("bart", "encoder-decoder", 3, 2, 24, 0.1, 64, (2,)),
        ("gpt2", "decoder", 3, 2, 64, 0.1, 64, (0,)),
        ("llama", "decoder", 3, 2, 24, 0.1, 64, (2,)),
    ],
)
def test_every_family_says_its_sizes_in_the_same_words(
    make_trunk: MakeTrunk,
    kind: str,
    family: str,
    depth: int,
    heads: int,
    intermediate: int,
    dropout: float,
    positions: int | None,
    ends: tuple[int, ...],
) -> None:
    trunk = make_trunk(kind)
    assert (trunk.family, trunk.depth, trunk.heads, trunk.intermediate) == (family, depth, heads, intermediate)
    assert (trunk.dropout, trunk.positions, trunk.ends) == (dropout, positions, ends)
    assert (trunk.width, trunk.vocabulary) == (16, SIZE)
    assert trunk.embeddings.weight.shape == (SIZE, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_part_that_reads(
    make_trunk: MakeTrunk, make_reference: Callable[[str], Any], kind: str
) -> None:
    reference = make_reference(kind)
    reader = reference.get_encoder() if kind in SEQ2SEQ else reference.base_model
    with torch.inference_mode():
        expected = reader(input_ids=TOKENS, attention_mask=MASK, output_hidden_states=True)
        found: States = make_trunk(kind)(TOKENS, MASK, inner=True)
    assert found.layers is not None
    assert len(found.layers) == len(expected.hidden_states) == 4
    for layer, states in enumerate(expected.hidden_states):
        assert torch.equal(found.after(layer), states)
    assert torch.equal(found.last, expected.last_hidden_state)
    assert torch.equal(found.after(None), found.last)


def test_inner_states_have_to_be_asked_for(make_trunk: MakeTrunk) -> None:
    found = make_trunk("t5")(TOKENS, MASK)
    assert found.layers is None
    with pytest.raises(ValueError, match="have to be asked for"):
        found.after(1)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_state(make_trunk: MakeTrunk, kind: str) -> None:
    trunk = make_trunk(kind)
    with torch.inference_mode():
        together = trunk(TOKENS, MASK).last
        for at, row in enumerate(ROWS):
            alone = trunk(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long)).last
            torch.testing.assert_close(together[at, : len(row)], alone[0], atol=1e-5, rtol=1e-5)


def test_only_an_encoder_knows_of_segments(make_trunk: MakeTrunk) -> None:
    types = torch.ones_like(TOKENS)
    for kind in KINDS:
        trunk = make_trunk(kind)
        same = torch.equal(trunk(TOKENS, MASK, types).last, trunk(TOKENS, MASK).last)
        assert same == (kind != "bert")


def loss_alone(reference: Any, row: list[int], answer: list[int]) -> Tensor:
    """What transformers makes of one row and its answer, without any padding."""
    if reference.config.is_encoder_decoder:
        loss: Tensor = reference(input_ids=torch.tensor([row]), labels=torch.tensor([answer])).loss
        return loss
    whole = torch.tensor([row + answer])
    return reference(input_ids=whole, labels=torch.tensor([[-100] * len(row) + answer])).loss  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", WRITERS)
def test_answers_have_the_loss_that_transformers_gives_them(
    make_trunk: MakeTrunk, make_reference: Callable[[str], Any], kind: str
) -> None:
    trunk, reference = make_trunk(kind), make_reference(kind)
    with torch.inference_mode():
        logits = trunk.continued(TOKENS, MASK, trunk(TOKENS, MASK).last, TARGET, LENGTHS)
        assert logits.shape == (9, SIZE)
        for row, answer, ours in zip(ROWS, ANSWERS, torch.split(logits, LENGTHS.tolist()), strict=True):
            if answer:
                expected = loss_alone(reference, row, answer)
                torch.testing.assert_close(cross_entropy(ours, torch.tensor(answer)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", WRITERS)
def test_an_answer_is_scored_alike_among_others_and_alone(make_trunk: MakeTrunk, kind: str) -> None:
    trunk = make_trunk(kind)
    with torch.inference_mode():
        scored = trunk.continued(TOKENS, MASK, trunk(TOKENS, MASK).last, TARGET, LENGTHS)
        together = torch.split(scored, LENGTHS.tolist())
        for at, (row, answer) in enumerate(zip(ROWS, ANSWERS, strict=True)):
            tokens, mask = torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long)
            target, length = torch.tensor(answer, dtype=torch.long), np.array([len(answer)])
            alone = trunk.continued(tokens, mask, trunk(tokens, mask).last, target, length)
            torch.testing.assert_close(together[at], alone, atol=1e-5, rtol=1e-5)


def test_an_encoder_decoder_answers_from_the_states_that_it_is_given(make_trunk: MakeTrunk) -> None:
    trunk = make_trunk("t5")
    states = trunk(TOKENS, MASK).last
    trunk.model.get_encoder().forward = lambda *args, **options: pytest.fail("read twice")
    trunk.continued(TOKENS, MASK, states, TARGET, LENGTHS).square().sum().backward()  # type: ignore[no-untyped-call]
    gradient = trunk.embeddings.weight.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient[9].any(), "the loss reaches what was read"


def test_a_decoder_scores_no_more_places_than_there_are_answers(make_trunk: MakeTrunk) -> None:
    trunk = make_trunk("gpt2")
    seen: list[Tensor] = []
    trunk.model.get_output_embeddings().register_forward_hook(lambda module, given, out: seen.append(out))
    trunk.continued(TOKENS, MASK, TOKENS, TARGET, LENGTHS)
    assert [tuple(out.shape) for out in seen] == [(9, SIZE)]


@pytest.mark.parametrize("kind", DECODERS)
def test_answers_may_fill_a_decoder_to_its_last_position(make_trunk: MakeTrunk, kind: str) -> None:
    trunk = make_trunk(kind)
    tokens, lengths = torch.full((2, 60), 9), np.array([4, 9])
    mask = torch.ones_like(tokens)
    mask[1, 55:] = 0
    target = torch.arange(13) + 5
    with torch.inference_mode():
        together = trunk.continued(tokens, mask, tokens, target, lengths)
        alone = trunk.continued(tokens[1:, :55], mask[1:, :55], tokens, target[4:], lengths[1:])
    torch.testing.assert_close(together[4:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_says_what_follows_every_state(
    make_trunk: MakeTrunk, make_reference: Callable[[str], Any], kind: str
) -> None:
    trunk = make_trunk(kind)
    with torch.inference_mode():
        expected = make_reference(kind)(input_ids=TOKENS, attention_mask=MASK).logits
        torch.testing.assert_close(trunk.following(trunk(TOKENS, MASK).last), expected)


SMALL: dict[str, Any] = {
    "vocab_size": SIZE,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.mark.parametrize(
    ("config", "cls"),
    [
        (Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=2.0), Gemma2ForCausalLM),
        (GraniteConfig(**SMALL, logits_scaling=8.0), GraniteForCausalLM),
        (CohereConfig(**SMALL, logit_scale=0.25), CohereForCausalLM),
    ],
    ids=["softcap", "division", "factor"],
)
def test_logits_that_a_decoder_rescales(config: Any, cls: Any) -> None:
    trunk = Trunk(cls(config).eval())
    with torch.inference_mode():
        expected = trunk.model(input_ids=TOKENS, attention_mask=MASK).logits
        torch.testing.assert_close(trunk.following(trunk(TOKENS, MASK).last), expected)
    assert trunk.follows()


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("beams", [1, 3])
def test_generated_answers_are_those_of_transformers_row_by_row(
    make_trunk: MakeTrunk, make_reference: Callable[[str], Any], kind: str, beams: int
) -> None:
    trunk, reference = make_trunk(kind), make_reference(kind)
    found = trunk.generate(TOKENS, MASK, longest=12, beams=beams)
    assert len({tuple(answer) for answer in found}) > 2, "an answer depends on its row"
    for row, answer in zip(ROWS, found, strict=True):
        with silently():
            whole = reference.generate(
                torch.tensor([row]),
                attention_mask=torch.ones(1, len(row), dtype=torch.long),
                max_new_tokens=12,
                num_beams=beams,
                do_sample=False,
            )[0].tolist()
        expected = whole[1:] if kind in SEQ2SEQ else whole[len(row) :]
        assert answer.tolist() == [token for token in expected if token not in special(trunk)]


def special(trunk: Trunk) -> set[int]:
    """Tokens that say nothing."""
    settings: Any = trunk.model.generation_config
    return {*trunk.ends, settings.pad_token_id, settings.decoder_start_token_id}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_generated_is_what_is_scored_highest(make_trunk: MakeTrunk, kind: str) -> None:
    trunk = make_trunk(kind)
    found = trunk.generate(TOKENS, MASK, longest=8)
    lengths = np.array(list(map(len, found)))
    target = torch.from_numpy(np.concatenate(found))
    with torch.inference_mode():
        logits = trunk.continued(TOKENS, MASK, trunk(TOKENS, MASK).last, target, lengths)
    assert torch.equal(logits.argmax(dim=1), target)


@pytest.mark.parametrize("kind", WRITERS)
def test_an_answer_ends_before_its_end(make_trunk: MakeTrunk, kind: str) -> None:
    trunk = make_trunk(kind)
    settings: Any = trunk.model.generation_config
    before = trunk.generate(TOKENS, MASK, longest=8)
    ending = int(before[0][3])
    settings.eos_token_id = [*trunk.ends, ending]
    for cut, whole in zip(trunk.generate(TOKENS, MASK, longest=8), before, strict=True):
        at = np.flatnonzero(whole == ending)
        assert cut.tolist() == whole[: at[0] if len(at) else None].tolist()


@pytest.mark.parametrize("kind", WRITERS)
def test_generating_leaves_the_mode_alone_and_ignores_it(make_trunk: MakeTrunk, kind: str) -> None:
    trunk = make_trunk(kind)
    expected = trunk.generate(TOKENS, MASK, longest=8)
    trunk.train()
    with torch.inference_mode():
        found = trunk.generate(TOKENS, MASK, longest=8)
    assert trunk.training
    assert trunk.model.training
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", WRITERS)
def test_settings_of_a_checkpoint_bend_no_answer_and_warn_of_nothing(
    make_trunk: MakeTrunk, make_folder: MakeFolder, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(make_folder(kind), tmp_path / kind)
    settings = json.loads((folder / "generation_config.json").read_text())
    bent = {
        "max_length": 4,
        "min_length": 3,
        "num_beams": 4,
        "early_stopping": True,
        "length_penalty": 2.0,
        "no_repeat_ngram_size": 2,
        "forced_bos_token_id": 7,
        "forced_eos_token_id": 8,
        "do_sample": True,
        "temperature": 0.5,
    }
    (folder / "generation_config.json").write_text(json.dumps({**settings, **bent}))
    trunk = load_trunk(Encoder(str(folder), max_length=32), folder)
    assert GenerationConfig.from_pretrained(folder).num_beams == 4
    for ours, plain in zip(
        trunk.generate(TOKENS, MASK, longest=8), make_trunk(kind).generate(TOKENS, MASK, longest=8), strict=True
    ):
        assert np.array_equal(ours, plain)
    trunk.save_pretrained(tmp_path / "saved")
    assert capfd.readouterr() == ("", "")


def test_an_encoder_writes_nothing(make_trunk: MakeTrunk) -> None:
    trunk = make_trunk("bert")
    states = trunk(TOKENS, MASK).last
    with pytest.raises(ValueError, match="an encoder writes nothing"):
        trunk.continued(TOKENS, MASK, states, TARGET, LENGTHS)
    with pytest.raises(ValueError, match="an encoder writes nothing"):
        trunk.generate(TOKENS, MASK, longest=3)
    for kind in ("bert", "t5"):
        with pytest.raises(ValueError, match="does not go on with what it reads"):
            make_trunk(kind).following(states)


def outputs(trunk: Trunk) -> list[Tensor]:
    """Everything that a trunk computes."""
    with torch.inference_mode():
        states = trunk(TOKENS, MASK, inner=True)
        found = [states.last, *(states.layers or ())]
        if trunk.family != "encoder":
            found.append(trunk.continued(TOKENS, MASK, states.last, TARGET, LENGTHS))
            found += map(torch.from_numpy, trunk.generate(TOKENS, MASK, longest=6))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_trunk_computes_the_same(make_trunk: MakeTrunk, kind: str, tmp_path: Path) -> None:
    trunk = make_trunk(kind)
    with torch.no_grad():
        for p in trunk.parameters():
            p.add_(torch.randn_like(p), alpha=0.01)
    trunk.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.bin"))
    again = load_trunk(Encoder(str(tmp_path), max_length=32), tmp_path)
    assert trunk.state_dict().keys() == again.state_dict().keys()
    for ours, loaded in zip(outputs(trunk), outputs(again), strict=True):
        assert torch.equal(ours, loaded)
    assert len(list(trunk.parameters())) == len(list(again.parameters())), "tied weights are tied again"


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_holds_tied_weights_once_and_gives_all_their_names_back(
    make_trunk: MakeTrunk, kind: str, tmp_path: Path
) -> None:
    trunk, other = make_trunk(kind), make_trunk(kind)
    checkpoints = Checkpoints(RunFolder(tmp_path / "run"))
    checkpoints.save("1", trunk.state_dict(), {}, {})
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    other.load_state_dict(checkpoints.weights("1"))
    for ours, loaded in zip(outputs(trunk), outputs(other), strict=True):
        assert torch.equal(ours, loaded)
    written = (tmp_path / "run" / "checkpoints" / "1" / "model.safetensors").stat().st_size
    numbers = sum(p.numel() for p in trunk.parameters()) + sum(b.numel() for b in trunk.model.buffers())
    assert written < 4 * numbers + 20_000
    assert written >= 4 * sum(p.numel() for p in trunk.parameters())
