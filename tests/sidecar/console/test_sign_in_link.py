"""Signing in by a link, as a browser does: an old, altered, used or foreign one is refused and
recorded."""

import time

import pytest

from contracts.console import Role, make_link
from contracts.signing import Audience, Signer
from sidecar.console.sessions import Sessions
from sidecar.ops.audit import DONE, REFUSED, Audit, Entry, Who
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable
from tests import trust
from tests.sidecar.console.browser import Browser

SECRET = trust.SIGNING_SECRET.encode()
NAME = "Zoë <script>alert(1)</script>"


@pytest.fixture(autouse=True)
async def nothing_is_lost(browser: Browser, redis: Redis) -> None:
    """The link may be made in the millisecond in which the application has started."""
    await redis.set(keys.NONCES_SINCE, 0)


def link(
    role: Role = Role.LOOK, *, audience: Audience = Audience.CONSOLE, ahead_s: float = 0
) -> str:
    clock = lambda: time.time() + ahead_s  # noqa: E731
    return make_link(Signer(audience, trust.KEY_ID, SECRET, clock), NAME, role)


async def entries(redis: Redis) -> list[Entry]:
    return await Audit(redis, 100).read()


async def assert_refused(browser: Browser, redis: Redis, opened: str) -> str:
    """Open a link, and return the page with which it was refused."""
    before = await entries(redis)
    answer = await browser.client.get(opened)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    new, *rest = await entries(redis)
    assert rest == before
    assert (new.who, new.action, new.outcome) == (Who("console"), "console.refused", REFUSED)
    assert new.target == "GET /sidecar/sign-in/link"
    assert "signature" not in str(new.details)
    return answer.text


@pytest.mark.parametrize("role", Role)
async def test_a_link_signs_in(browser: Browser, redis: Redis, role: Role) -> None:
    answer = await browser.client.get(link(role))
    assert (answer.status_code, answer.headers["location"]) == (303, "/sidecar/")
    page = await browser.page("/")
    assert "Zoë &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    [entry] = await entries(redis)
    assert (entry.who, entry.action) == (Who("console", NAME, role), "console.sign_in")
    assert (entry.outcome, entry.details["origin"]) == (DONE, "link")


async def test_a_used_one(browser: Browser, redis: Redis) -> None:
    used = link()
    await browser.client.get(used)
    browser.client.cookies.clear()
    assert "This link has been used." in await assert_refused(browser, redis, used)


@pytest.mark.parametrize("ahead_s", [-61, 70])
async def test_an_old_one_and_one_of_the_future(
    browser: Browser, redis: Redis, ahead_s: float
) -> None:
    page = await assert_refused(browser, redis, link(ahead_s=ahead_s))
    assert "older than 60 seconds, or of the future" in page


@pytest.mark.parametrize("audience", [Audience.SIDECAR, Audience.BACKEND])
async def test_one_for_another(browser: Browser, redis: Redis, audience: Audience) -> None:
    page = await assert_refused(browser, redis, link(audience=audience))
    assert "signed for something else" in page


async def test_an_altered_one(browser: Browser, redis: Redis) -> None:
    altered = link(Role.LOOK).replace("role=look", "role=operate")
    assert "This link was changed" in await assert_refused(browser, redis, altered)


async def test_no_link_at_all(browser: Browser, redis: Redis) -> None:
    assert "incomplete" in await assert_refused(browser, redis, "/sidecar/sign-in/link")


async def test_who_only_looks_at_it_does_not_use_it_up(browser: Browser) -> None:
    opened = link()
    assert (await browser.client.head(opened)).status_code == 405
    assert (await browser.client.get(opened)).status_code == 303


async def test_while_redis_does_not_answer(
    browser: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails when the link was used, and before there is a session."""

    async def fail(*arguments: object, **options: object) -> str:
        raise RedisUnavailable[0]("away")

    opened = link()
    monkeypatch.setattr(Sessions, "open", fail)
    assert "Redis does not answer" in await assert_refused(browser, redis, opened)
    monkeypatch.setattr("sidecar.console.attempts.Attempts.is_recorded", fail)
    answer = await browser.client.get(link())
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
