"""Every block of code on the pages is what a user would type: Python is run, recipes and studies are read."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest
from tests.docs.conftest import World, execute, interrupted, needed
from tests.docs.pages import BLOCKS, PAGES, ROOT, Block, of
from tests.encoders.conftest import make_t5

from motet.recipe import loads
from motet.recipe.parsing import parse_yaml
from motet.study.definition import read_study

FRAGMENT = {"emotion": {"type": "classification", "source": "data/emotion"}}  # for a recipe that shows other keys only
NEEDED = {"guides/trackers.md": "tensorboard", "guides/serve.md": "fastapi", "guides/export.md": "onnxscript"}


def test_there_is_something_to_test() -> None:
    known = {"python", "python run", "yaml", "yaml study", "sh", "text", "json"}
    assert {block.info for block in BLOCKS} <= known, "a block of another kind would not be tested"


@pytest.fixture
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder-decoder."""
    folder = tmp_path_factory.mktemp("writer")
    model, tokenizer = make_t5()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@of("python", "python run")
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.name, "exec")


@pytest.mark.filterwarnings("ignore:unclosed file")  # a page may open a file as briefly as a user would
@of("python", "python run")
def test_python_runs(block: Block, project: Path, world: World, writer: Path) -> None:
    """With two steps, since the page is tested and not the method; a resumed run is first begun and broken off.

    A server is made and stopped again at once.
    """
    if block.page.removeprefix("docs/") in NEEDED:
        pytest.importorskip(NEEDED[block.page.removeprefix("docs/")])
    text = re.sub(r"\bsteps=\d{3,}", "steps=2", block.text).replace("google-t5/t5-small", writer.as_posix())
    text = text.replace("server.serve_forever()", "pass")
    if "motet.resume(" in text:
        before = execute(text.partition("motet.resume(")[0], block.name)
        interrupted(before["experiment"], Path("runs/first"))
    elif "motet.sweep(" not in text:  # which makes what it reads
        needed(text, world, block.page)
    execute(text, block.name)
    for path in re.findall(r"out=\"([\w./-]+)\"", text):
        assert (project / path / "model").is_dir()


@of("yaml")
def test_recipe_is_valid(block: Block, project: Path, world: World) -> None:
    data = parse_yaml(block.text).data
    if "start_from" in data:
        needed(block.text, world)
    assert loads({"tasks": FRAGMENT, **data}, folder=project).tasks


@of("yaml study")
def test_study_is_valid(block: Block, project: Path) -> None:
    file = project / "shown.yaml"
    file.write_text(block.text, encoding="utf-8")
    assert read_study(file).variants


NAMES = [
    (page.relative_to(ROOT).as_posix(), name)
    for page in PAGES
    for name in sorted(set(re.findall(r"`(motet(?:\.\w+)+)(?:\(.*?\))?`", page.read_text(encoding="utf-8"))))
    if name != "motet.parts"  # a group of entry points
]


@pytest.mark.parametrize(("page", "name"), NAMES, ids=[f"{page}-{name}" for page, name in NAMES])
def test_a_name_of_the_library_is_there(page: str, name: str) -> None:
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ModuleNotFoundError) as error:
        pytest.fail(f"{page}: {error}")


def test_literal_form_is_what_the_page_says() -> None:
    shown = [block for block in BLOCKS if block.page == "docs/concepts/convergence.md" and block.info == "yaml"]
    (at,) = [at for at, block in enumerate(shown) if parse_yaml(block.text).data == {"convergence": "paper"}]
    word, spelled_out = (parse_yaml(block.text).data for block in shown[at : at + 2])
    assert loads({"tasks": FRAGMENT, **word}).convergence == loads({"tasks": FRAGMENT, **spelled_out}).convergence
