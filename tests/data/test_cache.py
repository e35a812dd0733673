from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from motet.data.cache import build_once, cache_folder
from motet.errors import DataError


def write(text: str) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        path.write_text(text)

    return build


def test_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOTET_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MOTET_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "motet"


def test_builds_once(tmp_path: Path) -> None:
    path = build_once(tmp_path / "deep" / "file", write("first"))
    assert build_once(path, write("second")).read_text() == "first"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        build_once(tmp_path / "file", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [True, False])
def test_of_two_builders_one_wins(tmp_path: Path, folder: bool) -> None:
    """The other process finishes while this one is at work."""

    def make(path: Path, text: str) -> None:
        if folder:
            path.mkdir()
            (path / "inside").write_text(text)
        else:
            path.write_text(text)

    def overtaken(path: Path) -> None:
        make(tmp_path / "made", "theirs")
        make(path, "ours")

    path = build_once(tmp_path / "made", overtaken)
    assert (path / "inside" if folder else path).read_text() == ("theirs" if folder else "ours")
    assert [entry.name for entry in tmp_path.iterdir()] == ["made"]


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="set MOTET_CACHE"):
        build_once(tmp_path / "file" / "below", write("never"))
