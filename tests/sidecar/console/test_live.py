"""Streams of what changes, and reads that viewers share."""

import asyncio
from collections.abc import Mapping

import pytest
from sse_starlette.sse import AppStatus
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from sidecar.console import streams
from sidecar.console.live import Shared, live
from sidecar.console.page import looks
from sidecar.console.sessions import User
from sidecar.http.front import Front
from sidecar.php.client import BackendUnavailable
from sidecar.redis.client import Redis
from tests.eventually import eventually
from tests.sidecar.console.browser import Browser

#: How often the streams here look.
EVERY_S = 0.01


class Page:
    """A page whose elements have what a test gives them."""

    def __init__(self) -> None:
        self.fragments: dict[str, str] = {"one": "<b>1</b>"}
        self.error: Exception | None = None
        self.reads = 0

    async def live(self, request: Request, user: User) -> Response:
        return live(request, user, EVERY_S, self.read)

    async def read(self) -> Mapping[str, str]:
        self.reads += 1
        if self.error:
            raise self.error
        return self.fragments


@pytest.fixture
def page(app: Front) -> Page:
    page = Page()
    [mount] = [route for route in app.routes if isinstance(route, Mount)]
    mount.routes.append(Route("/page/live", looks(page.live), methods=["GET"]))
    return page


async def test_a_fragment_is_sent_when_it_has_changed(viewer: Browser, page: Page) -> None:
    page.fragments = {"one": "<b>1</b>\n<i>a</i>", "two": "2"}
    async with viewer.events("/page/live") as events:
        assert await events.take(2) == {"one": "<b>1</b>\n<i>a</i>", "two": "2"}
        await eventually(lambda: page.reads > 3)
        page.fragments = {"one": "<b>1</b>\n<i>a</i>", "two": ""}
        assert await events.next() == ("two", "")
    assert events.status == 200
    assert events.headers["content-type"].startswith("text/event-stream")


async def test_nothing_is_read_while_nobody_looks(viewer: Browser, page: Page) -> None:
    async with viewer.events("/page/live") as events:
        await events.next()
    reads = page.reads
    await asyncio.sleep(5 * EVERY_S)
    assert page.reads == reads
    await viewer.client.head("/sidecar/page/live")
    assert page.reads == reads


async def test_no_more_streams_than_the_process_has_room_for(
    viewer: Browser, operator: Browser, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_OF_SESSION", 2)
    monkeypatch.setattr(streams, "MAX_OF_ALL", 3)
    async with viewer.events("/page/live") as first, viewer.events("/page/live") as second:
        await first.next()
        await second.next()
        refused = await viewer.get("/page/live")
        assert (refused.status_code, refused.text) == (429, "too many live pages are open")
        async with operator.events("/page/live") as third:
            await third.next()
            assert (await operator.client.head("/sidecar/page/live")).status_code == 429
            assert (await viewer.get("/page")).status_code == 404, "pages themselves are served"
    async with viewer.events("/page/live") as again:
        assert await again.next() == ("one", "<b>1</b>")


async def test_a_read_that_fails_is_said_and_tried_again(viewer: Browser, page: Page) -> None:
    async with viewer.events("/page/live") as events:
        await events.next()
        page.error = BackendUnavailable("no answer")
        assert await events.next() == ("trouble", "These figures stand still: no answer")
        page.error = None
        assert await events.next() == ("trouble", "")


async def test_what_goes_wrong_is_escaped(viewer: Browser, page: Page) -> None:
    page.error = BackendUnavailable("<script>")
    async with viewer.events("/page/live") as events:
        assert await events.next() == ("trouble", "These figures stand still: &lt;script&gt;")


async def test_it_ends_with_the_session(viewer: Browser, page: Page, redis: Redis) -> None:
    async with viewer.events("/page/live") as events:
        await events.next()
        await redis.delete(*await redis.keys("console:session:*"))
        assert await events.next() == ("ended", "")
        assert await events.next() is None


async def test_it_ends_when_the_process_does(
    viewer: Browser, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AppStatus, "should_exit", True)
    async with viewer.events("/page/live") as events:
        while await events.next() is not None:
            pass
    assert events.is_complete


async def test_looking_is_no_use_of_the_session(viewer: Browser, page: Page, redis: Redis) -> None:
    async with viewer.events("/page/live") as events:
        await events.next()
        [key] = await redis.keys("console:session:*")
        await redis.expire(key, 50)
        reads = page.reads
        await eventually(lambda: page.reads > reads + 3)
        assert await redis.ttl(key) <= 50


async def test_viewers_share_a_read() -> None:
    reads = 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return reads

    shared = Shared(read, for_s=60)
    assert await asyncio.gather(*(shared.get() for _ in range(10))) == [1] * 10
    assert await Shared(read, for_s=0).get() == 2
    other = Shared(read, for_s=0)
    assert (await other.get(), await other.get()) == (3, 4)


async def test_a_read_that_failed_is_not_kept() -> None:
    found: list[Exception | int] = [ValueError("away"), 1]

    async def read() -> int:
        value = found.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    shared = Shared(read, for_s=60)
    with pytest.raises(ValueError, match="away"):
        await shared.get()
    assert await shared.get() == 1


class Slow:
    """A read that ends when a test lets it."""

    def __init__(self) -> None:
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.reads += 1
        await self.open.wait()
        if self.error:
            raise self.error
        return self.reads


async def test_who_goes_away_does_not_end_a_read_for_others() -> None:
    read = Slow()
    read.open.clear()
    shared = Shared(read, for_s=60)
    gone, stays = (asyncio.create_task(shared.get()) for _ in range(2))
    await eventually(lambda: read.reads == 1)
    gone.cancel()
    read.open.set()
    assert await stays == 1


async def test_a_stream_does_not_wait_for_a_slow_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.console.live.PATIENCE_S", 0.01)
    read = Slow()
    shared = Shared(read, for_s=0)
    assert await shared.latest() == 1
    read.open.clear()
    assert await shared.latest() == 1
    assert await shared.latest() == 1
    assert read.reads == 2, "one at a time"
    read.open.set()
    assert await shared.get() == 2
    assert await shared.latest() == 3


async def test_a_slow_read_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.console.live.PATIENCE_S", 0.01)
    read = Slow()
    shared = Shared(read, for_s=0)
    await shared.get()
    read.error = ValueError("away")
    with pytest.raises(ValueError, match="away"):
        await shared.latest()
    read.open.clear()
    assert await shared.latest() == 1
    read.open.set()
    await eventually(lambda: not [t for t in asyncio.all_tasks() if t.get_name() == "console"])
    read.error = None
    assert await shared.latest() == 4


async def test_what_holds_is_not_read_again() -> None:
    read = Slow()
    shared = Shared(read, for_s=60)
    assert [await shared.get(), await shared.latest(), await shared.get()] == [1, 1, 1]


async def test_a_dear_read_is_made_seldom_for_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads the page has it anew."""
    monkeypatch.setattr("sidecar.console.live.DEAR_S", -1.0)
    monkeypatch.setattr("sidecar.console.live.DEAR_SHARE", 1e-9)
    read = Slow()
    shared = Shared(read, for_s=0)
    assert [await shared.latest(), await shared.latest(), await shared.get()] == [1, 1, 2]
    monkeypatch.setattr("sidecar.console.live.MAX_HOLD_S", 0.0)
    assert [await shared.get(), await shared.latest()] == [3, 4]
