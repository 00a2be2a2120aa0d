"""The page works in a browser that is cut off from the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from initbench.leaderboard.page import build_page
from initbench.leaderboard.plots import convergence_svg
from tests.factories import results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two suites, one with names that try to break it."""
    hostile = "</script><script>alert(1)</script>"
    path = tmp_path_factory.mktemp("page") / "index.html"
    suites = [
        results(),
        results(initialisers=("default", f"{hostile}"), seeds=3, title=hostile, question=hostile),
    ]
    path.write_text(build_page(suites), "utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The page in a browser: every request, complaint and dialog fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    trouble: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.url == file.as_uri():
            route.continue_()
        else:
            trouble.append(f"a request for {route.request.url}")
            route.abort()

    opened.route("**/*", refuse)
    opened.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert trouble == []


def names(page: Page) -> list[str]:
    """The initialisers of the first visible table, from top to bottom."""
    return page.locator("table.sortable:visible").first.locator("th.name bdi").all_inner_texts()


def numbers(page: Page, column: int) -> list[float | None]:
    cells = page.locator("table.sortable:visible").first.locator(f"tbody tr > :nth-child({column})")
    shown = [cell.get_attribute("data-sort") for cell in cells.all()]
    return [None if text is None else float(text) for text in shown]


def test_the_chooser_shows_one_measure_at_a_time(page: Page) -> None:
    suite = page.locator(".suite").first
    assert suite.locator("div.measure:visible").count() == 1
    assert suite.locator("figure.measure:visible").count() == 2  # intervals and boxes
    suite.locator(".chooser").get_by_text("steps_to_0.9").click()
    assert "steps_to_0.9" in suite.locator("div.measure:visible").inner_text()
    assert suite.locator("figure.measure:visible").count() == 2  # intervals and boxes


def test_the_chooser_works_from_the_keyboard(page: Page) -> None:
    suite = page.locator(".suite").first
    suite.locator(".chooser input").first.focus()
    page.keyboard.press("ArrowRight")
    assert "validation_loss" in suite.locator("div.measure:visible").inner_text()


def test_tables_are_sorted_by_the_column_that_is_clicked(page: Page) -> None:
    heading = page.locator("table.sortable:visible").first.locator("thead th")
    assert heading.nth(3).get_attribute("aria-sort") == "descending"
    heading.nth(1).locator("button").click()
    assert names(page) == sorted(names(page))
    assert heading.nth(1).get_attribute("aria-sort") == "ascending"
    assert heading.nth(3).get_attribute("aria-sort") is None
    heading.nth(1).locator("button").press("Enter")
    assert names(page) == sorted(names(page), reverse=True)
    heading.nth(3).locator("button").click()
    means = numbers(page, 4)
    assert means == sorted(means, reverse=True)


def test_lines_without_a_value_stay_at_the_end(page: Page) -> None:
    page.locator(".chooser").first.get_by_text("steps_to_0.9").click()
    heading = page.locator("table.sortable:visible").first.locator("thead th")
    for _ in range(2):
        heading.nth(4).locator("button").click()
        differences = numbers(page, 5)
        assert differences[-2:] == [None, None]
        assert None not in differences[:-2]


def test_a_line_that_has_the_focus_brings_itself_out(page: Page) -> None:
    series = page.locator(".plot .series")
    series.nth(2).focus()
    page.wait_for_timeout(300)  # the others fade
    shown = [s.evaluate("e => getComputedStyle(e).opacity") for s in series.all()[:4]]
    assert shown == ["0.14", "0.14", "1", "0.14"]


def test_the_data_can_be_saved(page: Page, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save them as JSON").click()
    download.value.save_as(tmp_path / "saved.json")
    saved = json.loads((tmp_path / "saved.json").read_text("utf-8"))
    assert [suite["suite"] for suite in saved["suites"]] == ["quickstart", "quickstart"]
    assert download.value.suggested_filename == "initbench-leaderboard.json"


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_is_not_blank(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(page.screenshot()) > 20_000  # a blank one of this size has about 5 kB
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")


def test_on_paper_every_measure_is_there(page: Page) -> None:
    page.set_viewport_size({"width": 690, "height": 900})
    page.emulate_media(media="print")
    assert page.locator(".suite").first.locator("div.measure:visible").count() == 3
    assert page.locator(".chooser:visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 690


def test_without_the_script_everything_is_shown(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(file.as_uri())
    assert opened.locator(".suite").first.locator("div.measure:visible").count() == 3
    assert opened.locator(".chooser:visible").count() == 0
    context.close()


def test_a_plot_of_its_own_is_drawn(browser: Browser, tmp_path: Path) -> None:
    [(name, text)] = convergence_svg(results(seeds=3)).items()
    (tmp_path / f"{name}.svg").write_text(text, "utf-8")
    opened = browser.new_page(viewport={"width": 700, "height": 500})
    opened.goto((tmp_path / f"{name}.svg").as_uri())
    stroke = opened.locator(".series.c1 .line").first.evaluate("e => getComputedStyle(e).stroke")
    assert stroke == "rgb(200, 84, 10)"
    opened.close()


def brightness(colour: str) -> int:
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
