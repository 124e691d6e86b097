"""The page of dead letters: what is there and why, and what is done about it, by whom."""

import base64
import html
import re
from typing import Any

import orjson
import pytest

from contracts.console import Role
from contracts.jobs import Lane
from sidecar.console.pages import dead_letters
from sidecar.ops.audit import Audit
from sidecar.ops.dead_letters import DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.conftest import MakeBrowser
from tests.sidecar.console.titles import call_vendors
from tests.sidecar.console.walk import faults
from tests.sidecar.ops.test_dead_letters import add_dead_letter
from tests.sidecar.ops.test_letter_pages import add_effect

PATH = "/dead-letters"
PAYLOAD = {"from": "4915112345678", "text": {"body": "Dear Ada"}, "access_token": "hidden"}


async def fill(redis: Redis, count: int = 3) -> None:
    """Put letters of v and w there, w's for another reason, and a dead effect."""
    for number in range(count):
        reason = "SQLSTATE[22001] 1406 in contacts" if number % 2 else "the contact is locked"
        more: dict[str, Any] = {"reason": reason, "payload": PAYLOAD}
        await add(redis, number, "vw"[number % 2], 5000 + number, **more)
    await add_effect(redis, 99, "w", 9000, "forward")


async def add(redis: Redis, number: int, *where: Any, **update: Any) -> None:
    """Put a letter there whose vendor's accounting balances."""
    await add_dead_letter(redis, number, *where, **update)
    await redis.hincrby(keys.counters(where[0] if where else "v"), "updates", 1)


async def ids(redis: Redis) -> list[str]:
    return [letter.id async for letter in DeadLetters(redis).all()]


def items(page: str) -> list[str]:
    return [html.unescape(item) for item in re.findall(r'name="letter" value="([^"]+)"', page)]


async def answered(browser: Browser, asked: Any) -> str:
    """Say yes to a question, and return the notice."""
    assert asked.status_code == 200, asked.text
    do = re.search(r'name="do" value="(\w+)"', asked.text)
    token = re.search(r'name="selection" value="([^"]+)"', asked.text)
    assert do
    assert token
    fields: dict[str, str | list[str]] = {"do": do[1], "selection": token[1], "confirmed": "yes"}
    return await browser.notice(await browser.post(f"{PATH}/carry-out", fields))


@pytest.fixture
def titled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PHP calls vendor v."""
    call_vendors(monkeypatch, {"v": "Ada & <Sons>"})


# -- looking --


async def test_none(operator: Browser) -> None:
    page = await operator.page(PATH)
    assert "No dead letters" in page
    assert '<form class="filter"' not in page
    assert "None that the filter names" in await operator.page(f"{PATH}?vendor=x")


@pytest.mark.usefixtures("titled")
async def test_the_list(operator: Browser, redis: Redis) -> None:
    await fill(redis)
    page = await operator.page(PATH)
    for text in (
        "4 dead letters",
        "the contact is locked",
        "PHP refuses it: fix what the reason says, then replay it.",
        "PHP&#39;s database refuses it",
        ">wamid.1</code>",
        "1970-01-01 00:00:05Z",
        "Replay all…",
    ):
        assert text in page, text
    assert [item.split("/", 2)[2] for item in items(page)][1:] == [
        "v/letter-2",
        "w/letter-1",
        "v/letter-0",
    ]
    assert page.count("Ada &amp; &lt;Sons&gt;") == 3
    assert "Dear Ada" not in page
    assert " checked" not in page
    assert (await operator.page(f"{PATH}?select=all")).count(" checked") == 4
    assert faults(page) == []
    async with operator.events(f"{PATH}/live") as events:
        assert "4 dead letters" in (await events.take(1))["summary"]


async def test_the_filters(operator: Browser, redis: Redis) -> None:
    await fill(redis, 6)
    for query, number in (
        ("vendor=v", 3),
        ("vendor=%20v%20", 3),
        ("kind=effects", 1),
        ("kind=message&vendor=w", 3),
        ("reason=LOCKED", 3),
        ("since=1970-01-01T00:00:05.003", 4),
        ("since=1970-01-01T00:00:05&before=1970-01-01T00:00:05.002", 2),
    ):
        page = await operator.page(f"{PATH}?{query}")
        assert len(items(page)) == number, query
        assert "that the filter names…" in page
    for query in (
        "kind=odd",
        "since=yesterday",
        "after=odd",
        "after=1/odd/v/a",
        "after=x/updates/v/a",
    ):
        assert (await operator.get(f"{PATH}?{query}")).status_code == 400, query


async def test_page_after_page(operator: Browser, redis: Redis) -> None:
    for number in range(60):
        await add(redis, number)
    found: list[str] = []
    link: str | None = ""
    while link is not None:
        page = await operator.page(PATH + link)
        found += items(page)
        older = re.search(r'<a href="([^"]+)" rel="next">', page)
        link = html.unescape(older[1]) if older else None
    assert [item.rpartition("-")[2] for item in found] == [str(n) for n in reversed(range(60))]
    assert "← The newest" in page


async def test_vendors_beyond_those_that_are_named(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_NAMED", 1)
    await fill(redis)
    page = await operator.page(PATH)
    assert "and 1 more vendor:" in page
    asked = await operator.post(f"{PATH}/ask", {"do": "discard", "all": "yes"})
    assert "2 of vendor v" in asked.text
    assert "2 of vendor 1 others" in asked.text


@pytest.mark.usefixtures("titled")
async def test_one_letter(operator: Browser, redis: Redis) -> None:
    await fill(redis)
    page = await operator.page(f"{PATH}/letter?vendor=v&id=letter-0")
    for text in ("the contact is locked", "PHP refuses it", "Dear Ada", "4915112345678", "wamid.0"):
        assert text in page
    assert "Ada &amp; &lt;Sons&gt;</a>" in page
    assert "hidden" not in page.replace('type="hidden"', "").replace('class="hidden"', "")
    assert faults(page) == []
    assert (await operator.get(f"{PATH}/letter?vendor=v&id=letter-9")).status_code == 404
    assert (await operator.get(f"{PATH}/letter")).status_code == 404
    effect = {"kind": "forward", "id": "a", "raw": '{"text":{"body":"hi <b>"},"token":"hidden-1"}'}
    letter = {"outbox": "forward", "update": {"id": "a", "kind": "forward", "effect": effect}}
    await redis.hset(keys.dead_letters("w"), "raw", orjson.dumps(letter))
    page = await operator.page(f"{PATH}/letter?id=raw&vendor=w")
    assert "hi &lt;b&gt;" in page
    assert "hidden-1" not in page
    page = await operator.page(f"{PATH}/letter?id=w/forward/99")
    assert "The vendor&#39;s own webhook did not take it" in page


async def test_a_viewer_sees_no_person(viewer: Browser, redis: Redis) -> None:
    await fill(redis)
    wamid = "wamid.HBgNNDkxNTExMjM0NTY3OBUCABEYEjdBRkZDQzg"
    await add_dead_letter(redis, 7, wamid=wamid, payload=PAYLOAD)
    for path in (PATH, f"{PATH}/letter?vendor=v&id=letter-0", f"{PATH}/letter?id=letter-7"):
        page = await viewer.page(path)
        for personal in ("Ada", "491511", "12345678", "NDkxNTEx", "Replay", "Discard"):
            assert personal not in page, personal
    assert "wamid…BRkZDQzg" in page


@pytest.mark.parametrize(
    ("update", "shown"),
    [
        (
            {"payload": None, "kind": None, "body": base64.b64encode(b"<script>x").decode()},
            "&lt;script&gt;x",
        ),
        ({"payload": {"a": "\u202eabc\u0000"}}, "\\u202eabc\\u0000"),
        ({"payload": {"a": "مرحبا"}}, '<bdi class="text">مرحبا</bdi>'),
        ({"payload": {"a": "x" * 3_000_000}}, "only the beginning is shown"),
        ({"payload": None}, "0 B"),
        ({"reason": "<b>no</b>\u202e", "wamid": ["odd"]}, "&lt;b&gt;no&lt;/b&gt;\\u202e"),
    ],
)
async def test_bodies_of_any_kind(
    operator: Browser, redis: Redis, update: dict[str, Any], shown: str
) -> None:
    await add_dead_letter(redis, 1, **update)
    page = await operator.page(f"{PATH}/letter?vendor=v&id=letter-1")
    assert shown in page
    assert "<script>x" not in page
    assert "</table>" in await operator.page(PATH)


async def test_a_letter_that_nobody_can_read(operator: Browser, redis: Redis) -> None:
    await add_dead_letter(redis, 1)
    await redis.hset(keys.dead_letters("v"), "letter-1", orjson.dumps({"update": {"id": "a"}}))
    answer = await operator.get(f"{PATH}/letter?vendor=v&id=letter-1")
    assert answer.status_code == 200
    await redis.hset(keys.dead_letters("v"), "letter-1", b'{"lane":"odd","update":{}}')
    answer = await operator.get(f"{PATH}/letter?vendor=v&id=letter-1")
    assert (answer.status_code, "ValueError" in answer.text) == (422, True)


# -- replaying and discarding --


async def test_one_is_replayed(operator: Browser, redis: Redis) -> None:
    await fill(redis)
    page = await operator.page(f"{PATH}/letter?vendor=v&id=letter-0")
    asked = await operator.post(f"{PATH}/ask", {"do": "replay", "letter": items(page)})
    assert "Replay 1 dead letter?" in asked.text
    assert len(await ids(redis)) == 4, "nothing is done before somebody says yes"
    notice = await answered(operator, asked)
    assert notice == "Done: 1 replayed; workers pick them up within a second"
    assert "letter-0" not in await ids(redis)
    assert await redis.zcard(keys.deferred(Lane.MESSAGES)) == 1
    [entry, *_] = await Audit(redis, 100).read()
    assert (entry.who.kind, entry.who.name, entry.who.role) == (
        "console",
        "operate-user",
        Role.OPERATE,
    )
    assert (entry.action, entry.outcome) == ("dead_letters.replay", "done")
    assert entry.details == {"done": 1, "vendors": {"v": 1}}


async def test_a_selection_is_discarded(operator: Browser, redis: Redis) -> None:
    await fill(redis)
    chosen = items(await operator.page(PATH))[:3]
    asked = await operator.post(f"{PATH}/ask", {"do": "discard", "letter": chosen})
    for text in ("Discard 3 dead letters?", "2 of vendor w", "1 of vendor v", "never reach PHP"):
        assert text in asked.text
    assert await answered(operator, asked) == "Done: 3 discarded"
    assert await ids(redis) == ["letter-0"]


async def test_all_that_the_filter_names_and_none_that_comes_meanwhile(
    operator: Browser, redis: Redis
) -> None:
    await fill(redis, 30)
    fields: dict[str, str | list[str]] = {"do": "replay", "all": "yes", "reason": "locked"}
    asked = await operator.post(f"{PATH}/ask", fields)
    for text in (
        "Replay 15 dead letters?",
        "with &#39;locked&#39; in the reason",
        "15 of vendor v",
        "15 because: the contact is locked",
    ):
        assert text in asked.text
    # One that is older, of the same reason and vendor, and one that is newer.
    await add(redis, 100, "v", 1, reason="the contact is locked")
    await add(redis, 101, "v", 10**13, reason="the contact is locked")
    assert (await answered(operator, asked)).startswith("Done: 15 replayed")
    left = await ids(redis)
    assert {"letter-100", "letter-101"} < set(left)
    assert len(left) == 18


async def test_more_than_may_be_meant_at_once(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sidecar.ops.letter_pages", "sidecar.console.pages.dead_letters"):
        monkeypatch.setattr(f"{module}.MAX_CHOSEN", 2)
    await fill(redis)
    asked = await operator.post(f"{PATH}/ask", {"do": "discard", "all": "yes"})
    assert "Discard 2 dead letters?" in asked.text
    assert "The oldest 2 were looked through; there are more" in asked.text


async def test_in_steps_with_a_question_between(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "REQUEST_S", 0.0)
    monkeypatch.setattr(dead_letters, "STEP", 2)
    await fill(redis)
    asked = await operator.post(f"{PATH}/ask", {"do": "discard", "all": "yes"})
    token = re.search(r'name="selection" value="([^"]+)"', asked.text)
    assert token
    fields: dict[str, str | list[str]] = {"do": "discard", "selection": token[1]}
    again = await operator.post(f"{PATH}/carry-out", fields)
    assert "Discard 2 dead letters?" in again.text
    assert "2 discarded." in again.text
    assert await answered(operator, again) == "Done: 2 discarded"
    assert await ids(redis) == []


async def test_what_is_gone_meanwhile_is_told(operator: Browser, redis: Redis) -> None:
    await fill(redis)
    asked = await operator.post(f"{PATH}/ask", {"do": "replay", "all": "yes", "vendor": "v"})
    letters = DeadLetters(redis)
    await letters.discard(await letters.refs())
    assert await answered(operator, asked) == "Not done: 0 replayed; 2 not there any more"


async def test_a_question_is_answered_once(operator: Browser, redis: Redis) -> None:
    await fill(redis)
    asked = await operator.post(f"{PATH}/ask", {"do": "discard", "all": "yes", "vendor": "v"})
    assert (await answered(operator, asked)).startswith("Done")
    assert "answered already" in await answered(operator, asked)


async def test_redis_fails_half_way(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(redis)
    asked = await operator.post(f"{PATH}/ask", {"do": "replay", "all": "yes", "vendor": "v"})
    replay = DeadLetters.replay

    async def failing(self: DeadLetters, letter: Any) -> bool:
        if letter.id == "letter-2":
            raise ConnectionError("away")
        return await replay(self, letter)

    monkeypatch.setattr(DeadLetters, "replay", failing)
    notice = await answered(operator, asked)
    assert notice.startswith("Not done: 1 replayed")
    assert "then Redis failed (away). The rest is where it was." in notice
    assert "letter-2" in await ids(redis)
    [entry, *_] = await Audit(redis, 100).read()
    assert (entry.outcome, entry.details["done"], entry.details["reason"]) == ("failed", 1, "away")


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "odd", "all": "yes"},
        {"all": "yes"},
        {"do": "replay", "all": "yes", "kind": "odd"},
        {"do": "replay", "letter": "odd"},
        {"do": "replay", "letter": "x/updates/v/a"},
    ],
)
async def test_what_no_page_of_ours_asks(operator: Browser, fields: dict[str, Any]) -> None:
    assert (await operator.post(f"{PATH}/ask", fields)).status_code == 400
    answer = await operator.post(f"{PATH}/carry-out", {"do": "odd"})
    assert answer.status_code == 400


async def test_nothing_is_meant(operator: Browser) -> None:
    answer = await operator.post(f"{PATH}/ask", {"do": "replay"})
    assert await operator.notice(answer) == "Not done: no dead letter is meant by that"


async def test_a_viewer_can_do_nothing(make_browser: MakeBrowser, redis: Redis) -> None:
    await fill(redis)
    viewer = await (await make_browser()).sign_in(Role.LOOK)
    operator = await (await make_browser()).sign_in(Role.OPERATE)
    asked = await operator.post(f"{PATH}/ask", {"do": "discard", "all": "yes"})
    token = re.search(r'name="selection" value="([^"]+)"', asked.text)
    assert token
    fields: dict[str, str | list[str]] = {"do": "discard", "all": "yes", "selection": token[1]}
    for step in ("ask", "carry-out"):
        assert (await viewer.post(f"{PATH}/{step}", fields)).status_code == 403
        assert (await operator.post(f"{PATH}/{step}", fields, token=False)).status_code == 403
    assert len(await ids(redis)) == 4
    refused = [one for one in await Audit(redis, 100).read() if one.action == "console.refused"]
    assert [one.who.name for one in refused] == ["operate-user", "look-user"] * 2
