"""The pages of the vendors, and moving them."""

import re
from typing import Any

import orjson
import pytest

from contracts.console import Role
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.console.pages import vendors
from sidecar.ops.audit import Audit, Filter
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.shadow.parity import count_name
from sidecar.shadow.recorder import day_of
from sidecar.shadow.rules import Class, Kind, Rule
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.commands.vendors import OTHER, are, modes
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.conftest import MakeBrowser
from tests.sidecar.service import VENDOR

PATH = f"/vendors/{VENDOR}"
WAMID = "wamid.HBgMOTk5NzAwMDAwMDAxFQIAERgSQTM3"
CAMPAIGNS = {"campaigns": "sidecar", "reason": "the first"}
ALL = {"webhooks": "sidecar", "campaigns": "sidecar", "bots": "sidecar"}


@pytest.fixture
async def browser(make_browser: MakeBrowser) -> Browser:
    return await make_browser(cron_settle_s=0)


def uids(page: str) -> list[str]:
    return re.findall(r'<td class="id">([^<]+)</td>', page)


def fields(page: str) -> dict[str, str]:
    """The fields of the form that a page asks with."""
    form = page.partition('class="ask')[2].partition("</form>")[0]
    return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form))


async def recorded(redis: Redis, action: str = "modes") -> list[tuple[str, str, str]]:
    found = await Audit(redis, 1000).read(wanted=Filter(action=action))
    return [(entry.who.name, entry.target, entry.outcome) for entry in found]


async def have_compared(redis: Redis, **counts: int) -> None:
    """Have shadow's results of the vendor be these, and a difference of them."""
    at = now_ms()
    await redis.sadd(keys.SHADOWED, VENDOR)
    values: dict[Any, Any] = {"first": at - 90_000_000, "last": at, "recorded": 3, **counts}
    await redis.hset(keys.parity_day(VENDOR, day_of(at)), mapping=values)


# -- looking --


async def test_the_list(viewer: Browser, php: Php) -> None:
    php.add_vendor(OTHER)
    are(php, OTHER, "sidecar", "held", "shadow")
    page = await viewer.page("/vendors")
    assert uids(page) == [VENDOR, OTHER]
    assert "The campaigns of 1 vendor are held" in page
    rows = re.findall(r"(?s)<tr><th scope=\"row\">(\w+)</th>(.*?)</tr>", page)
    counted = {name: re.findall(r">(\d+)<", cells) for name, cells in rows}
    assert counted["campaigns"] == ["1", "0", "0", "1"]
    assert "Give all vendors back" not in page
    assert uids(await viewer.page("/vendors?mode=shadow")) == [OTHER]
    assert uids(await viewer.page(f"/vendors?vendor={VENDOR[:6].upper()}")) == [VENDOR]
    assert "No such vendor." in await viewer.page("/vendors?vendor=%3Cb%3E")


async def test_pages(viewer: Browser, php: Php, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendors, "PAGE", 2)
    for number in range(4):
        php.add_vendor(f"v-{number}")
    assert uids(await viewer.page("/vendors")) == [VENDOR, "v-0"]
    page = await viewer.page("/vendors?vendor=v-&page=2")
    assert uids(page) == ["v-2", "v-3"]
    assert "vendor=v-&amp;page=1" in page
    assert 'rel="next"' not in page
    assert uids(await viewer.page("/vendors?page=99")) == ["v-3"]
    for none in ("x", "0", "9" * 5000):
        assert uids(await viewer.page(f"/vendors?page={none}")) == [VENDOR, "v-0"]


async def test_no_vendors(viewer: Browser, php: Php) -> None:
    php.vendors.clear()
    assert "PHP has no vendors." in await viewer.page("/vendors")


async def test_php_is_away(viewer: Browser, php: Php, redis: Redis) -> None:
    await have_compared(redis, **{count_name(Kind.STATUS, Class.EQUAL): 5})
    await php.stop()
    answer = await viewer.get("/vendors")
    assert (answer.status_code, "PHP" in answer.text) == (503, True)
    page = await viewer.page(PATH)
    assert "PHP cannot be asked for its modes" in page
    assert "Not ready for the sidecar" in page, "that is in Redis"


async def test_one_vendor(operator: Browser, php: Php) -> None:
    page = await operator.page(PATH)
    assert "Nothing was compared" in page
    assert "Nobody: they come from PHP&#39;s configuration." in page
    are(php, OTHER, "php", "php", "php")
    php.add_vendor(OTHER)
    are(php, OTHER, "shadow", "held", "php", by="<Ada>", reason="<i>")
    page = await operator.page(f"/vendors/{OTHER}")
    assert "webhooks php → shadow, campaigns php → held" in page
    assert "kept as PHP&#39;s configuration had them" in page
    assert "&lt;Ada&gt;" in page
    assert "Nobody sends its campaigns." in page
    assert (await operator.get("/vendors/nobody")).status_code == 404


async def test_a_viewer_gets_no_buttons(viewer: Browser) -> None:
    page = await viewer.page(PATH)
    assert "<form" not in page.partition("<main")[2]


async def test_a_vendor_that_is_gone(viewer: Browser, php: Php, redis: Redis) -> None:
    await have_compared(redis, **{count_name(Kind.STATUS, Class.EQUAL): 5})
    php.vendors.clear()
    assert "PHP knows no such vendor any more." in await viewer.page(PATH)


async def test_differences_side_by_side(viewer: Browser, redis: Redis) -> None:
    rule = Rule.ONLY_FIRST_ELEMENT
    await have_compared(
        redis,
        **{
            count_name(Kind.BOTS, Class.EXTRA): 2,
            count_name(Kind.LOG_ROW, Class.EXTRA): 1,
            count_name(Kind.STATUS, Class.MISSING): 1,
            count_name(Kind.STATUS, Class.EXPLAINED): 1,
            count_name(Kind.STATUS, Class.EXPLAINED, rule): 1,
        },
    )
    bots = {"bots": ["b1", "b2"], "types": {"b1": "is", "b2": "is"}, "text": [5, "c0ffee"]}
    await keep_example(redis, Kind.BOTS, Class.EXTRA, bots, {"bots": ["<b1>"]})
    await keep_example(redis, Kind.STATUS, Class.MISSING, {"status": "read"}, {"status": "read"})
    page = await viewer.page(PATH)
    assert WAMID not in page
    assert "no rule explains" in page
    assert "only first element" in page
    assert "wamid…ERgSQTM3 at" in page
    assert "<code>[&#34;b1&#34;,&#34;b2&#34;]</code>" in page
    assert "<code>[&#34;&lt;b1&gt;&#34;]</code>" in page
    assert '<td class="nowrap">same</td>' in page
    assert page.count('<td class="nowrap">differs</td>') == 1
    assert "No example is kept any more." in page


async def keep_example(redis: Redis, kind: Kind, class_: Class, ours: Any, theirs: Any) -> None:
    at = now_ms()
    one = {"kind": kind, "class": class_, "sidecar": ours, "php": theirs, "rule": None}
    dump = orjson.dumps({**one, "wamid": WAMID, "at": at, "recorded_at": at})
    await redis.lpush(keys.parity_examples(VENDOR, kind, class_), dump)


async def test_a_vendor_that_is_ready(make_browser: MakeBrowser, redis: Redis) -> None:
    browser = await make_browser(parity_min_updates=1, parity_min_hours=1)
    viewer = await browser.sign_in(Role.LOOK)
    await have_compared(redis, **{count_name(Kind.STATUS, Class.EQUAL): 5})
    assert "Ready for the sidecar" in await viewer.page(PATH)


# -- moving one --


async def test_a_move_is_shown_first_and_then_done(
    operator: Browser, php: Php, redis: Redis
) -> None:
    asked = await operator.post(f"{PATH}/move", CAMPAIGNS)
    assert "campaigns: php → sidecar" in asked.text
    assert "Nobody sends the campaigns for about" in asked.text
    assert "Shadow has compared nothing" in asked.text
    assert php.histories == {}
    answer = await operator.post(f"{PATH}/move", fields(asked.text))
    assert "1 of 1 vendors have the requested modes" in await operator.notice(answer)
    assert modes(php) == ("php", "sidecar", "php")
    assert {past["by"] for past in php.histories[VENDOR]} == {"operate-user"}
    assert {past["reason"] for past in php.histories[VENDOR]} == {"the first"}
    assert await recorded(redis) == [("operate-user", VENDOR, "done")]
    assert "campaigns php → held" in await operator.page(PATH)


async def test_a_move_that_takes_long(make_browser: MakeBrowser) -> None:
    operator = await (await make_browser(cron_settle_s=40)).sign_in(Role.OPERATE)
    asked = await operator.post(f"{PATH}/move", CAMPAIGNS)
    assert "longer than this page is waited for" in asked.text


async def test_back_to_php(operator: Browser, php: Php) -> None:
    are(php, VENDOR, "sidecar", "sidecar", "sidecar")
    page = await operator.page(PATH)
    assert 'name="reason" value="rollback"' in page
    back = {"webhooks": "php", "campaigns": "php", "bots": "php", "reason": "rollback"}
    asked = await operator.post(f"{PATH}/move", back)
    assert "goes back to PHP&#39;s queue" in asked.text
    await operator.post(f"{PATH}/move", fields(asked.text))
    assert modes(php) == ("php", "php", "php")


async def test_what_is_in_flight_is_said_and_keeps_a_move_from_being_complete(
    operator: Browser, php: Php, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.console.moves.MOVE_S", 0.1)
    are(php, VENDOR, "sidecar", "sidecar", "php")
    for number in range(7):
        await redis.hset(keys.LEDGERS, f"c{number}", VENDOR)
        await redis.hset(keys.ledger(f"c{number}"), "row", "c:x")
    asked = await operator.post(f"{PATH}/move", {"campaigns": "php"})
    assert "In flight: campaign c" in asked.text
    assert "2 more campaigns are in flight." in asked.text
    notice = await operator.notice(await operator.post(f"{PATH}/move", fields(asked.text)))
    assert notice.startswith("Not done: 0 of 1 vendors have the requested modes")
    assert "held until then" in notice
    assert f"{VENDOR} waits for: campaign c" in notice
    assert await recorded(redis) == [("operate-user", VENDOR, "unfinished")]


async def test_what_waits_in_the_inbox_is_said(operator: Browser, php: Php, redis: Redis) -> None:
    are(php, VENDOR, "sidecar", "php", "php")
    await redis.xadd(keys.inbox(Lane.MESSAGES, VENDOR), {"w": b"{}"})
    asked = await operator.post(f"{PATH}/move", {"webhooks": "php"})
    assert f"In the inbox of {VENDOR}: 1 webhook." in asked.text
    assert "still handed to PHP" in asked.text


async def test_somebody_changes_it_meanwhile(operator: Browser, php: Php) -> None:
    asked = await operator.post(f"{PATH}/move", CAMPAIGNS)
    are(php, VENDOR, "php", "shadow", "php", by="Ben")
    again = await operator.post(f"{PATH}/move", fields(asked.text))
    assert again.status_code == 200
    assert "Somebody has changed modes since this was shown." in again.text
    assert "campaigns: shadow → sidecar" in again.text
    assert modes(php) == ("php", "shadow", "php")
    await operator.post(f"{PATH}/move", fields(again.text))
    assert modes(php) == ("php", "sidecar", "php")


async def test_how_ready_it_is(operator: Browser, redis: Redis) -> None:
    asked = await operator.post(f"{PATH}/move", {"webhooks": "sidecar"})
    assert f"Shadow has compared nothing of {VENDOR}." in asked.text
    await have_compared(redis, **{count_name(Kind.STATUS, Class.EQUAL): 5})
    asked = await operator.post(f"{PATH}/move", {"bots": "sidecar"})
    assert "is not ready: 5 updates were compared" in asked.text


async def test_what_changes_nothing(operator: Browser, php: Php, redis: Redis) -> None:
    answer = await operator.post(f"{PATH}/move", {"webhooks": "php"})
    assert "has these modes already" in await operator.notice(answer)
    answer = await operator.post(f"{PATH}/move", {"campaigns": "held"})
    assert "Not done: campaigns can be" in await operator.notice(answer)
    answer = await operator.post(f"{PATH}/move", {})
    assert "Say what to move" in await operator.notice(answer)
    assert (await operator.post("/vendors/nobody/move", CAMPAIGNS)).status_code == 404
    assert php.histories == {}
    assert await recorded(redis) == []


async def test_php_fails_half_way(operator: Browser, php: Php, redis: Redis) -> None:
    asked = await operator.post(f"{PATH}/move", CAMPAIGNS)
    php.override = lambda call: refusal(503, "down") if b'"changes":[{' in call.body else None
    notice = await operator.notice(await operator.post(f"{PATH}/move", fields(asked.text)))
    assert "Not done: PHP call failed" in notice
    assert "Earlier changes stand" in notice
    assert await recorded(redis) == [("operate-user", VENDOR, "failed")]


async def test_who_may_not(make_browser: MakeBrowser, php: Php, redis: Redis) -> None:
    await have_compared(redis, **{count_name(Kind.STATUS, Class.EQUAL): 5})
    sure = {**ALL, "confirmed": "yes"}
    viewer = await (await make_browser()).sign_in(Role.LOOK)
    operator = await (await make_browser()).sign_in(Role.OPERATE)
    actions = (f"{PATH}/move", f"{PATH}/reset", "/vendors/rollback")
    for action in actions:
        assert (await viewer.post(action, sure)).status_code == 403
        assert (await operator.post(action, sure, token=False)).status_code == 403
    assert php.histories == {}
    assert await redis.exists(keys.parity_day(VENDOR, day_of(now_ms())))
    assert len(await recorded(redis, "console.refused")) == 6


# -- all, and shadow's results --


async def test_all_back_to_php(operator: Browser, php: Php, redis: Redis) -> None:
    php.add_vendor(OTHER)
    answer = await operator.post("/vendors/rollback")
    assert "PHP does the work of all vendors already" in await operator.notice(answer)
    are(php, OTHER, "sidecar", "shadow", "sidecar")
    asked = await operator.post("/vendors/rollback", {"reason": "night"})
    assert "1 changes." in asked.text
    assert modes(php, OTHER)[0] == "sidecar"
    answer = await operator.post("/vendors/rollback", fields(asked.text))
    assert "2 of 2 vendors" in await operator.notice(answer)
    assert modes(php, OTHER) == ("php", "php", "php")
    assert php.histories[OTHER][-1]["reason"] == "rollback of all: night"
    assert await recorded(redis) == [("operate-user", "all vendors", "done")]


async def test_the_comparison_starts_over(operator: Browser, redis: Redis) -> None:
    await have_compared(redis, **{count_name(Kind.STATUS, Class.EQUAL): 5})
    asked = await operator.post(f"{PATH}/reset")
    assert "5 updates were compared" in asked.text
    assert "Not ready" in await operator.page(PATH)
    answer = await operator.post(f"{PATH}/reset", fields(asked.text))
    assert "starts over" in await operator.notice(answer)
    assert "Nothing was compared" in await operator.page(PATH)
    assert await recorded(redis, "parity.reset") == [("operate-user", VENDOR, "done")]
