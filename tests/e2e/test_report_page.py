"""report.html in a real browser."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

from convergence_cluster.reports.documents import documents
from convergence_cluster.reports.records import StudyReport
from tests.unit.reports.example_study import make_report, reconfigured

Scheme: TypeAlias = Literal["light", "dark"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    named = os.environ.get("CONVERGENCE_TEST_BROWSER")
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"none of {', '.join(BROWSERS)} is on the PATH, nor is CONVERGENCE_TEST_BROWSER set"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--disable-gpu", "--disable-dev-shm-usage"], chromium_sandbox=False
        )
        yield started
        started.close()


class Visit:
    """A page that was opened, and whatever it complained about or asked for."""

    def __init__(self, browser: Browser, path: Path, *, width: int = 1400, scheme: Scheme = "light") -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("dialog", self._dialog)
        self.page.goto(path.as_uri())

    def _console(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def written(report: StudyReport, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_bytes(documents(report, formats=("html",))["report.html"])
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_fits_and_asks_for_nothing(browser: Browser, tmp_path: Path, width: int, scheme: Scheme) -> None:
    path = written(make_report(), tmp_path)

    visit = Visit(browser, path, width=width, scheme=scheme)

    assert visit.complaints == []
    assert visit.requests == [path.as_uri()]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = visit.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == ("rgb(20, 23, 27)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_words_in_charts_stay_readable_on_a_telephone(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, written(make_report(), tmp_path), width=400)

    sizes = visit.page.evaluate(
        """[...document.querySelectorAll("svg.chart")].map(svg => svg.getBoundingClientRect().width / 440
            * parseFloat(getComputedStyle(svg.querySelector("text")).fontSize))"""
    )

    assert min(sizes) > 8.5


def test_a_heading_sorts_the_table_by_mouse_and_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    report = make_report()
    page = Visit(browser, written(report, tmp_path)).page
    first = page.locator("table.sortable tbody tr").first
    heading = page.locator("table.sortable th", has_text="Cost per call")

    heading.locator("button").click()
    cheapest = first.locator("td").nth(5).inner_text()
    direction = heading.get_attribute("aria-sort")
    heading.locator("button").press("Enter")
    dearest = first.locator("td").nth(5).inner_text()

    assert direction == "ascending"
    assert heading.get_attribute("aria-sort") == "descending"
    assert 10 * float(cheapest.removeprefix("$")) < float(dearest.removeprefix("$"))
    page.locator("table.sortable th", has_text="Arm").locator("button").click()
    assert first.locator("th").inner_text() == "#0"
    assert page.locator("table.sortable tbody tr").count() == len(report.arms)


def test_hostile_words_never_run(browser: Browser, tmp_path: Path) -> None:
    payload = "</pre></style><script>alert(1)</script><img src=https://e.example/x onerror=alert(2)>"
    report = reconfigured(make_report(), {"model": payload, payload: payload})
    path = written(replace(report, name=payload, legacy=payload, notes=(payload,)), tmp_path)

    visit = Visit(browser, path)

    assert (visit.dialogs, visit.complaints, visit.requests) == ([], [], [path.as_uri()])
    assert payload in visit.page.inner_text("h1")


def test_paper_gets_everything_in_light_colours(browser: Browser, tmp_path: Path) -> None:
    page = Visit(browser, written(make_report(), tmp_path), scheme="dark").page

    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("details").count() > 0
