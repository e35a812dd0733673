"""The watch page and the report in a browser: live, in both themes, on a telephone and a desk, by keyboard alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.live import balanced_run, line

from motet.reporting.report import render
from motet.reporting.watch import WatchServer

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = os.environ.get("MOTET_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium, or name one in MOTET_CHROMIUM"),
]
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (390, 1280)]
FOCUSABLE = "a[href], button:not([hidden]), summary, [tabindex='0'], input, select, textarea"
# Every text that is too faint against what lies behind it, as WCAG counts; figures and marks of a legend aside.
FAINT = """() => {
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (text) => { const v = text.match(/[\\d.]+/g).map(Number); return [v.slice(0, 3), v.length > 3 ? v[3] : 1]; };
  const behind = (node) => { const layers = [];
    for (let at = node; at; at = at.parentElement) { const [c, a] = parse(getComputedStyle(at).backgroundColor); if (a) layers.push([c, a]); if (a === 1) break; }
    return layers.reverse().reduce((under, [c, a]) => c.map((v, i) => a * v + (1 - a) * under[i]), [255, 255, 255]); };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) || !node.getClientRects().length) continue;
    if (["SCRIPT", "STYLE", "TITLE", "title", "desc", "NOSCRIPT"].includes(node.tagName)) continue;
    const style = getComputedStyle(node), svg = node instanceof SVGElement;
    const [one, other] = [light(parse(svg ? style.fill : style.color)[0]), light(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) faint.push(`${node.tagName} "${node.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
  }
  return faint;
}"""  # noqa: E501  a program in a string
OUTLINED = """() => { const at = document.activeElement, style = getComputedStyle(at);
  const place = [...document.querySelectorAll("*")].indexOf(at);
  return [at.id || at.getAttribute("href") || `${at.tagName} ${place}`,
    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2]; }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page in a theme, at a width; afterwards, nothing went wrong and nothing foreign was asked for."""
    contexts, asked, wrong = [], [], []

    def open_(url: str, scheme: str = "light", width: int = 1280, **settings: Any) -> Any:
        contexts.append(browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, **settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: asked.append((request.url, url)))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    foreign = [url for url, own in asked if not url.startswith(own.rsplit("/", 1)[0])]
    assert asked
    assert not foreign
    # A page whose server has ended goes on asking.
    assert not [said for said in wrong if "ERR_CONNECTION_REFUSED" not in said]


@contextmanager
def served(*paths: Path) -> Iterator[WatchServer]:
    with WatchServer(paths, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def written(run: Path, events: int, pause: float, *more: str) -> Iterator[None]:
    """Another process writes a run."""
    command = [sys.executable, "-m", "tests.reporting.live", str(run), str(events), str(pause), *more]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def write(folder: Path, count: int | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    events = list(balanced_run())[:count]
    (folder / "events.jsonl").write_text("".join(map(line, events)), encoding="utf-8")
    return folder


def changed(page: Any, heading: str) -> None:
    """Wait until the page has another heading; its rules forbid to wait by a program in a string."""
    playwright.expect(page.locator("h1")).not_to_have_text(heading, timeout=20_000)


def require_fit(page: Any) -> None:
    """Nothing sticks out to the side, and every text can be read."""
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert page.evaluate(FAINT) == []


def walk(page: Any) -> list[str]:
    """Press Tab until the end of the page; whatever can have the focus gets it, and shows it."""
    wanted = page.locator(FOCUSABLE).count()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(OUTLINED)
        assert outlined, f"{name} has the focus and does not show it"
        reached.append(name)
    assert len(set(reached)) == wanted, "something cannot be reached with Tab"
    return reached


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_a_run_while_another_process_writes_it(look: Any, tmp_path: Path, scheme: str, width: int) -> None:
    run = tmp_path / "live"
    with served(run) as server, written(run, 150, 0.02):
        page = look(server.url, scheme, width)
        page.locator("#part-curves svg.curve").first.wait_for()
        page.locator("#to-speed").focus()
        page.locator("#part-curves").scroll_into_view_if_needed()
        before = page.evaluate("scrollY")
        first = page.locator("h1").inner_text()
        changed(page, first)
        page.locator(".state", has_text="running").wait_for()
        assert page.evaluate("document.activeElement.id") == "to-speed"
        assert abs(page.evaluate("scrollY") - before) < 400 and before > 0
        playwright.expect(page.locator("h1")).to_contain_text("step 1,230", timeout=20_000)
        assert "left" in page.locator(".facts").inner_text()
        require_fit(page)


def test_the_end_of_a_run_is_announced(look: Any, tmp_path: Path) -> None:
    run = tmp_path / "live"
    with served(run) as server:
        page = look(server.url)
        page.get_by_text("not begun yet").first.wait_for()
        assert page.locator("#said").inner_text() == ""
        with written(run, 60, 0.001, "end"):
            page.locator(".state", has_text="ended at step 3,000").wait_for()
        assert page.locator("#said").text_content().startswith("ended at step 3,000")
        assert page.title() == "live: ended at step 3,000"


def test_a_selection_and_a_pause_are_respected(look: Any, tmp_path: Path) -> None:
    run = write(tmp_path / "run", 120)
    with served(run) as server:
        page = look(server.url)
        first = page.locator("h1").inner_text()
        page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
        write(run, 200)
        page.wait_for_timeout(3000)
        assert page.locator("h1").inner_text() == first
        page.evaluate("getSelection().removeAllRanges()")
        changed(page, first)
        page.get_by_role("button", name="Pause updates").press("Enter")
        second = page.locator("h1").inner_text()
        write(run, 300)
        page.wait_for_timeout(3000)
        assert page.locator("h1").inner_text() == second
        page.get_by_role("button", name="Go on updating").press("Enter")
        changed(page, second)


def test_a_server_that_is_gone_is_told(look: Any, tmp_path: Path) -> None:
    with served(write(tmp_path / "run", 120)) as server:
        page = look(server.url)
        page.get_by_text("Live").wait_for()
    page.get_by_role("alert").get_by_text("motet watch does not answer").wait_for()
    assert page.locator("#part-curves svg.curve").first.is_visible()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_pages_fit_and_are_reached_by_keyboard(look: Any, tmp_path: Path, scheme: str, width: int) -> None:
    write(tmp_path / "runs" / "done")
    write(tmp_path / "runs" / "half", 300)
    with served(tmp_path / "runs") as server:
        page = look(server.url, scheme, width)
        require_fit(page)
        assert {"run-1", "run-2", "pause"} <= set(walk(page))
        page.locator("#run-2").press("Enter")
        page.locator("#part-curves svg.curve").first.wait_for()
        require_fit(page)
        assert {"all-runs", "to-curves", "angles-wide"} <= set(walk(page))


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_report_fits_and_is_reached_by_keyboard(look: Any, tmp_path: Path, scheme: str, width: int) -> None:
    file = tmp_path / "report.html"
    file.write_text(render(list(balanced_run()), {"python": "3.12"}, "first"), encoding="utf-8")
    page = look(file.as_uri(), scheme, width)
    require_fit(page)
    assert "#curves" in walk(page)


def test_themes_differ(look: Any, tmp_path: Path) -> None:
    with served(write(tmp_path / "run", 30)) as server:
        paper = "getComputedStyle(document.body).backgroundColor"
        assert look(server.url, "light").evaluate(paper) != look(server.url, "dark").evaluate(paper)


def test_without_scripts_the_state_is_there_and_can_be_asked_for_again(look: Any, tmp_path: Path) -> None:
    run = write(tmp_path / "run", 120)
    with served(run) as server:
        page = look(server.url, java_script_enabled=False)
        first = page.locator("h1").inner_text()
        assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"
        assert page.get_by_role("button").count() == 0
        write(run, 300)
        page.get_by_role("link", name="Reload").click()
        assert page.locator("h1").inner_text() != first
