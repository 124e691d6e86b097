"""One world for all tests of the console in a browser, and Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.console_world import OPERATOR, PASSWORD, ConsoleWorld
from tests.stack.packages import wanted

#: Where it is not installed, tests/stack/test_packages.py says how to install it.
collect_ignore_glob = [] if wanted() else ["test_*.py"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    world = ConsoleWorld(tmp_path_factory.mktemp("console"))
    try:
        world.begin()
        yield world
    finally:
        world.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("no Chromium: run scripts/install-stack as root", pytrace=False)
    with sync_playwright() as playwright:
        # No sandbox: tests run as root, and open nothing but our own pages.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A user with a browser of their own. ``complaints`` are what the browser has said of a page:
    errors of scripts, and what the content security policy has forbidden."""

    def __init__(self, world: ConsoleWorld, page: Page) -> None:
        self.world, self.page = world, page
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def sign_in(self, name: str) -> None:
        self.open("/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.world.url}/")

    def open(self, path: str) -> None:
        """Open a page; ``path`` is below ``/sidecar``."""
        self.page.goto(self.world.url + path, wait_until="load")

    def click(self, name: str) -> None:
        """Press a button of the page, and agree if that is asked for."""
        self.page.get_by_role("main").get_by_role("button", name=name).first.click()
        self.agree()

    def agree(self) -> None:
        """Say yes on a page that asks before something is done, if this is one."""
        yes = self.page.locator("form.ask button")
        if yes.count():
            yes.click()

    def expect_done(self, text: str) -> None:
        """The page says that something was done, with this in its words."""
        expect(self.page.locator("main > .notice.good")).to_contain_text(text)

    def links(self) -> list[str]:
        """Return where the links of the present page lead to within the console."""
        hrefs = self.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        own = (href.partition("#")[0] for href in hrefs if href.startswith(f"{self.world.url}/"))
        return sorted({href.removeprefix(self.world.url) for href in own})


class Visitors:
    def __init__(self, world: ConsoleWorld, chromium: Browser) -> None:
        self._world, self._chromium = world, chromium

    @contextmanager
    def visitor(self, name: str | None = OPERATOR, **options: Any) -> Iterator[Visitor]:
        """Open a browser, with a session of this user's."""
        context = self._chromium.new_context(**options)
        context.set_default_timeout(20_000)
        try:
            visitor = Visitor(self._world, context.new_page())
            if name is not None:
                visitor.sign_in(name)
            yield visitor
        finally:
            context.close()


@pytest.fixture
def visitors(world: ConsoleWorld, chromium: Browser) -> Visitors:
    return Visitors(world, chromium)


@pytest.fixture
def operator(visitors: Visitors) -> Iterator[Visitor]:
    with visitors.visitor() as visitor:
        yield visitor


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where screenshots go."""
    return tmp_path_factory.mktemp("shots")
