"""The page to try all tasks, in a browser, in light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from tests.serving.served import Served, serving

from motet.model import MultiTaskModel

TOKEN = "secret"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def served(served_model: MultiTaskModel) -> Iterator[Served]:
    with serving(served_model) as of:
        yield of


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not on this machine")
    chromium = shutil.which("chromium") or pytest.skip("chromium is not on this machine")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


class Page:
    """A page of the server, and what it complained about and asked for."""

    def __init__(self, browser: Any, served: Served, scheme: str = "light", width: int = 1000) -> None:
        self.context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = served.url

    def __enter__(self) -> Page:
        self.page.goto(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_text_is_answered_by_every_task(scheme: str, browser: Any, served: Served) -> None:
    with Page(browser, served, scheme) as at:
        at.page.wait_for_selector("#tasks input")
        at.page.fill("#text", "what a day in Lisbon")
        at.page.fill("#second", "does it rain in Lisbon?")
        at.page.fill("#candidates", "sun\nrain")
        at.page.click("#go")
        at.page.wait_for_selector("section[data-task=order]")
        found = [section.get_attribute("data-task") for section in at.page.query_selector_all("section")]
        assert sorted(found) == ["mood", "order", "places", "size", "stars", "topics", "where", "within"]
        assert at.text("section[data-task=mood] .said") in ("bad", "good")
        assert "%" in at.text("section[data-task=topics] .chances")
        assert len(at.page.query_selector_all("section[data-task=places] .words li")) == 5
        assert len(at.page.query_selector_all("section[data-task=order] li")) == 2
        assert not at.complaints
        assert all(url.startswith(served.url) for url in at.asked)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_on_its_ground(scheme: str, browser: Any, served: Served) -> None:
    with Page(browser, served, scheme) as at:
        colours = at.page.evaluate(
            "() => { const of = getComputedStyle(document.body); return [of.color, of.backgroundColor]; }"
        )
        ink, paper = (brightness(colour) for colour in colours)
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7
        assert (paper > ink) == (scheme == "light")


def brightness(colour: str) -> float:
    """Relative luminance as the accessibility guidelines reckon it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(", ")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_mistake_is_told_and_leaves_the_page_usable(browser: Any, served: Served) -> None:
    with Page(browser, served) as at:
        at.page.wait_for_selector("#tasks input")
        at.page.click("#go")
        at.page.wait_for_selector(".wrong")
        assert "empty text" in at.text(".wrong")
        at.page.fill("#text", "<b>rain</b>")
        at.page.click("#go")
        at.page.wait_for_selector("section[data-task=places]")
        assert not at.page.query_selector_all("#answers b"), "what a client typed is text, never markup"
        assert "<b>rain</b>" in at.text("section[data-task=places]")


def test_a_phone_needs_no_scrolling_sideways(browser: Any, served: Served) -> None:
    with Page(browser, served, width=360) as at:
        at.page.wait_for_selector("#tasks input")
        at.page.fill("#text", "a" * 200)
        at.page.click("#go")
        at.page.wait_for_selector("section[data-task=places]")
        assert at.page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_a_token_is_asked_for(browser: Any, served_model: MultiTaskModel) -> None:
    with serving(served_model, token=TOKEN) as guarded, Page(browser, guarded) as at:
        at.page.wait_for_selector("#locked:not(.hidden)")
        at.page.fill("#token", TOKEN)
        at.page.fill("#text", "a good film")
        at.page.click("#go")
        at.page.wait_for_selector("section[data-task=mood]")


def test_the_routes_are_shown_to_a_browser_that_knows_the_token(browser: Any, served_model: MultiTaskModel) -> None:
    with serving(served_model, token=TOKEN) as guarded, Page(browser, guarded) as at:
        at.page.goto(f"{guarded.url}/docs")
        assert "predict" not in at.page.content()
        at.page.fill("#token", "wrong")
        at.page.click("button")
        at.page.wait_for_selector(".wrong")
        assert "The token is wrong." in at.text(".wrong")
        at.page.fill("#token", TOKEN)
        at.page.click("button")
        at.page.wait_for_selector("#MoodAnswer")
        assert "/predict/mood" in at.text("main")
        assert at.page.evaluate("() => getComputedStyle(document.querySelector('section')).borderStyle") == "solid"
        assert not [said for said in at.complaints if "401" not in said]
        assert not [url for url in at.asked if TOKEN in url or not url.startswith(guarded.url)]


def test_a_program_without_the_token_is_refused_the_routes_as_anything_else(served_model: MultiTaskModel) -> None:
    with serving(served_model, token=TOKEN) as guarded:
        page = guarded.get("/docs", headers={"Accept": "text/html"})
        assert page.status_code == 401 and page.headers["www-authenticate"] == "Bearer"
        assert "predict" not in page.text and "mood" not in page.text
        assert guarded.get("/docs").json()["error_type"] == "unauthorised"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_may_load_nothing_from_elsewhere(path: str, served: Served) -> None:
    page = served.get(path)
    assert "http://" not in page.text and "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
