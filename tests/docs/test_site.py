"""All pages together: they link to what is there, build without a warning, and fetch nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, FENCE, PAGES, ROOT, maker

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CONFIG = ROOT / "zensical.toml"
FETCHED = re.compile(
    r"<(?:link|script|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//|@import|url\([\"']?https?:"
)


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the settings of the site, and all pages where they name them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(CONFIG, folder)
    maker("make_site").stage(folder / "build" / "docs")
    return folder


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Every page with its text, without blocks of code, where it would lie if all of them were in the repository."""
    folder = tmp_path_factory.mktemp("repository")
    maker("make_site").stage(folder / "docs")
    for file in ROOT.glob("*"):
        if file.is_file():
            shutil.copy(file, folder)
    return {page: FENCE.sub("", page.read_text(encoding="utf-8")) for page in folder.rglob("*.md")}


def anchors(text: str) -> set[str]:
    """What the headings of a page can be linked by."""
    count: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("\\", "")
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        found.add(f"{slug}_{count[slug]}" if count[slug] else slug)
        count[slug] += 1
    return found


def dead(page: Path, target: str, pages: dict[Path, str]) -> bool:
    """Whether a link leads nowhere."""
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    return not there.exists() or (bool(anchor) and anchor not in anchors(pages.get(there, "")))


def test_links_lead_somewhere(pages: dict[Path, str]) -> None:
    broken = [
        f"{page.name}: {target}"
        for page, text in pages.items()
        for target in LINK.findall(text)
        if "://" not in target and dead(page, target, pages)
    ]
    assert not broken


def named(config: str) -> set[str]:
    return set(re.findall(r'"([\w/-]+\.md)"', config))


def test_every_page_is_in_the_navigation() -> None:
    """Zensical says nothing of a page that is not there, nor of one that is not named."""
    there = {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)}
    made = {path for path in maker("make_site").generated() if path.count("/") < 2 or path.endswith("/index.md")}
    assert named(CONFIG.read_text(encoding="utf-8")) == there | made


def test_the_start_names_every_guide() -> None:
    start = (DOCS / "index.md").read_text(encoding="utf-8")
    pages_by_hand = [page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)]
    missing = [page for page in pages_by_hand if page != "index.md" and f"({page})" not in start]
    assert not missing


def test_no_fence_is_lost(staged: Path) -> None:
    """A renderer takes a fence with more than one word behind it for text."""
    for page in (staged / "build" / "docs").rglob("*.md"):
        assert all(" " not in found[1].strip() for found in FENCE.finditer(page.read_text(encoding="utf-8"))), page


@pytest.fixture(scope="session")
def built(staged: Path) -> Path:
    if find_spec("zensical") is None:
        pytest.skip("needs zensical: pip install 'motet[docs]'")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=staged, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return staged / "build" / "site"


def test_every_page_is_built(built: Path, staged: Path) -> None:
    pages = {page.relative_to(staged / "build" / "docs").with_suffix("") for page in staged.rglob("build/docs/**/*.md")}
    assert {page.relative_to(built).with_suffix("") for page in built.rglob("*.html")} == pages | {Path("404")}


def fetched(site: Path) -> Iterator[str]:
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for found in FETCHED.findall(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(site)}: {found}"


def test_nothing_is_fetched_from_elsewhere(built: Path) -> None:
    """Links may lead elsewhere, but the pages can be read without network."""
    assert not list(fetched(built))


def test_what_is_fetched_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<script src="https://cdn.example/x.js"></script>', encoding="utf-8")
    (tmp_path / "sheet.css").write_text("@font-face{src:url(https://fonts.example/a.woff2)}", encoding="utf-8")
    assert len(list(fetched(tmp_path))) == 2
