"""Signing in and out, by form."""

from contextlib import aclosing
from pathlib import Path

import pytest

from contracts.console import Role
from sidecar.console import users as module
from sidecar.console.attempts import LIMITS
from sidecar.ops.audit import Audit, Entry
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, connect
from simulator.redis_server import RedisServer
from tests.sidecar.console.browser import HASHER, PASSWORDS, USERS, Browser
from tests.sidecar.console.conftest import MakeBrowser

NAME, PASSWORD = USERS[Role.OPERATE].name, PASSWORDS[Role.OPERATE]


@pytest.fixture(autouse=True)
def weak_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about how long a hash takes, and how many are checked a second."""
    monkeypatch.setattr(module, "_HASHER", HASHER)
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)


async def audited(redis: Redis) -> list[Entry]:
    """Return what the audit has, the oldest first."""
    return list(reversed(await Audit(redis, 100).read(count=100)))


async def test_who_signs_in_gets_to_the_overview(browser: Browser, redis: Redis) -> None:
    answer = await browser.try_to_sign_in(NAME, PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sidecar/")
    page = await browser.page("/")
    assert NAME in page
    [entry] = await audited(redis)
    assert (entry.action, entry.outcome) == ("console.sign_in", "done")
    assert (entry.who.kind, entry.who.name, entry.who.role) == ("console", NAME, "operate")
    assert entry.details == {"origin": "password", "address": "127.0.0.1"}


async def test_the_cookie_over_http(browser: Browser) -> None:
    answer = await browser.try_to_sign_in(NAME, PASSWORD)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("sidecar_session=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"HttpOnly", "Max-Age=43200", "Path=/sidecar", "SameSite=lax"}


async def test_the_cookie_over_https(browser: Browser) -> None:
    https = {"x-forwarded-proto": "https"}
    answer = await browser.try_to_sign_in(NAME, PASSWORD, headers=https)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-sidecar=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=lax", "Secure"}
    token = cookie.split(";")[0].partition("=")[2]
    own = {"cookie": f"__Host-sidecar={token}"}
    assert (await browser.get("/", headers={**own, **https})).status_code == 200
    assert (await browser.get("/", headers=own)).status_code == 303, "never over HTTP"
    other = {"cookie": f"sidecar_session={token}"}
    assert (await browser.get("/", headers={**other, **https})).status_code == 303


@pytest.mark.parametrize(
    ("name", "password", "recorded"),
    [(NAME, "wrong", NAME), ("nobody", PASSWORD, ""), ("", "", ""), (PASSWORD, "", "")],
)
async def test_who_is_not_let_in(
    browser: Browser, redis: Redis, name: str, password: str, recorded: str
) -> None:
    answer = await browser.try_to_sign_in(name, password)
    assert answer.status_code == 403
    assert "The name or the password is wrong." in answer.text
    assert "set-cookie" not in answer.headers
    assert (await browser.get("/")).status_code == 303
    [entry] = await audited(redis)
    assert (entry.action, entry.outcome, entry.target) == (
        "console.refused",
        "refused",
        "POST /sidecar/sign-in",
    )
    assert entry.who.name == recorded, "what is typed there may be a password"
    assert PASSWORD not in str(entry)


async def test_too_many_tries_with_a_name(browser: Browser, redis: Redis) -> None:
    for number in range(LIMITS["name"]):
        headers = {"x-real-ip": f"10.0.0.{number}"}
        await browser.try_to_sign_in(NAME, "wrong", headers=headers)
    answer = await browser.try_to_sign_in(NAME, PASSWORD, headers={"x-real-ip": "10.0.1.1"})
    assert answer.status_code == 429
    assert "There were too many tries with this name. Try again in 15 min." in answer.text
    entry = (await audited(redis))[-1]
    assert (entry.who.name, entry.details["address"]) == (NAME, "10.0.1.1")


async def test_too_many_tries_from_an_address(browser: Browser) -> None:
    for number in range(LIMITS["address"]):
        answer = await browser.try_to_sign_in(f"name {number}", "wrong")
        assert answer.status_code == 403
    answer = await browser.try_to_sign_in(NAME, PASSWORD)
    assert answer.status_code == 429
    assert "from your address" in answer.text
    elsewhere = {"x-real-ip": "192.0.2.9"}
    answer = await browser.try_to_sign_in(NAME, PASSWORD, headers=elsewhere)
    assert answer.status_code == 303


async def test_too_many_at_once(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_WAITING", 0)
    answer = await browser.try_to_sign_in(NAME, PASSWORD)
    assert answer.status_code == 503
    assert "Try again in some seconds" in answer.text


async def test_a_form_that_is_too_large(browser: Browser) -> None:
    answer = await browser.try_to_sign_in("x" * 600_000, "")
    assert answer.status_code == 413
    assert "larger than" in answer.text


SITES: list[tuple[dict[str, str], bool]] = [
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "none"}, True),
    ({"sec-fetch-site": "cross-site"}, False),
    ({"sec-fetch-site": "same-site"}, False),
    ({"origin": "http://sidecar:8080"}, True),
    ({"origin": "http://evil.example"}, False),
    ({"origin": "null"}, False),
    ({"origin": "http://["}, False),
    ({"origin": "http://sidecar", "host": "["}, False),
    ({}, True),
]


async def test_another_sites_form_signs_nobody_in(browser: Browser) -> None:
    for headers, is_let_in in SITES:
        answer = await browser.try_to_sign_in(NAME, PASSWORD, headers=headers)
        assert answer.status_code == (303 if is_let_in else 403), headers
        assert ("set-cookie" in answer.headers) is is_let_in


LEADS = [
    ("/sidecar/numbers?all=1", "/sidecar/numbers?all=1"),
    ("", "/sidecar/"),
    ("https://evil.example/sidecar/", "/sidecar/"),
    ("//evil.example/sidecar/", "/sidecar/"),
    ("/\\evil.example", "/sidecar/"),
    ("/sidecar/\\evil.example", "/sidecar/"),
    ("/sidecar/a\r\nset-cookie: b=c", "/sidecar/"),
    ("/sidecar/ö", "/sidecar/"),
    ("/admin", "/sidecar/"),
    ("/sidecar/../admin", "/sidecar/"),
    ("/sidecar/%2E%2e/admin", "/sidecar/"),
    ("/sidecar/numbers?q=/../a%2e", "/sidecar/numbers?q=/../a%2e"),
    ("/sidecars/", "/sidecar/"),
    ("/sidecar/sign-in", "/sidecar/"),
    ("/sidecar/static/0/console.css", "/sidecar/"),
    ("http://[", "/sidecar/"),
]


async def test_where_it_leads(browser: Browser) -> None:
    for to, leads_to in LEADS:
        answer = await browser.try_to_sign_in(NAME, PASSWORD, to=to)
        assert answer.headers["location"] == leads_to, to


async def test_who_wanted_to_go_somewhere_gets_there(browser: Browser) -> None:
    answer = await browser.get("/?span=day&x=a%26b")
    page = await browser.client.get(answer.headers["location"])
    assert 'name="to" value="' in page.text
    deep = await browser.get("/numbers?x=a%26b")
    page = await browser.client.get(deep.headers["location"])
    assert 'value="/sidecar/numbers?x=a%26b"' in page.text


async def test_who_is_signed_in_needs_no_form(operator: Browser) -> None:
    answer = await operator.get("/sign-in")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sidecar/")


async def test_a_sign_in_ends_the_session_before(browser: Browser, redis: Redis) -> None:
    await browser.sign_in(Role.OPERATE)
    before = dict(browser.client.cookies)
    await browser.sign_in(Role.LOOK)
    assert dict(browser.client.cookies) != before
    browser.client.cookies.update(before)
    assert (await browser.get("/")).status_code == 303
    assert await redis.zcard(keys.CONSOLE_SESSIONS) == 1


async def test_signing_out(operator: Browser, redis: Redis) -> None:
    cookies = dict(operator.client.cookies)
    answer = await operator.post("/sign-out")
    assert answer.headers["location"] == "/sidecar/sign-in"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    operator.client.cookies.update(cookies)
    assert (await operator.get("/")).status_code == 303
    assert [entry.action for entry in await audited(redis)] == [
        "console.sign_in",
        "console.sign_out",
    ]


async def test_signing_out_over_https(browser: Browser) -> None:
    browser.client.headers["x-forwarded-proto"] = "https"
    answer = await browser.try_to_sign_in(NAME, PASSWORD)
    browser.client.headers["cookie"] = answer.headers["set-cookie"].split(";")[0]
    answer = await browser.post("/sign-out")
    assert "Secure" in answer.headers["set-cookie"], "else browsers do not take it"


async def test_settings_say_how_long(make_browser: MakeBrowser, redis: Redis) -> None:
    browser = await make_browser(console_session_s=600, console_idle_s=60)
    answer = await browser.try_to_sign_in(NAME, PASSWORD)
    assert "Max-Age=600" in answer.headers["set-cookie"]
    [key] = await redis.keys("console:session:*")
    assert await redis.ttl(key) <= 60


async def test_while_redis_is_full(make_browser: MakeBrowser, tmp_path: Path) -> None:
    """Somebody will want to see why."""
    with RedisServer(tmp_path / "full") as server:
        async with aclosing(connect(server.url, timeout_s=5.0)) as redis:
            await redis.hset(keys.CONSOLE_USERS, NAME, USERS[Role.OPERATE].model_dump_json())
            browser = await make_browser(redis_url=server.url)
            await redis.config_set("maxmemory", 1)
            with pytest.raises(RedisUnavailable):
                await redis.set("a", "b")
            assert (await browser.try_to_sign_in(NAME, "wrong")).status_code == 403
            await browser.sign_in(Role.OPERATE)
            assert "redis-full" in await browser.page("/")
            assert (await browser.post("/sign-out")).status_code == 303
            assert (await browser.get("/")).status_code == 303
