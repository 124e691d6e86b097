"""One world for all tests of the console in a browser, and Chromium."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Response,
    StorageState,
    expect,
    sync_playwright,
)
from starlette.routing import compile_path

from tests.browser.console_world import OPERATOR, PASSWORD, ConsoleWorld
from tests.stack.packages import wanted

#: Where it is not installed, tests/stack/test_packages.py says how to install it.
collect_ignore_glob = [] if wanted() else ["test_*.py"]

#: How long is waited for a page, in milliseconds. A move of vendors takes some seconds.
WAIT_MS = 20_000

Test = TypeVar("Test", bound=Callable[..., None])
#: Sessions of users that tests share, by name.
Sessions = dict[str, StorageState]
#: What tests say that they press: the paths of routes.
PRESSED: set[str] = set()


def presses(*paths: str) -> Callable[[Test], Test]:
    """Say which actions a test presses, by the paths of their routes; that it has is checked."""

    def mark(test: Test) -> Test:
        PRESSED.update(paths)
        test.presses = paths  # type: ignore[attr-defined]
        return test

    return mark


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
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        # No sandbox: tests run as root, and open nothing but our own pages.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return {}


class Visitor:
    """A user with a browser of their own. ``complaints`` are what the browser has said of a page:
    errors of scripts, and what the content security policy has forbidden; ``posted`` the paths of
    forms that were taken."""

    def __init__(self, world: ConsoleWorld, page: Page) -> None:
        self.world, self.page = world, page
        self.complaints: list[str] = []
        self.posted: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self._note_post)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note_post(self, response: Response) -> None:
        if response.request.method == "POST" and response.status in (200, 303):
            self.posted.append(urlsplit(response.url).path.removeprefix("/sidecar"))

    def sign_in(self, name: str) -> None:
        self.open("/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.world.url}/")

    def open(self, path: str) -> None:
        """Open a page; ``path`` is below ``/sidecar``."""
        self.page.goto(self.world.url + path, wait_until="load")

    def press(self, name: str) -> None:
        """Press a button of the page."""
        self.page.get_by_role("main").get_by_role("button", name=name).first.click()

    def agree(self) -> None:
        """Say yes on the page that asks before something is done."""
        self.page.locator("form.ask button").click()

    def expect_done(self, text: str) -> None:
        """The page says that something was done, with this in its words."""
        expect(self.page.locator("main > .notice.good")).to_contain_text(text)

    def links(self) -> list[str]:
        """Return where the links of the present page lead to within the console."""
        hrefs = self.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        own = (href.partition("#")[0] for href in hrefs if href.startswith(f"{self.world.url}/"))
        return sorted({href.removeprefix(self.world.url) for href in own})


class Visitors:
    def __init__(self, world: ConsoleWorld, chromium: Browser, sessions: Sessions) -> None:
        self._world, self._chromium, self._sessions = world, chromium, sessions
        self.posted: list[str] = []

    @contextmanager
    def visitor(
        self, name: str = OPERATOR, *, anew: bool = False, **options: Any
    ) -> Iterator[Visitor]:
        """Open a browser, with a session of this user's; ``anew``: one of its own."""
        state = None if anew else self._sessions.get(name)
        context = self._chromium.new_context(storage_state=state, **options)
        context.set_default_timeout(WAIT_MS)
        visitor = Visitor(self._world, context.new_page())
        try:
            if state is None:
                visitor.sign_in(name)
                if not anew:
                    self._sessions[name] = context.storage_state()
            yield visitor
        finally:
            self.posted += visitor.posted
            context.close()


@pytest.fixture
def visitors(
    request: pytest.FixtureRequest, world: ConsoleWorld, chromium: Browser, sessions: Sessions
) -> Iterator[Visitors]:
    visitors = Visitors(world, chromium, sessions)
    yield visitors
    for path in getattr(request.function, "presses", ()):
        pattern = compile_path(path)[0]
        assert any(map(pattern.match, visitors.posted)), f"{path} was not pressed"


@pytest.fixture
def operator(visitors: Visitors) -> Iterator[Visitor]:
    with visitors.visitor() as visitor:
        yield visitor
