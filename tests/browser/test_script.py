"""The console's script, on a page of a server that does what the test says."""

import queue
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from sidecar.console import app
from tests.threaded_server import ThreadedServer

SCRIPT = (Path(app.__file__).parent / "static/console.js").read_bytes()
PAGE = b"""<!doctype html><html><head><script src="/console.js" defer></script></head><body>
<main data-live="/live"><p id="trouble" data-fragment></p><div id="one" data-fragment>at first</div>
<div id="two" data-fragment>two</div></main></body></html>"""


class Stand:
    """``status`` is what the stream is answered with; ``loads`` counts how often the page was
    loaded; ``refused``: the stream was."""

    def __init__(self) -> None:
        self.status = 200
        self.loads = 0
        self.refused = threading.Event()
        self._events: queue.Queue[str | None] = queue.Queue()
        self._server = ThreadedServer(self._handler())

    @property
    def url(self) -> str:
        return f"{self._server.url}/"

    def send(self, name: str, content: str) -> None:
        self._events.put(f"event: {name}\ndata: {content}\n\n")

    def break_off(self) -> None:
        """End the stream. What is sent from now on is for the next one."""
        ended, self._events = self._events, queue.Queue()
        ended.put(None)

    def load(self) -> None:
        """The page is loaded: whoever it is by now has a session."""
        self.loads += 1
        self.status = 200
        self.break_off()

    def close(self) -> None:
        self.break_off()
        self._server.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._begin(stand.status, "text/event-stream")

            def do_GET(self) -> None:
                if self.path == "/live":
                    self._stream()
                elif self.path == "/console.js":
                    self._begin(200, "text/javascript")
                    self.wfile.write(SCRIPT)
                elif self.path != "/":
                    self._begin(404, "text/plain")
                else:
                    stand.load()
                    self._begin(200, "text/html")
                    self.wfile.write(PAGE)

            def _stream(self) -> None:
                self._begin(stand.status, "text/event-stream")
                if stand.status != 200:
                    stand.refused.set()
                    return
                events = stand._events
                with suppress(OSError):
                    self.wfile.write(b"retry: 20\n\n")
                    while (event := events.get()) is not None:
                        self.wfile.write(event.encode())

            def _begin(self, status: int, media_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                for name, value in app.HEADERS.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing: the test says what is wrong."""

        return Handler


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


@pytest.fixture
def page(stand: Stand, chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    page.set_default_timeout(20_000)
    page.clock.install()
    page.goto(stand.url)
    yield page
    page.close()


def select(page: Page, selector: str) -> None:
    page.evaluate(
        "selector => getSelection().selectAllChildren(document.querySelector(selector))", selector
    )


def test_an_element_gets_what_is_sent(stand: Stand, page: Page) -> None:
    stand.send("one", "<b>new</b>")
    expect(page.locator("#one b")).to_have_text("new")
    stand.send("two", "")
    expect(page.locator("#two")).to_be_empty()


def test_what_is_used_stays_until_it_is_not(stand: Stand, page: Page) -> None:
    stand.send("one", "<a href='#x'>link</a>")
    page.locator("#one a").focus()
    select(page, "#two")
    for name in ("one", "two"):
        stand.send(name, "first")
        stand.send(name, "last")
    stand.send("one", "later still")
    page.locator("#one a").blur()
    expect(page.locator("#one")).to_have_text("later still")
    expect(page.locator("#two")).to_have_text("two")
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator("#two")).to_have_text("last")
    stand.send("one", "newest")
    expect(page.locator("#one")).to_have_text("newest")
    select(page, "#two")
    page.evaluate("getSelection().removeAllRanges()")
    page.clock.run_for(100)
    expect(page.locator("#one")).to_have_text("newest")


def test_a_stream_that_breaks_is_opened_again(stand: Stand, page: Page) -> None:
    stand.send("one", "before")
    expect(page.locator("#one")).to_have_text("before")
    page.evaluate(
        """() => { window.wasStale = false; new MutationObserver(() => {
            window.wasStale ||= document.documentElement.classList.contains("stale");
        }).observe(document.documentElement, { attributes: true }); }"""
    )
    stand.break_off()
    stand.send("one", "after")
    expect(page.locator("#one")).to_have_text("after")
    assert page.evaluate("window.wasStale"), "meanwhile it is shown that the figures stand still"
    expect(page.locator("html.stale")).to_have_count(0)
    assert stand.loads == 1


@pytest.mark.parametrize(
    ("status", "why"), [(503, "the connection is lost"), (429, "too many pages are open")]
)
def test_a_server_that_is_away_or_full_is_tried_again(
    stand: Stand, page: Page, status: int, why: str
) -> None:
    stand.send("one", "before")
    expect(page.locator("#one")).to_have_text("before")
    stand.status = status
    stand.break_off()
    assert stand.refused.wait(20)
    expect(page.locator("html.stale")).to_have_count(1)
    expect(page.locator("#trouble")).to_have_text(re.compile(f"Not live: {why}"))
    stand.status = 200
    stand.send("one", "after")
    for _ in range(20):
        page.clock.run_for(5000)
        if page.locator("#one").inner_text() == "after":
            break
    expect(page.locator("#one")).to_have_text("after")
    expect(page.locator("#trouble")).to_be_empty()
    assert stand.loads == 1


@pytest.mark.parametrize("how", ["said", "refused"])
def test_who_is_signed_out_gets_to_the_sign_in(stand: Stand, page: Page, how: str) -> None:
    stand.send("one", "before")
    expect(page.locator("#one")).to_have_text("before")
    stand.status = 401
    if how == "said":
        stand.send("ended", "")
    else:
        stand.break_off()
    expect(page.locator("#one")).to_have_text("at first")  # the page was loaded again
    assert stand.loads == 2
