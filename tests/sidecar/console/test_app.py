"""The console as a whole: who gets in, what every answer carries, and what every page is like. All
routes are walked over, whichever pages there are."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.routing import Mount
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from contracts.console import Role
from contracts.jobs import Lane
from sidecar.console import page as console_page
from sidecar.console.app import HEADERS
from sidecar.http.app import create_app
from sidecar.http.front import Front
from sidecar.ops.audit import Audit, Filter
from sidecar.redis.client import Redis, connect
from tests import trust
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php
from tests.sidecar.console.browser import PASSWORDS, USERS, Browser
from tests.sidecar.console.conftest import MakeBrowser
from tests.sidecar.console.walk import faults, steps
from tests.sidecar.payloads import message_webhook
from tests.sidecar.service import VENDOR

ROOM = Path(console_page.__file__).parent


async def refusals(redis: Redis) -> list[str]:
    """Return what the audit has of refused requests, the oldest first."""
    entries = await Audit(redis, 100).read(count=1000, wanted=Filter(action="console.refused"))
    assert {entry.outcome for entry in entries} <= {"refused"}
    return [entry.target for entry in reversed(entries)]


# -- who gets in --


def test_it_is_off_by_default(
    make_settings: MakeSettings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[str]()

    def count(url: str, **options: Any) -> Redis:
        made.append(url)
        return connect(url, **options)

    monkeypatch.setattr("sidecar.http.app.connect", count)
    app = create_app(make_settings(), redis_url)
    assert len(made) == 1, "no connections that nothing needs"
    assert not [path for route in app.routes if (path := route.path).startswith("/sidecar")]  # type: ignore[attr-defined]


async def test_nothing_is_served_without_sign_in(browser: Browser, redis: Redis) -> None:
    before = await redis.keys("*")
    for step in steps(browser.app):
        answer = await browser.client.request(step.method, f"/sidecar{step.path}")
        if step.is_open:
            assert answer.status_code in (200, 403, 404), step
        else:
            assert answer.status_code == 303, step
            assert answer.headers["location"].startswith("/sidecar/sign-in"), step
            assert answer.text == ""
    made = {cast(bytes, key).split(b":")[0] for key in set(await redis.keys("*")) - set(before)}
    assert made <= {b"console", b"audit", b"processes", b"process", b"published", b"metrics"}


async def test_a_stream_or_a_head_without_sign_in_is_no_redirect(browser: Browser) -> None:
    answer = await browser.get("/overview/live", headers={"accept": "text/event-stream"})
    assert answer.status_code == 401
    assert (await browser.client.head("/sidecar/")).status_code == 401


async def test_what_strangers_post_is_recorded_but_only_so_much(
    browser: Browser, redis: Redis
) -> None:
    with capture_logs() as logs:
        for _ in range(30):
            await browser.client.post("/sidecar/sign-out")
    assert [line["event"] for line in logs] == ["console.refused"] * 30
    assert await refusals(redis) == ["POST /sidecar/sign-out"] * 20


async def test_every_action_has_a_role(app: Front) -> None:
    for step in steps(app):
        assert step.is_open or step.role is not None, f"{step.path} is under neither decorator"


async def test_a_viewer_can_change_nothing(viewer: Browser, redis: Redis) -> None:
    acts = [s for s in steps(viewer.app) if s.method == "POST" and s.role is Role.OPERATE]
    token = {"csrf": await viewer.token()}
    for step in acts:
        answer = await viewer.post(step.path, token, token=False)
        assert answer.status_code == 403, step
        assert "Your role may look, and change nothing." in answer.text
    assert await refusals(redis) == [f"POST /sidecar{step.path}" for step in acts]


async def test_nothing_is_done_without_the_sessions_token(
    operator: Browser, viewer: Browser, redis: Redis
) -> None:
    posts = [s for s in steps(operator.app) if s.method == "POST" and not s.is_open]
    other = await viewer.token()
    for step in posts:
        for fields in ({}, {"csrf": ""}, {"csrf": other}, {"csrf": "ö"}):
            answer = await operator.post(step.path, fields, token=False)
            assert answer.status_code == 403, step
            assert "Nothing was done" in answer.text
    assert await refusals(redis) == [f"POST /sidecar{s.path}" for s in posts for _ in range(4)]
    assert await operator.page("/")


async def test_whatever_host_the_client_names(browser: Browser) -> None:
    for host in ("[", "", "a b", "x" * 3000, "evil.example/\\"):
        answer = await browser.get("/numbers", headers={"host": host})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sidecar/sign-in?")


async def test_an_old_cookie(operator: Browser, redis: Redis) -> None:
    await redis.delete(*await redis.keys("console:session:*"))
    assert (await operator.get("/")).status_code == 303
    answer = await operator.post("/sign-out", {"csrf": "old"}, token=False)
    assert answer.headers["location"] == "/sidecar/sign-in"
    assert await refusals(redis) == ["POST /sidecar/sign-out"]


# -- what every answer carries --


async def test_headers_of_every_answer(
    operator: Browser, browser: Browser, make_browser: MakeBrowser
) -> None:
    away = await make_browser(redis_url="redis://127.0.0.1:9/0")
    away.client.cookies.set("sidecar_session", "any")
    answers = [
        await operator.get("/"),
        await operator.get("/no-such-page"),
        await operator.client.put("/sidecar/"),
        await operator.post("/sign-out", token=False),
        await browser.get("/"),
        await browser.get("/sign-in"),
        await browser.get(""),
        await browser.try_to_sign_in("a", "b"),
        await away.get("/"),
        await browser.get("/static/0/console.css"),
        await browser.get("/static/0/none.css"),
        await browser.get("/overview/live", headers={"accept": "text/event-stream"}),
    ]
    statuses = [200, 404, 405, 403, 303, 200, 308, 403, 503, 200, 404, 401]
    assert [answer.status_code for answer in answers] == statuses
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        is_file = answer.url.path.endswith("console.css")
        assert answer.headers["cache-control"] == ("no-cache" if is_file else "no-store")
    async with operator.events("/overview/live") as events:
        await events.next()
    assert events.headers.items() >= {name.lower(): v for name, v in HEADERS.items()}.items()
    assert events.headers["cache-control"] == "no-store"


def test_nothing_inline_and_nothing_from_elsewhere_is_allowed() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


# -- every page --


async def test_every_page_while_nothing_is_there(operator: Browser, viewer: Browser) -> None:
    await assert_pages_are_well(operator)
    await assert_pages_are_well(viewer)


async def test_every_page_while_something_is_there(operator: Browser, viewer: Browser) -> None:
    inbox = operator.app.state.inbox
    for number in range(5):
        await inbox.put(Lane.MESSAGES, VENDOR, b"", message_webhook(number))
    await assert_pages_are_well(operator)
    await assert_pages_are_well(viewer)


async def test_every_page_while_php_is_away(make_browser: MakeBrowser, redis: Redis) -> None:
    browser = await make_browser(backend_url="http://127.0.0.1:9")
    await browser.sign_in(Role.OPERATE)
    await assert_pages_are_well(browser, statuses=(200, 403, 404, 503))


async def assert_pages_are_well(
    browser: Browser, statuses: tuple[int, ...] = (200, 403, 404)
) -> None:
    """Look at every page: those without a name in their path are there for everybody."""
    for step in steps(browser.app):
        if step.method != "GET" or step.is_open or step.is_stream:
            continue
        answer = await browser.get(step.path)
        assert answer.status_code in statuses, f"{step.path}: {answer.text}"
        if answer.headers["content-type"].startswith("text/html"):
            assert faults(answer.text) == [], step.path


async def test_the_pages_of_the_sign_in(browser: Browser) -> None:
    for answer in (await browser.get("/sign-in"), await browser.try_to_sign_in("a", "b")):
        assert faults(answer.text) == []


TEMPLATES = sorted((ROOM / "templates").glob("*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_templates_have_no_inline_code(template: Path) -> None:
    text = template.read_text()
    assert [fault for fault in faults(text) if fault.startswith("inline")] == []
    assert not re.search(r"\|\s*safe|Markup|autoescape", text)


# -- errors --


async def test_a_page_that_is_not_there(operator: Browser) -> None:
    answer = await operator.get("/no-such-page")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text


async def test_a_fault_of_the_console_itself(
    operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.pages.overview.render", lambda *a, **k: 1 / 0)
    with capture_logs() as logs:
        answer = await operator.get("/")
    assert answer.status_code == 500
    assert "its log says why" in answer.text
    assert [line["event"] for line in logs] == ["console.failed"]


async def test_a_fault_in_an_answer_that_has_begun(
    operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.pages.overview.part", lambda *a, **k: 1 / 0)
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        async with operator.events("/overview/live") as events:
            await events.next()
    assert [line["event"] for line in logs] == ["console.failed"]


async def test_redis_is_away(make_browser: MakeBrowser) -> None:
    browser = await make_browser(redis_url="redis://127.0.0.1:9/0")
    with capture_logs() as logs:
        sign_in = await browser.try_to_sign_in(USERS[Role.LOOK].name, PASSWORDS[Role.LOOK])
        browser.client.cookies.set("sidecar_session", "any")
        page = await browser.get("/")
        await browser.get("/")
    for answer in (sign_in, page):
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        assert "127.0.0.1:9" not in answer.text  # nobody knows who asks
    events = [line["event"] for line in logs if line["event"].startswith("console.")]
    assert events == ["console.redis_unavailable"] * 2
    static = await browser.get("/static/0/console.css")
    assert static.status_code == 200


# -- webhooks --


async def test_webhooks_do_not_come_near_it(browser: Browser, app: Front) -> None:
    def take(*arguments: object) -> None:
        raise AssertionError("a webhook came to the router")

    app.router.app = take  # type: ignore[assignment]
    app.middleware_stack = take  # type: ignore[assignment]
    answer = await browser.client.post(f"/webhook/{VENDOR}", content=b"{}")
    assert answer.status_code == 401


async def test_pages_take_no_connection_from_webhooks(browser: Browser, php: Php) -> None:
    """However many the console holds, and for however long."""
    [mount] = [route for route in browser.app.routes if isinstance(route, Mount)]
    pool = cast(Any, mount.app)._console.redis.connection_pool
    held = [await pool.get_connection() for _ in range(pool.max_connections)]
    body = message_webhook()
    headers = {SIGNATURE_HEADER: sign(trust.APP_SECRET.encode(), body)}
    answer = await browser.client.post(f"/webhook/{VENDOR}", content=body, headers=headers)
    assert answer.status_code == 200
    for connection in held:
        await pool.release(connection)
