"""The page in a real browser: headless Chromium, on every record of ``results/cpu``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alp.experiments.reproduce import write_page

pytestmark = pytest.mark.slow

RESULTS = Path(__file__).parents[2] / "results" / "cpu"

# Text whose colour and background are near each other, by the formula of WCAG 2.1 for contrast.
FAINT = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const node = walker.currentNode.parentElement;
    if (!text || node.closest("script, style, svg") || !node.getClientRects().length) continue;
    seen += 1;
    const [a, b] = [parse(getComputedStyle(node).color), behind(node)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(1)}: ${text.slice(0, 40)}`);
  }
  return [seen, found];
}"""
FIGURES = """() => [...document.querySelectorAll("svg, img, svg image")].filter(
  (each) => !each.closest("details.more")  // further runs, and charts of a single defence
).map((each) => {
  const box = each.getBoundingClientRect();
  const whole = each.tagName !== "IMG" || (each.complete && each.naturalWidth > 0);
  const least = each.tagName === "image" ? 5 : 20;  // a colour bar is narrow
  return whole && box.width > least && box.height > 5;
})"""
RANKS = """(column) => [...document.querySelectorAll("table.claims tbody tr")].map(
  (row) => row.cells[column].dataset.sort)"""
OPEN = """() => document.querySelectorAll("details").forEach((each) => { each.open = true; })"""
HEIGHT = "document.documentElement.scrollHeight"
ORDER = """() => [...document.querySelectorAll("table.claims thead th")].map(
  (heading) => heading.getAttribute("aria-sort"))"""


def chromium() -> str:
    """The browser; the test is skipped, or fails where it has to run, if there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        path = None
    if path is None:
        reason = "needs Chromium (apt-get install chromium) and playwright (pip)"
        if os.environ.get("ALP_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_page(RESULTS, out).page.as_uri()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page; nothing may be complained of on the console by the end of the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(width: int = 1280, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_there_and_can_be_read(opened, width: int, scheme: str) -> None:
    page = opened(width, scheme)
    figures = page.evaluate(FIGURES)
    assert len(figures) > 15, "no chart is hidden while the details are closed"
    assert all(figures)
    closed = page.evaluate(HEIGHT)
    for least in (150, 1500):
        assert page.evaluate("document.documentElement.scrollWidth") == width
        seen, faint = page.evaluate(FAINT)
        assert seen > least
        assert faint == []
        page.evaluate(OPEN)
    assert page.evaluate(HEIGHT) > 2 * closed
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(light.removeprefix("rgb(").split(",")[0])
    assert (red > 200) == (scheme == "light")


def test_the_page_is_short_and_explains_itself_on_its_first_screen(opened) -> None:
    page = opened()
    assert page.evaluate(HEIGHT) <= 12 * 900
    chart = page.locator("#overview svg").bounding_box()
    assert chart["y"] + chart["height"] < 900
    for heading in ("What was claimed", "What is true", "Why they differ"):
        assert page.get_by_role("heading", name=heading).bounding_box()["y"] < 900


def test_a_claim_leads_to_its_record(opened) -> None:
    page = opened()
    row = page.locator("#claim-sigma\\.mean")
    assert not row.is_visible()
    page.locator("a[href='#claim-sigma.mean']").click()
    assert row.is_visible()
    assert "sigma/records/purifier-0.json" in row.inner_text()


def test_figures_are_in_the_colours_of_the_page(opened) -> None:
    """Text of a figure is of the colour of the text beside it, in the light and in the dark."""
    fills = """() => [...new Set([...document.querySelectorAll("svg text")].map(
      (each) => getComputedStyle(each).fill))]"""
    for scheme in ("light", "dark"):
        page = opened(1280, scheme)
        assert page.evaluate("getComputedStyle(document.body).color") in page.evaluate(fills)


def test_the_claims_sort_by_click(opened) -> None:
    page = opened()
    page.evaluate(OPEN)
    headings = page.locator("table.claims thead button")
    before = page.evaluate(RANKS, 4)
    headings.nth(4).click()
    ranks = page.evaluate(RANKS, 4)
    assert ranks == sorted(ranks)
    assert ranks != before
    assert page.evaluate(ORDER)[:5] == ["none", "none", "none", "none", "ascending"]
    headings.nth(4).click()
    assert page.evaluate(RANKS, 4) == sorted(ranks, reverse=True)
    assert page.evaluate(ORDER)[4] == "descending"
    headings.nth(1).click()
    assert page.evaluate(RANKS, 4) == before


@pytest.mark.parametrize("width", [390, 1280])
def test_the_claims_sort_by_keyboard(opened, width: int) -> None:
    page = opened(width)
    page.evaluate(OPEN)
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "published":
            break
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    for key, order in (("Enter", "ascending"), ("Space", "descending")):
        page.keyboard.press(key)
        assert page.evaluate(ORDER)[2] == order
        values = [value for value in page.evaluate(RANKS, 2) if value]
        assert [float(value) for value in values] == sorted(
            map(float, values), reverse=order == "descending"
        )
        assert not any(page.evaluate(RANKS, 2)[len(values) :]), "claims without a number are last"


def test_it_prints_black_on_white_with_every_check(opened) -> None:
    page = opened(1280, "dark")
    page.emulate_media(media="print")
    style = "(name) => getComputedStyle(document.body)[name]"
    assert page.evaluate(style, "color") == "rgb(0, 0, 0)"
    assert page.evaluate(style, "backgroundColor") == "rgb(255, 255, 255)"
    heights = """() => [...document.querySelectorAll("details .finding")].map(
      (each) => each.getBoundingClientRect().height)"""
    found = page.evaluate(heights)
    assert found
    assert min(found) > 0
    assert page.pdf(format="A4").startswith(b"%PDF")
