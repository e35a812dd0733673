"""The model card: what stands on it, what the Hub makes of it, and whose it is once it was edited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from tests.reporting.synthetic import SHAPES, VOICES, believable_run
from tests.training.conftest import Toys, source

from motet.model import load
from motet.reporting.card import plain_card, run_card
from motet.runs import Event
from motet.tasks import Classification
from motet.training.evaluation import evaluate_run
from motet.training.experiment import Training
from motet.training.model_card import unlike_defaults

MANIFEST: dict[str, Any] = {
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"motet": "0.1.0", "torch": "2.13.0"},
    "device": "cpu",
    "precision": "fp32",
    "seed": 3,
    "data": {"query intent": "f829ab17"},
}


def card(events: list[Event], changed: dict[str, Any] | None = None) -> str:
    return run_card(events, MANIFEST, changed or {}, "first")


def _metadata(text: str) -> Any:
    """What the Hub makes of the lines at the top."""
    return ModelCard(text).data


@pytest.mark.parametrize("voices", [VOICES, SHAPES], ids=["five", "shapes"])
def test_the_hub_can_read_it(voices: Any) -> None:
    events = believable_run(voices=voices)
    data = _metadata(card(events))
    assert (data.library_name, data.model_name) == ("motet", "first")
    assert [result.task_name for result in data.eval_results or ()] == [voice.name for voice in voices]
    for result in data.eval_results or ():
        assert isinstance(result.metric_value, float)
        assert result.dataset_split in ("test", "validation")
        assert re.fullmatch(r"[\w.-]+", result.dataset_type)


def test_tables_are_whole() -> None:
    text = card(believable_run(), {"training.steps": 300, "sampler": "uniform"})
    assert not re.search(r"\n\n\n", text)
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
    heads = [table.splitlines()[0] for table in tables]
    assert heads == [
        "| task | answer | kind | data | training rows |",
        "| task | score | peak | validation | test | in the end |",
        "| task | step | what happened | best step |",
        "| setting | value |",
    ]
    assert len(tables[0].splitlines()) == len(tables[1].splitlines()) == 2 + len(VOICES)


def test_what_stands_on_it() -> None:
    events = believable_run()
    text = card(events, {"training.steps": 300})
    for voice in VOICES:
        assert f"| {voice.name} |" in text
    switches = [event for event in events if event["event"] == "converged"]
    assert switches
    assert text.count("converged, then: ") == len(switches)
    assert "| `training.steps` | 300 |" in text
    assert "motet 0.1.0, torch 2.13.0" in text
    assert "`f829ab17`" in text
    assert re.search(r"\d\.\d{3} ± 0\.\d{3}", text)
    assert "All settings are as they are by default." in card(events)


def test_no_folder_of_this_machine_is_shown() -> None:
    events = believable_run()
    plan = events[0]
    plan["encoder"]["name"] = "/home/ann/secret/encoder"
    plan["tasks"][0]["source"] = "/home/ann/secret/shop.csv"
    text = card(events, {"encoder.name": "/home/ann/secret/encoder"})
    assert "secret" not in text
    assert "| `encoder.name` | encoder |" in text
    assert "shop.csv" in text
    assert _metadata(text).base_model is None


def test_names_do_not_break_out_of_their_cells() -> None:
    text = plain_card({"a|b\n# c": "<script>alert(1)</script>"})
    assert "| a\\|b # c | &lt;script>alert(1)&lt;/script> |" in text
    assert "<script" not in text


def test_settings_that_are_not_the_defaults() -> None:
    assert dict(unlike_defaults(Training())) == {}
    assert dict(unlike_defaults(Training(steps=7, seed=1))) == {"steps": 7, "seed": 1}


@pytest.fixture
def tested(tiny_encoder: Path, tmp_path: Path) -> Any:
    toys = Toys(tiny_encoder, tmp_path, (Classification("mood", source=source(), text="text", label="mood"),))
    return toys.start(toys.experiment()), toys.experiment()


def test_a_run_writes_one_and_a_test_score_is_added(tested: Any) -> None:
    run, experiment = tested
    readme = run.folder.model / "README.md"
    first = readme.read_text(encoding="utf-8")
    assert "| `training.steps` | 12 |" in first
    assert "| `convergence` | none |" in first
    assert "still learning" in first
    (before,) = _metadata(first).eval_results
    evaluate_run(run.folder, experiment)
    (after,) = _metadata(readme.read_text(encoding="utf-8")).eval_results
    assert (before.dataset_split, after.dataset_split) == ("validation", "test")


def test_a_card_that_was_edited_stays(tested: Any) -> None:
    run, experiment = tested
    readme: Path = run.folder.model / "README.md"
    mine = readme.read_text(encoding="utf-8") + "\nMade by Ann.\n"
    readme.write_text(mine, encoding="utf-8")
    evaluate_run(run.folder, experiment)
    assert readme.read_text(encoding="utf-8") == mine
    load(run.folder.path).save_pretrained(run.folder.path.parent / "copy")
    assert "Made by Ann." in (run.folder.path.parent / "copy" / "README.md").read_text(encoding="utf-8")
